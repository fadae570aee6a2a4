"""What changed in one directory, from two listings of it.

A listing is compared as a whole with what was known; no time is ever compared with a clock's, so
neither two changes in one second nor a store whose clock is wrong can hide a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class FileVersion:
    """What tells two states of a local file apart: bytes, modification time and inode."""

    size: int
    mtime_ns: int
    inode: int


class ChangeKind(StrEnum):
    """What happened to a file."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """One file that changed. ``version`` is its new one, of a deleted file the last known."""

    name: bytes
    kind: ChangeKind
    version: FileVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a listing differs from what was known; ``changes`` are sorted by name.

    ``rebased`` holds the new versions of files that are the same but for their inodes, because the
    directory was mounted anew. They are no changes; they only replace what was known.
    """

    changes: tuple[Change, ...] = ()
    rebased: Mapping[bytes, FileVersion]

    @property
    def remounted(self) -> bool:
        """Whether the directory was mounted anew."""
        return bool(self.rebased)


def compare(known: Mapping[bytes, FileVersion], listing: Mapping[bytes, FileVersion]) -> Difference:
    """Find what was added, modified or deleted since ``known``.

    Where only the inode differs, on more than half of at least two files that were there before,
    the directory was mounted anew.
    """
    moved = {
        name: version
        for name, version in listing.items()
        if name in known and _only_inode(known[name], version)
    }
    stayed = sum(1 for name in listing if name in known)
    rebased = moved if stayed >= 2 and 2 * len(moved) > stayed else {}
    return Difference(changes=tuple(_changes(known, listing, rebased)), rebased=rebased)


def _only_inode(old: FileVersion, new: FileVersion) -> bool:
    return old.inode != new.inode and (old.size, old.mtime_ns) == (new.size, new.mtime_ns)


def _changes(
    known: Mapping[bytes, FileVersion],
    listing: Mapping[bytes, FileVersion],
    rebased: Mapping[bytes, FileVersion],
) -> Iterator[Change]:
    for name in sorted(known.keys() | listing.keys()):
        old, new = known.get(name), listing.get(name)
        if new is None:
            yield Change(name, ChangeKind.DELETED, known[name])
        elif old is None:
            yield Change(name, ChangeKind.ADDED, new)
        elif old != new and name not in rebased:
            yield Change(name, ChangeKind.MODIFIED, new)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A changed file that may still be being written: its version, and since when it is seen."""

    version: FileVersion
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at a directory came to.

    ``changes`` count now; ``unsettled`` is to be passed to the next look, which is worth while at
    the instant ``look_again`` (None when nothing is unsettled). ``rebased`` as in
    :class:`Difference`.
    """

    changes: tuple[Change, ...]
    unsettled: Mapping[bytes, Unsettled]
    look_again: int | None
    rebased: Mapping[bytes, FileVersion]


def look(
    known: Mapping[bytes, FileVersion],
    unsettled: Mapping[bytes, Unsettled],
    listing: Mapping[bytes, FileVersion],
    now: int,
    settle: int,
) -> Look:
    """Find the changes since ``known`` that have settled.

    A new version counts once two looks, at least ``settle`` microseconds apart, saw it unchanged;
    with ``settle`` 0 it counts at once, and so does a deletion. A file that vanishes, or goes back
    to its known version, before it settled has not changed.
    """
    difference = compare(known, listing)
    settled: list[Change] = []
    waiting: dict[bytes, Unsettled] = {}
    for change in difference.changes:
        seen = unsettled.get(change.name)
        since = now
        if seen is not None and seen.version == change.version:
            since = min(seen.since, now)  # the clock may have gone back
        if change.kind is ChangeKind.DELETED or now - since >= settle:
            settled.append(change)
        else:
            waiting[change.name] = Unsettled(change.version, since)
    return Look(
        changes=tuple(settled),
        unsettled=waiting,
        look_again=min((one.since + settle for one in waiting.values()), default=None),
        rebased=difference.rebased,
    )


def ignored_because(name: bytes, include: Sequence[str], ignore: Sequence[str]) -> str | None:
    """Tell which glob makes a file not count; None when it counts.

    Globs are case-sensitive everywhere. Bytes that are not UTF-8 match only wildcards.
    """
    text = name.decode("utf-8", "surrogateescape")
    for glob in ignore:
        if fnmatchcase(text, glob):
            return f"ignore: {glob}"
    if include and not any(fnmatchcase(text, glob) for glob in include):
        return f"include: {', '.join(include)}"
    return None


def display(name: bytes) -> str:
    """Write a file name for people: what is not printable UTF-8, and ``%``, as ``%XX``."""
    return "".join(
        char
        if char.isprintable() and char != "%"
        else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
        for char in name.decode("utf-8", "surrogateescape")
    )
