"""Globs over paths with ``/``: ``*``, ``?`` and ``[...]`` stay within a name, ``**`` spans folders.

As in a shell, a wildcard does not match a name that starts with a dot: ``**/*.yml`` leaves
``.github`` alone, ``.github/*.yml`` does not.
"""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from reconciler.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    _Match = Callable[[str], object]

# A place is (which glob, how many of its segments are behind us).
_Places = frozenset[tuple[int, int]]


class Globs:
    """Some globs, stepped through together, one name of a path after the other.

    Raises:
        SourceError: none is given, or one is empty, absolute, or leaves the project with ``..``.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        if not self.patterns:
            raise SourceError("include names no glob; write for example manifests/*.yml")
        self._segments = [_segments(pattern) for pattern in self.patterns]
        start = self._spread((number, 0) for number in range(len(self.patterns)))
        self._after: dict[str, _Places] = {"": start}
        self._ends: dict[_Places, Sequence[tuple[str, _Match]]] = {}

    def matching(self, path: str) -> frozenset[str]:
        """Give the globs that match the file ``path``."""
        folder, _, name = path.rpartition("/")
        return frozenset(glob for _, glob in self.within(folder, [name]))

    def within(self, folder: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Give (name, glob) for each of the files directly in ``folder`` and each glob it matches.

        ``names`` is gone through once for every glob that ends here, which is why folder by folder
        is the quick way.
        """
        for glob, match in self._last(self._places(folder)):
            for name in names:
                if match(name):
                    yield name, glob

    def reaches(self, folder: str) -> bool:
        """Tell whether a file anywhere below ``folder`` could match."""
        return any(place < len(self._segments[glob]) for glob, place in self._places(folder))

    def _places(self, folder: str) -> _Places:
        if folder not in self._after:
            above, _, name = folder.rpartition("/")
            self._after[folder] = self._step(self._places(above), name)
        return self._after[folder]

    def _last(self, places: _Places) -> Sequence[tuple[str, _Match]]:
        """Give the globs that one more name completes, and what tells whether it does."""
        if places not in self._ends:
            ends: list[tuple[str, _Match]] = []
            for glob, place in places:
                rest = self._segments[glob][place:]
                if rest and not any(rest[1:]):
                    ends.append((self.patterns[glob], rest[0].match if rest[0] else _visible))
            self._ends[places] = ends
        return self._ends[places]

    def _step(self, places: _Places, name: str) -> _Places:
        reached = set()
        for glob, place in places:
            if place == len(self._segments[glob]):
                continue
            segment = self._segments[glob][place]
            if segment is None:
                reached |= {(glob, place)} if not name.startswith(".") else set()
            elif segment.match(name):
                reached.add((glob, place + 1))
        return self._spread(reached)

    def _spread(self, places: Iterable[tuple[int, int]]) -> _Places:
        """Add the places that ``**`` reaches by matching nothing."""
        reached = set()
        for glob, first in places:
            segments, place = self._segments[glob], first
            reached.add((glob, place))
            while place < len(segments) and segments[place] is None:
                place += 1
                reached.add((glob, place))
        return frozenset(reached)


def _segments(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    names = [name for name in pattern.split("/") if name not in {"", "."}]
    if pattern.startswith("/") or ".." in names or not names:
        text = f"include {pattern!r} is not a glob within the project"
        raise SourceError(f"{text}; write for example manifests/*.yml")
    return tuple(None if name == "**" else _name(name) for name in names)


def _visible(name: str) -> bool:
    return not name.startswith(".")


def _name(glob: str) -> re.Pattern[str]:
    visible = "" if glob.startswith(".") else r"(?!\.)"
    return re.compile(visible + fnmatch.translate(glob))
