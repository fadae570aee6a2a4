"""The operating system tells of changes in local folders.

Events only wake: they say which files to look at before their time, and a full look now and then
stays the truth. Where a folder cannot be watched (a limit of the system, a name that is no text)
that look alone remains; on a network file system nobody tells what other machines do.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from reconciler.data import Depth, name_bytes
from reconciler.errors import DatastoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from watchfiles._rust_notify import RustNotify

    from reconciler.data import Watched
    from reconciler.datastore.base import DatastoreReader

log = logging.getLogger(__name__)

# Beyond so many changed files it is cheaper to look at all of them.
MOST_NAMES = 10_000
# In milliseconds: what comes within a step belongs together, at most for so long; and how often to
# see whether other folders are to be watched.
_STEP, _TOGETHER, _PAUSE = 50, 200, 500
# As watchfiles has them.
_ADDED, _DELETED = 1, 3


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A folder to watch, on the device where it was then; ``only`` one file in it, or None."""

    folder: str
    device: int
    only: bytes | None


class Waker:
    """Tells which watched files may have changed; ``poke`` is called, from a thread, when any have.

    May be called from several threads. One that is not used costs nothing.
    """

    def __init__(self, poke: Callable[[], None]) -> None:
        self._flat, self._deep = _Ear(poke, deep=False), _Ear(poke, deep=True)

    def watch(self, key: int, reader: DatastoreReader, watched: Watched) -> None:
        """Begin to watch, unless that is so already; to be called before each full look.

        So a folder that was deleted and made again, or mounted anew, is watched again. What it
        holds is to be looked at once it is watched, so ``taken`` tells None of it then. A store
        whose files are not on this machine is left alone.
        """
        try:
            folder = reader.local_path(name_bytes(watched.directory))
            if folder is None:
                return
            folder = os.path.realpath(folder)
            device = os.stat(folder).st_dev  # noqa: PTH116  (it may be no text)
        except (DatastoreError, OSError):
            return  # the look tells of it
        name = name_bytes(watched.path).rpartition(b"/")[2]
        wanted = _Wanted(folder, device, name if watched.depth is Depth.FILE else None)
        deep = watched.depth is Depth.TREE
        (self._flat if deep else self._deep).unwatch(key)
        (self._deep if deep else self._flat).watch(key, wanted)

    def unwatch(self, key: int) -> None:
        """Watch no more."""
        self._flat.unwatch(key)
        self._deep.unwatch(key)

    def taken(self) -> Mapping[int, frozenset[bytes] | None]:
        """Take what was heard since: names as a listing has them, None for possibly anything."""
        return {**self._flat.taken(), **self._deep.taken()}

    def close(self) -> None:
        """Watch nothing any more."""
        self._flat.close()
        self._deep.close()


