"""Making a restored ledger usable: nothing that may have run since the backup runs again by itself.

What came due between the backup and now is one row per schedule, with the gate ``restore``: it is
not known what of it ran. From now on everything is as usual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.clock import iso
from reconciler.data import DatastoreChange
from reconciler.errors import ReconcilerError
from reconciler.plan.spec import spec_value
from reconciler.run import Decision, Fire, Gate
from reconciler.schedule import Schedule
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.decide import data_gap_key, gap_key
from reconciler.workspace.records import TimerMove
from reconciler.workspace.upkeep import Anew

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.live import RegisteredSchedule
    from reconciler.trigger.calendar import Calendar
    from reconciler.workspace.records import DueTimer
    from reconciler.workspace.upkeep import Upkeep


def begin_anew(upkeep: Upkeep, has_evidence: Callable[[str], bool]) -> Mapping[str, int]:
    """Make a restored ledger usable, in one transaction.

    ``has_evidence`` tells whether a run's programs left something on this machine: the next runner
    asks about those; all other Running runs fail with the reason. Returns counts of ``schedules``
    that have a row about the gap, and of runs that were ``canceled``, ``failed`` and ``adopted``.

    Raises:
        WorkspaceBusy: a runner is at work on it.
    """
    taken, now = upkeep.taken(), upkeep.now()
    why = f"restored from a backup of {iso(taken)}: what ran since then is not known"
    fires: list[Fire] = []
    moves: list[TimerMove] = []
    with upkeep.restoring() as restored:
        for here, timer in restored.armed():
            count, first, next_due = _passed(here, timer, now)
            moves.append(TimerMove(schedule_id=here.id, next_due=next_due, processed_to=now))
            if count:
                key = gap_key(first, now)
                fires.append(_gap(here.id, here.revision, key, first, now, count, why))
        for behind, last in restored.behind():
            key = data_gap_key(behind.watch_id, behind.cursor + 1, last)
            count = last - behind.cursor
            fires.append(_gap(behind.schedule_id, behind.revision, key, now, now, count, why))
        adopted = [run_id for run_id in restored.running() if has_evidence(run_id)]
        anew = Anew(taken=taken, at=now, fires=fires, moves=moves, adopted=adopted)
        counts = restored.begin_anew(anew)
    return {**counts, "schedules": len(fires)}


def _passed(here: RegisteredSchedule, timer: DueTimer, now: int) -> tuple[int, int, int | None]:
    """Count what came due since a timer's mark; give the first of it, and what is due next."""
    initial = int(timer.initial)
    try:
        calendar = _calendar(here)
    except ReconcilerError:
        # The runner will say what is wrong with it.
        return initial, timer.processed_to, now
    count = calendar.count(timer.processed_to, now)
    due = calendar.next_after(timer.processed_to)
    first = due if count and due is not None and not initial else timer.processed_to
    return count + initial, first, calendar.next_after(now)


def _calendar(here: RegisteredSchedule) -> Calendar:
    trigger = spec_value(Schedule, here.spec).trigger
    assert not isinstance(trigger, DatastoreChange), "only clock triggers have timers"  # noqa: S101  (arm's law)
    return compile_trigger(trigger, here.created_at)


def _gap(  # noqa: PLR0913, PLR0917  (what a gap's row says)
    schedule_id: str, revision: int, key: str, due: int, now: int, count: int, why: str
) -> Fire:
    return Fire(
        schedule_id=schedule_id,
        occurrence_key=key,
        due_at=due,
        decided_at=now,
        decision=Decision.GAP,
        reason=why,
        revision=revision,
        count=count,
        gate=Gate.RESTORE,
    )
