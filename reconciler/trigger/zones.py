"""Time zones: from a name to its offsets, as integers.

A zone's offsets come from the standard library's zoneinfo; only its public behaviour is used. What
was read is kept until :func:`forget`: the machine's time zone data may change while a program runs.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from functools import cache
from operator import itemgetter
from pkgutil import get_data
from typing import TYPE_CHECKING, Protocol, TypeVar
from zoneinfo import ZoneInfo

from reconciler.clock import DAY, SECOND, to_datetime, to_instant
from reconciler.errors import InvalidValue
from reconciler.trigger.windows_zones import WINDOWS_ZONES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WALL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (wall clock has no zone)

# (start, end, offset, before): the offset from UTC that holds for start <= instant < end, and the
# one that held until start. All in microseconds.
Segment = tuple[int, int, int, int]

# Zones are searched in blocks as they are asked for.
_BLOCK = 400 * DAY
# The shortest time between two changes of any zone since 1970 is 6 days 23 hours (Gaza, Boa Vista).
_STEP = 4 * DAY
# A block also knows a change shortly before and after it, because the hours around a change are
# special. The largest change is Apia's whole day.
_MARGIN = 2 * DAY


class _Cached(Protocol):
    """A function whose answers are kept."""

    def cache_clear(self) -> None: ...


_C = TypeVar("_C", bound=_Cached)
_FORGETTERS: list[Callable[[], None]] = [ZoneInfo.clear_cache]


def until_forgotten(cached: _C) -> _C:
    """Have :func:`forget` drop the kept answers of a function that hang on time zone data."""
    _FORGETTERS.append(cached.cache_clear)
    return cached


def forget() -> None:
    """Drop all that was read of time zones, so that it is read anew from the data of now.

    A calendar keeps the offsets that it was made with; whoever keeps calendars makes them anew.
    """
    for forgetter in _FORGETTERS:
        forgetter()


@until_forgotten
@cache
def iana_names() -> frozenset[str]:
    """Return the names of all IANA zones, links included, as the tzdata package lists them."""
    names = get_data("tzdata", "zones") or b""
    return frozenset(names.decode("ascii").split()) - {"Factory"}


def resolve(name: str) -> ZoneInfo:
    """Find a zone by its exact IANA name or Windows name.

    Only listed names reach zoneinfo, which would otherwise take a name for a path.

    Raises:
        InvalidValue: no zone has this name, and the message proposes the nearest one; or this
            machine's data of the zone cannot be read.
    """
    key = WINDOWS_ZONES.get(name, name)
    if key not in iana_names():
        text = f"Time zone is not a valid TimeZone enum. '{name}' is unknown{_proposal(name)}"
        raise InvalidValue([(("time_zone",), text)])
    try:
        return ZoneInfo(key)
    except Exception as error:  # a broken file makes zoneinfo raise whatever its parser meets
        text = f"The data of time zone '{name}' cannot be read on this machine; install tzdata."
        raise InvalidValue([(("time_zone",), text)]) from error


def _proposal(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  (for mistakes alone)

    known = {other.casefold(): other for other in sorted(iana_names().union(WINDOWS_ZONES))}
    near = get_close_matches(name.casefold(), known, n=1, cutoff=0.7)
    if near:
        return f"; did you mean '{known[near[0]]}'?"
    return "; write an IANA name such as 'Europe/Paris'."


def to_wall(moment: datetime) -> int:
    """Turn a naive wall clock time into microseconds since 1970-01-01T00:00:00 on that clock."""
    return (moment - WALL_EPOCH) // timedelta(microseconds=1)


def first_instant(moment: datetime, zone: ZoneInfo) -> int:
    """Find when a clock in ``zone`` first shows the naive ``moment``, as an instant.

    A time that the clock skips counts from before the gap, so it comes out shifted forward by the
    gap; this is what fold=0 means (PEP 495).
    """
    return to_instant(moment.replace(tzinfo=zone, fold=0))


class Offsets:
    """The offsets of one zone, found by bisection when first needed and then kept."""

    __slots__ = ("_blocks", "_zone")

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._blocks: dict[int, tuple[Segment, ...]] = {}

    def at(self, instant: int) -> Segment:
        """Return the segment that holds at ``instant``.

        A segment may end although the offset does not change; its successor then has
        ``before == offset``, and no change follows within a day.
        """
        number = instant // _BLOCK
        block = self._blocks.get(number)
        if block is None:
            block = self._blocks[number] = tuple(self._load(number))
        return block[bisect_right(block, instant, key=itemgetter(0)) - 1]

    def changes(self, after: int, until: int) -> Iterator[Segment]:
        """Yield the segments that begin with another offset, at an instant in (after, until]."""
        end = self.at(after)[1]
        while end <= until:
            segment = self.at(end)
            # A block begins with what is left of a segment of the one before.
            if segment[0] == end and segment[2] != segment[3]:
                yield segment
            end = segment[1]

    def _load(self, number: int) -> Iterator[Segment]:
        start, end = number * _BLOCK - _MARGIN, (number + 1) * _BLOCK
        before = offset = self._offset(start)
        low = start
        beyond = end + _MARGIN - SECOND
        while low < beyond:
            high = min(low + _STEP, beyond)
            following = self._offset(high)
            if following != offset:
                change = self._change(low, high, offset)
                yield start, change, offset, before
                if change >= end:
                    return
                start, before, offset = change, offset, following
            low = high
        yield start, end, offset, before

    def _change(self, low: int, high: int, offset: int) -> int:
        """Find the second in (low, high] from which ``offset`` no longer holds."""
        while high - low > SECOND:
            middle = (low + high) // 2 // SECOND * SECOND
            if self._offset(middle) == offset:
                low = middle
            else:
                high = middle
        return high

    def _offset(self, instant: int) -> int:
        local = to_datetime(instant).astimezone(self._zone)
        return (local.utcoffset() or timedelta()) // timedelta(microseconds=1)


@until_forgotten
@cache
def offsets(zone: ZoneInfo) -> Offsets:
    """Return the one :class:`Offsets` of a zone in this process."""
    return Offsets(zone)
