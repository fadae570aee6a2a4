"""A project in a Git repository: at a commit, or in the work tree that is checked out.

A commit's content is read from the object database alone, so neither filters nor a sparse checkout
have a say. A work tree is its commit and what ``git status`` reports as different from it.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.clock import SECOND
from reconciler.errors import SourceError
from reconciler.live import Provenance
from reconciler.source.base import Descent, SourceState
from reconciler.source.directory import DirectorySource
from reconciler.source.files import PROJECT_FILE, Files, Kind
from reconciler.source.history import History
from reconciler.source.process import MissingError, NoGitError, Objects
from reconciler.source.snapshot import EXECUTABLE, LIMIT, PLAIN, check
from reconciler.source.status import Status, elsewhere
from reconciler.source.tree import LINK, MODULE, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from reconciler.source.base import Folders, Source
    from reconciler.source.process import Object
    from reconciler.source.tree import Entry

_AUTHOR = re.compile(rb"^author ([^<\n]*)<([^>\n]*)>", re.MULTILINE)
_COMMITTED = re.compile(rb"^committer .*> (-?\d+)", re.MULTILINE)
_ENCODING = re.compile(rb"^encoding ([\w.-]+)$", re.MULTILINE)
_ODD = {LINK: Kind.LINK, MODULE: Kind.MODULE}


def open_source(folder: str) -> Source:
    """Open the project that ``folder`` lies in, as a Git work tree where it is one.

    Raises:
        SourceError: no ``reconciler.yml`` in ``folder`` or above it, or Git refuses to read here.
    """
    project = find_project(folder)
    place = _place(project)
    if place is None:
        return DirectorySource(project)
    try:
        source = WorkTreeSource(project, place)
        known = source.knows(PROJECT_FILE)
    except NoGitError as reason:
        return DirectorySource(project, str(reason))
    if not known:
        return DirectorySource(project, f"Git ignores {PROJECT_FILE}, so no commit is known")
    return source


def open_commit(folder: str, revision: str) -> Source:
    """Open the project that ``folder`` lies in as it was at a commit.

    ``revision`` is anything that Git takes for a commit: a branch, a tag, a short id, ``HEAD~2``.

    Raises:
        SourceError: no ``reconciler.yml`` in ``folder`` or above it, no repository, or no such
            commit in it.
    """
    project = find_project(folder)
    place = _place(project)
    if place is None:
        raise SourceError(f"{project!r} is in no Git repository, so it has no commits to read")
    source = CommitSource(project, place, revision)
    try:
        source.state()
    except NoGitError as reason:
        raise SourceError(f"{project!r}: {reason}") from None
    return source


def find_project(folder: str) -> str:
    """Find the folder that holds ``reconciler.yml``: ``folder`` itself or the nearest above it.

    Raises:
        SourceError: there is none.
    """
    start = os.path.realpath(folder)
    for above in _upwards(start):
        if os.path.lexists(f"{above}/{PROJECT_FILE}"):
            return above
    text = f"no {PROJECT_FILE} in {start!r} or a folder above it; run: reconciler init"
    raise SourceError(text)


def _upwards(folder: str) -> Iterator[str]:
    yield folder
    yield from map(str, Path(folder).parents)


def _place(project: str) -> str | None:
    """Give a project's folder relative to the repository it lies in; None where it is in none."""
    for above in _upwards(project):
        mark = Path(above, ".git")
        if mark.is_file() or os.path.lexists(mark / "HEAD"):
            return os.path.relpath(project, above) if project != above else ""
    return None


