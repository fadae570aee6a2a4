"""When something is due: one function from an instant to the next due instant.

All arithmetic is on integers. A wall clock time is a ``wall``: microseconds since
1970-01-01T00:00:00 as the local clock shows them. A pattern is a function from a wall to the first
wall of a set strictly after it; it knows nothing about zones. :func:`on_the_wall` lays a pattern
over a zone's offsets.

Every search ends: the due instants of a pattern lie before :data:`HORIZON`, and each step of a
search moves at least to the next change of a zone's offset or to the next month.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from calendar import isleap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from reconciler.clock import DAY, to_instant
from reconciler.schedule import Dst, WallGap, WallOverlap
from reconciler.trigger.zones import Offsets, first_instant, offsets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from zoneinfo import ZoneInfo

    from reconciler.trigger.zones import Segment

# Nothing is due from here on. No schedule lives so long, and a pattern without any match gives up
# after the 2,760 months since 1970 at most.
HORIZON = to_instant(datetime(2200, 1, 1, tzinfo=UTC))
NEVER = 2 * HORIZON
_LAST_MONTH = 2200 * 12
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_THURSDAY = 3  # 1970-01-01, counted from Monday
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# The clock is merely read: what it skips is never due, what it shows twice is due twice.
AS_SHOWN = Dst(gap=WallGap.SKIP, overlap=WallOverlap.BOTH)
_DEFAULT = Dst()


Next = Callable[[int], int | None]


@dataclass(frozen=True, slots=True)
class Periodic:
    """The walls ``origin + k * period + mark``, for every integer k and every mark.

    ``marks`` are sorted; ``next_after`` gives the first wall strictly after a wall.
    """

    next_after: Callable[[int], int]
    origin: int
    period: int
    marks: Sequence[int]

    def count(self, after: int, until: int) -> int:
        """Count the walls of the half-open interval (after, until]."""
        return self._rank(until) - self._rank(after)

    def _rank(self, wall: int) -> int:
        periods, rest = divmod(wall - self.origin, self.period)
        return periods * len(self.marks) + bisect_right(self.marks, rest)


@dataclass(frozen=True, slots=True)
class Monthly:
    """The walls at ``times`` of day, sorted, on some days.

    ``next_day`` gives the first of these days from a day on, in days since 1970-01-01;
    ``next_after`` the first wall strictly after a wall.
    """

    next_after: Callable[[int], int]
    next_day: Callable[[int], int]
    times: Sequence[int]

    def count(self, after: int, until: int) -> int:
        """Count the walls of the half-open interval (after, until], day by day."""
        first, begun = divmod(after, DAY)
        final, ended = divmod(until, DAY)
        day, total = self.next_day(first), 0
        if day == first:
            total -= bisect_right(self.times, begun)
        while day < final:
            total += len(self.times)
            day = self.next_day(day + 1)
        return total + bisect_right(self.times, ended) if day == final else total


Pattern = Periodic | Monthly


@dataclass(frozen=True, slots=True)
class Calendar(ABC):
    """All instants at which one trigger is due.

    ``next_after`` gives the first due instant strictly after an instant, None when there is none
    any more. ``initial`` tells whether a schedule runs once at once when it is created. All dues
    lie in the half-open interval (floor, last].
    """

    next_after: Next
    initial: bool
    floor: int
    last: int

    def between(self, after: int, until: int) -> Iterator[int]:
        """Yield the due instants of the half-open interval (after, until], in order."""
        due = self.next_after(after)
        while due is not None and due <= until:
            yield due
            due = self.next_after(due)

    def count(self, after: int, until: int) -> int:
        """Count the due instants of the half-open interval (after, until]."""
        after, until = max(after, self.floor), min(until, self.last)
        return self._count(after, until) if after < until else 0

    @abstractmethod
    def _count(self, after: int, until: int) -> int:
        """Count within (floor, last]."""


@dataclass(frozen=True, slots=True)
class ElapsedCalendar(Calendar):
    """Due every ``period`` from ``anchor``, whatever the clocks show."""

    anchor: int
    period: int

    def _count(self, after: int, until: int) -> int:
        return (until - self.anchor) // self.period - (after - self.anchor) // self.period


@dataclass(frozen=True, slots=True)
class WallCalendar(Calendar):
    """Due when a clock shows the walls of ``pattern``; see :func:`on_the_wall`."""

    pattern: Pattern
    offsets: Offsets
    dst: Dst

    def _count(self, after: int, until: int) -> int:
        total = 0
        while after < until:
            segment = self.offsets.at(after + 1)
            _, end, offset, _ = segment
            calm, stop = _calm(self.offsets, segment, self.dst)
            moved = min(calm, until)
            if after < moved:
                total += sum(1 for _ in self.between(after, moved))
                after = moved
            steady = min(stop - 1, until)
            if after < steady:
                total += self.pattern.count(after + offset, steady + offset)
            after = min(end - 1, until)
        return total


def date_of(day: int) -> date:
    """Return the date that is ``day`` days after 1970-01-01."""
    return date.fromordinal(day + _EPOCH_ORDINAL)


def elapsed(anchor: int, period: int, floor: int, last: int, *, initial: bool) -> Calendar:
    """Fire every ``period`` of elapsed time from ``anchor``, after ``floor`` and up to ``last``."""

    def next_after(instant: int) -> int | None:
        if instant < floor:  # noqa: PLR1730  (this is hot, and max() is a call)
            instant = floor
        due = instant + period - (instant - anchor) % period
        return due if due <= last else None

    return ElapsedCalendar(next_after, initial, floor, last, anchor, period)


def on_the_wall(  # noqa: PLR0913  (what a rule says, each by its name)
    pattern: Pattern,
    offsets: Offsets,
    floor: int,
    last: int,
    *,
    dst: Dst = _DEFAULT,
    initial: bool = False,
) -> Calendar:
    """Fire when a clock shows the walls of ``pattern``, after ``floor`` and up to ``last``.

    ``dst`` says what becomes of a wall that the clock skips: due later by the gap, due at the end
    of the gap, or never; and of one that it shows twice: due the first time, the second or both.
    ``floor`` must not lie before 1970.
    """
    # Between ``calm`` and ``end`` a wall and its instant differ by one constant. One tuple, so that
    # a thread never sees halves of two.
    calm = (0, 0, 0)
    next_wall = pattern.next_after

    def next_after(instant: int) -> int | None:
        if instant < floor:  # noqa: PLR1730  (this is hot, and max() is a call)
            instant = floor
        start, end, offset = calm
        if start <= instant < end:
            due = next_wall(instant + offset) - offset
            if due < end:
                return due if due <= last else None
        return search(instant)

    def search(instant: int) -> int | None:
        nonlocal calm
        while instant < last:
            segment = offsets.at(instant + 1)
            due = _first_due(next_wall, instant, segment, dst)
            begin, stop = _calm(offsets, segment, dst)
            if due < stop:
                calm = (begin, stop, segment[2])
                return due if due <= last else None
            if due > HORIZON + DAY:
                return None
            instant = segment[1] - 1
        return None

    return WallCalendar(next_after, initial, floor, last, pattern, offsets, dst)


def _calm(offsets: Offsets, segment: Segment, dst: Dst) -> tuple[int, int]:
    """Return from and before when, in a segment, dues are the walls that the clock shows.

    Before that the change at its start may move dues or drop them. From then on to its end nothing
    is due: the change there shows those walls once more.
    """
    start, end, offset, before = segment
    if offset > before:
        begin = start + offset - before if dst.gap is WallGap.SHIFT else start
    else:
        begin = start + before - offset if dst.overlap is WallOverlap.FIRST else start
    stop = end
    if dst.overlap is WallOverlap.SECOND:
        stop -= max(0, offset - offsets.at(end)[2])
    return begin, stop


def _first_due(next_wall: Callable[[int], int], instant: int, segment: Segment, dst: Dst) -> int:
    """Find the first due after ``instant`` as if its segment had no end."""
    start, _, offset, before = segment
    if offset < before and dst.overlap is WallOverlap.FIRST:
        # What the clock showed before it was set back is not due again.
        return next_wall(max(instant + offset, start + before - 1)) - offset
    due = next_wall(instant + offset) - offset
    if offset > before and dst.gap is not WallGap.SKIP:
        skipped = next_wall(instant + before)
        moved = skipped - before if dst.gap is WallGap.SHIFT else start
        if skipped < start + offset and instant < moved:
            return min(due, moved)
    return due


def bound(moment: datetime, zone: ZoneInfo, dst: Dst, *, last: bool) -> int:
    """Find the instant of the naive ``moment`` from which, or with ``last`` up to which, it fires.

    It is the one at which a fire at ``moment`` would be due; where ``moment`` is skipped and such
    a fire left out, the last one before the gap.
    """
    shown = first_instant(moment, zone)
    again = to_instant(moment.replace(tzinfo=zone, fold=1))
    if shown <= again:
        second = dst.overlap is WallOverlap.SECOND or (last and dst.overlap is WallOverlap.BOTH)
        return again if second else shown
    # PEP 495: in a gap, and only there, fold=1 comes before fold=0.
    if dst.gap is WallGap.SHIFT or not 0 <= shown < HORIZON:
        return shown
    change = offsets(zone).at(shown)[0]
    return change if dst.gap is WallGap.END else change - 1


def periodic(origin: int, period: int, marks: Iterable[int]) -> Pattern:
    """Give the walls ``origin + k * period + mark``, for every integer k and every mark.

    ``marks`` lie in [0, period).
    """
    marks = sorted(marks)
    first, final = marks[0], marks[-1]

    def next_after(wall: int) -> int:
        rest = (wall - origin) % period
        if rest >= final:
            return wall - rest + period + first
        if rest < first:
            return wall - rest + first
        return wall - rest + marks[bisect_right(marks, rest)]

    return Periodic(next_after, origin, period, marks)


def monthly(
    next_month: Callable[[int], int],
    days_of: Callable[[int, int], Sequence[int]],
    times: Iterable[int],
) -> Pattern:
    """Give the walls at ``times`` of day on some days of some months.

    ``next_month`` maps a month, counted as ``year * 12 + month - 1``, to the first active month
    from there on. ``days_of`` maps a month's length and the week day of its first day (0 is
    Monday) to its active days, ascending, from 1. ``times`` are microseconds since midnight.
    """
    times = sorted(times)
    first, final = times[0], times[-1]
    # There are 28 shapes of months, each worked out when it is first met.
    shapes: dict[tuple[int, int], Sequence[int]] = {}

    # The month of the last answer: its first day, the first day after it, its number and its active
    # days. Asked in order, as a runner does, the next answer is in it or in the month after.
    latest: tuple[int, int, int, Sequence[int]] = (0, 0, 0, ())

    def next_day(day: int) -> int:
        """Return the first active day from ``day`` on, in days since 1970-01-01."""
        start, end, month, days = latest
        if start <= day < end:
            at = bisect_left(days, day - start + 1)
            if at < len(days):
                return start + days[at] - 1
            return search(next_month(month + 1), 1)
        today = date_of(day)
        present = today.year * 12 + today.month - 1
        month = next_month(present)
        return search(month, today.day if month == present else 1)

    def search(month: int, earliest: int) -> int:
        nonlocal latest
        while month < _LAST_MONTH:
            year, index = divmod(month, 12)
            start = date(year, index + 1, 1).toordinal() - _EPOCH_ORDINAL
            length = 29 if index == 1 and isleap(year) else _LENGTHS[index]
            shape = (length, (start + _THURSDAY) % 7)
            if (days := shapes.get(shape)) is None:
                days = shapes[shape] = days_of(*shape)
            at = bisect_left(days, earliest)
            if at < len(days):
                latest = (start, start + length, month, days)
                return start + days[at] - 1
            month, earliest = next_month(month + 1), 1
        return NEVER // DAY

    def next_after(wall: int) -> int:
        today, rest = divmod(wall, DAY)
        day = next_day(today if rest < final else today + 1)
        if day == today:
            return today * DAY + times[bisect_right(times, rest)]
        return day * DAY + first

    return Monthly(next_after, next_day, times)
