"""What a change of a schedule means in time, worked out by the runner's own engine.

It follows what an apply does: a schedule keeps the anchor and the phase it was created with, an
edit or an enabling acts on what is due after it, and only one that is created Active runs at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from itertools import islice, zip_longest
from math import gcd, lcm
from typing import TYPE_CHECKING

from reconciler.clock import DAY, HOUR
from reconciler.data import DatastoreChange
from reconciler.schedule import Cron, Recurrence, Schedule
from reconciler.trigger.arrivals import EXISTING, ignored_because
from reconciler.trigger.calendar import (
    AS_SHOWN,
    HORIZON,
    ElapsedCalendar,
    Periodic,
    WallCalendar,
    date_of,
)
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.describe import ClockChange, clock_changes
from reconciler.trigger.zones import WALL_EPOCH, first_instant, resolve, until_forgotten

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.trigger.calendar import Calendar
    from reconciler.trigger.snapshot import Files

__all__ = ["ClockChange", "Impact", "Side", "Timing", "impact", "matching", "runs_text"]

# How far a change of the clock is announced: more than a year, so that each kind is seen once.
_ANNOUNCED = 400 * DAY
# How far two triggers are compared: all week days fall on all dates of a year and a leap day.
_COMPARED = 1461 * DAY
_MOST_COMPARED = 20_000
_CACHED = 4_096
# Runs are counted over whole periods of four weeks or more, where a period is at most so long: the
# largest interval of days.
_LEAST, _MOST = 28, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A schedule as it is before or after an apply.

    ``active`` is its status; ``created_at`` the instant of its creation, of a new one the present.
    ``held`` tells of a hold in force, up to ``held_until`` or, with None, without end. ``initial``
    tells that its one immediate run was not decided about yet.
    """

    schedule: Schedule
    active: bool
    created_at: int
    held_until: int | None = None
    held: bool = False
    initial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a schedule fires by the clock, and how often.

    ``next_fires`` are its next instants, three at most. ``runs`` counts those of the next ``days``
    days, which are whole periods of the trigger, so that the rate does not hang on the present: 28
    days or a little more; of a trigger that goes by months, the 365 or 366 up to the same date of
    the next year. A day is one of the trigger's zone, unless it follows elapsed time. ``whole``
    tells that it fires throughout: no start, end or hold cuts into those days.
    """

    next_fires: tuple[int, ...]
    runs: int
    days: int
    whole: bool = True

    @property
    def per_day(self) -> float:
        """Runs a day, on average."""
        return self.runs / self.days


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What one change does to the fires of one schedule.

    ``before`` and ``after`` are None where it does not fire by the clock: it goes by files, is not
    Active, is held without end, or does not exist. ``fires_on_apply`` is 1 where applying makes it
    run at once. ``clock_changes`` are those of the next 400 days that touch the side after, unless
    it fires just as before.

    Where both sides fire by the clock and their triggers are written differently, either
    ``first_difference`` is the first instant after the present at which only one of them fires, or
    they fire alike up to ``same_fires_until``: at least four years on, or 20,000 fires on.
    """

    before: Timing | None = None
    after: Timing | None = None
    fires_on_apply: int = 0
    clock_changes: tuple[ClockChange, ...] = ()
    same_fires_until: int | None = None
    first_difference: int | None = None


@dataclass(frozen=True, slots=True)
class _Clock:
    """A trigger that fires by the clock: its anchor, and after which instant it fires."""

    trigger: Recurrence | Cron
    anchor: int
    start: int


def impact(before: Side | None, after: Side | None, now: int) -> Impact:
    """Tell what changing a schedule from ``before`` to ``after`` at the instant ``now`` means.

    None stands for a schedule that is not there.

    Raises:
        InvalidValue: a trigger's time zone is unknown or its cron expression is wrong.
    """
    old, new = _clock(before, now), _clock(after, now)
    same = different = None
    if old is not None and new is not None and old.trigger != new.trigger:
        same, different = _compare(old, new, now)
    return Impact(
        before=None if old is None else _timing(old, now),
        after=None if new is None else _timing(new, now),
        fires_on_apply=0 if new is None else int(_runs_at_once(before, new, now)),
        clock_changes=() if new is None or new == old else _changes(new, now),
        same_fires_until=same,
        first_difference=different,
    )


def _clock(side: Side | None, now: int) -> _Clock | None:
    """Return what fires by the clock on a side.

    What is due while a schedule is held is passed over, up to but not at the end of the hold.
    """
    if side is None or not side.active or (side.held and side.held_until is None):
        return None
    trigger = side.schedule.trigger
    if isinstance(trigger, DatastoreChange):
        return None
    held_until = side.held_until if side.held and side.held_until is not None else now
    # Where the creation plays no part, schedules with the same trigger share their answers.
    counts = trigger.start_time is None and (
        isinstance(trigger, Recurrence) or side.created_at > now
    )
    return _Clock(trigger, side.created_at if counts else 0, max(now, held_until - 1))


def _runs_at_once(before: Side | None, new: _Clock, now: int) -> bool:
    """Tell whether an apply arms the one immediate run.

    It does so for a schedule that it creates, and again for one whose trigger it edits before that
    run was decided about.
    """
    armed = before is None or (before.initial and before.schedule.trigger != new.trigger)
    return armed and new.start == now and _calendar(new.trigger, new.anchor).initial


@until_forgotten
@lru_cache(_CACHED)
def _calendar(trigger: Recurrence | Cron, anchor: int) -> Calendar:
    return compile_trigger(trigger, anchor)


