"""From a recurrence to its calendar.

The rules are those of Azure ML's recurrences, which are documented for the Logic Apps engine with
the same words, and of RFC 5545 where that documentation is silent.
"""

from __future__ import annotations

from itertools import product

from reconciler.clock import DAY, HOUR, MINUTE, SECOND
from reconciler.schedule import FirstRun, Frequency, Recurrence, WeekDay
from reconciler.trigger.calendar import (
    HORIZON,
    Calendar,
    Pattern,
    bound,
    date_of,
    elapsed,
    monthly,
    on_the_wall,
    periodic,
)
from reconciler.trigger.zones import offsets, resolve, to_wall

_ELAPSED = {Frequency.MINUTE: MINUTE, Frequency.HOUR: HOUR}
_WEEK_DAYS = {day: index for index, day in enumerate(WeekDay)}
# 1970-01-01 was a Thursday.
_FIRST_MONDAY = -3


def compile_recurrence(rule: Recurrence, created_at: int, since: int | None = None) -> Calendar:
    """Lay out when ``rule`` is due for a schedule created at the instant ``created_at``.

    The anchor is ``start_time``, else ``created_at`` in whole seconds. With a ``start_time`` alone
    the first fire is at it; where hours, minutes or days are given, the first fire is after it, or
    on it with ``include_start``; without one the first fire is after ``created_at``, or after
    ``since`` where that is earlier.

    Raises:
        InvalidValue: the time zone is unknown.
    """
    zone = resolve(rule.time_zone)
    changes = offsets(zone)
    if rule.start_time is None:
        anchor = created_at // SECOND * SECOND
        wall = anchor + changes.at(anchor)[2]
        floor = created_at if since is None else min(created_at, since)
    else:
        anchor = bound(rule.start_time, zone, rule.dst, last=False)
        wall = to_wall(rule.start_time)
        floor = anchor if _scheduled(rule) and not rule.include_start else anchor - 1
    floor = max(floor, -1)
    last = HORIZON - 1
    if rule.end_time is not None:
        last = min(last, bound(rule.end_time, zone, rule.dst, last=True))
    initial = rule.start_time is None and rule.first_run is FirstRun.IMMEDIATE
    if rule.frequency in _ELAPSED:
        period = rule.interval * _ELAPSED[rule.frequency]
        return elapsed(anchor, period, floor, last, initial=initial)
    return on_the_wall(_pattern(rule, wall), changes, floor, last, dst=rule.dst, initial=initial)


def _scheduled(rule: Recurrence) -> bool:
    """Tell whether the rule says more than how often."""
    times = rule.hours or rule.minutes or rule.time_of_day
    return bool(times or rule.week_days or rule.month_days)


def _times(rule: Recurrence, wall: int) -> tuple[int, ...]:
    """Return the times of day, in microseconds since midnight.

    Hours without minutes take the minute of ``start_time``, else 0; minutes without hours stand
    for every hour; with neither, the anchor's own time of day is the one.
    """
    hours, minutes = rule.hours, rule.minutes
    if rule.time_of_day is not None:
        hour, _, minute = rule.time_of_day.partition(":")
        hours, minutes = (int(hour),), (int(minute),)
    if not hours and not minutes:
        return (wall % DAY,)
    if not minutes:
        minutes = (rule.start_time.minute if rule.start_time else 0,)
    pairs = product(hours or range(24), minutes)
    return tuple(hour * HOUR + minute * MINUTE for hour, minute in pairs)


def _pattern(rule: Recurrence, wall: int) -> Pattern:
    times = _times(rule, wall)
    today = wall // DAY
    if rule.frequency is Frequency.DAY:
        return periodic(today * DAY, rule.interval * DAY, times)
    if rule.frequency is Frequency.WEEK:
        weekday = (today - _FIRST_MONDAY) % 7
        monday = today - weekday
        days = [_WEEK_DAYS[day] for day in rule.week_days] or [weekday]
        marks = [day * DAY + time for day, time in product(days, times)]
        return periodic(monday * DAY, rule.interval * 7 * DAY, marks)
    return _monthly(rule, today, times)


def _monthly(rule: Recurrence, today: int, times: tuple[int, ...]) -> Pattern:
    anchor = date_of(today)
    first = anchor.year * 12 + anchor.month - 1

    def next_month(month: int) -> int:
        return month + (first - month) % rule.interval

    def days_of(length: int, _weekday: int) -> list[int]:
        if not rule.month_days:
            return [min(anchor.day, length)]
        days = {length if day == -1 else day for day in rule.month_days}
        return sorted(day for day in days if day <= length)

    return monthly(next_month, days_of, times)
