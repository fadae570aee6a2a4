"""The snapshots of watches: a row for each page, found by the page's first name."""

from __future__ import annotations

from bisect import bisect_left
from hashlib import sha256
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING

from reconciler.trigger.snapshot import first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from reconciler.trigger.arrivals import Rewrite
    from reconciler.workspace.sql.driver import Driver

# PostgreSQL's index takes keys of at most 2,704 bytes, and a path may have more.
LONGEST = 2_000
# Some 700 KB of pages.
_AT_ONCE = 128
# For more names than these it is faster to read all pages of a million files.
_FEW = 1_000

_FOLLOWING = """
SELECT first, content FROM pages WHERE watch_id = :watch AND first > :after
ORDER BY first LIMIT :limit
"""
_HOLDING = """
SELECT first, content FROM pages WHERE watch_id = :watch AND first <= :name
ORDER BY first DESC LIMIT 1
"""
_FORGET = "DELETE FROM pages WHERE watch_id = ?"
_DROP = "DELETE FROM pages WHERE watch_id = ? AND first = ?"
_PUT = """
INSERT INTO pages (watch_id, first, content) VALUES (?, ?, ?)
ON CONFLICT (watch_id, first) DO UPDATE SET content = excluded.content
"""


def key_of(name: bytes) -> bytes:
    """Give what a page with this first name is found by; of very long names it is no order."""
    return name if len(name) <= LONGEST else name[:LONGEST] + sha256(name).digest()


def following(raw: Driver, watch_id: int, after: bytes) -> list[tuple[bytes, bytes]]:
    """Read the next few pages after a key, each with its key."""
    asked = {"watch": watch_id, "after": after, "limit": _AT_ONCE}
    return list(raw.execute(_FOLLOWING, asked))


def in_order(following: Callable[[bytes], Sequence[tuple[bytes, bytes]]]) -> Iterator[bytes]:
    """Give all pages by their first names, where ``following`` reads a few after a key."""
    for _, alike in groupby(_all(following), key=lambda row: row[0][:LONGEST]):
        yield from sorted((page for _, page in alike), key=first_of)


def holding(raw: Driver, watch_id: int, names: Iterable[bytes]) -> list[bytes]:
    """Read the pages whose stretches hold these names, in order and each once."""
    wanted = sorted(set(names))
    found = _looked_up(raw, watch_id, wanted) if len(wanted) <= _FEW else None
    if found is None:
        pages = in_order(lambda after: following(raw, watch_id, after))
        return list(_walked(pages, wanted))
    return found


def forget(raw: Driver, watch_id: int) -> None:
    """Delete all pages of a watch."""
    raw.execute(_FORGET, (watch_id,))


def rewrite(raw: Driver, watch_id: int, rewrites: Iterable[Rewrite]) -> None:
    """Put pages in the place of others; those of different rewrites do not overlap."""
    remaining = iter(rewrites)
    while some := list(islice(remaining, _AT_ONCE)):
        put = {key_of(first_of(page)): page for one in some for page in one.pages}
        gone = {key_of(one.replaces) for one in some if one.replaces is not None} - put.keys()
        raw.executemany(_DROP, [(watch_id, key) for key in gone])
        raw.executemany(_PUT, [(watch_id, key, page) for key, page in put.items()])


def _all(
    following: Callable[[bytes], Sequence[tuple[bytes, bytes]]],
) -> Iterator[tuple[bytes, bytes]]:
    after = b""
    while rows := following(after):
        yield from rows
        after = rows[-1][0]


def _looked_up(raw: Driver, watch_id: int, names: Sequence[bytes]) -> list[bytes] | None:
    """Look for the page of each name; None where the keys do not tell which one it is."""
    found: dict[bytes, bytes] = {}
    for name in names:
        row = raw.execute(_HOLDING, {"watch": watch_id, "name": name}).fetchone()
        if row is None:
            first = raw.execute(_FOLLOWING, {"watch": watch_id, "after": b"", "limit": 1})
            row = first.fetchone()
        if row is None:
            return []
        key, page = row
        if len(key) > LONGEST or len(name) > LONGEST:
            return None
        found[key] = page
    return list(found.values())


def _walked(pages: Iterator[bytes], names: Sequence[bytes]) -> Iterator[bytes]:
    page = next(pages, None)
    start = 0
    for after in chain(pages, (None,)) if page is not None else ():
        end = len(names) if after is None else bisect_left(names, first_of(after), start)
        if end > start and page is not None:
            yield page
        page, start = after, end
