"""A project in a folder that no Git repository knows, and the rules of reading both sources share.

Symbolic links are refused rather than followed: what they point to is not part of the project, and
leaving them out would look as if what they declare had been removed.
"""

from __future__ import annotations

import os
import posixpath
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import SourceError
from reconciler.live import Provenance
from reconciler.manifest.load import Document
from reconciler.source.base import SourceState
from reconciler.source.globs import Globs
from reconciler.source.snapshot import LIMIT, code_tree, dropping, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from reconciler.live import CodeTree

PROJECT_FILE = "reconciler.yml"


class Kind(Enum):
    """What stands at a path; the value of all but FILE says why it cannot be read."""

    FILE = ""
    LINK = "is a symbolic link; put the files themselves into the project"
    MODULE = "is a repository of its own, whose files are not read; move them into the project"
    ABSENT = "is in Git but not checked out; run: git sparse-checkout disable"


class DirectorySource:
    """A project's folder as it lies on the disk.

    ``note`` says why Git was not asked although the folder lies in a repository, else it is empty.
    """

    def __init__(self, folder: str, note: str = "") -> None:
        self._folder = os.path.realpath(folder)
        self.note = note

    @property
    def folder(self) -> str:
        """The absolute path of the project's folder, without symbolic links."""
        return self._folder

    def state(self) -> SourceState:
        """Tell that no commit is known."""
        return SourceState()

    def project_file(self) -> Document:
        """Read ``reconciler.yml``.

        Raises:
            SourceError: there is none, or it cannot be read.
        """
        return Document(PROJECT_FILE, read(self._folder, PROJECT_FILE, LIMIT)[1])

    def manifests(self, include: Sequence[str]) -> tuple[Document, ...]:
        """Read all files that match one of the globs, sorted by path; never ``reconciler.yml``.

        Raises:
            SourceError: a glob matched no file (``*.yml`` and ``*.yaml`` count as one), or a file
                could not be read; nothing can be concluded about what is declared.
        """
        globs = Globs(include)
        matched = {path: globs.matching(path) for path in self._select(globs)}
        matched.pop(PROJECT_FILE, None)
        useful = {_stem(pattern) for patterns in matched.values() for pattern in patterns}
        for pattern in globs.patterns:
            if _stem(pattern) not in useful:
                raise SourceError(f"include {pattern!r} matches no file; correct it or remove it")
        return tuple(Document(path, read(self._folder, path, LIMIT)[1]) for path in matched)

    def code(self, folder: str) -> CodeTree:
        """Snapshot a ``code:`` folder: its files, without those Git ignores and tools' leftovers.

        Raises:
            SourceError: no such folder, an empty one, a symlink, a path that leaves the project, or
                more than 64 MiB; the message says which.
        """
        below = _Below(folder)
        paths = self._select(below)
        if not paths and not Path(self._folder, below.prefix).is_dir():
            raise SourceError(f"code folder {folder!r} does not exist in the project")
        if not paths:
            raise SourceError(f"code folder {folder!r} holds no file that Git does not ignore")
        entries, room = [], LIMIT
        for path in paths:
            mode, content = read(self._folder, path, room)
            room -= len(content)
            entries.append((path.removeprefix(below.prefix), mode, content))
        return code_tree(entries)

    def provenance(self, files: Iterable[str]) -> Mapping[str, Provenance]:
        """Give each file without a commit."""
        return {file: Provenance(file=file) for file in files}

    def _select(self, wanted: Globs | _Below) -> list[str]:
        """List the regular files that ``wanted`` matches, sorted.

        Raises:
            SourceError: something in their place, or above them, cannot be read.
        """
        chosen = []
        for path, kind in self._entries(wanted.reaches):
            matches = bool(wanted.matching(path))
            if self._refuses(path, kind, wanted, matches=matches):
                raise SourceError(f"{path!r} {kind.value}")
            if matches and _undecodable(path):
                raise SourceError(f"the name of {path!r} is not UTF-8; rename it")
            if matches:
                chosen.append(path)
        return sorted(chosen)

    def _refuses(self, path: str, kind: Kind, wanted: Globs | _Below, *, matches: bool) -> bool:
        if kind is Kind.LINK:
            # One that leads nowhere may be a folder that is not mounted.
            file = Path(self._folder, path).is_file()
            return matches or (wanted.reaches(path) and not file)
        if kind is Kind.MODULE:
            return wanted.reaches(path)
        return matches and kind is Kind.ABSENT

    def _entries(self, enters: Callable[[str], bool]) -> Iterator[tuple[str, Kind]]:
        """Walk through the folders that ``enters`` allows, and give what is not a folder."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(f"{self._folder}/{folder}") as found:
                    for entry in found:
                        path = folder + entry.name
                        if dropping(entry.name):
                            continue
                        if entry.is_symlink():
                            yield path, Kind.LINK
                        elif entry.is_file(follow_symlinks=False):
                            yield path, Kind.FILE
                        elif entry.is_dir(follow_symlinks=False) and enters(path):
                            waiting.append(path + "/")
            except OSError as error:
                text = f"folder {folder or '.'!r} cannot be read: {error.strerror}"
                raise SourceError(text) from None


class _Below:
    """Everything below one folder, in the form of :class:`Globs`."""

    def __init__(self, folder: str) -> None:
        root = posixpath.normpath(folder)
        if root.startswith("/") or root.split("/")[0] == "..":
            raise SourceError(f"code folder {folder!r} leaves the project; keep it inside")
        self.prefix = "" if root == "." else root + "/"

    def matching(self, path: str) -> bool:
        return path.startswith(self.prefix)

    def reaches(self, folder: str) -> bool:
        return (folder + "/").startswith(self.prefix) or self.prefix.startswith(folder + "/")


def _stem(pattern: str) -> str:
    return pattern.removesuffix(".yaml").removesuffix(".yml")


def _undecodable(path: str) -> bool:
    return not path.isascii() and any("\udc80" <= letter <= "\udcff" for letter in path)