class _Ear:
    """Listens to many folders at once, each alone or with all below it, in a thread of its own."""

    def __init__(self, poke: Callable[[], None], *, deep: bool) -> None:
        self._poke = poke
        self._deep = deep
        self._lock = Lock()
        self._wanted: dict[int, _Wanted] = {}
        # Wanted, and not listened to yet.
        self._fresh: set[int] = set()
        self._heard: dict[int, set[bytes] | None] = {}
        self._refused: frozenset[str] = frozenset()
        self._other, self._closed = Event(), Event()
        self._thread: Thread | None = None

    def watch(self, key: int, wanted: _Wanted) -> None:
        with self._lock:
            if self._wanted.get(key) == wanted or self._closed.is_set():
                return
            self._wanted[key] = wanted
            self._fresh.add(key)
            self._other.set()
            if self._thread is None:
                self._thread = Thread(target=self._run, name="events", daemon=True)
                self._thread.start()

    def unwatch(self, key: int) -> None:
        with self._lock:
            self._heard.pop(key, None)
            if self._wanted.pop(key, None) is not None and not self._wanted:
                self._other.set()

    def taken(self) -> dict[int, frozenset[bytes] | None]:
        with self._lock:
            heard, self._heard = self._heard, {}
        return {key: None if names is None else frozenset(names) for key, names in heard.items()}

    def close(self) -> None:
        self._closed.set()
        self._other.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        notify: RustNotify | None = None
        while not self._closed.is_set():
            if notify is None:
                self._other.wait()
            if self._other.is_set():
                self._other.clear()
                following, fresh = self._open()
                # What came before is heard to its end, so that nothing is missed in between.
                if notify is not None:
                    self._hear(notify, 1)
                    notify.close()
                notify = following
                self._lost(fresh)
            elif notify is not None:
                self._hear(notify, _PAUSE)
        if notify is not None:
            notify.close()

    def _open(self) -> tuple[RustNotify | None, set[int]]:
        """Begin to listen wherever that can be, and tell to which keys for the first time."""
        with self._lock:
            folders = {one.folder for one in self._wanted.values()}
            fresh, self._fresh = self._fresh, set()
        notify, together = self._listen(folders)
        if together:
            # It does not tell of which folder, nor whether it is all of them together.
            alone = {folder: self._listen({folder})[1] for folder in sorted(folders)}
            refused = frozenset(folder for folder, why in alone.items() if why)
            notify, together = self._listen(folders - refused)
            if together:
                refused = frozenset(folders)
            if not refused <= self._refused:
                folder = min(refused)
                text = "%d folders are looked at by the clock alone; %a cannot be watched: %.200s"
                log.warning(text, len(refused), folder, alone[folder] or together)
            self._refused = refused
        return notify, fresh

    def _listen(self, folders: AbstractSet[str]) -> tuple[RustNotify | None, str]:
        """Listen to all these folders, or tell why not."""
        from watchfiles._rust_notify import RustNotify  # noqa: PLC0415  (slow)

        if not folders:
            return None, ""
        try:
            notify = RustNotify(
                sorted(folders),
                debug=False,
                force_polling=False,
                poll_delay_ms=0,
                recursive=self._deep,
                ignore_permission_denied=True,
            )
        except (OSError, ValueError, RuntimeError) as error:  # it also takes nothing but text
            return None, repr(error)
        return notify, ""

    def _hear(self, notify: RustNotify, wait: int) -> None:
        """Listen for a while (milliseconds)."""
        try:
            said = notify.watch(_TOGETHER, _STEP, wait, self._closed)
        except RuntimeError:
            # A name that is no text ends it, and all that it heard besides is lost.
            with self._lock:
                self._fresh.update(self._wanted)
            self._other.set()
            return
        if isinstance(said, set):
            self._tell([*said, *_moved_in(said)] if self._deep else said)

    def _tell(self, said: Iterable[tuple[int, str]]) -> None:
        """Note what the events say for each key."""
        with self._lock:
            at: dict[str, list[int]] = {}
            for key, wanted in self._wanted.items():
                at.setdefault(wanted.folder, []).append(key)
            for kind, path in said:
                for key in at.get(path, ()):
                    self._heard[key] = None
                    if kind == _DELETED:
                        self._wanted.pop(key, None)  # a folder of that name will be another one
                for folder in self._above(path):
                    for key in at.get(folder, ()):
                        self._note(key, os.fsencode(path[len(folder) :].lstrip("/")))
            poke = bool(self._heard)
        if poke:
            self._poke()

    def _above(self, path: str) -> Iterator[str]:
        """Name the folders whose watches a file belongs to."""
        while path != "/":
            path = os.path.dirname(path)  # noqa: PTH120  (text is quicker)
            yield path
            if not self._deep:
                return

    def _note(self, key: int, name: bytes) -> None:
        wanted = self._wanted.get(key)
        if wanted is None or wanted.only not in {None, name}:
            return
        names = self._heard.setdefault(key, set())
        if names is None:
            return
        names.add(name)
        if len(names) > MOST_NAMES:
            self._heard[key] = None

    def _lost(self, keys: AbstractSet[int]) -> None:
        """Note that anything may have happened in some folders."""
        with self._lock:
            lost = keys & self._wanted.keys()
            self._heard.update(dict.fromkeys(lost))
        if lost:
            self._poke()


def _moved_in(said: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Name the files in folders that are new: they came with it, or before it was watched."""
    for kind, path in said:
        if kind == _ADDED and os.path.isdir(path):  # noqa: PTH112  (text is quicker)
            for folder, _, names in os.walk(path):
                for name in names:
                    yield _ADDED, os.path.join(folder, name)  # noqa: PTH118  (the same)