class CommitSource(Files):
    """The project at ``folder``, whose path in the repository is ``place``, at a commit.

    Everything is read at most once from Git and kept, so that all answers are of one state.
    """

    def __init__(self, folder: str, place: str, revision: str) -> None:
        self._folder = folder
        self._place = place
        self._revision = revision
        self._objects = Objects(folder)
        self._known: dict[str, Provenance] = {}

    @property
    def folder(self) -> str:
        """The absolute path of the project's folder, without symbolic links."""
        return self._folder

    def close(self) -> None:
        """End the processes; they end with the source at the latest."""
        self._objects.close()

    def state(self) -> SourceState:
        """Tell the commit, and in a work tree the files that differ from it.

        Raises:
            SourceError: Git cannot tell.
        """
        commit = self._commit
        return SourceState(
            commit=commit.id if commit else None,
            author=commit.author if commit else None,
            committed_at=commit.at if commit else None,
            project_path=self._place,
            dirty=self._dirty(),
        )

    def folders(self) -> Folders:
        """Give the project's folders, each with the id of its tree."""
        return self._tree

    def root_commit(self) -> str | None:
        """Tell the first commit of the main line; None in a shallow clone and before the first.

        Raises:
            SourceError: Git cannot tell.
        """
        return self._history.root() if self._history else None

    def descent(self, commit: str) -> Descent:
        """Tell how this source's commit stands to another one, given by its full id.

        Raises:
            SourceError: Git cannot tell.
        """
        return self._history.descent(commit) if self._history else Descent.UNKNOWN

    def shallow(self) -> bool:
        """Tell whether the clone's history is cut short.

        Raises:
            SourceError: Git cannot tell.
        """
        return bool(self._history and self._history.edge)

    def provenance(self, files: Iterable[str]) -> Mapping[str, Provenance]:
        """Tell the last commit that gave each file the content it has in this source's commit.

        Raises:
            SourceError: Git cannot tell.
        """
        wanted = dict.fromkeys(files)
        unknown = [file for file in wanted if file not in self._known]
        if unknown:
            self._known.update((file, Provenance(file=file)) for file in unknown)
        if unknown and self._history:
            entries = zip(unknown, self._committed.find(unknown), strict=True)
            blobs = {file: entry.id for file, entry in entries if entry and entry.file}
            self._known.update(
                (str(found.file), found) for found in self._history.provenance(blobs)
            )
        return {file: self._known[file] for file in wanted}

    def knows(self, path: str) -> bool:
        """Tell whether there is something at ``path`` that Git does not ignore.

        Raises:
            SourceError: Git cannot tell.
        """
        return next(self._tree.find([path])) is not None

    # What a work tree answers otherwise

    def _name(self) -> str | None:
        """Give the commit, in any way that Git understands; None before the first."""
        return self._revision

    def _dirty(self) -> tuple[str, ...]:
        return ()

    @cached_property
    def _tree(self) -> Tree:
        return self._committed

    def _has_folder(self, folder: str) -> bool:
        return self._tree.key(folder.rstrip("/")) is not None

    def _leads_to_file(self, link: str) -> bool:
        (entry,) = self._tree.find([link])
        found = self._objects.get(entry.id) if entry else None
        leads = os.fsdecode(found.content) if found else ""
        target = posixpath.join(posixpath.dirname(link), leads)
        (entry,) = self._tree.find([posixpath.normpath(target)])
        return not target.startswith("/") and entry is not None and entry.file

    # Reading

    @cached_property
    def _commit(self) -> _Commit | None:
        name = self._name()
        if name is None:
            return None
        found = None
        if not any(letter in name for letter in "\n\0"):
            found = self._objects.get(f"{name}^{{commit}}")
        if found is None:
            way = "correct it, or run: git fetch"
            if History(self._folder, self._objects, "").edge:
                way = "this clone is shallow: fetch all history (actions/checkout: fetch-depth: 0)"
            raise SourceError(f"{name!r} names no commit here; {way}")
        return _Commit(found)

    @cached_property
    def _root(self) -> str | None:
        """The id of the project's tree in the commit; None where it is not there."""
        if self._commit is None:
            return None
        root = Tree(self._objects, self._commit.tree).key(self._place)
        here = self._objects.get(f"{self._commit.id}:./")
        if root and not here and not self._objects.get(root):
            raise MissingError(f"the tree {root}")
        if root != (here.id if here else None):
            raise elsewhere(self._folder)
        return root

    @cached_property
    def _committed(self) -> Tree:
        return Tree(self._objects, self._root)

    @cached_property
    def _history(self) -> History | None:
        return History(self._folder, self._objects, self._commit.id) if self._commit else None

    def _folders(
        self, enters: Callable[[str], bool]
    ) -> Iterator[tuple[str, Iterable[str], Mapping[str, Kind]]]:
        for folder, listing in self._tree.walk(enters):
            names = [name for name, (mode, _) in listing.items() if mode.startswith("100")]
            odd = {name: _ODD[mode] for name, (mode, _) in listing.items() if mode in _ODD}
            yield folder, names, odd

    def _contents(self, paths: Sequence[str], *, together: bool) -> Iterator[tuple[int, bytes]]:
        entries = [entry for entry in self._tree.find(paths) if entry]
        blobs = self._objects.each([entry.id for entry in entries if entry.id], LIMIT)
        room = LIMIT
        for path, entry in zip(paths, entries, strict=True):
            content = self._content(path, entry, blobs, room)
            yield EXECUTABLE if int(entry.mode, 8) & stat.S_IXUSR else PLAIN, content
            room -= len(content) if together else 0
        next(blobs, None)

    def _content(
        self,
        path: str,
        entry: Entry,  # noqa: ARG002  (a work tree looks at it)
        blobs: Iterator[Object | None],
        limit: int,
    ) -> bytes:
        """Give a file's content; ``blobs`` gives those of entries with an id, in their order."""
        blob = next(blobs)
        if blob is None:
            raise MissingError(f"the content of {path!r}")
        check(path, blob.content, blob.size, limit)
        return blob.content


