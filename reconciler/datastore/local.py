"""A folder of this machine as a datastore."""
# Names are bytes here, as the file system has them; pathlib knows only text.
# ruff: noqa: PTH116, PTH118, PTH123

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from contextlib import ExitStack, contextmanager, suppress
from errno import ELOOP, ENOENT, ENOTDIR, ENXIO
from itertools import compress, groupby, islice
from operator import not_
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote_from_bytes, unquote_to_bytes

from reconciler.data import Depth, name_bytes
from reconciler.datastore import stats
from reconciler.datastore.helpers import helped
from reconciler.errors import DatastoreError, FileChanged
from reconciler.trigger.snapshot import Files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.data import Watched

# Files whose facts are asked for at once.
_BATCH = 8_192
# From so many files in one folder on, other processes ask for their facts.
_MANY = 50_000
_HELPERS = 4
_BLOCK = 1 << 20
# Each level of a tree keeps a folder open.
_DEEPEST = 100
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# No folder (any more), or a link in its place.
_NO_FOLDER = {ENOENT, ENOTDIR, ELOOP}


class LocalDatastore:
    """The folder that a ``file:///absolute/path`` URL names; ``%20`` and the like are decoded.

    A symbolic link to a file counts as that file. The watched folder may be a link, or lie behind
    one, that stays within the datastore; the folders below it are entered only as they are.

    Raises:
        DatastoreError: the URL does not name an absolute path on this machine.
    """

    def __init__(self, url: str) -> None:
        scheme, _, place = url.partition(":")
        path = place.removeprefix("//localhost").removeprefix("//")
        self._root = os.path.normpath(unquote_to_bytes(path))
        if scheme != "file" or not path.startswith("/") or b"\0" in self._root:
            text = "does not name a folder of this machine; write file:///absolute/path"
            raise DatastoreError(f"{url!r} {text}")

    def scan(self, watched: Watched) -> Iterator[Files]:
        """List files, completely or not at all; see :class:`..base.DatastoreReader`.

        Raises:
            DatastoreError: the folder is missing, may not be read, is not a folder, is replaced
                meanwhile or lies outside the datastore.
        """
        if watched.depth is Depth.FILE:
            yield _of(self.look(watched, [name_bytes(watched.path).rpartition(b"/")[2]]))
            return
        folder = self._folder(name_bytes(watched.directory))
        with _told(folder), _top(folder) as fd:
            if watched.depth is Depth.TREE:
                yield from _tree(fd)
            else:
                yield from _stated(fd, _entries(fd)[0])

    def look(self, watched: Watched, names: Iterable[bytes]) -> dict[bytes, bytes]:
        """Give the present facts of some files; see :class:`..base.DatastoreReader`."""
        folder = self._folder(name_bytes(watched.directory))
        found: dict[bytes, bytes] = {}
        with _told(folder), _top(folder) as fd:
            for inner, group in groupby(sorted({*map(_within, names)}), _above):
                if inner and watched.depth is not Depth.TREE:
                    continue
                files = list(group)
                with _below(fd, inner) as place:
                    if place is not None:
                        own = [name.rpartition(b"/")[2] for name in files]
                        found |= zip(files, stats.facts(place, own), strict=True)
        return {name: facts for name, facts in found.items() if facts}

    def place(self, watched: Watched) -> str:
        """Say on which mount the folder lies: where that is, and its type.

        So it is another place when a mount is gone and the folder below it is seen instead, but
        the same one after a new start of the machine, whatever numbers devices have then.
        """
        folder = self._folder(name_bytes(watched.directory))
        with _told(folder), _top(folder) as fd:
            return _mount(fd)

    def url(self, path: bytes) -> str:
        """Give the ``file://`` address of a file."""
        return "file://" + quote_from_bytes(os.path.join(self._root, path))

    def local_path(self, path: bytes) -> str:
        """Give the absolute path of a file or folder, whether or not it exists.

        Raises:
            DatastoreError: it would lie outside the datastore.
        """
        self._folder(_within(path).rpartition(b"/")[0])
        return os.fsdecode(os.path.normpath(os.path.join(self._root, path)))

    def read(self, path: bytes, facts: bytes, into: BinaryIO) -> None:
        """Copy a file, in exactly the state that ``facts`` tell.

        Raises:
            FileChanged: it is not there any more, or in another state, or changed while it was
                copied.
            DatastoreError: it cannot be read, or lies outside the datastore.
        """
        folder, _, name = _within(path).rpartition(b"/")
        into.writelines(_blocks(os.path.join(self._folder(folder), name), facts))

    def _folder(self, path: bytes) -> bytes:
        """Give the absolute path of a folder, after following its links."""
        root = os.path.realpath(self._root)
        folder = os.path.realpath(os.path.join(root, _within(path)))
        if os.path.commonpath([root, folder]) != root:
            text = f"{_shown(path)} leads out of the datastore through a symbolic link"
            raise DatastoreError(f"{text}; declare a datastore for {_shown(folder)}")
        return folder


def _above(name: bytes) -> bytes:
    return name.rpartition(b"/")[0]


def _within(path: bytes) -> bytes:
    if path.startswith(b"/") or b".." in path.split(b"/") or b"\0" in path:
        text = f"{_shown(path)} leaves the datastore"
        raise DatastoreError(f"{text}; write a relative path within it")
    return path


@contextmanager
def _told(folder: bytes) -> Iterator[None]:
    """Say in one line what the system refuses."""
    try:
        yield
    except FileNotFoundError:
        raise DatastoreError(f"folder {_shown(folder)} does not exist; create it") from None
    except NotADirectoryError:
        raise DatastoreError(f"{_shown(folder)} is not a folder; correct the path") from None
    except OSError as error:
        text = f"folder {_shown(folder)} cannot be listed: {error.strerror}"
        raise DatastoreError(f"{text}; see to it on this machine") from None


