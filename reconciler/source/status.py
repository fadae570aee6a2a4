"""What differs from the commit in a work tree, told by one ``git status``.

It also tells which commit that is, so the two are of one moment.
"""

from __future__ import annotations

import os
import stat
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from reconciler.errors import SourceError
from reconciler.source.process import end, refuse, start
from reconciler.source.snapshot import EXECUTABLE, LIMIT, PLAIN, check, dropping, load
from reconciler.source.tree import GONE, LINK, MODULE, Entry, object_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_STATUS = (
    *("status", "--porcelain=v2", "--branch", "--no-ahead-behind", "-z"),
    *("--untracked-files=all", "--no-renames", "--", "."),
)
_ABSENT = Entry(GONE, "")
# The parts of a row by its kind; the last one, the path, may hold spaces.
_PARTS = {"1": 9, "u": 11, "?": 2}


class _Change(NamedTuple):
    """What is at a path now, and in the commit; None there makes the two always differ."""

    now: Entry
    committed: Entry | None


class Status:
    """A look at the work tree at and below ``folder``, whose path in the tree is ``place``.

    It goes on in the background from the start until something is asked.

    Raises:
        NoGitError: Git is not installed.
    """

    def __init__(self, folder: str, place: str) -> None:
        self._folder = folder
        self._prefix = f"{place}/" if place else ""
        self._process = start(self, folder, *_STATUS)
        self._ids: dict[str, str] = {}

    def close(self) -> None:
        """End the process."""
        end(self._process)

    @cached_property
    def commit(self) -> str | None:
        """The commit that is checked out; None before the first.

        Raises:
            SourceError: Git cannot tell.
        """
        (row,) = (row for row in self._rows if row.startswith("# branch.oid "))
        commit = row.removeprefix("# branch.oid ")
        return None if commit == "(initial)" else commit

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Give what is now at each path that Git reports.

        New files that tools and editors leave behind are not there: they are never read, and would
        give a folder another key every day.

        Raises:
            SourceError: Git cannot tell.
        """
        entries = {
            path: now
            for path, (now, committed) in self._changes.items()
            if now.id or committed != _ABSENT or not dropping(path)
        }
        # Behind a link nothing is tracked any more. Git need not report the link itself: it may be
        # ignored, and then its files would look as if somebody had removed them.
        gone = {path.rpartition("/")[0] for path, entry in entries.items() if entry == _ABSENT}
        for folder in _above(gone):
            if os.path.islink(f"{self._folder}/{folder}"):  # noqa: PTH114  (a path as text)
                entries[folder] = Entry(LINK, "")
        return entries

    @cached_property
    def dirty(self) -> tuple[str, ...]:
        """Tell the paths whose mode or content is not that of the commit, sorted.

        Raises:
            SourceError: Git cannot tell, or one of them cannot be read.
        """
        return tuple(sorted(path for path in self._changes if self._differs(path)))

    def identify(self, path: str) -> str:
        """Compute the id of a file or link on the disk, as Git would without any filter.

        A file too long to be read gets one of its own that follows its time and size.

        Raises:
            SourceError: it cannot be read.
        """
        if path not in self._ids:
            where = f"{self._folder}/{path}"
            try:
                status = os.lstat(where)
                if stat.S_ISLNK(status.st_mode):
                    kind, content = "blob", os.fsencode(os.readlink(where))  # noqa: PTH115  (text)
                elif status.st_size > LIMIT:
                    told = (status.st_size, status.st_mtime_ns, status.st_ino)
                    kind, content = "long", repr(told).encode()
                else:
                    kind, content = "blob", load(self._folder, path, LIMIT)[2]
            except OSError as error:
                raise SourceError(f"{path!r} cannot be read: {error.strerror}") from None
            self._ids[path] = object_id(kind, content, self._digits)
        return self._ids[path]

    def read(self, path: str, limit: int) -> bytes:
        """Read a file on the disk.

        Raises:
            SourceError: it cannot be read, or is no longer what its id says.
        """
        _, size, content = load(self._folder, path, limit)
        check(path, content, size, limit)
        found = object_id("blob", content, self._digits)
        if self._ids.setdefault(path, found) != found:
            raise SourceError(f"{path!r} was changed while it was read; run the command again")
        return content

    def _differs(self, path: str) -> bool:
        now, committed = self._changes[path]
        if committed is None or now.mode != committed.mode:
            return True
        return now.mode != GONE and (now.id or self.identify(path)) != committed.id

    @property
    def _digits(self) -> int:
        return len(self.commit or "") or 40

    @cached_property
    def _rows(self) -> list[str]:
        output, error = self._process.communicate()
        said = os.fsdecode(error)
        # Git only warns of what it may not look at, and goes on as if it were not there.
        blind = any(
            line.startswith("warning: could not open directory")
            or (line.endswith("Permission denied") and not line.startswith("warning: "))
            for line in said.splitlines()
        )
        if self._process.returncode or blind:
            raise refuse(self._folder, said)
        return [os.fsdecode(row) for row in output.split(b"\0") if row]

    @cached_property
    def _changes(self) -> Mapping[str, _Change]:
        found: dict[str, _Change] = {}
        for row in self._rows:
            if row.startswith("#"):
                continue
            parts = row.split(" ", _PARTS[row[0]] - 1)
            if not parts[-1].startswith(self._prefix):
                raise elsewhere(self._folder)
            path = parts[-1].removeprefix(self._prefix)
            if row.startswith("1"):
                found[path] = self._tracked(path, parts)
            elif row.startswith("u"):
                found[path] = _Change(self._on_disk(path, parts[6]), None)
            elif path.endswith("/"):
                found[path.rstrip("/")] = _Change(Entry(MODULE, "0" * self._digits), None)
            elif (now := self._on_disk(path)) != _ABSENT:
                # What was taken out of the index may still be there, and be what it was.
                before = found[path].committed if path in found else _ABSENT
                found[path] = _Change(now, before)
        return found

    def _tracked(self, path: str, parts: list[str]) -> _Change:
        _, kinds, sub, mode_then, mode_staged, mode, then, staged, _ = parts
        committed = _entry(mode_then, then)
        if kinds.endswith("."):
            return _Change(_entry(mode_staged, staged), committed)
        if sub.startswith("S") and mode == MODULE:
            return _Change(Entry(MODULE, staged), None)
        return _Change(self._on_disk(path, mode), committed)

    def _on_disk(self, path: str, mode: str = "") -> Entry:
        """Tell what is at a path; ``mode`` is what Git says is there, if it does."""
        # Behind a link that has taken a folder's place, Git sees nothing where the system would.
        if mode and not mode.strip("0"):
            return _ABSENT
        try:
            found = os.lstat(f"{self._folder}/{path}").st_mode
        except (FileNotFoundError, NotADirectoryError):
            return _ABSENT
        except OSError as error:
            raise SourceError(f"{path!r} cannot be read: {error.strerror}") from None
        if stat.S_ISLNK(found):
            return Entry(LINK, "")
        if not stat.S_ISREG(found):
            return _ABSENT
        own = f"{EXECUTABLE if found & stat.S_IXUSR else PLAIN:o}"
        return Entry(mode if mode.startswith("100") else own, "")


def elsewhere(folder: str) -> SourceError:
    """Make the error for a repository whose work tree is not the folder that it is in."""
    text = f"the repository of {folder!r} has its work tree elsewhere"
    return SourceError(f"{text}; run: git config --unset core.worktree")


def _entry(mode: str, name: str) -> Entry:
    return Entry(mode, name) if mode.strip("0") else _ABSENT


def _above(folders: Iterable[str]) -> set[str]:
    """Give the folders with all that are above them, but for the project's."""
    found: set[str] = set()
    for folder in folders:
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]  # noqa: PLW2901  (a walk upwards)
    return found