class WorkTreeSource(CommitSource):
    """The project at ``folder`` in the work tree of its repository: HEAD and what differs from it.

    The look at the work tree goes on in the background from the start. What Git calls unchanged is
    read from the commit, the rest from the disk when it is asked for.

    Raises:
        NoGitError: Git is not installed.
    """

    def __init__(self, folder: str, place: str) -> None:
        super().__init__(folder, place, "HEAD")
        self._status = Status(folder, place)

    def close(self) -> None:
        """End the processes; they end with the source at the latest."""
        super().close()
        self._status.close()

    def knows(self, path: str) -> bool:
        """Tell whether there is something at ``path`` that Git does not ignore.

        Raises:
            SourceError: Git cannot tell.
        """
        # What is in the commit need not wait for the look at the work tree.
        return self._objects.get(f"HEAD:./{path}") is not None or super().knows(path)

    def _name(self) -> str | None:
        return self._status.commit

    def _dirty(self) -> tuple[str, ...]:
        return self._status.dirty

    @cached_property
    def _tree(self) -> Tree:
        return Tree(self._objects, self._root, self._status.entries, self._status.identify)

    def _content(
        self, path: str, entry: Entry, blobs: Iterator[Object | None], limit: int
    ) -> bytes:
        if entry.id:
            return super()._content(path, entry, blobs, limit)
        return self._status.read(path, limit)

    def _has_folder(self, folder: str) -> bool:
        return Path(self._folder, folder).is_dir()

    def _leads_to_file(self, link: str) -> bool:
        return Path(self._folder, link).is_file()


class _Commit:
    """What a commit's object says: ``at`` is in microseconds since the epoch."""

    def __init__(self, found: Object) -> None:
        self.id = found.id
        head = found.content.partition(b"\n\n")[0]
        self.tree = head.split(maxsplit=2)[1].decode()
        encoding = _ENCODING.search(head)
        author, committed = _AUTHOR.search(head), _COMMITTED.search(head)
        name, mail = (
            (_said(part.strip(), encoding) for part in author.groups()) if author else ("", "")
        )
        self.author = f"{name} <{mail}>"
        self.at = int(committed[1]) * SECOND if committed else 0


def _said(text: bytes, encoding: re.Match[bytes] | None) -> str:
    try:
        return text.decode(encoding[1].decode() if encoding else "utf-8")
    except (LookupError, UnicodeDecodeError):
        return os.fsdecode(text)
