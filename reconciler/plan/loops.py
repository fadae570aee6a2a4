"""Schedules whose runs write files that start the next ones, round and round.

Nothing here knows which names a run gives to its files, so a filter may well part what is written
from what is watched: a loop is a warning, and what to check.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from reconciler.data import Datastore, DatastoreChange, Depth, FileChange
from reconciler.errors import InvalidValue
from reconciler.plan.bind import Bindings
from reconciler.plan.change import Kind, PlanWarning
from reconciler.plan.components import components
from reconciler.plan.spec import spec_value
from reconciler.schedule import Schedule, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.data import Watched
    from reconciler.live import Live, PublishedPipeline
    from reconciler.manifest.load import Declared
    from reconciler.pipeline import Pipeline
    from reconciler.plan.desired import Desired

LOOP = "loop"
# So a published pipeline's canonical spec begins the list of what it writes.
_WRITES = '"writes":'
_WAY_OUT = "see that include, ignore or file keep what is written from what is watched"


def may_loop(
    schedules: Iterable[Declared[Schedule]],
    pipelines: Iterable[Declared[Pipeline]],
    published: Iterable[PublishedPipeline],
) -> bool:
    """Tell whether one of these may be a part of a loop: quickly, and rather yes than no."""
    if any(pipeline.value.writes for pipeline in pipelines):
        return True
    writing = {name for v in published if _WRITES in v.spec for name in (v.id, v.name)}
    return bool(writing) and any(
        isinstance(schedule.value.trigger, DatastoreChange)
        and not writing.isdisjoint(
            (schedule.value.pipeline, schedule.value.pipeline.partition("@")[0])
        )
        for schedule in schedules
    )


def loops(
    desired: Desired, live: Live, touched: frozenset[str] | None = None
) -> tuple[PlanWarning, ...]:
    """Find the loops among Active data schedules that what is declared takes part in.

    Schedules of others count as they are registered. Those that can all start each other are told
    as one, by a shortest way round. With ``touched``, addresses of what a plan changes, others are
    left out.
    """
    writes = any(pipeline.value.writes for pipeline in desired.pipelines.values()) or any(
        _WRITES in version.spec for version in live.pipelines
    )
    if not writes:
        return ()
    graph = _Graph(desired, live)
    found = (_told(desired, graph, group, touched) for group in components(graph.edges))
    return tuple(sorted(one for one in found if one is not None))


class _Place(NamedTuple):
    """A directory or file of a store, whatever the datastores are called that lead to it."""

    root: tuple[str, str, str]
    parts: tuple[str, ...]

    def holds(self, other: _Place) -> bool:
        return self.root == other.root and self.parts == other.parts[: len(self.parts)]


class _Writing(NamedTuple):
    """What runs: the pipeline of one name, or one version of it."""

    name: str
    key: str


class _Written(NamedTuple):
    place: _Place
    text: str


class _Watching(NamedTuple):
    place: _Place
    depth: Depth
    text: str


class _Node(NamedTuple):
    """A schedule; another owner's has an id, and ``whose`` names that owner."""

    name: str
    id: str = ""
    whose: str = ""


_Vertex = _Node | _Writing | _Written | _Watching


class _Graph:
    """Schedules lead to what they run, that to where it writes, that to where somebody looks."""

    def __init__(self, desired: Desired, live: Live) -> None:
        self.edges: dict[_Vertex, list[_Vertex]] = {}
        self._desired = desired
        self._bindings = Bindings(desired, live.pipelines)
        stores = dict(_stores(live)) | {
            name: declared.value for name, declared in desired.datastores.items()
        }
        self._tops = {name: _top(store) for name, store in stores.items()}
        for node, schedule, pipeline_id in self._schedules(live):
            self._add(node, schedule, pipeline_id)
        self._join()

    def _schedules(self, live: Live) -> Iterator[tuple[_Node, Schedule, str | None]]:
        for name, declared in self._desired.schedules.items():
            if _wakes(declared.value):
                yield _Node(name), declared.value, None
        for here in live.schedules:
            taken = f"{Kind.SCHEDULE}.{here.name}" in self._desired.adopt
            by_data = f'"{DatastoreChange.TAG}"' in here.spec and here.status is Status.ACTIVE
            if here.owner == self._desired.owner or taken or not by_data:
                continue
            schedule = spec_value(Schedule, here.spec)
            if _wakes(schedule):
                whose = f" of {here.owner}" if here.owner else " (made by SDK)"
                yield _Node(here.name, here.id, whose), schedule, here.pipeline_id

    def _add(self, node: _Node, schedule: Schedule, pipeline_id: str | None) -> None:
        binding = self._bindings.bind(pipeline_id or schedule.pipeline)
        trigger = schedule.trigger
        assert isinstance(trigger, DatastoreChange), "it was chosen for that"  # noqa: S101  (_wakes)
        watched = trigger.watched
        place = self._place(watched.datastore, watched.path)
        if binding is None or not binding.pipeline.writes or place is None:
            return
        pipeline = _Writing(binding.name, binding.digest or binding.label)
        self.edges[node] = [pipeline]
        self.edges.setdefault(_Watching(place, watched.depth, _text(watched)), []).append(node)
        if pipeline not in self.edges:
            written = ((self._place(*_halves(text)), text) for text in binding.pipeline.writes)
            self.edges[pipeline] = [_Written(at, text) for at, text in written if at is not None]

    def _place(self, name: str, path: str) -> _Place | None:
        top = self._tops.get(name)
        parts = tuple(part for part in path.split("/") if part)
        return None if top is None else _Place(top.root, top.parts + parts)

    def _join(self) -> None:
        """Lead from what is written to who sees it: looks there, below, or at all below above."""
        watching = sorted(vertex for vertex in self.edges if isinstance(vertex, _Watching))
        trees: dict[_Place, list[_Watching]] = {}
        for one in watching:
            if one.depth is Depth.TREE:
                trees.setdefault(one.place, []).append(one)
        written = {
            vertex
            for found in self.edges.values()
            for vertex in found
            if isinstance(vertex, _Written)
        }
        for vertex in sorted(written):
            root, parts = vertex.place
            seeing: list[_Vertex] = []
            for end in range(len(parts)):
                seeing += trees.get(_Place(root, parts[:end]), ())
            for at in range(bisect_left(watching, (vertex.place,)), len(watching)):
                if not vertex.place.holds(watching[at].place):
                    break
                seeing.append(watching[at])
            self.edges[vertex] = seeing


