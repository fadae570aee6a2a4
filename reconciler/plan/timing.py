"""What the changes of a plan mean in time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.plan.change import Kind
from reconciler.plan.impact import Side, impact
from reconciler.plan.spec import spec_value
from reconciler.schedule import Schedule, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.live import Live, RegisteredSchedule
    from reconciler.plan.change import Change


def with_impact(changes: Iterable[Change], live: Live, as_of: int) -> tuple[Change, ...]:
    """Add to each change of a schedule what it does to the schedule's fires from ``as_of`` on."""
    known = {schedule.id: schedule for schedule in live.schedules}
    return tuple(
        _with(change, known.get(change.id or ""), as_of) if change.kind is Kind.SCHEDULE else change
        for change in changes
    )


def _with(change: Change, here: RegisteredSchedule | None, as_of: int) -> Change:
    before = after = None
    if here is not None:
        before = _side(here, here.spec, here.status, as_of)
        if change.after is not None:
            status = spec_value(Schedule, change.after).status
            after = _side(here, change.after, status, as_of)
    elif change.after is not None:
        schedule = spec_value(Schedule, change.after)
        after = Side(schedule=schedule, active=_active(schedule.status), created_at=as_of)
    return replace(change, impact=impact(before, after, as_of))


def _side(here: RegisteredSchedule, spec: str, status: Status, as_of: int) -> Side:
    hold = here.hold if here.hold is not None and here.hold.active(as_of) else None
    return Side(
        schedule=spec_value(Schedule, spec),
        active=_active(status),
        created_at=here.created_at,
        held=hold is not None,
        held_until=hold.until if hold is not None else None,
        initial=here.initial,
    )


def _active(status: Status) -> bool:
    return status is Status.ACTIVE
