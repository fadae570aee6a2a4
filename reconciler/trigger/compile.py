"""From any trigger to its calendar, and what is wrong with it before it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.data import DatastoreChange
from reconciler.errors import InvalidValue
from reconciler.schedule import Cron, Dst, Recurrence
from reconciler.trigger.cron import compile_cron
from reconciler.trigger.cron import parse as parse_cron
from reconciler.trigger.recurrence import compile_recurrence
from reconciler.trigger.zones import resolve

if TYPE_CHECKING:
    from reconciler.fields import Fault
    from reconciler.schedule import Trigger
    from reconciler.trigger.calendar import Calendar


def compile_trigger(
    trigger: Recurrence | Cron, created_at: int, since: int | None = None
) -> Calendar:
    """Lay out when ``trigger`` is due for a schedule created at the instant ``created_at``.

    With ``since`` the answer begins there already, in step with what is due from the creation on:
    when it would have been due, had it been there.

    Raises:
        InvalidValue: the time zone is unknown or the cron expression is wrong.
    """
    if isinstance(trigger, Recurrence):
        return compile_recurrence(trigger, created_at, since)
    return compile_cron(trigger, created_at if since is None else min(created_at, since))


def problems(trigger: Trigger, created_at: int = 0) -> tuple[Fault, ...]:
    """Return what is wrong with a trigger that is consistent by itself.

    An unknown zone, a wrong cron expression, choices for clock changes that would do nothing, or a
    trigger that is never due between its start (or ``created_at``) and the year 2200. The present
    plays no part, so the answer never changes. Paths are within the trigger.
    """
    if isinstance(trigger, DatastoreChange):
        return ()
    faults: list[Fault] = []
    try:
        resolve(trigger.time_zone)
    except InvalidValue as error:
        faults += error.faults
    if isinstance(trigger, Cron):
        try:
            elapsed = parse_cron(trigger.expression).every_pass
        except InvalidValue as error:
            faults += error.faults
        else:
            if elapsed and trigger.dst != Dst():
                text = f"'{trigger.expression}' has a * or a step in its minute or hour"
                text += " and follows elapsed time: no clock change moves it. Remove dst."
                faults.append((("dst",), text))
    if not faults:
        calendar = compile_trigger(trigger, created_at)
        if calendar.next_after(-1) is None and not calendar.initial:
            faults.append(_never(trigger))
    return tuple(faults)


def _never(trigger: Recurrence | Cron) -> Fault:
    if trigger.end_time is not None:
        return ("end_time",), "never fires: nothing is due up to end_time; move it or remove it"
    if isinstance(trigger, Recurrence) and trigger.month_days:
        text = "never fires: no month that start_time and interval select has such a day"
        return ("month_days",), text
    return ("start_time",), "never fires: start_time must lie before the year 2200"
