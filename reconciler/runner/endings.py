"""What the end of a run brings about: it is run anew, counted, or its schedule is paused.

All of it is written in the transaction that ends the run, so that a crash loses none of it.
"""

from __future__ import annotations

import logging
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.clock import iso
from reconciler.data import DatastoreChange
from reconciler.errors import ReconcilerError
from reconciler.run import Run, RunState
from reconciler.runner.logs import about
from reconciler.schedule import Missed
from reconciler.trigger.admission import RUNNER, asked
from reconciler.workspace.records import Alarm, Alert, Hold

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.live import RegisteredSchedule
    from reconciler.runner.book import Book
    from reconciler.schedule import Schedule
    from reconciler.workspace.ledger import LedgerTransaction

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class End:
    """How a run is over."""

    run: Run
    state: RunState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """What was written: the runs that are over now, and alerts that are new."""

    ends: tuple[End, ...] = ()
    alerts: list[Alert] = field(default_factory=list)

    def tell(self) -> None:
        """Log it, once it is committed."""
        for end in self.ends:
            said = f"{end.state}: {end.reason}" if end.reason else end.state
            of = end.run.schedule_name or "a pipeline"
            named = about(schedule=end.run.schedule_name, run=end.run.id)
            log.info("run %s of %s is %s", end.run.id, of, said, extra=named)
        tell(self.alerts)


def tell(alerts: Iterable[Alert]) -> None:
    """Log alerts that were committed."""
    for alert in alerts:
        log.error("%s", alert.text, extra=about(run=alert.run_id))


def end_runs(tx: LedgerTransaction, book: Book, ends: Sequence[End], now: int) -> Ended:
    """End runs; a failed one with a retry left is followed by another.

    What failed for good counts towards its schedule's ``pause_after_failures``, and one that
    finished begins the count anew. Runs that somebody asked for do not count, for they tell nothing
    about the schedule.
    """
    anew = {end.run.id: _anew(end, now) for end in ends}
    ends = [_announced(end, anew[end.run.id]) for end in ends]
    moved = set(tx.finish_runs([(end.run.id, end.state, end.reason) for end in ends], now))
    ends = [end for end in ends if end.run.id in moved]
    followers = [run for end in ends if (run := anew[end.run.id]) is not None]
    if followers:
        tx.insert_runs(followers)
    final = [
        end
        for end in ends
        if end.run.schedule_id is not None
        and anew[end.run.id] is None
        and end.state is not RunState.CANCELED
        and not asked(end.run)
    ]
    return Ended(tuple(ends), _count(tx, book, final, now) if final else [])


def _anew(end: End, now: int) -> Run | None:
    """Give the run that follows a failed one; None where there is none."""
    run, retries = end.run, end.run.retries
    if end.state is not RunState.FAILED or retries is None or run.number > retries.max:
        return None
    first, number = run.retry_of or run.id, run.number + 1
    return replace(
        run,
        id=str(uuid.uuid5(uuid.UUID(first), str(number))),
        retry_of=first,
        number=number,
        state=RunState.NOT_STARTED,
        reason=f"run {run.id} failed",
        created_at=now,
        started_at=None,
        ended_at=None,
        not_before=now + retries.wait(run.number) // timedelta(microseconds=1),
        start_by=None,  # the first one has or has not started by then
    )


def _announced(end: End, follower: Run | None) -> End:
    if follower is None or follower.not_before is None or follower.retries is None:
        return end
    count = f"{follower.number} of {follower.retries.max + 1}"
    return replace(
        end, reason=f"{end.reason}; run anew at {iso(follower.not_before)}, number {count}"
    )


def _count(tx: LedgerTransaction, book: Book, final: Sequence[End], now: int) -> list[Alert]:
    """Count failures in a row where the schedule asks for it; returns the alerts of pauses."""
    here = tx.schedules({str(end.run.schedule_id) for end in final})
    alerts: list[Alert] = []
    for end in final:
        registered = here.get(str(end.run.schedule_id))
        if registered is None:
            continue
        with suppress(ReconcilerError):  # it is degraded where it would fire
            schedule = book.schedule(registered)
            if schedule.pause_after_failures is None:
                continue
            if end.state is RunState.FINISHED:
                tx.clear_failures([registered.id])
                continue
            failed = tx.count_failures([registered.id])[registered.id]
            if failed >= schedule.pause_after_failures:
                many = "1 run" if failed == 1 else f"{failed} runs in a row"
                why = f"{many} failed, the last: run {end.run.id}: {end.reason}"
                key = f"{Alarm.PAUSED}:{end.run.id}"
                alerts += pause(tx, (registered, schedule), why, Alarm.PAUSED, key, now)
    return alerts


def pause(  # noqa: PLR0913, PLR0917  (everything the hold and the alert say)
    tx: LedgerTransaction,
    schedule: tuple[RegisteredSchedule, Schedule],
    why: str,
    alarm: Alarm,
    key: str,
    now: int,
) -> list[Alert]:
    """Hold a schedule until somebody releases it, and tell; nothing where it is held already."""
    here, spec = schedule
    by_data = isinstance(spec.trigger, DatastoreChange)
    catchup = Missed.ALL if by_data else Missed.SKIP
    if not tx.pause(here.id, Hold(who=RUNNER, why=why, since=now, catchup=catchup)):
        return []
    way_out = f"`reconciler release {here.name}` lets it go on"
    text = f"schedule {here.name} is paused: {why}; {way_out}"
    return tx.alert([Alert(key=key, alarm=alarm, at=now, text=text, schedule_id=here.id)])
