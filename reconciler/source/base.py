"""The port of a source of manifests.

Paths are relative to the project's folder (the one that holds ``reconciler.yml``) and use ``/``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.live import CodeTree, Provenance
    from reconciler.manifest.load import Document


class Descent(StrEnum):
    """How a source's commit stands to another one.

    UNKNOWN: the other commit, or history between the two, is not in this repository;
    :meth:`Source.shallow` tells whether that is because the clone is cut short.
    """

    SAME = "same"
    DESCENDANT = "descendant"
    ANCESTOR = "ancestor"
    DIVERGED = "diverged"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """Which state of the project was read.

    ``commit`` is None outside a repository and before its first commit; ``committed_at`` is in
    microseconds since the epoch; ``project_path`` is the project's folder within the repository;
    ``dirty`` are the files under the project's folder that differ from the commit, untracked ones
    included, sorted.
    """

    commit: str | None = None
    author: str | None = None
    committed_at: int | None = None
    project_path: str = ""
    dirty: tuple[str, ...] = ()


class Folders(Protocol):
    """The project's folders, each with a key of everything below it.

    Equal keys mean equal names, modes and contents below. A folder is written without a slash at
    its end, the project's own is ``""``. What Git ignores is not there, nor is an empty folder.
    """

    def key(self, folder: str) -> str | None:
        """Give a folder's key: the id of its Git tree, as it would be committed now.

        None where there is no such folder.

        Raises:
            SourceError: what is below it cannot be read.
        """
        ...

    def entries(self, folders: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Give what is directly in each folder: name to ``MODE ID``, as Git writes a tree's entry.

        The name of a folder within ends with ``/``. There is nothing in a folder that is not there.

        Raises:
            SourceError: what is below one of them cannot be read.
        """
        ...


class Source(Protocol):
    """Manifests, code folders and where they come from, all of one state of the project."""

    @property
    def folder(self) -> str:
        """The absolute path of the project's folder."""
        ...

    def state(self) -> SourceState:
        """Tell which state this is."""
        ...

    def project_file(self) -> Document:
        """Read ``reconciler.yml``.

        Raises:
            SourceError: there is none.
        """
        ...

    def manifests(self, include: Sequence[str]) -> tuple[Document, ...]:
        """Read all files that match one of the globs, sorted by path.

        Raises:
            SourceError: no file matched, or a file could not be read; nothing can be concluded
                about what is declared.
        """
        ...

    def read(self, files: Sequence[str]) -> tuple[Document, ...]:
        """Read exactly these files, sorted by path.

        Raises:
            SourceError: one is not there, or could not be read.
        """
        ...

    def code(self, folder: str) -> CodeTree:
        """Snapshot a ``code:`` folder: its files, without those Git ignores.

        Raises:
            SourceError: no such folder, a symlink, a path that leaves the project, or more than
                64 MiB; the message says which.
        """
        ...

    def provenance(self, files: Iterable[str]) -> Mapping[str, Provenance]:
        """Tell the last commit that changed each file; files with none are given without one."""
        ...

    def folders(self) -> Folders | None:
        """Give the project's folders; None where Git is not asked."""
        ...

    def root_commit(self) -> str | None:
        """Tell the first commit of the main line; None in a shallow clone and outside Git.

        Raises:
            SourceError: Git cannot tell.
        """
        ...

    def descent(self, commit: str) -> Descent:
        """Tell how this source's commit stands to another one, given by its full id.

        Raises:
            SourceError: Git cannot tell.
        """
        ...

    def shallow(self) -> bool:
        """Tell whether the clone's history is cut short; ``fetch-depth: 0`` fetches all of it."""
        ...
