"""What a directory held when it was looked at last, and how a listing of it differs.

A snapshot is kept in pages: sorted runs of a few hundred files, each one text of bytes. A listing
comes in the same order, so a page of what is there is joined and compared with the page that is
known at the speed of memory; only pages that differ are taken apart. Neither side is ever in memory
as a whole.

The facts of a file are what tells two states of it apart, as text: ``<size> <version>``, where a
version means whatever its store says (see ``told``). What follows an ``@`` belongs to the mount
and not to the file. Names and facts hold no NUL.

A local folder may be another one than before, under the same path. Whoever looks asks for its
place before the listing and after it; where the two differ the listing is void. An empty place says
nothing. Then:

- It lies at another place, and nothing that was known is left there (``Comparison.vanished``): the
  mount is gone, and what is seen is the folder below it, perhaps with files that somebody wrote
  into that. Nothing is concluded, and the poll failed: "is it mounted?". Where files that were
  known are left, or none was known, the new place is taken as it is.
- Most files differ in nothing but what belongs to the mount (``Comparison.remounted``): it was
  mounted anew, and its inodes have other numbers. The poll logs no change; the folder is listed
  once more and the snapshot made to ``arrivals.follow``. The next look, at once, finds what else
  has changed.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# Files in a page; a change writes one page, and an unchanged directory reads them all.
PAGE = 128
# Differing files, and bytes of differing pages, that one look takes; the next look takes the rest.
MOST_CHANGES = 50_000
_MOST_BYTES = 64 << 20
# Files taken out of a listing at once.
_WINDOW = 4_096


class Files(NamedTuple):
    """Some files of a listing, by name, ascending; ``facts[i]`` are those of ``names[i]``."""

    names: Sequence[bytes]
    facts: Sequence[bytes]


def join(files: Files) -> bytes:
    """Write a page; of no files it is empty."""
    names, facts = files
    return b"\0".join(names) + b"\0\0" + b"\0".join(facts) if names else b""


def split(page: bytes) -> Files:
    """Read a page that :func:`join` wrote."""
    names, _, facts = page.partition(b"\0\0")
    return Files(names.split(b"\0"), facts.split(b"\0")) if page else Files((), ())


def first_of(page: bytes) -> bytes:
    """Give the first name of a page that is not empty."""
    return page[: page.index(b"\0")]


def pages(files: Files) -> list[bytes]:
    """Write as many pages as some files need; where there are no files, none."""
    names, facts = files
    return [
        join(Files(names[start : start + PAGE], facts[start : start + PAGE]))
        for start in range(0, len(names), PAGE)
    ]


@dataclass(frozen=True, slots=True)
class Differing:
    """A stretch of names in which a listing differs from what was known.

    ``known`` is a page, or a part of one that was cut; ``replaces`` is that page's first name,
    given with its first part only. Where one part of a page is here all are, alike or not.
    ``listed`` is what is there now.
    """

    replaces: bytes | None
    known: bytes
    listed: bytes
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a listing differs from what was known.

    ``differing`` are the stretches that differ, in order; where there was too much of it (``more``)
    the rest is left to the next look. Of ``listed`` files ``stayed`` were there before, and
    ``moved`` of those differ only in what belongs to the mount; ``gone`` were there and are not.
    The numbers are of all files, also where there is more.
    """

    differing: tuple[Differing, ...]
    listed: int
    stayed: int
    moved: int
    gone: int
    more: bool

    @property
    def remounted(self) -> bool:
        """Whether the directory was mounted anew: most of at least two files only moved."""
        return self.stayed >= 2 and 2 * self.moved > self.stayed

    @property
    def vanished(self) -> bool:
        """Whether files were known, and none of them is left."""
        return self.gone > 0 and self.stayed == 0


def compare(known: Iterable[bytes], listing: Iterable[Files]) -> Comparison:
    """Compare a listing with the pages that are known, both in order."""
    differing: list[Differing] = []
    listed = stayed = moved = gone = changes = size = 0
    more, taken = False, True
    for one in stretches(known, listing):
        listed += (count := _count(one.listed))
        if one.whole and one.listed == one.known:
            stayed += count
            continue
        if one.replaces is not None:
            taken = not more
        both = Both(one)
        stayed += both.stayed
        moved += both.moved
        gone += len(both.known) - both.stayed
        if taken and not more:
            differing.append(one)
            changes += len(both.names)
            size += len(one.known) + len(one.listed)
            more = changes >= MOST_CHANGES or size >= _MOST_BYTES
        elif taken and one.known:
            # The rest of a page that was begun is kept as it is known.
            differing.append(replace(one, listed=one.known))
    return Comparison(
        differing=tuple(differing), listed=listed, stayed=stayed, moved=moved, gone=gone, more=more
    )


def stretches(known: Iterable[bytes], listing: Iterable[Files]) -> Iterator[Differing]:
    """Put each known page beside what is listed in its stretch of names, alike or not.

    Where that is very much it is cut, and the page with it.
    """
    cursor = _Cursor(iter(listing))
    for page, end in _with_ends(known):
        rest, first = page, first_of(page) if page else None
        files, more = cursor.take(end)
        whole = not more
        while more:
            part, rest = _cut(rest, files.names[-1])
            yield Differing(first, part, join(files), whole=False)
            first = None
            files, more = cursor.take(end)
        yield Differing(first, rest, join(files), whole=whole)


