"""What wakes a schedule, and the row for what an edit or a pause passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.data import DatastoreChange, Initial
from reconciler.errors import InvalidValue
from reconciler.live import Owner
from reconciler.plan.spec import spec_value
from reconciler.run import Decision, Fire, Gate
from reconciler.schedule import Schedule
from reconciler.trigger.arrivals import ignored_because
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.decide import data_gap_key, gap_key, initial_key
from reconciler.workspace.records import Clockwork, Watching

if TYPE_CHECKING:
    from reconciler.live import RegisteredSchedule
    from reconciler.workspace.base import RegistryTransaction
    from reconciler.workspace.records import Arming, LoggedChange

_NOBODY = Owner("", "")


def arming(schedule: Schedule, created_at: int, now: int, *, created: bool) -> Arming:
    """Give what wakes ``schedule`` from ``now`` on.

    ``created`` is True only for a schedule that is being created Active, or was and has not had
    its one immediate run yet: only then does a recurrence without a start time ask for it. For one
    by data it is True as well where an edit makes it watch something else: only then do the files
    that are there count, with ``initial: trigger``.
    """
    trigger = schedule.trigger
    if isinstance(trigger, DatastoreChange):
        existing = created and trigger.initial is Initial.TRIGGER
        return Watching(watched=trigger.watched, existing=existing)
    calendar = compile_trigger(trigger, created_at)
    initial = created and calendar.initial
    return Clockwork(
        next_due=now if initial else calendar.next_after(now), processed_to=now, initial=initial
    )


def first_passed_over(here: RegisteredSchedule, now: int, reason: str) -> Fire | None:
    """Account for the one immediate run, where it was not decided about and never will be."""
    if not here.initial:
        return None
    return Fire(
        schedule_id=here.id,
        occurrence_key=initial_key(),
        due_at=here.created_at,
        decided_at=now,
        decision=Decision.GAP,
        reason=reason,
        revision=here.revision,
        gate=Gate.STATUS,
    )


def passed_over(
    here: RegisteredSchedule, now: int, reason: str, gate: Gate = Gate.STATUS
) -> Fire | None:
    """Account for the occurrences up to ``now`` that nobody will decide any more.

    Gives one gap row, or None where there are none; for data triggers see
    :func:`pass_over_files`. Where its time zone is
    not known on this machine they cannot be counted, and the row says 0.
    """
    trigger = spec_value(Schedule, here.spec).trigger
    if isinstance(trigger, DatastoreChange) or here.processed_to is None:
        return None
    try:
        calendar = compile_trigger(trigger, here.created_at)
    except InvalidValue as error:
        first, count, reason = here.processed_to, 0, f"{reason}; it could not be decided: {error}"
    else:
        following = calendar.next_after(here.processed_to)
        if following is None or following > now:
            return None
        first, count = following, calendar.count(here.processed_to, now)
    return Fire(
        schedule_id=here.id,
        occurrence_key=gap_key(here.processed_to, now),
        due_at=first,
        decided_at=now,
        decision=Decision.GAP,
        reason=reason,
        revision=here.revision,
        count=count,
        gate=gate,
    )


def pass_over_files(tx: RegistryTransaction, here: RegisteredSchedule, reason: str) -> None:
    """Account for the files that were found for a schedule and that nobody will decide any more."""
    trigger = spec_value(Schedule, here.spec).trigger
    if not isinstance(trigger, DatastoreChange):
        return

    def counts(line: LoggedChange) -> bool:
        return ignored_because(trigger, line.name, line.change, line.facts) is None

    gone = tx.pass_over(here.id, counts)
    if gone is not None:
        now = tx.now()
        gap = Fire(
            schedule_id=here.id,
            occurrence_key=data_gap_key(gone.watch_id, gone.first, gone.last),
            due_at=now,
            decided_at=now,
            decision=Decision.GAP,
            reason=reason,
            revision=here.revision,
            count=gone.count,
            gate=Gate.STATUS,
        )
        tx.record_gap(gap)


def pass_over_moved(tx: RegistryTransaction, datastore: str) -> None:
    """Account for files in a datastore whose name is another place now: they are not in that."""
    behind = tx.behind(datastore)
    if not behind:
        return
    live = tx.live_part(_NOBODY, files=(), schedules=behind, pipelines=(), datastores=())
    for here in live.schedules:
        if here.id in behind:
            pass_over_files(tx, here, f"datastore '{datastore}' was moved before they fired")
