"""What the changes of a plan mean in time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.errors import InvalidValue
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
    declared = None if change.after is None else spec_value(Schedule, change.after)
    before = after = None
    if here is not None:
        before = _side(here, spec_value(Schedule, here.spec), here.status, as_of)
    if declared is not None:
        after = _side(here, declared, declared.status, as_of)
    try:
        found = impact(before, after, as_of)
    except InvalidValue:
        # A live trigger that cannot be worked out here, say in a zone this machine does not know.
        found = impact(before and replace(before, active=False), after, as_of)
    return replace(change, impact=found)


def _side(here: RegisteredSchedule | None, schedule: Schedule, status: Status, as_of: int) -> Side:
    if here is None:
        return Side(schedule=schedule, active=status is Status.ACTIVE, created_at=as_of)
    hold = here.hold if here.hold is not None and here.hold.active(as_of) else None
    return Side(
        schedule=schedule,
        active=status is Status.ACTIVE,
        created_at=here.created_at,
        held=hold is not None,
        held_until=hold.until if hold is not None else None,
        initial=here.initial,
    )
