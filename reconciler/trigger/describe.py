"""A trigger in words, and what the changes of the clock do to its fires."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.clock import DAY, MINUTE
from reconciler.data import Batch, DatastoreChange, FileChange, Initial
from reconciler.fields import duration_text
from reconciler.schedule import Cron, Dst, Frequency, OnUnknown, Recurrence, WallGap, WallOverlap
from reconciler.trigger.calendar import AS_SHOWN, WallCalendar, date_of
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.cron import parse
from reconciler.trigger.zones import offsets, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.schedule import Schedule, Trigger
    from reconciler.trigger.calendar import Calendar
    from reconciler.trigger.zones import Segment


def describe(trigger: Trigger) -> str:
    """Say in a few words when ``trigger`` fires: ``every 2 weeks on Monday at 06:30 (UTC)``."""
    if isinstance(trigger, DatastoreChange):
        return _data(trigger)
    when = (
        f"cron {trigger.expression}"
        if isinstance(trigger, Cron)
        else f"{_how_often(trigger)}{_days(trigger)}{_times(trigger)}"
    )
    return f"{when} ({trigger.time_zone}){_window(trigger)}{_choices(trigger.dst)}"


_USUAL = (FileChange.ADDED, FileChange.MODIFIED)


def _data(trigger: DatastoreChange) -> str:
    place = f"{trigger.datastore}/{trigger.watched.path}".rstrip("/")
    interval = duration_text(timedelta(minutes=trigger.polling_interval))
    only = f" matching {' or '.join(trigger.include)}" if trigger.include else ""
    what = f"file {place}"
    if trigger.file is None:
        what = f"files{only} in {place}{' and below' if trigger.recursive else ''}"
    if trigger.changes != _USUAL:
        what += f" {' or '.join(trigger.changes)}"
    if trigger.min_size:
        what += f" of {trigger.min_size} byte{'' if trigger.min_size == 1 else 's'} or more"
    if trigger.done_marker is not None:
        what += f" with {trigger.done_marker} beside"
    together = ", one run for all of a look" if trigger.batch is Batch.PER_POLL else ""
    there = ", and those that are there" if trigger.initial is Initial.TRIGGER else ""
    return f"{what}{there}, looked at every {interval}{together}"


def _how_often(rule: Recurrence) -> str:
    unit = rule.frequency.lower()
    return f"every {unit}" if rule.interval == 1 else f"every {rule.interval} {unit}s"


def _days(rule: Recurrence) -> str:
    if rule.week_days:
        return f" on {', '.join(rule.week_days)}"
    if not rule.month_days:
        return ""
    days = ["the last day" if day == -1 else f"day {day}" for day in rule.month_days]
    return f" on {', '.join(days)}"


def _times(rule: Recurrence) -> str:
    if rule.time_of_day is not None:
        return f" at {rule.time_of_day:0>5}"
    if not rule.hours and not rule.minutes:
        return ""
    default = rule.start_time.minute if rule.start_time else 0
    minutes = rule.minutes or (default,)
    if not rule.hours:
        return f" at minutes {', '.join(map(str, minutes))} of every hour"
    return " at " + ", ".join(f"{hour:02}:{minute:02}" for hour in rule.hours for minute in minutes)


def _window(trigger: Recurrence | Cron) -> str:
    start = f", from {trigger.start_time:%Y-%m-%d %H:%M}" if trigger.start_time else ""
    end = f", until {trigger.end_time:%Y-%m-%d %H:%M}" if trigger.end_time else ""
    return start + end


_GAPS = {
    WallGap.SHIFT: "",
    WallGap.SKIP: ", skipped times left out",
    WallGap.END: ", skipped times at the end of the gap",
}
_OVERLAPS = {
    WallOverlap.FIRST: "",
    WallOverlap.SECOND: ", repeated times at the second",
    WallOverlap.BOTH: ", repeated times both times",
}


def _choices(dst: Dst) -> str:
    return _GAPS[dst.gap] + _OVERLAPS[dst.overlap]


_UNKNOWN = {
    OnUnknown.FAIL: "",
    OnUnknown.RELAUNCH: "starts a step anew whose outcome cannot be known",
    OnUnknown.WAIT: "waits for an operator where a step's outcome cannot be known",
}


def policies(schedule: Schedule) -> tuple[str, ...]:
    """Say what a schedule's policies ask for, each in a few words; nothing about the defaults."""
    deadline, retries, failures = schedule.deadline, schedule.retries, schedule.pause_after_failures
    said = []
    if schedule.jitter:
        said.append(f"starts up to {duration_text(schedule.jitter)} after each due time (jitter)")
    if schedule.pool is not None:
        said.append(f"takes a place in pool {schedule.pool}")
    if retries is not None and retries.max:
        times = "once" if retries.max == 1 else f"up to {retries.max} times"
        longer = "" if retries.max == 1 else " and longer each time"
        wait = f"after {duration_text(retries.backoff)}{longer}"
        said.append(f"runs a failed run anew {times}, {wait}")
    said.append(_UNKNOWN[schedule.on_unknown])
    if failures is not None:
        runs = "a failed run" if failures == 1 else f"{failures} failed runs in a row"
        said.append(f"is held after {runs}")
    if deadline is not None:
        for verb, span in (("started", deadline.start), ("over", deadline.finish)):
            if span is not None:
                said.append(f"alerts when not {verb} {duration_text(span)} after the due time")
    return tuple(filter(None, said))