@until_forgotten
@lru_cache(_CACHED)
def _timing(clock: _Clock, now: int) -> Timing:
    calendar = _calendar(clock.trigger, clock.anchor)
    days, until = _window(clock.trigger, calendar, now)
    return Timing(
        next_fires=tuple(islice(calendar.between(clock.start, HORIZON), 3)),
        runs=calendar.count(clock.start, until),
        days=days,
        whole=clock.start == now and calendar.floor <= now and until <= calendar.last,
    )


def _window(trigger: Recurrence | Cron, calendar: Calendar, now: int) -> tuple[int, int]:
    """Return over how many days to count, and the instant at which they end."""
    if isinstance(calendar, ElapsedCalendar):
        days = _days(calendar.period)
        return days, now + days * DAY
    assert isinstance(calendar, WallCalendar), "there are two kinds"  # noqa: S101  (calendar's law)
    pattern = calendar.pattern
    if calendar.dst == AS_SHOWN and isinstance(pattern, Periodic) and pattern.period == HOUR:
        return _LEAST, now + _LEAST * DAY
    wall = now + calendar.offsets.at(now)[2]
    days = _days(pattern.period) if isinstance(pattern, Periodic) else _year(wall)
    moment = WALL_EPOCH + timedelta(microseconds=wall + days * DAY)
    return days, first_instant(moment, resolve(trigger.time_zone))


def _days(period: int) -> int:
    """Count the days of whole periods, four weeks or more; of an odd period 52 weeks."""
    step = lcm(period, DAY) // DAY
    return -(-_LEAST // step) * step if step <= _MOST else 364


def _year(wall: int) -> int:
    """Count the days up to the same date of the next year, from a leap day up to 28 February."""
    day = date_of(wall // DAY)
    leap = (day.month, day.day) == (2, 29)
    return (day.replace(year=day.year + 1, day=28 if leap else day.day) - day).days


@until_forgotten
@lru_cache(_CACHED)
def _changes(clock: _Clock, now: int) -> tuple[ClockChange, ...]:
    calendar = _calendar(clock.trigger, clock.anchor)
    return clock_changes(clock.trigger, calendar, clock.start, now + _ANNOUNCED)


@until_forgotten
@lru_cache(_CACHED)
def _compare(old: _Clock, new: _Clock, now: int) -> tuple[int | None, int | None]:
    """Return up to when two triggers fire alike, or else the first instant at which they do not."""
    until = now + _COMPARED
    if _alike(old, new):
        return until, None
    sides = (_calendar(c.trigger, c.anchor).between(c.start, until) for c in (old, new))
    pairs = zip_longest(*sides)
    due = now
    for one, other in islice(pairs, _MOST_COMPARED):
        if one != other:
            return None, min(due for due in (one, other) if due is not None)
        due = one
    return (until if next(pairs, None) is None else due), None


def _alike(old: _Clock, new: _Clock) -> bool:
    """Tell whether two triggers are laid out alike, so that they fire alike for ever.

    False may only mean that they have to be compared fire by fire.
    """
    one, other = (_calendar(c.trigger, c.anchor) for c in (old, new))
    starts = max(one.floor, old.start), max(other.floor, new.start)
    if starts[0] != starts[1] or one.last != other.last:
        return False
    if isinstance(one, ElapsedCalendar) and isinstance(other, ElapsedCalendar):
        return one.period == other.period and (one.anchor - other.anchor) % one.period == 0
    if not (isinstance(one, WallCalendar) and isinstance(other, WallCalendar)):
        return False
    if one.offsets is not other.offsets or one.dst != other.dst:
        return False
    walls, others = one.pattern, other.pattern
    return (
        isinstance(walls, Periodic)
        and isinstance(others, Periodic)
        and walls.period == others.period
        and (walls.origin - others.origin) % walls.period == 0
        and walls.marks == others.marks
    )


def runs_text(timing: Timing | None) -> str:
    """Say how often: ``24 a day``, ``2 a week``, ``1 every 3 days``, ``none``; always exact."""
    if timing is None or not timing.next_fires:
        return "none"
    if not (timing.whole and timing.runs):
        return f"{timing.runs or 'none'} in {timing.days} days"
    if timing.days in {365, 366}:
        return _a_year(timing)
    common = gcd(timing.runs, timing.days)
    runs, days = timing.runs // common, timing.days // common
    if days in {2, 5, 10} and runs > days:
        return f"{10 * runs // days / 10} a day"
    if days in {1, 7}:
        return f"{runs} a {'day' if days == 1 else 'week'}"
    return f"{runs} every {f'{days // 7} weeks' if days % 7 == 0 else f'{days} days'}"


def _a_year(timing: Timing) -> str:
    """Say ``2 a month`` only where the next fires show that it is not 24 on end."""
    each, rest = divmod(timing.runs, 12)
    fires = timing.next_fires
    if rest == 0 and each < len(fires) and fires[each] - fires[0] > 27 * DAY:
        return f"{each} a month"
    return f"{timing.runs} a year"


def matching(trigger: DatastoreChange, listing: Iterable[Files]) -> int:
    """Count the files of a listing that count for a trigger as they are."""
    watched = trigger.watched
    markers: set[bytes] = set()
    unmarked: list[bytes] = []
    count = 0
    for files in listing:
        for name, facts in zip(*files, strict=True):
            if watched.is_marker(name):
                markers.add(name)
            elif ignored_because(trigger, name, EXISTING, facts) is None:
                marker = watched.marker_of(name)
                if marker is None:
                    count += 1
                else:
                    unmarked.append(marker)
    return count + sum(marker in markers for marker in unmarked)
