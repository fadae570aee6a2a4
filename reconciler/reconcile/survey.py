"""Which files of a project changed since its last apply, without reading any of them.

Folders carry a key of everything below them (a Merkle tree, Git's own), so whatever lies in a
folder whose key stands is known to be the same.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.source.files import PROJECT_FILE
from reconciler.source.globs import Globs
from reconciler.source.snapshot import dropping
from reconciler.workspace.records import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.source.base import Folders

# What Git calls a regular file; anything else (a link, another repository) makes a source
# incomplete, which only reading it whole can say well.
_REGULAR = ("100644 ", "100755 ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What differs from the recorded folders.

    ``changed`` are files that an include matches and that were added or edited, ``removed`` those
    that are no longer there; ``code`` are code folders with other content. ``folders`` bring the
    record up to date. ``plain`` tells that nothing was seen that reading the project whole must
    judge: links, other repositories, a folder that is gone, an include that may match nothing now.
    """

    changed: frozenset[str]
    removed: frozenset[str]
    code: frozenset[str]
    folders: Mapping[str, Folder]
    plain: bool


def survey(
    folders: Folders,
    include: Sequence[str],
    code: Iterable[str],
    then: Mapping[str, Folder],
) -> Survey:
    """Compare a project's folders with what is recorded of them.

    ``code`` names the code folders that pipelines use, relative to the project.
    """
    walk = _Walk(folders, Globs(include), then)
    level = [""]
    while level:
        level = walk.level(level)
    changed_code = set()
    for folder in sorted(set(map(posixpath.normpath, code))):
        path = "" if folder == "." else folder  # the project itself
        key = folders.key(path) or ""
        if path not in then or then[path].key != key:
            changed_code.add(folder)
            walk.found.setdefault(path, Folder(key=key, entries={}))
    return Survey(
        changed=frozenset(walk.changed),
        removed=frozenset(walk.removed),
        code=frozenset(changed_code),
        folders=walk.found,
        plain=walk.plain,
    )


class _Walk:
    """Goes down into folders whose key differs, a level at a time."""

    def __init__(self, folders: Folders, globs: Globs, then: Mapping[str, Folder]) -> None:
        self.folders = folders
        self.globs = globs
        self.then = then
        self.changed: set[str] = set()
        self.removed: set[str] = set()
        self.found: dict[str, Folder] = {}
        self.plain = True

    def level(self, paths: list[str]) -> list[str]:
        """Compare some folders; returns those within them that must be looked at too."""
        keys = {path: self.folders.key(path) or "" for path in paths}
        differ = [path for path in paths if not self._same(path, keys[path])]
        entries = self.folders.entries(differ)
        deeper: list[str] = []
        for path in differ:
            now = entries[path]
            self.found[path] = Folder(key=keys[path], entries=now)
            deeper += self._folder(path, now, self.then[path].entries if path in self.then else {})
        return deeper

    def _same(self, path: str, key: str) -> bool:
        return path in self.then and self.then[path].key == key

    def _folder(self, path: str, now: Mapping[str, str], then: Mapping[str, str]) -> Iterator[str]:
        below = f"{path}/" if path else ""
        # Both views are sets of (name, key): what stands in one alone was added, edited or removed.
        for name in sorted({name for name, _ in now.items() ^ then.items()}):
            whole = below + name
            if whole == PROJECT_FILE or dropping(name):
                continue  # never read as a manifest
            if name.endswith("/"):
                inner = whole.rstrip("/")
                if name in now and self.globs.reaches(inner):
                    yield inner
                elif name not in now and inner in self.then:
                    self.plain = False
            elif name in now:
                self._file(whole, now[name])
            elif self.globs.matching(whole):
                self.removed.add(whole)
                self._still_matched(whole, below, now)

    def _file(self, path: str, key: str) -> None:
        matched = bool(self.globs.matching(path))
        if matched:
            self.changed.add(path)
        if not key.startswith(_REGULAR) and (matched or self.globs.reaches(path)):
            self.plain = False

    def _still_matched(self, removed: str, below: str, now: Mapping[str, str]) -> None:
        """See whether each include that matched a removed file matches a file beside it still."""
        useful = set(self.globs.matching(removed))
        for name in now:
            if useful <= set(self.globs.matching(below + name)):
                return
        self.plain = False
