"""The port of a source of manifests.

Paths are relative to the project's folder (the one that holds ``reconciler.yml``) and use ``/``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.live import CodeTree, Provenance
    from reconciler.manifest.load import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """Which state of the project was read.

    ``commit`` is None outside a repository and before its first commit; ``root_commit`` and
    ``project_path`` (the project's folder within the repository) tell a project from its copies;
    ``dirty`` are the files under the project's folder that differ from the commit, untracked ones
    included, sorted.
    """

    commit: str | None = None
    author: str | None = None
    committed_at: int | None = None
    root_commit: str | None = None
    project_path: str = ""
    dirty: tuple[str, ...] = ()


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
