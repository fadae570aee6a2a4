"""The rules of reading a project, which are the same wherever its files come from.

Symbolic links are refused rather than followed: what they point to is not part of the project, and
leaving them out would look as if what they declare had been removed.
"""

from __future__ import annotations

import posixpath
from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from reconciler.errors import NoMatch, SourceError
from reconciler.source.globs import Globs
from reconciler.source.snapshot import code_tree, dropping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from reconciler.live import CodeTree
    from reconciler.manifest.load import Document

PROJECT_FILE = "reconciler.yml"


class Kind(Enum):
    """What stands at a path that is neither a file nor a folder; the value says what to do."""

    LINK = "is a symbolic link; put the files themselves into the project"
    MODULE = "is a repository of its own, whose files are not read; move them into the project"


class _Wanted(Protocol):
    def within(self, folder: str, names: Iterable[str]) -> Iterable[tuple[str, str]]:
        """Give (name, why) for each of the files directly in ``folder`` that is wanted."""
        ...

    def reaches(self, folder: str) -> bool:
        """Tell whether a file anywhere below ``folder`` could be wanted."""
        ...


class Files(ABC):
    """A project's files, read by the rules of the port; where they are is for others to say.

    ``note`` says why Git was not asked although the folder lies in a repository, else it is empty.
    """

    note = ""

    def project_file(self) -> Document:
        """Read ``reconciler.yml``.

        Raises:
            SourceError: there is none, or it cannot be read.
        """
        return self.read([PROJECT_FILE])[0]

    def manifests(self, include: Sequence[str]) -> tuple[Document, ...]:
        """Read all files that match one of the globs, sorted by path; never ``reconciler.yml``.

        Raises:
            NoMatch: a glob matched no file (``*.yml`` and ``*.yaml`` count as one).
            SourceError: a file could not be read, so nothing can be concluded about what is
                declared.
        """
        globs = Globs(include)
        matched = self._select(globs)
        matched.pop(PROJECT_FILE, None)
        useful = {_stem(pattern) for patterns in set(matched.values()) for pattern in patterns}
        for pattern in globs.patterns:
            if _stem(pattern) not in useful:
                way = f"correct it in {PROJECT_FILE}, or leave an empty file there"
                raise NoMatch(f"include {pattern!r} matches no file; {way}")
        return self._documents(matched)

    def read(self, files: Sequence[str]) -> tuple[Document, ...]:
        """Read exactly these files, sorted by path.

        Raises:
            SourceError: one is not there, or could not be read.
        """
        wanted = _These(files)
        found = self._select(wanted)
        for file in sorted(wanted.files - found.keys()):
            raise SourceError(f"{file!r} does not exist in the project")
        return self._documents(found)

    def code(self, folder: str) -> CodeTree:
        """Snapshot a ``code:`` folder: its files, without those Git ignores and tools' leftovers.

        Raises:
            SourceError: no such folder, an empty one, a symlink, a path that leaves the project, or
                more than 64 MiB; the message says which.
        """
        below = _Below(folder)
        paths = list(self._select(below))
        if not paths and not self._has_folder(below.prefix):
            raise SourceError(f"code folder {folder!r} does not exist in the project")
        if not paths:
            raise SourceError(f"code folder {folder!r} holds no file that Git does not ignore")
        contents = self._contents(paths, together=True)
        return code_tree(
            (path.removeprefix(below.prefix), mode, content)
            for path, (mode, content) in zip(paths, contents, strict=True)
        )

    def _documents(self, paths: Iterable[str]) -> tuple[Document, ...]:
        # The parser is slow to import, and whoever only looks at folders needs none.
        from reconciler.manifest.load import Document  # noqa: PLC0415

        ordered = list(paths)
        contents = self._contents(ordered, together=False)
        return tuple(
            Document(path, content) for path, (_, content) in zip(ordered, contents, strict=True)
        )

    def _select(self, wanted: _Wanted) -> dict[str, frozenset[str]]:
        """List the regular files that are wanted, sorted, each with why.

        Raises:
            SourceError: something in their place, or above them, cannot be read.
        """
        chosen: dict[str, frozenset[str]] = {}
        alone: dict[str, frozenset[str]] = {}
        for folder, names, others in self._folders(wanted.reaches):
            prefix = f"{folder}/" if folder else ""
            for name, kind in others.items():
                if not dropping(name) and self._refuses(folder, name, kind, wanted):
                    raise SourceError(f"{prefix + name!r} {kind.value}")
            for name, why in wanted.within(folder, names):
                path = prefix + name
                if path in chosen:
                    chosen[path] |= {why}
                elif not dropping(name):
                    chosen[path] = alone.setdefault(why, frozenset([why]))
        for path in chosen:
            if not path.isascii() and any("\udc80" <= letter <= "\udcff" for letter in path):
                raise SourceError(f"the name of {path!r} is not UTF-8; rename it")
        return {path: chosen[path] for path in sorted(chosen)}

    def _refuses(self, folder: str, name: str, kind: Kind, wanted: _Wanted) -> bool:
        path = f"{folder}/{name}" if folder else name
        reached = wanted.reaches(path)
        if kind is Kind.MODULE:
            return reached
        # One that leads nowhere may be a folder that is not mounted.
        return any(wanted.within(folder, [name])) or (reached and not self._leads_to_file(path))

    @abstractmethod
    def _folders(
        self, enters: Callable[[str], bool]
    ) -> Iterator[tuple[str, Iterable[str], Mapping[str, Kind]]]:
        """Walk through the folders that ``enters`` allows: (folder, its files, its oddities)."""

    @abstractmethod
    def _contents(self, paths: Sequence[str], *, together: bool) -> Iterator[tuple[int, bytes]]:
        """Read listed files: (mode, content) of each, each or all ``together`` within the limit."""

    @abstractmethod
    def _has_folder(self, folder: str) -> bool:
        """Tell whether there is such a folder, be it empty; it may end with a slash."""

    @abstractmethod
    def _leads_to_file(self, link: str) -> bool:
        """Tell whether a symbolic link leads to a file."""


class _Below:
    """Everything below one folder."""

    def __init__(self, folder: str) -> None:
        root = posixpath.normpath(folder)
        if root.startswith("/") or root.split("/")[0] == "..":
            raise SourceError(f"code folder {folder!r} leaves the project; keep it inside")
        self.prefix = "" if root == "." else root + "/"

    def within(self, folder: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        if not self.prefix or f"{folder}/".startswith(self.prefix):
            yield from ((name, self.prefix) for name in names)

    def reaches(self, folder: str) -> bool:
        return (folder + "/").startswith(self.prefix) or self.prefix.startswith(folder + "/")


class _These:
    """Some files, each by its own path."""

    def __init__(self, files: Iterable[str]) -> None:
        self.files = frozenset(files)
        self._names: dict[str, set[str]] = {}
        for file in self.files:
            folder, _, name = file.rpartition("/")
            self._names.setdefault(folder, set()).add(name)
            while folder:
                folder = folder.rpartition("/")[0]
                self._names.setdefault(folder, set())

    def within(self, folder: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        yield from ((name, name) for name in self._names.get(folder, set()).intersection(names))

    def reaches(self, folder: str) -> bool:
        return folder in self._names


def _stem(pattern: str) -> str:
    return pattern.removesuffix(".yaml").removesuffix(".yml")