def differing(known: Iterable[bytes], now: Mapping[bytes, bytes | None]) -> tuple[Differing, ...]:
    """Compare the present facts of some files with the pages that hold them; None is gone."""
    names = sorted(now)
    found = []
    start = 0
    for page, end in _with_ends(known):
        stop = len(names) if end is None else bisect_left(names, end, start)
        listed = _patched(page, {name: now[name] for name in names[start:stop]})
        start = stop
        if listed != page:
            found.append(Differing(first_of(page) if page else None, page, listed))
    return tuple(found)


class Both:
    """The two sides of a stretch, taken apart; ``names`` are those that differ, sorted.

    Facts may have been taken down without what belongs to the mount, where that was not to be
    relied on: then it makes no difference.
    """

    def __init__(self, one: Differing) -> None:
        self.known = dict(zip(*split(one.known), strict=True))
        self.listed = dict(zip(*split(one.listed), strict=True))
        other = [name for name, facts in self.listed.items() if self.known.get(name) != facts]
        gone = self.known.keys() - self.listed.keys()
        new = (it for it in other if self.known.get(it) != _mountless(self.listed[it]))
        self.names = sorted([*new, *gone])
        self.stayed = len(self.known) - len(gone)
        self.moved = sum(
            moved_only(self.known[name], self.listed[name]) for name in other if name in self.known
        )


def moved_only(old: bytes, new: bytes) -> bool:
    """Tell whether two facts differ in nothing but what belongs to the mount."""
    return old != new and _mountless(old) == _mountless(new)


def told(facts: bytes) -> dict[str, str | int]:
    """Say what facts mean: ``size`` and, as the store has it, one of these.

    - a local folder, ``<mtime_ns>@<inode>``: ``mtime_ns``;
    - an object's version id or generation, ``#<id>``: ``version``;
    - an object's ``"<etag>" <instant>``: ``etag`` and ``modified``, in microseconds.
    """
    size, _, version = facts.decode("ascii").partition(" ")
    said: dict[str, str | int] = {"size": int(size)}
    if version.startswith("#"):
        said["version"] = version[1:]
    elif version.startswith('"'):
        etag, _, modified = version[1:].rpartition('" ')
        said |= {"etag": etag, "modified": int(modified)}
    else:
        said["mtime_ns"] = int(version.partition("@")[0])
    return said


def size_of(facts: bytes) -> int:
    """Give the size of a file, in bytes."""
    return int(facts.partition(b" ")[0])


def _count(page: bytes) -> int:
    return (page.count(b"\0") + 1) // 2 if page else 0


def _patched(page: bytes, now: Mapping[bytes, bytes | None]) -> bytes:
    files = {**dict(zip(*split(page), strict=True)), **now}
    kept = sorted((name, facts) for name, facts in files.items() if facts is not None)
    return join(Files([name for name, _ in kept], [facts for _, facts in kept]))


def _mountless(facts: bytes) -> bytes:
    return facts.partition(b"@")[0]


class _Cursor:
    """A listing, taken piece by piece."""

    def __init__(self, batches: Iterator[Files]) -> None:
        self._batches = batches
        self._names: Sequence[bytes] = ()
        self._facts: Sequence[bytes] = ()
        self._place = 0

    def take(self, end: bytes | None) -> tuple[Files, bool]:
        """Take the files before the name ``end``, and tell whether there are more of them."""
        names: list[Sequence[bytes]] = []
        facts: list[Sequence[bytes]] = []
        count = 0
        while count < _WINDOW:
            if self._place == len(self._names) and not self._next():
                break
            start = self._place
            last = len(self._names) if end is None else bisect_left(self._names, end, start)
            last = min(last, start + _WINDOW - count)
            names.append(self._names[start:last])
            facts.append(self._facts[start:last])
            self._place = last
            count += last - start
            if last < len(self._names):
                break
        return Files(_flat(names), _flat(facts)), self._more(end)

    def _more(self, end: bytes | None) -> bool:
        if self._place == len(self._names) and not self._next():
            return False
        return end is None or self._names[self._place] < end

    def _next(self) -> bool:
        for batch in self._batches:
            if batch.names:
                (self._names, self._facts), self._place = batch, 0
                return True
        return False


def _flat(parts: list[Sequence[bytes]]) -> Sequence[bytes]:
    return parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))


def _with_ends(known: Iterable[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """Give each page and the name before which its stretch ends; of no pages, one that is empty.

    A page's stretch reaches to the first name of the next page, the first one's from the beginning
    and the last one's to the end.
    """
    page = b""
    for following in known:
        if page:
            yield page, first_of(following)
        page = following
    yield page, None


def _cut(page: bytes, last: bytes) -> tuple[bytes, bytes]:
    """Cut a page after the name ``last``."""
    names, facts = split(page)
    place = bisect_left(names, last + b"\0")
    return (
        join(Files(names[:place], facts[:place])),
        join(Files(names[place:], facts[place:])),
    )