def clock_change(trigger: Recurrence | Cron, created_at: int, due: int) -> str:
    """Say what a change of the clock did to the fire due at the instant ``due``; mostly nothing.

    A fire at a time that the clock skipped is due later, one at a time that it shows twice is due
    at one of the two or at both, as the trigger's ``dst`` says. ``created_at`` is the schedule's,
    as everywhere.
    """
    if _follows_elapsed_time(trigger):
        return ""
    changes = offsets(resolve(trigger.time_zone))
    start, end, offset, before = changes.at(due)
    created = created_at + changes.at(created_at)[2]
    shown = due + offset
    moved = due < start + offset - before and _asked_for(trigger, created, shown) != shown
    if moved and trigger.dst.gap is WallGap.SHIFT:
        return f"{_wall(due + before)} does not exist that day"
    if moved and trigger.dst.gap is WallGap.END:
        skipped = _asked_for(trigger, created, start + before) or due + before
        return f"{_wall(skipped)} does not exist that day"
    if due < start + before - offset:
        return f"the second of two {_wall(due + offset)} that day"
    following = changes.at(end)[2]
    if following < offset and due >= end - (offset - following):
        return f"the first of two {_wall(due + offset)} that day"
    return ""


def _follows_elapsed_time(trigger: Recurrence | Cron) -> bool:
    if isinstance(trigger, Cron):
        return parse(trigger.expression).every_pass
    return trigger.frequency in {Frequency.MINUTE, Frequency.HOUR}


def _asked_for(trigger: Recurrence | Cron, created: int, wall: int) -> int | None:
    """Return the first wall clock time, from this one on, that the trigger asks for.

    Where the clock never changes, walls and instants are the same, and so are the rule's answers.
    """
    steady = compile_trigger(replace(trigger, time_zone="UTC"), created, since=wall - 1)
    return steady.next_after(wall - 1)


