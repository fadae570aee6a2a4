"""Which files `reconciler fmt` looks at, and what becomes of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.bulk import bulk
from reconciler.errors import ManifestError, NotFound, Problem, SourceError
from reconciler.manifest.format import format_text
from reconciler.manifest.load import Document
from reconciler.reconcile.read import read_project
from reconciler.source.files import PROJECT_FILE
from reconciler.source.globs import Globs

if TYPE_CHECKING:
    from reconciler.source.base import Source

OpenFolder = Callable[[str], "Source"]
_LINK = "is a symbolic link; name the file that it leads to"
_NO_FILE = "is not there, or is no file"


@dataclass(frozen=True, slots=True)
class LaidOut:
    """One file: its text as it was and as it should be, the same where ``problems`` say why."""

    file: str
    before: bytes
    after: bytes
    problems: tuple[Problem, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether it is not laid out yet."""
        return self.before != self.after


def find(paths: Iterable[str], open_folder: OpenFolder, *, only_declared: bool) -> list[Document]:
    """Read the files to lay out, by path from here; each once, in the order they were named.

    A path that is a folder stands for what its project declares below it; one that is a file for
    itself, whether a project declares it or not, unless ``only_declared``.

    Raises:
        ManifestError: a project file has problems.
        NotFound: a path leads nowhere, or is a symbolic link.
        SourceError: a folder is in no project, or its files cannot all be read.
    """
    found: dict[str, Document] = {}
    declares = _Declares(open_folder)
    for path in paths:
        if Path(path).is_dir():
            documents = _below(path, open_folder)
        elif Path(path).is_symlink():
            raise NotFound(f"{path} {_LINK}")
        elif not Path(path).is_file():
            raise NotFound(f"{path} {_NO_FILE}")
        elif only_declared and not declares(path):
            continue
        else:
            documents = {os.path.realpath(path): Document(path, Path(path).read_bytes())}
        for place, document in documents.items():
            found.setdefault(place, document)
    return list(found.values())


def lay_out(documents: Iterable[Document]) -> Iterator[LaidOut]:
    """Lay out each file; one with problems stays as it is."""
    with bulk():
        for document in documents:
            file, text = document.file, document.text
            if file.endswith(".json"):  # for whoever reads it as JSON, it must stay that
                yield LaidOut(file, text, text)
                continue
            try:
                yield LaidOut(file, text, format_text(file, text))
            except ManifestError as error:
                yield LaidOut(file, text, text, error.problems)


def _below(path: str, open_folder: OpenFolder) -> Mapping[str, Document]:
    """Read what the project of a folder declares in it, and the project file if it is there."""
    source = open_folder(path)
    documents = [source.project_file(), *source.manifests(_globs(source))]
    folder = os.path.realpath(path)
    return {
        place: Document(os.path.relpath(place), document.text)
        for document in documents
        if (place := f"{source.folder}/{document.file}").startswith(f"{folder}/")
    }


def _globs(source: Source) -> list[str]:
    """Give the globs of a project, whatever the target."""
    project = read_project(source)
    return list(dict.fromkeys(glob for name in project.targets for glob in project.includes(name)))


class _Declares:
    """Tells whether a file is a project file, or matches the globs of the project it is in."""

    def __init__(self, open_folder: OpenFolder) -> None:
        self._open = open_folder
        # The project of each folder: where it is, and its globs.
        self._projects: dict[str, tuple[str, Globs] | None] = {}

    def __call__(self, path: str) -> bool:
        place = os.path.realpath(path)
        folder, name = os.path.split(place)
        if folder not in self._projects:
            self._projects[folder] = self._project(folder)
        project = self._projects[folder]
        if project is None:
            return False
        file = os.path.relpath(place, project[0])
        return name == file == PROJECT_FILE or bool(project[1].matching(file))

    def _project(self, folder: str) -> tuple[str, Globs] | None:
        try:
            source = self._open(folder)
        except SourceError:
            return None
        return source.folder, Globs(_globs(source))
