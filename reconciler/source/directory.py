"""A project in a folder that no Git repository knows, or that is to be read without asking Git."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import SourceError
from reconciler.live import Provenance
from reconciler.source.base import Descent, SourceState
from reconciler.source.files import Files, Kind
from reconciler.source.snapshot import LIMIT, dropping, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence


class DirectorySource(Files):
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

    def provenance(self, files: Iterable[str]) -> Mapping[str, Provenance]:
        """Give each file without a commit."""
        return {file: Provenance(file=file) for file in files}

    def folders(self) -> None:
        """Tell that nothing gives the folders keys."""

    def root_commit(self) -> None:
        """Tell that no commit is known."""

    def descent(self, commit: str) -> Descent:  # noqa: ARG002  (the port's)
        """Tell that no commit is known."""
        return Descent.UNKNOWN

    def shallow(self) -> bool:
        """Tell that this is no clone, so none that is cut short."""
        return False

    def _folders(
        self, enters: Callable[[str], bool]
    ) -> Iterator[tuple[str, Iterable[str], Mapping[str, Kind]]]:
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            names: list[str] = []
            links: dict[str, Kind] = {}
            try:
                with os.scandir(f"{self._folder}/{folder}") as found:
                    for entry in found:
                        path = f"{folder}/{entry.name}" if folder else entry.name
                        if entry.is_symlink():
                            links[entry.name] = Kind.LINK
                        elif entry.is_file(follow_symlinks=False):
                            names.append(entry.name)
                        elif (
                            entry.is_dir(follow_symlinks=False)
                            and not dropping(entry.name)
                            and enters(path)
                        ):
                            waiting.append(path)
            except OSError as error:
                text = f"folder {folder + '/' if folder else '.'!r} cannot be read"
                raise SourceError(f"{text}: {error.strerror}") from None
            yield folder, names, links

    def _contents(self, paths: Sequence[str], *, together: bool) -> Iterator[tuple[int, bytes]]:
        room = LIMIT
        for path in paths:
            mode, content = read(self._folder, path, room)
            yield mode, content
            room -= len(content) if together else 0

    def _has_folder(self, folder: str) -> bool:
        return Path(self._folder, folder).is_dir()

    def _leads_to_file(self, link: str) -> bool:
        return Path(self._folder, link).is_file()
