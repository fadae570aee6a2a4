"""A source with files that are yet to be written: what a project would say with them."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from reconciler.errors import NoMatch
from reconciler.live import Provenance
from reconciler.manifest.load import Document
from reconciler.source.globs import Globs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.live import CodeTree
    from reconciler.source.base import Descent, Folders, Source, SourceState


class Overlay:
    """A :class:`~reconciler.source.base.Source` with further manifests and code folders over it.

    ``files`` and ``trees`` are by path in the project and may be changed between two readings.
    Folders have no keys here, so everything is read whole.
    """

    def __init__(self, under: Source) -> None:
        self.under = under
        self.files: dict[str, bytes] = {}
        self.trees: dict[str, CodeTree] = {}
        self._read: dict[tuple[str, ...], tuple[Document, ...]] = {}

    @property
    def folder(self) -> str:
        """The absolute path of the project's folder."""
        return self.under.folder

    def state(self) -> SourceState:
        """Tell which state lies below."""
        return self.under.state()

    def project_file(self) -> Document:
        """Read ``reconciler.yml``."""
        return self.under.project_file()

    def manifests(self, include: Sequence[str]) -> tuple[Document, ...]:
        """Read what lies below and what lies over it, sorted by path.

        Raises:
            SourceError: as the source below, but for globs that match what lies over it.
        """
        below = {document.file: document for document in self.below(include)}
        over = {file: Document(file, text) for file, text in self.files.items()}
        return tuple(document for _, document in sorted((below | over).items()))

    def below(self, include: Sequence[str]) -> tuple[Document, ...]:
        """Read the manifests that lie below, once for the same globs.

        Raises:
            SourceError: as :meth:`manifests`.
        """
        key = tuple(include)
        if key not in self._read:
            try:
                self._read[key] = self.under.manifests(include)
            except NoMatch:
                # A project without any manifest yet: its globs match first what is to be written.
                self._read[key] = self.under.manifests(rest) if (rest := self._rest(key)) else ()
        return self._read[key]

    def _rest(self, include: Sequence[str]) -> tuple[str, ...]:
        globs = Globs(include)
        met = {_stem(glob) for file in self.files for glob in globs.matching(file)}
        return tuple(glob for glob in include if _stem(glob) not in met)

    def read(self, files: Sequence[str]) -> tuple[Document, ...]:
        """Read exactly these files, sorted by path.

        Raises:
            SourceError: one is not there, or could not be read.
        """
        below = self.under.read([file for file in files if file not in self.files])
        over = (Document(file, self.files[file]) for file in files if file in self.files)
        return tuple(sorted((*below, *over), key=lambda document: document.file))

    def code(self, folder: str) -> CodeTree:
        """Give the code folder that lies over, else the one below.

        Raises:
            SourceError: as the source below.
        """
        return self.trees.get(posixpath.normpath(folder)) or self.under.code(folder)

    def provenance(self, files: Iterable[str]) -> Mapping[str, Provenance]:
        """Tell where files come from; those that lie over come from no commit."""
        wanted = list(files)
        below = self.under.provenance([file for file in wanted if file not in self.files])
        return {file: below.get(file) or Provenance(file=file) for file in wanted}

    def folders(self) -> Folders | None:
        """Give none: what is to be written has no keys yet."""
        return None

    def root_commit(self) -> str | None:
        """Tell the first commit of the main line."""
        return self.under.root_commit()

    def descent(self, commit: str) -> Descent:
        """Tell how the commit below stands to another one."""
        return self.under.descent(commit)

    def shallow(self) -> bool:
        """Tell whether the clone's history is cut short."""
        return self.under.shallow()


def _stem(glob: str) -> str:
    """Take ``*.yml`` and ``*.yaml`` for one."""
    return glob.removesuffix(".yml").removesuffix(".yaml")
