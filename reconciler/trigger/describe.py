"""A trigger in words, and what a change of the clock does to one of its fires."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.clock import MINUTE
from reconciler.fields import duration_text
from reconciler.schedule import Cron, DatastoreChange, Frequency, Recurrence
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.cron import parse
from reconciler.trigger.zones import offsets, resolve

if TYPE_CHECKING:
    from reconciler.schedule import Trigger


def describe(trigger: Trigger) -> str:
    """Say in a few words when ``trigger`` fires: ``every 2 weeks on Monday at 06:30 (UTC)``."""
    if isinstance(trigger, DatastoreChange):
        return _data(trigger)
    if isinstance(trigger, Cron):
        return f"cron {trigger.expression} ({trigger.time_zone}){_window(trigger)}"
    when = f"{_how_often(trigger)}{_days(trigger)}{_times(trigger)}"
    return f"{when} ({trigger.time_zone}){_window(trigger)}"


def _data(trigger: DatastoreChange) -> str:
    place = f"{trigger.datastore}/{trigger.path_on_datastore}".rstrip("/")
    interval = duration_text(timedelta(minutes=trigger.polling_interval))
    only = f" matching {' or '.join(trigger.include)}" if trigger.include else ""
    return f"files{only} in {place}, looked at every {interval}"


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


def clock_change(trigger: Recurrence | Cron, created_at: int, due: int) -> str:
    """Say what a change of the clock did to the fire due at the instant ``due``; mostly nothing.

    A fire at a time that the clock skipped is due later by the gap, one at a time that it shows
    twice is due the first time. ``created_at`` is the schedule's, as everywhere.
    """
    if _follows_elapsed_time(trigger):
        return ""
    changes = offsets(resolve(trigger.time_zone))
    start, end, offset, before = changes.at(due)
    created = created_at + changes.at(created_at)[2]
    after_gap = before < offset and due < start + offset - before
    if after_gap and not _on_the_wall(trigger, created, due + offset):
        return f"{_wall(due + before)} does not exist that day"
    following = changes.at(end)[2]
    if following < offset and due >= end - (offset - following):
        return f"the first of two {_wall(due + offset)} that day"
    return ""


def _follows_elapsed_time(trigger: Recurrence | Cron) -> bool:
    if isinstance(trigger, Cron):
        return parse(trigger.expression).every_pass
    return trigger.frequency in {Frequency.MINUTE, Frequency.HOUR}


def _on_the_wall(trigger: Recurrence | Cron, created: int, wall: int) -> bool:
    """Tell whether the trigger asks for this very wall clock time.

    Where the clock never changes, walls and instants are the same, and so are the rule's answers.
    """
    steady = compile_trigger(replace(trigger, time_zone="UTC"), created, since=wall - 1)
    return steady.next_after(wall - 1) == wall


def _wall(wall: int) -> str:
    hour, minute = divmod(wall // MINUTE % (24 * 60), 60)
    return f"{hour:02}:{minute:02}"
