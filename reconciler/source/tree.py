"""A project's folders as Git trees: those of a commit, and over them what differs on the disk.

The id of a folder with a difference below it is computed as Git would compute it if everything were
committed now, so a key says the same of a work tree as of the commit made from it.
"""

from __future__ import annotations

import hashlib
import os
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from reconciler.source.process import MissingError
from reconciler.source.snapshot import dropping

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from reconciler.source.process import Objects

FOLDER, LINK, MODULE, GONE = "40000", "120000", "160000", ""
_ENTRIES = {
    digits: re.compile(rb"(\d+) ([^\0]+)\0(.{%d})" % (digits // 2), re.DOTALL)
    for digits in (40, 64)
}


class Entry(NamedTuple):
    """What stands at a path: its mode as Git writes it (GONE for nothing) and its object's id.

    The id is empty where it has yet to be computed: of what is on the disk alone, and of a folder
    with a change below it.
    """

    mode: str
    id: str

    @property
    def file(self) -> bool:
        """Whether it is a regular file."""
        return self.mode.startswith("100")


class Tree:
    """The Git tree ``root`` (None for an empty one), as ``changes`` (by path) alter it.

    ``identify`` gives the id of what is on the disk alone, which only changes tell of.
    """

    def __init__(
        self,
        objects: Objects,
        root: str | None,
        changes: Mapping[str, Entry] = MappingProxyType({}),
        identify: Callable[[str], str] = str,
    ) -> None:
        self._objects = objects
        self._identify = identify
        self._committed: dict[str, str | None] = {"": root}
        self._parsed: dict[str, dict[str, Entry]] = {}
        self._listings: dict[str, Mapping[str, Entry]] = {}
        self._keys: dict[str, str | None] = {}
        self._changes: dict[str, dict[str, Entry]] = {}
        for path, entry in changes.items():
            folder, _, name = path.rpartition("/")
            self._changes.setdefault(folder, {})[name] = entry
        for folder in list(self._changes):
            self._mark(folder)

    def _mark(self, folder: str) -> None:
        """Note in the folders above that there is a change below them."""
        while folder:
            folder, _, name = folder.rpartition("/")
            changes = self._changes.setdefault(folder, {})
            # A file or a link that has taken the folder's place stands.
            if changes.get(name, Entry(GONE, "")).mode == GONE:
                changes[name] = Entry(FOLDER, "")

    def key(self, folder: str) -> str | None:
        """Give the id of a folder's tree; None where there is no such folder.

        Raises:
            SourceError: what is below it cannot be read.
        """
        if folder not in self._changes:
            self._locate([folder])
            return self._committed[folder]
        if folder not in self._keys:
            self._list(self._changes)
            self._keys[folder] = self._compute(folder)
        return self._keys[folder]

    def entries(self, folders: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Give what is directly in each folder: name to ``MODE ID``, a folder's with ``/``.

        Raises:
            SourceError: what is below one of them cannot be read.
        """
        self._list(folders)
        return {
            folder: {
                f"{name}/" if mode == FOLDER else name: f"{mode} {found}"
                for name, mode, found in self._resolved(folder)
            }
            for folder in folders
        }

    def find(self, paths: Iterable[str]) -> Iterator[Entry | None]:
        """Give what stands at each path, None for nothing.

        Raises:
            SourceError: a folder above one of them cannot be read.
        """
        places = [path.rpartition("/") for path in paths]
        self._list({folder for folder, _, _ in places})
        return (self._listings[folder].get(name) for folder, _, name in places)

    def walk(self, enters: Callable[[str], bool]) -> Iterator[tuple[str, Mapping[str, Entry]]]:
        """Walk through the folders that ``enters`` allows, and give what is directly in each.

        Raises:
            SourceError: one of them cannot be read.
        """
        level = [""]
        while level:
            self._list(level)
            inner: list[str] = []
            for folder in level:
                listing = self._listings[folder]
                yield folder, listing
                prefix = f"{folder}/" if folder else ""
                inner += (
                    prefix + name
                    for name, entry in listing.items()
                    if entry.mode == FOLDER and not dropping(name) and enters(prefix + name)
                )
            level = inner

    def _resolved(self, folder: str) -> Iterator[tuple[str, str, str]]:
        """Give (name, mode, id) of what is directly in a listed folder."""
        for name, (mode, known) in self._listings[folder].items():
            path = f"{folder}/{name}" if folder else name
            found = known or (self.key(path) if mode == FOLDER else self._identify(path))
            if found is not None:
                yield name, mode, found

    def _compute(self, folder: str) -> str | None:
        rows = sorted(
            (os.fsencode(f"{name}/" if mode == FOLDER else name), mode, found)
            for name, mode, found in self._resolved(folder)
        )
        if folder and not rows:
            return None
        content = b"".join(
            b"%b %b\0%b" % (mode.encode(), name.removesuffix(b"/"), bytes.fromhex(found))
            for name, mode, found in rows
        )
        return object_id("tree", content, len(rows[0][2]) if rows else 40)

    def _list(self, folders: Collection[str]) -> None:
        """Make the listings of some folders ready, all that is asked of Git at a time."""
        wanted = [folder for folder in folders if folder not in self._listings]
        self._locate(wanted)
        self._parse({self._committed[folder] for folder in wanted})
        for folder in wanted:
            tree = self._committed[folder]
            listing = self._parsed[tree] if tree else {}
            if folder in self._changes:
                listing = listing | self._changes[folder]
                listing = {name: entry for name, entry in listing.items() if entry.mode != GONE}
            self._listings[folder] = listing

    def _locate(self, folders: Collection[str]) -> None:
        """Find the committed trees of some folders."""
        unknown = [folder for folder in folders if folder not in self._committed]
        if not unknown:
            return
        above = {folder.rpartition("/")[0] for folder in unknown}
        self._locate(above)
        self._parse({self._committed[folder] for folder in above})
        for folder in unknown:
            outer, _, name = folder.rpartition("/")
            tree = self._committed[outer]
            entry = self._parsed[tree].get(name) if tree else None
            self._committed[folder] = entry.id if entry and entry.mode == FOLDER else None

    def _parse(self, trees: Collection[str | None]) -> None:
        wanted = [tree for tree in trees if tree and tree not in self._parsed]
        for tree, found in zip(wanted, self._objects.each(wanted), strict=True):
            if found is None:
                raise MissingError(f"the tree {tree}")
            self._parsed[tree] = {
                os.fsdecode(name): Entry(mode.decode(), raw.hex())
                for mode, name, raw in _ENTRIES[len(tree)].findall(found.content)
            }


def object_id(kind: str, content: bytes, digits: int) -> str:
    """Compute the id that Git gives an object, of 40 (SHA-1) or 64 (SHA-256) digits."""
    algorithm = hashlib.sha256 if digits == 64 else hashlib.sha1
    return algorithm(b"%b %d\0%b" % (kind.encode(), len(content), content)).hexdigest()
