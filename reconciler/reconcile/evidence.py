"""Gathers what is known about one file and one schedule, from the ledger and from the store."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from reconciler.data import Datastore, DatastoreChange, Depth, name_bytes
from reconciler.errors import ReconcilerError
from reconciler.plan.spec import spec_value
from reconciler.reconcile.explain_file import Evidence, Present, Seen
from reconciler.reconcile.line import Line
from reconciler.reconcile.looks import MANY, Reader, standing
from reconciler.run import RunState
from reconciler.schedule import Schedule
from reconciler.trigger.snapshot import split

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

    from reconciler.data import Watched
    from reconciler.datastore.base import DatastoreReader
    from reconciler.live import RegisteredSchedule
    from reconciler.run import Fire
    from reconciler.workspace.ledger import Ledger
    from reconciler.workspace.records import Poll, Watch

# Lines about one file, and newest polls of a watch: as many as a person reads.
FEW = 20


def gather(  # noqa: PLR0913, PLR0917  (what is asked about, and whom one can ask)
    ledger: Ledger,
    here: RegisteredSchedule,
    asked: str,
    folder: str,
    now: int,
    open_store: Callable[[str], DatastoreReader],
) -> Evidence:
    """Gather all that is known about a file as it concerns a schedule.

    ``asked`` names it as :func:`paths_meant` takes it, where ``folder`` is the one that a relative
    local path is counted from. ``open_store`` opens a registered datastore by its name.

    Raises:
        ReconcilerError: the schedule goes by the clock.
    """
    schedule = spec_value(Schedule, here.spec)
    trigger = schedule.trigger
    if not isinstance(trigger, DatastoreChange):
        raise ReconcilerError(
            f"schedule '{here.name}' goes by the clock, not by files; ask with --at TIME"
        )
    found = Evidence(here=here, trigger=trigger, now=now, asked=asked)
    store = ledger.datastores().get(trigger.datastore)
    if store is None:
        return replace(found, registered=False)
    watched = trigger.watched
    paths = paths_meant(asked, watched, spec_value(Datastore, store.spec).url, folder)
    names = {path: name for path in paths if (name := name_in(watched, path)) is not None}
    watch = ledger.watch_of(here.id)
    known = _known(ledger, watch, names.values())
    present = _Present(watched, names.values(), partial(open_store, trigger.datastore))
    path = _likeliest(ledger, watch, names, {*known, *present.facts}) or next(iter(paths), None)
    name = None if path is None else names.get(path)
    found = replace(found, path=path, name=name)
    if path is None or name is None:
        return found
    if _looked_at(watched, name):
        found = replace(found, present=present.of(name))
    decided = ledger.fires(here.id, MANY)
    fires = _about(decided, trigger, path)
    if watch is None:
        return replace(found, fires=fires)
    line = Line(ledger, here, schedule, now)
    seen = _seen(ledger, watch, Reader(ledger, watch, here, trigger, decided), name, line)
    told = {one.outcome.fire.occurrence_key for one in seen if one.outcome.fire is not None}
    return replace(
        found,
        standing=standing(watch, ledger.polls(watch.id, FEW)),
        known=known.get(name),
        seen=seen,
        fires=tuple(fire for fire in fires if fire.occurrence_key not in told),
        first=ledger.first_poll(watch.id),
    )


def paths_meant(asked: str, watched: Watched, url: str, folder: str) -> list[bytes]:
    """Tell which paths in the datastore at ``url`` a text can mean, the likeliest first.

    It is a name counted from the watched directory, ``datastore/path``, a path on this machine or a
    URL; the first two also with %XX for any byte, as names are printed. None of them where it lies
    outside.
    """
    root = _local_root(url)
    scheme, colon, rest = asked.partition(":")
    if colon and scheme in {"file", "az", "s3", "gs"}:
        if root is not None and scheme == "file":
            return _on_disk(unquote_to_bytes(_plain(rest)), root)
        return _below(unquote_to_bytes(asked), unquote_to_bytes(url))
    given = name_bytes(asked)
    if root is not None and asked.startswith(("/", "./", "../")):
        return _on_disk(name_bytes(posixpath.join(folder, asked)), root)
    directory = name_bytes(watched.directory)
    store = name_bytes(watched.datastore)
    found = []
    for text in dict.fromkeys((given, unquote_to_bytes(asked) if given.isascii() else given)):
        inside = text.removeprefix(store + b"/")
        from_top = [inside] if inside != text else []
        relative = [directory + b"/" + text if directory else text]
        found += [*from_top, *relative]
    if root is not None:
        found = [path for text in found for path in _below(root + b"/" + text, root)]
        found += _on_disk(name_bytes(posixpath.join(folder, asked)), root)
    return list(dict.fromkeys(found))


def _local_root(url: str) -> bytes | None:
    """Give the folder of a datastore on this machine; None where it is none."""
    scheme, _, rest = url.partition(":")
    return posixpath.normpath(unquote_to_bytes(_plain(rest))) if scheme == "file" else None


def _plain(rest: str) -> str:
    """Take what a file URL may have before its path from what follows the colon."""
    return rest.removeprefix("//").removeprefix("localhost")


def _on_disk(path: bytes, root: bytes) -> list[bytes]:
    """Give a local path counted from a root, also where one of them leads over a link."""
    folder, name = posixpath.split(path)
    straight = posixpath.join(posixpath.realpath(folder), name)
    return _below(path, root) or _below(straight, posixpath.realpath(root))


def _below(path: bytes, root: bytes) -> list[bytes]:
    """Give a path counted from a root; nothing where it is not below that."""
    if root.startswith(b"/"):
        path = posixpath.normpath(path)
    inside = path.removeprefix(root.rstrip(b"/") + b"/")
    return [inside] if inside != path else []


def name_in(watched: Watched, path: bytes) -> bytes | None:
    """Count a path from the watched directory; None where it is not below that."""
    directory = name_bytes(watched.directory)
    if not directory:
        return path
    inside = path.removeprefix(directory + b"/")
    return inside if inside != path else None


def _known(ledger: Ledger, watch: Watch | None, names: Iterable[bytes]) -> dict[bytes, bytes]:
    """Give the facts that the watch knows of some files."""
    if watch is None:
        return {}
    wanted = set(names)
    pages = ledger.pages(watch.id, wanted)
    files = (file for page in pages for file in zip(*split(page), strict=True))
    return {name: facts for name, facts in files if name in wanted}


class _Present:
    """What the store says of some files: their ``facts``, or why it cannot be asked."""

    def __init__(
        self, watched: Watched, names: Iterable[bytes], open_: Callable[[], DatastoreReader]
    ) -> None:
        self._watched = watched
        inside = [name for name in names if _looked_at(watched, name)]
        markers = [marker for name in inside if (marker := watched.marker_of(name)) is not None]
        self.facts: dict[bytes, bytes] = {}
        self._error = ""
        try:
            self.facts = open_().look(watched, [*inside, *markers]) if inside else {}
        except ReconcilerError as error:
            self._error = f"cannot be asked from here: {error}"

    def of(self, name: bytes) -> Present:
        """Say how one file is there."""
        marker = self._watched.marker_of(name)
        return Present(
            facts=self.facts.get(name),
            marked=marker is None or marker in self.facts,
            error=self._error,
        )


def _looked_at(watched: Watched, name: bytes) -> bool:
    if watched.depth is Depth.FILE:
        return name == name_bytes(watched.path).rpartition(b"/")[2]
    return watched.depth is Depth.TREE or b"/" not in name


def _likeliest(
    ledger: Ledger, watch: Watch | None, names: Mapping[bytes, bytes], there: Container[bytes]
) -> bytes | None:
    """Choose the path of which something is known; None where there is none."""
    for path, name in names.items():
        if name in there or (watch is not None and ledger.log(watch.id, name=name, limit=1)):
            return path
    return None


def _seen(
    ledger: Ledger, watch: Watch, reader: Reader, name: bytes, line: Line
) -> tuple[Seen, ...]:
    """Give what the log holds of a file, newest first, and what each line came to."""
    lines = ledger.log(watch.id, name=name, limit=FEW)
    oldest = lines[-1].poll_seq if lines else 0
    at = {poll.poll_seq: poll.polled_at for poll in _polls_since(ledger, watch, oldest)}
    found = []
    for one in lines:
        came = reader.outcome(one, at.get(one.poll_seq, 0))
        runs = line.runs(came.fire) if came.fire is not None else []
        waits = line.waits(runs[-1]) if runs and runs[-1].state is RunState.NOT_STARTED else ""
        found.append(
            Seen(
                line=one,
                polled_at=at.get(one.poll_seq),
                outcome=came,
                runs=tuple(runs),
                waits=waits,
            )
        )
    return tuple(found)


def _polls_since(ledger: Ledger, watch: Watch, oldest: int) -> list[Poll]:
    """Read the polls from a number on; numbers have no gaps but those of polls that lost a race."""
    return ledger.polls(watch.id, watch.poll_seq - oldest + 1) if oldest else []


def _about(fires: Sequence[Fire], trigger: DatastoreChange, path: bytes) -> tuple[Fire, ...]:
    """Choose the newest decisions whose facts name a file, whatever made them."""
    named = (trigger.datastore, path.decode("utf-8", "surrogateescape"))
    known = ((fire, fire.facts) for fire in fires if fire.facts is not None)
    found = (fire for fire, facts in known if (facts.get("datastore"), facts.get("path")) == named)
    return tuple(islice(found, FEW))
