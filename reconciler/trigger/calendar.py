"""When something is due: one function from an instant to the next due instant.

All arithmetic is on integers. A wall clock time is a ``wall``: microseconds since
1970-01-01T00:00:00 as the local clock shows them. A pattern is a function from a wall to the first
wall of a set strictly after it; it knows nothing about zones. :func:`on_the_wall` lays a pattern
over a zone's offsets.

Every search ends: the due instants of a pattern lie before :data:`HORIZON`, and each step of a
search moves at least to the next change of a zone's offset or to the next month.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from calendar import isleap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from reconciler.clock import DAY, to_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.trigger.zones import Offsets

# Nothing is due from here on. No schedule lives so long, and a pattern without any match gives up
# after the 2,760 months since 1970 at most.
HORIZON = to_instant(datetime(2200, 1, 1, tzinfo=UTC))
NEVER = 2 * HORIZON
_LAST_MONTH = 2200 * 12
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_THURSDAY = 3  # 1970-01-01, counted from Monday
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


Next = Callable[[int], int | None]
Pattern = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Calendar:
    """All instants at which one trigger is due.

    ``next_after`` gives the first due instant strictly after an instant, None when there is none
    any more. ``initial`` tells whether a schedule runs once at once when it is created.
    """

    next_after: Next
    initial: bool = False

    def between(self, after: int, until: int) -> Iterator[int]:
        """Yield the due instants of the half-open interval (after, until], in order."""
        due = self.next_after(after)
        while due is not None and due <= until:
            yield due
            due = self.next_after(due)

    def count(self, after: int, until: int) -> int:
        """Count the due instants of the half-open interval (after, until]."""
        return sum(1 for _ in self.between(after, until))


def date_of(day: int) -> date:
    """Return the date that is ``day`` days after 1970-01-01."""
    return date.fromordinal(day + _EPOCH_ORDINAL)


def elapsed(anchor: int, period: int, floor: int, last: int) -> Next:
    """Fire every ``period`` of elapsed time from ``anchor``, after ``floor`` and up to ``last``."""

    def next_after(instant: int) -> int | None:
        if instant < floor:  # noqa: PLR1730  (this is hot, and max() is a call)
            instant = floor
        due = instant + period - (instant - anchor) % period
        return due if due <= last else None

    return next_after


def on_the_wall(
    pattern: Pattern, offsets: Offsets, floor: int, last: int, *, every_pass: bool = False
) -> Next:
    """Fire when a clock shows the walls of ``pattern``, after ``floor`` and up to ``last``.

    A wall that the clock skips is due later by the gap; one that it shows twice is due the first
    time only. With ``every_pass`` the clock is merely read: a skipped wall is never due, one that
    is shown twice is due twice. ``floor`` must not lie before 1970.
    """
    # Between ``calm`` and ``end`` a wall and its instant differ by one constant. One tuple, so that
    # a thread never sees halves of two.
    calm = (0, 0, 0)

    def next_after(instant: int) -> int | None:
        if instant < floor:  # noqa: PLR1730  (this is hot, and max() is a call)
            instant = floor
        start, end, offset = calm
        if start <= instant < end:
            due = pattern(instant + offset) - offset
            if due < end:
                return due if due <= last else None
        return search(instant)

    def search(instant: int) -> int | None:
        nonlocal calm
        while instant < last:
            start, end, offset, before = offsets.at(instant + 1)
            if every_pass:
                before = offset
            due = _first_due(pattern, instant, start, offset, before)
            if due < end:
                calm = (start + abs(offset - before), end, offset)
                return due if due <= last else None
            if due > HORIZON + DAY:
                return None
            instant = end - 1
        return None

    return next_after


def _first_due(pattern: Pattern, instant: int, start: int, offset: int, before: int) -> int:
    """Find the first due after ``instant`` as if the segment from ``start`` on had no end."""
    if offset < before:
        # What the clock showed before it was set back is not due again.
        return pattern(max(instant + offset, start + before - 1)) - offset
    due = pattern(instant + offset) - offset
    if offset > before:
        skipped = pattern(instant + before)
        if skipped < start + offset:
            return min(due, skipped - before)
    return due


def periodic(origin: int, period: int, marks: Iterable[int]) -> Pattern:
    """Give the walls ``origin + k * period + mark``, for every integer k and every mark.

    ``marks`` lie in [0, period).
    """
    marks = sorted(marks)
    first, final = marks[0], marks[-1]

    def pattern(wall: int) -> int:
        rest = (wall - origin) % period
        if rest >= final:
            return wall - rest + period + first
        if rest < first:
            return wall - rest + first
        return wall - rest + marks[bisect_right(marks, rest)]

    return pattern


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
    # There are 28 shapes of months.
    shapes = {
        (length, weekday): tuple(days_of(length, weekday))
        for length in range(28, 32)
        for weekday in range(7)
    }

    # The month of the last answer: its first day, the first day after it, its number and its active
    # days. Asked in order, as a runner does, the next answer is in it or in the month after.
    latest: tuple[int, int, int, tuple[int, ...]] = (0, 0, 0, ())

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
            days = shapes[length, (start + _THURSDAY) % 7]
            at = bisect_left(days, earliest)
            if at < len(days):
                latest = (start, start + length, month, days)
                return start + days[at] - 1
            month, earliest = next_month(month + 1), 1
        return NEVER // DAY

    def pattern(wall: int) -> int:
        today, rest = divmod(wall, DAY)
        day = next_day(today if rest < final else today + 1)
        if day == today:
            return today * DAY + times[bisect_right(times, rest)]
        return day * DAY + first

    return pattern
