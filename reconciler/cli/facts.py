"""Values as plain data for JSON output, and the words that tables and pages share."""

from __future__ import annotations

import dataclasses
import itertools
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.say import local, utc
from reconciler.clock import iso, parse_instant, to_datetime
from reconciler.data import DatastoreChange
from reconciler.fields import duration_text
from reconciler.live import Owner
from reconciler.plan.bind import label
from reconciler.plan.spec import spec_value
from reconciler.schedule import Missed, Schedule, Status
from reconciler.trigger.calendar import HORIZON
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.describe import clock_change, describe, policies
from reconciler.trigger.zones import resolve

if TYPE_CHECKING:
    from reconciler.live import Live, RegisteredSchedule
    from reconciler.schedule import Cron, Recurrence

_INSTANTS = frozenset(
    (
        "applied_at",
        "at",
        "committed_at",
        "created_at",
        "decided_at",
        "due_at",
        "ended_at",
        "finish_by",
        "next_due",
        "next_poll",
        "not_before",
        "polled_at",
        "processed_to",
        "since",
        "start_by",
        "started_at",
        "until",
        "updated_at",
    )
)


CATCHUPS = [choice.value for choice in (Missed.SKIP, Missed.LAST, Missed.ALL)]
_THEN = {
    Missed.SKIP: "what comes due meanwhile is passed over",
    Missed.LAST: "then the last one that came due runs",
    Missed.ALL: "then all that came due run",
}


def then(catchup: str) -> str:
    """Say what follows when a hold ends."""
    return _THEN[Missed(catchup)]


def data(value: Any) -> Any:  # noqa: ANN401  (any record, to any plain data)
    """Turn a record into plain data: instants as ISO times in UTC, specs as data."""
    if isinstance(value, Owner):
        return str(value)
    if dataclasses.is_dataclass(value):
        return {
            field.name: _member(field.name, getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, tuple | list):
        return [data(item) for item in value]
    return value


def _member(name: str, value: Any) -> Any:  # noqa: ANN401  (the same)
    if value is not None and name in _INSTANTS:
        return iso(value)
    if name == "spec":
        return json.loads(value)
    return data(value)


def condition(schedule: RegisteredSchedule, now: int) -> str:
    """Say in one word how a schedule stands: Active, Held, Disabled or Completed."""
    if schedule.status is Status.DISABLED:
        return "Disabled"
    if schedule.hold is not None and schedule.hold.active(now):
        return "Held"
    clockwork = schedule.processed_to is not None
    return "Completed" if clockwork and schedule.next_due is None else "Active"


def bound(schedule: RegisteredSchedule, live: Live) -> str:
    """Name the pipeline version that a schedule runs."""
    for pipeline in live.pipelines:
        if pipeline.id == schedule.pipeline_id:
            return label(pipeline)
    return spec_value(Schedule, schedule.spec).pipeline


def zone_of(schedule: Schedule) -> str:
    """Give the time zone that people think of a schedule in."""
    trigger = schedule.trigger
    return "UTC" if isinstance(trigger, DatastoreChange) else trigger.time_zone


def occurrences(
    trigger: Recurrence | Cron, created_at: int, after: int, count: int
) -> list[dict[str, str]]:
    """Give the next ``count`` fires strictly after an instant, fewer where there is an end.

    Those before ``created_at`` are what would have been due, in step with the later ones.
    Each has ``local`` (with its offset) and ``utc``, and a ``note`` where the clock changes.
    """
    zone = resolve(trigger.time_zone)
    calendar = compile_trigger(trigger, created_at, since=after)
    return [
        {
            "local": to_datetime(due).astimezone(zone).isoformat(),
            "utc": iso(due),
            "note": clock_change(trigger, created_at, due),
        }
        for due in itertools.islice(calendar.between(after, HORIZON), count)
    ]


def print_occurrences(found: list[dict[str, str]], zone: str) -> None:
    """Print fires, a line each: local time, UTC, and what the clock did."""
    for one in found:
        instant = parse_instant(one["utc"])
        note = f"  ({one['note']})" if one["note"] else ""
        click.echo(f"  {local(instant, zone)}  {utc(instant)}{note}")


def schedule_data(schedule: RegisteredSchedule, live: Live, now: int) -> dict[str, Any]:
    """Give all that is registered of a schedule, with what follows from it."""
    spec = spec_value(Schedule, schedule.spec)
    return {
        **data(schedule),
        "condition": condition(schedule, now),
        "pipeline": bound(schedule, live),
        "trigger": describe(spec.trigger),
        "policies": list(policies(spec)),
    }
