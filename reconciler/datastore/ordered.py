"""Brings a listing into order, in bounded memory.

No store is taken at its word: some list by folder and not by byte, and a page can come twice. The
listing is gathered whole, and no name is given before all of them are there; empty pieces say
meanwhile that it goes on.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from operator import itemgetter, lt
from struct import Struct
from tempfile import TemporaryFile
from typing import BinaryIO

from reconciler.trigger.snapshot import Files, join, split

# Files in memory, at about 200 bytes each; more go to a temporary file, sorted.
GATHERED = 200_000
_BATCH = 4_096
_GOES_ON = Files((), ())
_LENGTH = Struct(">Q")
_Run = tuple[bytes, bytes, Iterable[Files]]  # its first and last name, and what is between


def ordered(listing: Iterable[Files], gathered: int = GATHERED) -> Iterator[Files]:
    """Give a listing ascending by the bytes of its names, each of them once.

    Of what is listed twice the later counts.
    """
    runs: list[_Run] = []
    names: list[bytes] = []
    facts: list[bytes] = []
    with TemporaryFile() as file:
        for files in listing:
            names += files.names
            facts += files.facts
            yield _GOES_ON
            if len(names) >= gathered:
                runs.append(_spilled(file, _sorted(names, facts)))
                names, facts = [], []
        if names:
            one = _sorted(names, facts)
            runs.append((one.names[0], one.names[-1], (one,)))
        if all(before[1] < after[0] for before, after in pairwise(runs)):
            yield from chain.from_iterable(batches for _, _, batches in runs)
        else:
            yield from _merged(runs)


def _sorted(names: Sequence[bytes], facts: Sequence[bytes]) -> Files:
    if all(map(lt, names, islice(names, 1, None))):
        return Files(names, facts)
    now = dict(zip(names, facts, strict=True))
    names = sorted(now)
    return Files(names, [now[name] for name in names])


def _spilled(file: BinaryIO, files: Files) -> _Run:
    names, facts = files
    start = file.seek(0, 2)
    for place in range(0, len(names), _BATCH):
        page = join(Files(names[place : place + _BATCH], facts[place : place + _BATCH]))
        file.write(_LENGTH.pack(len(page)))
        file.write(page)
    return names[0], names[-1], _read(file, start, file.tell())


def _read(file: BinaryIO, place: int, end: int) -> Iterator[Files]:
    while place < end:
        file.seek(place)
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        page = file.read(length)
        place += _LENGTH.size + length
        yield split(page)


def _merged(runs: Iterable[_Run]) -> Iterator[Files]:
    # Of one name the latest run comes last, and the dictionary keeps what comes last.
    each = (chain.from_iterable(map(_pairs, batches)) for _, _, batches in runs)
    now: dict[bytes, bytes] = {}
    for name, fact in heapq.merge(*each, key=itemgetter(0)):
        if len(now) >= _BATCH and name not in now:
            yield Files(list(now), list(now.values()))
            now = {}
        now[name] = fact
    yield Files(list(now), list(now.values()))


def _pairs(files: Files) -> Iterable[tuple[bytes, bytes]]:
    return zip(*files, strict=True)
