"""What changed in a directory, and which schedule that counts for.

A listing is compared as a whole with what was known; no time is ever compared with a clock's, so
neither two changes in one second nor a store whose clock is wrong can hide a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from reconciler.data import FileChange
from reconciler.trigger.snapshot import (
    Both,
    Files,
    moved_only,
    pages,
    size_of,
    split,
    stretches,
)

if TYPE_CHECKING:
    from reconciler.data import DatastoreChange
    from reconciler.trigger.snapshot import Differing

# In a change log: the file was there before, and a schedule asked to be told of it.
EXISTING = "existing"


@dataclass(frozen=True, slots=True)
class Change:
    """One file that changed. ``facts`` are its new ones, of a deleted file the last known."""

    name: bytes
    kind: FileChange
    facts: bytes


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A changed file that may still be being written: its facts, and since when it is seen."""

    facts: bytes
    since: int


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Pages that take the place of the known one that begins with ``replaces``, if any."""

    replaces: bytes | None
    pages: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at a directory came to.

    ``changes`` count now, sorted by name, and ``rewrites`` bring the snapshot to where they are
    known. ``unsettled`` is to be passed to the next look, which is worth while at the instant
    ``look_again`` (None when nothing is unsettled). ``unmarked`` files wait for their done-marker.
    """

    changes: tuple[Change, ...]
    rewrites: tuple[Rewrite, ...]
    unsettled: Mapping[bytes, Unsettled]
    look_again: int | None
    unmarked: int


def judge(  # noqa: PLR0913  (what is known, and whom to ask)
    differing: Iterable[Differing],
    unsettled: Mapping[bytes, Unsettled],
    now: int,
    settle: int,
    *,
    complete: Callable[[bytes], bool] = lambda _: True,
    gone: Callable[[bytes], bool] = lambda _: True,
) -> Look:
    """Find the changes that have settled and are complete.

    A new version counts once two looks, at least ``settle`` microseconds apart, saw it unchanged;
    with ``settle`` 0 it counts at once, and so does a deletion. A file that vanishes, or goes back
    to its known version, before it settled has not changed. ``complete`` tells whether a file has
    the marker that it needs, and ``gone`` whether one that was not listed is deleted; one that is
    not stays as it is known.
    """
    changes: list[Change] = []
    rewrites: list[Rewrite] = []
    waiting: dict[bytes, Unsettled] = {}
    unmarked = 0
    for one in differing:
        both = Both(one)
        becomes, kept = both.listed, False
        for name in both.names:
            old, new = both.known.get(name), both.listed.get(name)
            if new is None:
                counts = gone(name)
            else:
                seen = unsettled.get(name)
                # The clock may have gone back since.
                since = now if seen is None or seen.facts != new else min(seen.since, now)
                settled = now - since >= settle
                if not settled:
                    waiting[name] = Unsettled(new, since)
                counts = settled and complete(name)
                unmarked += settled and not counts
            if counts:
                changes.append(_change(name, old, new))
                continue
            kept = True
            if old is None:
                del becomes[name]
            else:
                becomes[name] = old
        if kept:
            ordered = sorted(becomes.items())
            files = Files([name for name, _ in ordered], [facts for _, facts in ordered])
        else:
            files = split(one.listed)
        rewritten = tuple(pages(files))
        if not one.whole or rewritten != (one.known,):
            rewrites.append(Rewrite(one.replaces, rewritten))
    return Look(
        changes=tuple(changes),
        rewrites=tuple(rewrites),
        unsettled=waiting,
        look_again=min((one.since + settle for one in waiting.values()), default=None),
        unmarked=unmarked,
    )


def _change(name: bytes, old: bytes | None, new: bytes | None) -> Change:
    facts = old if new is None else new
    assert facts is not None, "a name that differs is on one side"  # noqa: S101  (Both)
    if new is None:
        return Change(name, FileChange.DELETED, facts)
    return Change(name, FileChange.ADDED if old is None else FileChange.MODIFIED, facts)


def follow(known: Iterable[bytes], listing: Iterable[Files]) -> Iterator[Rewrite]:
    """Bring a snapshot to where its directory was mounted anew.

    Files that only moved become known as they are; everything else stays as it is known, and is
    found to differ at the next look.
    """
    for one in stretches(known, listing):
        if one.whole and one.listed == one.known:
            continue
        both = Both(one)
        facts = [
            new if moved_only(old, new := both.listed.get(name, old)) else old
            for name, old in both.known.items()
        ]
        rewritten = tuple(pages(Files(list(both.known), facts)))
        if not one.whole or rewritten != (one.known,):
            yield Rewrite(one.replaces, rewritten)


def ignored_because(
    trigger: DatastoreChange, name: bytes, change: str = "", facts: bytes | None = None
) -> str | None:
    """Tell which rule of a schedule makes a change not count; None when it counts.

    Without ``change`` and ``facts`` only the name is judged. Globs are case-sensitive everywhere
    and look at a file's own name, one with / in it at the whole path below the watched directory.
    Bytes that are not UTF-8 match only wildcards. A file that is watched alone is never ignored by
    its name.
    """
    if trigger.file is None and (why := _ignored_name(trigger, name)) is not None:
        return why
    if change and change != EXISTING and change not in trigger.changes:
        return f"changes: {', '.join(trigger.changes)}"
    if facts is not None and change != FileChange.DELETED and size_of(facts) < trigger.min_size:
        return f"min_size: {trigger.min_size}"
    return None


def _ignored_name(trigger: DatastoreChange, name: bytes) -> str | None:
    if trigger.watched.is_marker(name):
        return f"done_marker: {trigger.done_marker}"
    path = name.decode("utf-8", "surrogateescape")
    own = path.rpartition("/")[2]

    def matches(glob: str) -> bool:
        return fnmatchcase(path if "/" in glob else own, glob)

    for glob in trigger.ignore:
        if matches(glob):
            return f"ignore: {glob}"
    if trigger.include and not any(map(matches, trigger.include)):
        return f"include: {', '.join(trigger.include)}"
    return None


def display(name: bytes) -> str:
    """Write a file name for people: what is not printable UTF-8, and ``%``, as ``%XX``."""
    return "".join(
        char
        if char.isprintable() and char != "%"
        else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
        for char in name.decode("utf-8", "surrogateescape")
    )