@contextmanager
def _top(folder: bytes) -> Iterator[int]:
    """Open a folder, and see afterwards that it still is the one.

    A folder removed while it is read looks empty, and its files new once it is back.
    """
    fd = os.open(folder, _FOLDER)
    try:
        yield fd
        _same(fd, os.stat(folder), folder)
    finally:
        os.close(fd)


@contextmanager
def _entered(parent: int, name: bytes) -> Iterator[int | None]:
    """Open a folder in another one; None where there is none.

    It may be gone afterwards, with all that was in it, but not replaced.
    """
    try:
        fd = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if error.errno not in _NO_FOLDER:
            raise
        yield None
        return
    try:
        yield fd
        with suppress(FileNotFoundError):
            _same(fd, os.stat(name, dir_fd=parent, follow_symlinks=False), name)
    finally:
        os.close(fd)


@contextmanager
def _below(fd: int, path: bytes) -> Iterator[int | None]:
    """Open a folder some levels below another; None where there is none."""
    with ExitStack() as stack:
        place: int | None = fd
        for part in path.split(b"/") if path else ():
            if place is not None:
                place = stack.enter_context(_entered(place, part))
        yield place


def _same(fd: int, now: os.stat_result, folder: bytes) -> None:
    if not os.path.samestat(os.fstat(fd), now):
        raise DatastoreError(f"folder {_shown(folder)} was replaced while it was listed")


def _entries(fd: int) -> tuple[list[bytes], list[bytes]]:
    """Name what is in a folder, sorted: what may be files, and the folders."""
    files: list[bytes] = []
    folders: list[bytes] = []
    with os.scandir(fd) as entries:
        while batch := list(islice(entries, _BATCH)):
            inner = [entry.is_dir(follow_symlinks=False) for entry in batch]
            files += _names(compress(batch, map(not_, inner)))
            folders += _names(compress(batch, inner))
    files.sort()
    folders.sort()
    return files, folders


def _names(entries: Iterable[os.DirEntry[str]]) -> list[bytes]:
    # One text of many is encoded much faster than each by itself.
    text = "\0".join([entry.name for entry in entries])
    return os.fsencode(text).split(b"\0") if text else []


def _tree(fd: int, prefix: bytes = b"", depth: int = 0) -> Iterator[Files]:
    """List all files below a folder; what is in an inner folder comes where its name/ would."""
    if depth > _DEEPEST:
        text = f"folder {_shown(prefix)} lies deeper than {_DEEPEST} levels"
        raise DatastoreError(f"{text}; watch a folder further down")
    files, folders = _entries(fd)
    start = 0
    for folder in sorted(name + b"/" for name in folders):
        place = bisect_left(files, folder, start)
        yield from _stated(fd, files[start:place], prefix)
        start = place
        with _entered(fd, folder[:-1]) as inner:
            if inner is not None:
                yield from _tree(inner, prefix + folder, depth + 1)
    yield from _stated(fd, files[start:], prefix)


def _stated(fd: int, names: list[bytes], prefix: bytes = b"") -> Iterator[Files]:
    """Add the facts to names in one folder, and leave out what is no file."""
    batches = (names[start : start + _BATCH] for start in range(0, len(names), _BATCH))
    helpers = min(_HELPERS, os.cpu_count() or 1) if len(names) >= _MANY else 0
    for batch, facts in helped(fd, batches, helpers):
        there = list(compress(batch, facts)) if b"" in facts else batch
        if prefix:
            there = [prefix + name for name in there]
        yield Files(there, facts if there is batch else list(filter(None, facts)))


def _of(found: Mapping[bytes, bytes]) -> Files:
    names = sorted(found)
    return Files(names, [found[name] for name in names])


def _is(fd: int, facts: bytes) -> bool:
    """Tell whether a file is in a state; where that leaves the inode out, so does this."""
    status = os.fstat(fd)
    now = stats.facts_of(status) if stat.S_ISREG(status.st_mode) else b""
    return facts in {now, now.partition(b"@")[0]}


def _blocks(place: bytes, facts: bytes) -> Iterator[bytes]:
    """Read a file that is, and stays, in one state."""
    same = False
    try:
        # What is no file any more, such as a pipe, must not be waited for.
        fd = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if _is(fd, facts):
                while block := os.read(fd, _BLOCK):
                    yield block
                same = _is(fd, facts)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in {*_NO_FOLDER, ENXIO}:
            text = f"{_shown(place)} cannot be read: {error.strerror}"
            raise DatastoreError(f"{text}; see to it on this machine") from None
    if not same:
        text = f"{_shown(place)} is not any more in the state that was asked for"
        raise FileChanged(f"{text}; the change is, or will be, told of by itself")


def _mount(fd: int) -> str:
    """Say on which mount something lies: ``<mount point> (<type>)``; empty where nobody knows."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as said:
            number = next(line.split()[1] for line in said if line.startswith(b"mnt_id:"))
        with open("/proc/self/mountinfo", "rb") as mounts:
            mount = next(mount for mount in map(bytes.split, mounts) if mount[0] == number)
    except (OSError, StopIteration):
        return ""  # another system, or one that shows no /proc
    kind = mount[mount.index(b"-") + 1]
    return f"{mount[4].decode(errors='backslashreplace')} ({kind.decode('ascii')})"


def _shown(path: bytes) -> str:
    return repr(os.fsdecode(path))
