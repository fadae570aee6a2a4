"""Values as plain data for JSON output, and the words that tables and pages share."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from reconciler.clock import iso
from reconciler.live import Owner
from reconciler.plan.bind import label
from reconciler.plan.spec import spec_value
from reconciler.schedule import DatastoreChange, Schedule, Status
from reconciler.trigger.describe import describe

if TYPE_CHECKING:
    from reconciler.live import Live, RegisteredSchedule

_INSTANTS = frozenset(
    (
        "applied_at",
        "committed_at",
        "created_at",
        "decided_at",
        "due_at",
        "ended_at",
        "next_due",
        "next_poll",
        "polled_at",
        "processed_to",
        "since",
        "started_at",
        "until",
        "updated_at",
    )
)


def data(value: Any) -> Any:  # noqa: ANN401  (any record, to any plain data)
    """Turn a record into plain data: instants as ISO times in UTC, specs as data."""
    if isinstance(value, Owner):
        return str(value)
    if dataclasses.is_dataclass(value):
        return {
            field.name: _member(field.name, getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
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


def schedule_data(schedule: RegisteredSchedule, live: Live, now: int) -> dict[str, Any]:
    """Give all that is registered of a schedule, with what follows from it."""
    spec = spec_value(Schedule, schedule.spec)
    return {
        **data(schedule),
        "condition": condition(schedule, now),
        "pipeline": bound(schedule, live),
        "trigger": describe(spec.trigger),
    }
