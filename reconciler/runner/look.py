"""One look at watched files, in a thread of its own: a store may be slow, or never answer.

It reads, compares and judges; what it found is written down by the loop (``observe``). A look that
is never written has done nothing, and the next one finds the same.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from tempfile import SpooledTemporaryFile
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING
from weakref import finalize

from reconciler.clock import SECOND
from reconciler.errors import DatastoreError
from reconciler.trigger.arrivals import Change, Rewrite, Unsettled, follow, judge
from reconciler.trigger.snapshot import Both, Files, compare, differing, join, pages, split
from reconciler.workspace.records import Watch, WatchState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from reconciler.data import Watched
    from reconciler.datastore.base import DatastoreReader
    from reconciler.trigger.snapshot import Differing
    from reconciler.workspace.ledger import Ledger

# A file in a folder may still be being written; an object appears whole.
LOCAL_SETTLE, REMOTE_SETTLE = 2 * SECOND, 0
# What a baseline keeps in memory; the rest waits in a temporary file.
_SPOOLED = 4 << 20
_LENGTH = 4
# After so many files it is worth while to give memory back.
_MANY = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to look at: some files by ``names``, or with None all there are.

    ``began`` is the instant at which it was asked; ``settles`` (in microseconds) are what schedules
    ask for, None for what is usual there. ``due`` tells a look that the ledger waits for from one
    that an event asked for; ``remounts`` counts the looks in a row in which most files only moved.
    """

    watch: Watch
    names: frozenset[bytes] | None
    unsettled: Mapping[bytes, Unsettled]
    settles: frozenset[int | None]
    began: int
    due: bool = True
    remounts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look came to.

    ``whole`` tells whether all files were looked at, ``more`` whether more of them differ than one
    look takes, and ``onward`` whether another one at once would get further. ``remounts`` is as in
    :class:`Asked`, this look counted. ``unmarked`` are files that wait for their done-marker.
    ``settle`` is in microseconds.
    """

    whole: bool
    listed: int
    place: str
    settle: int
    changes: tuple[Change, ...] = ()
    rewrites: Iterable[Rewrite] = ()
    unsettled: Mapping[bytes, Unsettled] = field(default_factory=dict)
    unmarked: frozenset[bytes] = frozenset()
    more: bool = False
    onward: bool = False
    remounts: int = 0
    baseline: bool = False
    note: str = ""


class Looking:
    """A look under way; ``took`` is how long it took (in microseconds) once it is done.

    ``begun`` is told of the reader before anything is listed.
    """

    def __init__(
        self,
        asked: Asked,
        ledger: Ledger,
        open_store: Callable[[str], DatastoreReader],
        begun: Callable[[DatastoreReader], None],
        ended: Callable[[], None],
    ) -> None:
        self.asked = asked
        self._ledger = ledger
        self._open = open_store
        self._begun, self._ended = begun, ended
        self.took = 0
        self._future: Future[Found] = Future()
        self._beat = monotonic()
        # A thread that hangs must not keep the process from its end.
        Thread(target=self._run, daemon=True).start()

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._future.done()

    @property
    def silence(self) -> float:
        """For how many seconds nothing has come from the store."""
        return monotonic() - self._beat

    def result(self) -> Found:
        """Give what it found, once it is done; raises what it ended with."""
        return self._future.result(timeout=0)

    def _run(self) -> None:
        began = monotonic()
        found: Found | Exception
        try:
            found = self._look()
        except Exception as error:  # noqa: BLE001  (the loop tells of it)
            found = error
        self.took = round((monotonic() - began) * SECOND)
        if isinstance(found, Found):
            self._future.set_result(found)
        else:
            self._future.set_exception(found)
        self._ended()

    def _look(self) -> Found:
        watch, names = self.asked.watch, self.asked.names
        reader = self._open(watch.watched.datastore)
        self._begun(reader)
        place = reader.place(watch.watched)
        if watch.state is WatchState.BASELINING:
            found = self._baseline(reader, place)
        # Names say nothing of another place: whether they are gone there, or all of it is away.
        elif names is None or place != watch.place:
            found = self._whole(reader, place)
        else:
            found = self._named(reader, place, names)
        if reader.place(watch.watched) != place:
            raise DatastoreError("it was mounted anew during the look, which is made again")
        return found

    def _baseline(self, reader: DatastoreReader, place: str) -> Found:
        kept = Spool()
        listed = 0
        for files in self._scan(reader):
            listed += len(files.names)
            kept.add(Rewrite(None, tuple(pages(files))))
        return Found(
            whole=True,
            listed=listed,
            place=place,
            settle=0,
            rewrites=kept,
            baseline=True,
            note=f"baseline: {listed} files were there before",
        )

    def _whole(self, reader: DatastoreReader, place: str) -> Found:
        asked, watch_id = self.asked, self.asked.watch.id
        found = compare(self._ledger.snapshot(watch_id), self._scan(reader))
        before = asked.watch.place
        moved = bool(before and place) and before != place
        if moved and found.vanished:
            raise DatastoreError(_away(asked.watch, place))
        settle = self._settle(reader)
        note = f"now on {place}" if moved else ""
        if found.remounted and not asked.remounts:
            kept = Spool()
            for rewrite in follow(self._ledger.snapshot(watch_id), self._scan(reader)):
                kept.add(rewrite)
            return Found(
                whole=True,
                listed=found.listed,
                place=place,
                settle=settle,
                rewrites=kept,
                unsettled=asked.unsettled,
                onward=True,
                remounts=1,
                note=f"mounted anew: {found.moved} files differ only in their inode",
            )
        fickle = found.remounted or (asked.remounts > 1 and found.moved > 0)
        if fickle:
            # No mount then, but a file system that does not keep its numbers.
            note = "its inodes change from look to look: files are told apart without them"
            known = map(_page_without, self._ledger.snapshot(watch_id))
            found = compare(known, map(_files_without, self._scan(reader)))
        marked = self._marked(reader, found.differing, sure=not found.more)
        passed_over = self._passed_over(reader, found.differing)
        seen = judge(
            found.differing,
            asked.unsettled,
            asked.began,
            settle,
            complete=marked,
            gone=lambda name: name not in passed_over,
        )
        if passed_over:
            note = (
                f"the store listed all but {len(passed_over)} files, which are there all the same"
            )
        if found.more and not (seen.changes or seen.unsettled):
            note = (
                f"{len(marked.missed)} files wait for their done-marker, and those after them too"
            )
        return Found(
            whole=True,
            listed=found.listed,
            place=place,
            settle=settle,
            changes=seen.changes,
            rewrites=seen.rewrites,
            unsettled=seen.unsettled,
            unmarked=frozenset(marked.missed),
            more=found.more,
            onward=found.more and bool(seen.changes),
            remounts=asked.remounts + 1 if fickle else 0,
            note=note,
        )

    def _named(self, reader: DatastoreReader, place: str, names: frozenset[bytes]) -> Found:
        asked = self.asked
        now = reader.look(asked.watch.watched, names)
        known = self._ledger.pages(asked.watch.id, names)
        if asked.remounts > 1:
            now = {name: _without_inode(facts) for name, facts in now.items()}
            known = list(map(_page_without, known))
        stretches = differing(known, {name: now.get(name) for name in names})
        marked = self._marked(reader, stretches, sure=False)
        settle = self._settle(reader)
        seen = judge(stretches, asked.unsettled, asked.began, settle, complete=marked)
        return Found(
            whole=False,
            listed=len(names),
            place=place,
            settle=settle,
            changes=seen.changes,
            rewrites=seen.rewrites,
            unsettled=seen.unsettled,
            unmarked=frozenset(marked.missed),
        )

    def _passed_over(
        self, reader: DatastoreReader, stretches: Sequence[Differing]
    ) -> AbstractSet[bytes]:
        """Find the files that a store did not list, and has.

        A listing over a network comes page by page, perhaps from several machines that do not know
        the same; the files of a page that is missing would be deleted, and fire once they are back.
        """
        if not self._remote(reader):
            return frozenset()
        sides = map(Both, stretches)
        missed = [name for both in sides for name in both.known if name not in both.listed]
        return reader.look(self.asked.watch.watched, missed).keys() if missed else frozenset()

    def _marked(
        self, reader: DatastoreReader, stretches: Sequence[Differing], *, sure: bool
    ) -> _Marked:
        """Find the markers that changed files need.

        Where the stretches are ``sure`` to be all that differ, each is in one of them or as it is
        known; otherwise the store is asked.
        """
        watched = self.asked.watch.watched
        if not watched.done_marker:
            return _Marked(watched, frozenset())
        sides = [Both(one) for one in stretches]
        needed = _needed(watched, sides)
        if not sure:
            return _Marked(watched, reader.look(watched, needed).keys())
        here = set(chain.from_iterable(both.listed for both in sides))
        elsewhere = needed.difference(here, *(both.known for both in sides))
        known = self._ledger.pages(self.asked.watch.id, elsewhere) if elsewhere else ()
        return _Marked(watched, here.union(*(split(page).names for page in known)))

    def _scan(self, reader: DatastoreReader) -> Iterator[Files]:
        for files in reader.scan(self.asked.watch.watched):
            self._beat = monotonic()
            if files.names:
                yield files

    def _settle(self, reader: DatastoreReader) -> int:
        """Give the settle time that all its schedules agree with, in microseconds."""
        usual = REMOTE_SETTLE if self._remote(reader) else LOCAL_SETTLE
        return max((usual if one is None else one for one in self.asked.settles), default=usual)

    def _remote(self, reader: DatastoreReader) -> bool:
        folder = self.asked.watch.watched.directory.encode("utf-8", "surrogateescape")
        return reader.local_path(folder) is None


def give_back(listed: int) -> None:
    """Let others have the memory that a long look took, which glibc would keep for the next."""
    if listed < _MANY:
        return
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _away(watch: Watch, place: str) -> str:
    return (
        f"none of the files that were known is left, and it is on {place} and no longer on "
        f"{watch.place}: is it mounted? Mount it again; if it has moved for good, disable "
        "its schedules and enable them again"
    )


def _without_inode(facts: bytes) -> bytes:
    return facts.partition(b"@")[0]


def _files_without(files: Files) -> Files:
    return Files(files.names, list(map(_without_inode, files.facts)))


def _page_without(page: bytes) -> bytes:
    return join(_files_without(split(page)))


class Spool:
    """Rewrites on their way into the ledger; many of them wait in a temporary file.

    Each is written as the name it replaces, its pages and an empty text.
    """

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=_SPOOLED)  # noqa: SIM115  (closed once it is read)
        finalize(self, self._file.close)  # what a look found may never be read

    def add(self, rewrite: Rewrite) -> None:
        """Put one at the end."""
        for text in (rewrite.replaces or b"", *rewrite.pages, b""):
            self._file.write(len(text).to_bytes(_LENGTH) + text)

    def __iter__(self) -> Iterator[Rewrite]:
        """Give them in order, once."""
        with self._file as file:
            file.seek(0)
            while length := file.read(_LENGTH):
                replaces = file.read(int.from_bytes(length))
                yield Rewrite(replaces or None, tuple(iter(partial(_text, file), b"")))


def _text(file: SpooledTemporaryFile[bytes]) -> bytes:
    return file.read(int.from_bytes(file.read(_LENGTH)))


class _Marked:
    """Tells whether a changed file has the marker it needs; ``missed`` are those that had not."""

    def __init__(self, watched: Watched, markers: AbstractSet[bytes]) -> None:
        self.missed: set[bytes] = set()
        self._watched = watched
        self._markers = markers

    def __call__(self, name: bytes) -> bool:
        """Tell it of one file."""
        marker = self._watched.marker_of(name)
        if marker is None or marker in self._markers:
            return True
        self.missed.add(name)
        return False


def _needed(watched: Watched, sides: Iterable[Both]) -> set[bytes]:
    """Name the markers that the files which changed need."""
    markers = (
        watched.marker_of(name) for both in sides for name in both.names if name in both.listed
    )
    return {marker for marker in markers if marker is not None}