def _stores(live: Live) -> Iterator[tuple[str, Datastore]]:
    for store in live.datastores:
        try:
            yield store.name, spec_value(Datastore, store.spec)
        except (InvalidValue, ValueError):
            continue  # what somebody wrote into the registry by hand need not make sense


def _wakes(schedule: Schedule) -> bool:
    """Whether a file that is put somewhere can start it."""
    trigger = schedule.trigger
    if not isinstance(trigger, DatastoreChange) or schedule.status is not Status.ACTIVE:
        return False
    return trigger.changes != (FileChange.DELETED,)


def _halves(text: str) -> tuple[str, str]:
    store, _, path = text.partition("/")
    return store, path


def _top(store: Datastore) -> _Place:
    _, _, place = store.url.partition(":")
    root = (store.scheme, store.account or "", store.endpoint or "")
    if store.scheme == "file":
        place = place.removeprefix("//localhost").removeprefix("//")
    parts: list[str] = []
    for part in unquote(place, errors="surrogateescape").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return _Place(root, tuple(parts))


def _text(watched: Watched) -> str:
    place = f"{watched.datastore}/{watched.path}".rstrip("/")
    return f"{place} and below" if watched.depth is Depth.TREE else place


def _told(
    desired: Desired, graph: _Graph, group: Iterable[_Vertex], touched: frozenset[str] | None
) -> PlanWarning | None:
    """Tell of one group of schedules that can start each other, where it is anything of ours."""
    within = set(group)
    nodes = sorted(one for one in within if isinstance(one, _Node))
    ours = [one for one in nodes if not one.id]
    changed = [one for one in ours if touched is None or _address(one) in touched]
    if not ours or not (changed or _concerned(within, touched or frozenset())):
        return None
    start = (changed or ours)[0]
    way = _round(graph.edges, start, within)
    taking = [one for one in way if isinstance(one, _Node | _Writing)]
    more = len(nodes) - len({one for one in way if isinstance(one, _Node)})
    others = f" ({more} more schedule{'s take' if more > 1 else ' takes'} part)" if more else ""
    file, line, column = desired.schedules[start.name].at("trigger", DatastoreChange.TAG)
    return PlanWarning(
        file=file,
        line=line,
        column=column,
        id=LOOP,
        message=f"runs may start each other without end: {_words(way)}{others}; {_WAY_OUT}",
        objects=tuple(dict.fromkeys(map(_address, taking))),
    )


def _concerned(within: set[_Vertex], touched: frozenset[str]) -> bool:
    """Whether a pipeline that takes part, or a datastore that it goes through, is changed."""
    for one in within:
        if isinstance(one, _Writing) and _address(one) in touched:
            return True
        if isinstance(one, _Written | _Watching):
            store, _ = _halves(one.text)
            if f"{Kind.DATASTORE}.{store.removesuffix(' and below')}" in touched:
                return True
    return False


def _address(one: _Node | _Writing) -> str:
    return f"{Kind.SCHEDULE if isinstance(one, _Node) else Kind.PIPELINE}.{one.name}"


def _round(
    edges: Mapping[_Vertex, list[_Vertex]], start: _Node, within: set[_Vertex]
) -> list[_Vertex]:
    """Find a shortest way from a schedule back to itself."""
    came: dict[_Vertex, _Vertex] = {}
    todo = deque[_Vertex]([start])
    while start not in came:
        here = todo.popleft()
        for further in edges[here]:
            if further in within and further not in came:
                came[further] = here
                todo.append(further)
    way: list[_Vertex] = [came[start]]
    while way[-1] != start:
        way.append(came[way[-1]])
    return [*way[::-1], start]


def _words(way: list[_Vertex]) -> str:
    said = ""
    watched = ""
    for one in way:
        if isinstance(one, _Node):
            said += f"'{one.name}'{one.whose}{watched}"
        elif isinstance(one, _Writing):
            said += f"{' and' if watched else ''} runs {one.name}, which writes "
        elif isinstance(one, _Written):
            said += f"{one.text}; "
        else:
            watched = f" watches {one.text}"
    return said