def _wall(wall: int) -> str:
    hour, minute = divmod(wall // MINUTE % (24 * 60), 60)
    return f"{hour:02}:{minute:02}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """What one change of the clock does to a trigger.

    ``day`` is the ISO date, in the trigger's zone, of the first wall clock time that it touches;
    ``due`` is the instant of the first fire that it moves or doubles, or at which the first one
    that it drops would have been.
    """

    day: str
    due: int
    text: str


def clock_changes(
    trigger: Recurrence | Cron, calendar: Calendar, after: int, until: int
) -> tuple[ClockChange, ...]:
    """Find the changes of the clock that touch a fire due in (after, until], in order.

    They touch wall clock times that are skipped, which run later by the gap or at its end, as one
    with the run due then anyway, or not at all; and those that are shown twice. Nothing touches
    what follows elapsed time. ``calendar`` is the trigger's.
    """
    if not isinstance(calendar, WallCalendar):
        return ()
    hourly = _every_hour(trigger) if calendar.dst == AS_SHOWN else frozenset()
    found = (
        _effect(calendar, segment, after)
        # What a change does, it does less than a day around it; Apia once skipped a whole one.
        for segment in calendar.offsets.changes(after - DAY, until + DAY)
        if not (hourly and _in_step(hourly, segment))
    )
    return tuple(change for change in found if change is not None and change.due <= until)


def _every_hour(trigger: Recurrence | Cron) -> frozenset[int]:
    """Return the minutes at which a cron expression for every hour fires, else none."""
    if not isinstance(trigger, Cron):
        return frozenset()
    fields = parse(trigger.expression)
    return fields.minutes if len(fields.hours) == 24 else frozenset()


def _in_step(minutes: frozenset[int], segment: Segment) -> bool:
    """Tell whether what fires at these minutes of every hour passes a change as if it were none."""
    _, _, offset, before = segment
    shift = (offset - before) // MINUTE
    return abs(offset - before) < DAY and minutes == {(one + shift) % 60 for one in minutes}


def _effect(calendar: WallCalendar, segment: Segment, after: int) -> ClockChange | None:
    """Say what the change at a segment's start does to what is due after an instant."""
    start, _, offset, before = segment
    first, end = sorted((start + before, start + offset))
    skips, dst = before < offset, calendar.dst
    lag = offset if not skips and dst.overlap is WallOverlap.SECOND else before
    walls, dues = [], []
    wall = calendar.pattern.next_after(first - 1)
    while wall < end:
        due = start if skips and dst.gap is WallGap.END else wall - lag
        # Before start_time and after end_time there is nothing to touch.
        if max(after, calendar.floor) < due <= calendar.last:
            walls.append(wall)
            dues.append(due)
        wall = calendar.pattern.next_after(wall)
    if not walls:
        return None
    single = len(walls) == 1
    if skips:
        times = "does not exist" if single else "do not exist"
        outcome = _skipped(calendar, walls, segment)
    else:
        times = "comes twice" if single else "come twice"
        outcome = f"{'runs' if single else 'run'} {_TWICE[dst.overlap]}"
    return ClockChange(
        day=date_of(walls[0] // DAY).isoformat(),
        due=dues[0],
        text=f"{_span(walls)} {times}; {outcome}",
    )


_TWICE = {
    WallOverlap.FIRST: "at the first",
    WallOverlap.SECOND: "at the second",
    WallOverlap.BOTH: "both times",
}


def _skipped(calendar: WallCalendar, walls: Sequence[int], segment: Segment) -> str:
    """Say what becomes of what was to run at skipped ``walls``."""
    start, _, offset, before = segment
    if calendar.dst.gap is WallGap.SKIP:
        return "no run then"
    if calendar.dst.gap is WallGap.SHIFT:
        return _later(calendar, walls, offset - before)
    end = start + offset
    all_ = len(walls) + (calendar.pattern.next_after(end - 1) == end)
    where = _wall(end) + (" the next day" if end // DAY > walls[0] // DAY else "")
    if all_ == 1:
        return f"runs at {where}"
    return f"one run at {where} stands for {'both' if all_ == 2 else 'all'}"


def _later(calendar: WallCalendar, walls: Sequence[int], gap: int) -> str:
    """Say when what was to run at skipped ``walls`` runs."""
    later = [wall + gap for wall in walls]
    where = _span(later) + (" the next day" if later[0] // DAY > walls[0] // DAY else "")
    merged = sum(calendar.pattern.next_after(wall - 1) == wall for wall in later)
    if merged == len(walls):
        return f"one run {'' if merged == 1 else 'each '}at {where} stands for both"
    also = f", {merged} of them as one with the run due then" if merged else ""
    return f"{'runs' if len(walls) == 1 else 'run'} at {where}{also}"


def _span(walls: Sequence[int]) -> str:
    if len(walls) == 1:
        return _wall(walls[0])
    if len(walls) == 2:
        return f"{_wall(walls[0])} and {_wall(walls[1])}"
    return f"{_wall(walls[0])} to {_wall(walls[-1])} ({len(walls)} times)"
