"""Many files to many declared objects, with every problem of every file in one go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reconciler.bulk import bulk
from reconciler.data import Datastore
from reconciler.errors import Problem
from reconciler.manifest.build import builder, find
from reconciler.manifest.compose import Composition, Layer
from reconciler.manifest.origin import Origin, origin
from reconciler.manifest.project import FILE, ONLY_IN_CREDENTIALS, ONLY_IN_ENV, texts
from reconciler.manifest.scalars import FAILED, Faults, nearest
from reconciler.manifest.syntax import one_line, shown
from reconciler.manifest.yaml12 import Line, Node, parse, place_in
from reconciler.pipeline import Pipeline, secrets_in
from reconciler.schedule import Schedule
from reconciler.trigger.compile import problems as trigger_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

T_co = TypeVar("T_co", covariant=True)

KINDS: Mapping[str, Any] = {cls.KIND: cls for cls in (Schedule, Pipeline, Datastore)}
# A file with more problems than this is better fixed from the top than read to the end.
MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Document:
    """One file as it was found: its path as people know it, and its bytes."""

    file: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Declared(Generic[T_co]):
    """A value together with the place it was declared at; lines and columns count from 1.

    ``node`` is the effective tree, of which parts may stand in the project file; ``layers`` are
    what it was merged from, none where it is the document alone.
    """

    value: T_co
    file: str
    node: Node = field(repr=False, compare=False)
    layers: tuple[Layer, ...] = field(default=(), repr=False, compare=False)

    @property
    def line(self) -> int:
        """The line its document starts on."""
        return self.node.line

    @property
    def column(self) -> int:
        """The column its document starts at."""
        return self.node.column

    def at(self, *path: str | int) -> tuple[str, int, int]:
        """Give (file, line, column) of what ``path`` leads to, or of its nearest parent.

        The path is that of the document: ``("trigger", "cron", "expression")``.
        """
        node = find(self.node, path)
        return place_in(self.file, node.line, node.column)

    def origin(self, *path: str | int) -> Origin | None:
        """Tell where the value at ``path`` comes from; None where the kind's own default holds."""
        return origin(self.file, self.node, self.layers, path)

    def problem(self, message: str, *path: str | int) -> Problem:
        """Say that something is wrong at ``path``."""
        return Problem(*self.at(*path), one_line(message))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was declared, by name and sorted by it, and everything that is wrong.

    A document with a problem is in none of the mappings; ``broken`` holds its (kind, name) as far
    as it has them, so that a reference to it need not be called unknown.
    """

    schedules: Mapping[str, Declared[Schedule]]
    pipelines: Mapping[str, Declared[Pipeline]]
    datastores: Mapping[str, Declared[Datastore]]
    broken: frozenset[tuple[str, str]]
    problems: tuple[Problem, ...]


def load(
    documents: Iterable[Document], composition: Composition | None = None, *, part: bool = False
) -> Loaded:
    """Read manifests; the order of ``documents`` does not matter.

    With a ``composition`` they say what its target makes of them, and its problems are told too.
    ``part`` says that these are not all, so that an override may name what is not among them.
    """
    with bulk():
        return _load(documents, composition, part=part)


def _load(documents: Iterable[Document], composition: Composition | None, *, part: bool) -> Loaded:
    found: dict[str, dict[str, Declared[Any]]] = {kind: {} for kind in KINDS}
    problems: list[Problem] = []
    broken: set[tuple[str, str]] = set()
    shared = _Shared()
    for document in sorted(documents, key=lambda document: document.file):
        file, text = document.file, document.text
        roots, wrong = parse(file, text)
        references = b"{{" in text or b"\\" in text  # an escape may stand for a brace
        for root, whole in roots:
            faults: Faults = []
            tree, kind, value, layers = _build(root, faults, composition, references=references)
            if faults or not whole:
                name = find(tree, ("name",)).value
                name = name if isinstance(name, str) else ""
                broken.update({(kind, name)} if name else ())
                wrong += shared.sort_out(file, faults, f"{kind} {shown(name)}")
                continue
            declared = Declared(value, file, tree, layers)
            first = found[kind].setdefault(value.name, declared)
            if first is not declared:
                place = "{}:{}:{}".format(*_named(first))
                message = f"{kind} {shown(value.name)} is already declared at {place}; rename one"
                wrong.append(Problem(*_named(declared), message))
        problems += _some(file, wrong)
    if composition is not None:
        problems += _some(FILE, [*composition.problems, *shared.problems(composition.problems)])
        if not problems and not part:
            problems += _some(FILE, [*composition.unmatched(found)])
    return Loaded(
        schedules=dict(sorted(found[Schedule.KIND].items())),
        pipelines=dict(sorted(found[Pipeline.KIND].items())),
        datastores=dict(sorted(found[Datastore.KIND].items())),
        broken=frozenset(broken),
        problems=tuple(sorted(problems)),
    )


def _named(declared: Declared[Any]) -> tuple[str, int, int]:
    """Give the place of a name; where a variable is the name, that of the document."""
    file, line, column = declared.at("name")
    if file == declared.file:
        return file, line, column
    return declared.file, declared.line, declared.column


class _Shared:
    """Problems that stand in the project file: each is told once, however many objects have it."""

    def __init__(self) -> None:
        self._told: dict[Problem, tuple[str, int]] = {}

    def sort_out(self, file: str, faults: Faults, owner: str) -> Iterator[Problem]:
        """Keep those of the project file for later, and give the others."""
        for line, column, said in faults:
            problem = Problem(*place_in(file, line, column), one_line(said))
            if isinstance(line, Line):
                first, count = self._told.get(problem, (owner, 0))
                self._told[problem] = first, count + 1
            else:
                yield problem

    def problems(self, known: Iterable[Problem]) -> Iterator[Problem]:
        """Give each with the first object that has it and the number of others.

        What a variable without a value is, is not known, so nothing more is said where one stands.
        """
        places = {(problem.line, problem.column) for problem in known}
        for problem, (owner, count) in self._told.items():
            if (problem.line, problem.column) in places:
                continue
            others = f" and {count - 1:,} more" if count > 1 else ""
            yield replace(problem, message=f"{problem.message} (for {owner}{others})")


def _some(file: str, problems: list[Problem]) -> Sequence[Problem]:
    if len(problems) <= MAX_PROBLEMS:
        return problems
    rest = f"{len(problems) - MAX_PROBLEMS:,} more problems in this file; fix the first ones"
    return [*sorted(problems)[:MAX_PROBLEMS], Problem(file, 0, 0, rest)]


def _build(
    root: Node, faults: Faults, composition: Composition | None, *, references: bool
) -> tuple[Node, str, Any, tuple[Layer, ...]]:
    """Build the value of one document.

    Returns its effective tree, its kind, empty where it has none, the value and the tree's layers.
    """
    layers: tuple[Layer, ...] = ()
    kind = kind_of(root, faults)
    if not kind:
        return root, kind, FAILED, layers
    if composition is not None:
        root, layers = composition.apply(kind, root, faults, references=references)
    if references:
        faults += _secrets(kind, root)
    unknown, told = {(line, column) for line, column, _ in faults}, len(faults)
    value = builder(KINDS[kind])(root, faults)
    if unknown:  # a variable that has no value is not also of a wrong type
        faults[told:] = [one for one in faults[told:] if one[:2] not in unknown]
    if isinstance(value, Schedule):
        trigger = value.trigger
        for path, message in _trigger_faults(trigger):
            place = find(root, ("trigger", trigger.TAG, *path))
            faults.append((place.line, place.column, message))
    return root, kind, value, layers


def _secrets(kind: str, root: Node) -> Iterator[tuple[int, int, str]]:
    """Find references to secrets where none may stand; the others are checked where they are."""
    said = ONLY_IN_CREDENTIALS if kind == Datastore.KIND else ONLY_IN_ENV
    for path, line, column, text in texts((), root):
        if "${{" in text and path[0] not in {"steps", "credentials"} and secrets_in(text):
            yield line, column, said


# Schedules share triggers, and a sync agent loads the same ones again and again.
_trigger_faults = lru_cache(maxsize=10_000)(trigger_problems)


def kind_of(root: Node, faults: Faults) -> str:
    """Tell the kind of a document; empty after saying why it has none."""
    kinds = "Schedule, Pipeline or Datastore"
    if not isinstance(root.value, dict):
        message = f"a manifest is a mapping that starts with kind: {kinds}"
    elif "kind" not in root.value:
        message = f"missing key 'kind'; write kind: {kinds}"
        if "Schedule" in root.value:
            message = "this is a schedule of Azure ML's SDK v1; write kind: Schedule, then its keys"
    else:
        root = root.value["kind"][2]
        kind = root.value
        if isinstance(kind, str) and kind in KINDS:
            return kind
        close = nearest(kind, KINDS) if isinstance(kind, str) else None
        message = f"kind must be {kinds}" + (f"; did you mean {close}?" if close else "")
    faults.append((root.line, root.column, message))
    return ""
