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
from reconciler.trigger.zones import Offsets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Nothing is due from here on. No schedule lives so long, and a pattern without any match gives up
# after the 2,760 months since 1970 at most.
HORIZON = to_instant(datetime(2200, 1, 1, tzinfo=UTC))
NEVER = 2 * HORIZON
_LAST_MONTH = 2200 * 12
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_THURSDAY = 3  # 1970-01-01, counted from Monday
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


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
    every_pass: bool

    def _count(self, after: int, until: int) -> int:
        total = 0
        while after < until:
            start, end, offset, before = self.offsets.at(after + 1)
            # Up to here dues are moved by the change at ``start`` and have to be looked for.
            calm = start if self.every_pass else start + abs(offset - before)
            moved = min(calm, until)
            if after < moved:
                total += sum(1 for _ in self.between(after, moved))
                after = moved
            steady = min(end - 1, until)
            total += self.pattern.count(after + offset, steady + offset)
            after = steady
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
    every_pass: bool = False,
    initial: bool = False,
) -> Calendar:
    """Fire when a clock shows the walls of ``pattern``, after ``floor`` and up to ``last``.

    A wall that the clock skips is due later by the gap; one that it shows twice is due the first
    time only. With ``every_pass`` the clock is merely read: a skipped wall is never due, one that
    is shown twice is due twice. ``floor`` must not lie before 1970.
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
            start, end, offset, before = offsets.at(instant + 1)
            if every_pass:
                before = offset
            due = _first_due(next_wall, instant, start, offset, before)
            if due < end:
                calm = (start + abs(offset - before), end, offset)
                return due if due <= last else None
            if due > HORIZON + DAY:
                return None
            instant = end - 1
        return None

    return WallCalendar(next_after, initial, floor, last, pattern, offsets, every_pass)


def _first_due(
    next_wall: Callable[[int], int], instant: int, start: int, offset: int, before: int
) -> int:
    """Find the first due after ``instant`` as if the segment from ``start`` on had no end."""
    if offset < before:
        # What the clock showed before it was set back is not due again.
        return next_wall(max(instant + offset, start + before - 1)) - offset
    due = next_wall(instant + offset) - offset
    if offset > before:
        skipped = next_wall(instant + before)
        if skipped < start + offset:
            return min(due, skipped - before)
    return due


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
