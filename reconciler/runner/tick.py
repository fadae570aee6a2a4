"""Decide about what has come due, by the clock and by data: one transaction per batch.

Nothing outside the database happens in here. A crash before the commit leaves nothing, a crash
after it leaves everything; doing it again changes nothing, because an occurrence's key is unique.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from hashlib import sha256
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from reconciler.bulk import bulk
from reconciler.clock import MINUTE
from reconciler.data import Datastore, DatastoreChange
from reconciler.errors import NotFound, ReconcilerError
from reconciler.plan.spec import spec_value
from reconciler.run import Decision, Fire, Gate, Run, RunState, run_id
from reconciler.runner.arrive import Due, arrivals_of
from reconciler.runner.held import Log, next_page
from reconciler.runner.logs import about
from reconciler.runner.metrics import NOBODY, Metrics
from reconciler.schedule import Deadline, Status
from reconciler.trigger.cause import Cause
from reconciler.trigger.decide import (
    GRACE,
    Gap,
    Policy,
    Timer,
    data_gap_key,
    decide,
    due_key,
    gap_key,
    initial_key,
)
from reconciler.trigger.jitter import delay
from reconciler.trigger.overlap import choose
from reconciler.workspace.ledger import LedgerTransaction
from reconciler.workspace.records import Alarm, Alert, TimerMove, Unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.live import PublishedPipeline, RegisteredDatastore, RegisteredSchedule
    from reconciler.runner.book import Book
    from reconciler.schedule import Schedule
    from reconciler.trigger.calendar import Calendar
    from reconciler.workspace.ledger import Ledger
    from reconciler.workspace.records import DueTimer

log = logging.getLogger(__name__)

# Timers and changes decided in one transaction; large enough that its fsync is shared by many,
# small enough that others who write need not wait.
BATCH = 1_000
# Files that are decided about in one transaction: with many schedules on one directory, few of them
# at a time.
_MOST_FILES = 10_000
_NO_DEADLINE = Deadline()


@dataclass(slots=True)
class _Batch:
    """What one transaction is going to write."""

    now: int
    tx: LedgerTransaction
    epoch: int
    fires: list[Fire] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    cancel: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    degraded: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


class Ticker:
    """Fires schedules."""

    def __init__(self, ledger: Ledger, book: Book, metrics: Metrics = NOBODY) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._book = book
        self._degraded: dict[str, str] = {}
        # Whether the last tick stopped before all that was due was decided.
        self.behind = False

    def tick(self, batches: float = inf) -> int:
        """Decide about what is due now; returns how many decisions were written.

        It stops after so many ``batches`` by the clock, and as many by data, so that what was
        decided can start meanwhile.
        """
        written, self.behind = 0, False
        for decide_batch, full in ((self._clock, BATCH), (self._data, 1)):
            for number in count(1):
                claimed, fires = self._batch(decide_batch)
                written += fires
                if claimed < full:
                    break
                if number >= batches:
                    self.behind = True
                    break
        return written

    def read_ahead(self, until: int) -> None:
        """Read schedules that are due by ``until``, so that they are decided about sooner then."""
        with bulk():
            with self._ledger.transaction() as tx:
                due = tx.due_timers(until, BATCH)
                here = tx.schedules(timer.schedule_id for timer in due) if due else {}
            for schedule in here.values():
                with suppress(ReconcilerError):  # it is degraded when it is due
                    self._book.calendar(schedule)

    @cached_property
    def _epoch(self) -> int:
        # Nobody restores a workspace under a runner's session.
        return self._ledger.epoch()

    def forget(self) -> None:
        """Forget what belongs to a session that is over."""
        self.__dict__.pop("_epoch", None)

    def _batch(self, decide_batch: Callable[[_Batch], int]) -> tuple[int, int]:
        epoch = self._epoch
        with bulk(), self._ledger.transaction() as tx:
            batch = _Batch(self._ledger.now(), tx, epoch)
            claimed = decide_batch(batch)
            for run_id, reason in batch.cancel.items():
                tx.request_cancel([run_id], reason)
            fires = tx.record_fires(batch.fires, batch.runs) if batch.fires else []
            if batch.files:
                new = {fire.run_id for fire in fires}
                tx.keep_files({run: files for run, files in batch.files.items() if run in new})
            if batch.alerts:
                tx.alert(batch.alerts)
        self._degraded |= batch.degraded
        for alert in batch.alerts:
            log.error("%s", alert.text)
        for fire in fires if log.isEnabledFor(logging.INFO) else ():
            name = batch.names[fire.schedule_id]
            named = about(schedule=name, run=fire.run_id, decision=fire.decision, gate=fire.gate)
            said = fire.occurrence_key, name, fire.decision, fire.reason
            log.info("%s of %s: %s, %s", *said, extra=named)
        self._metrics.fired(fires)
        return claimed, len(fires)

    # By the clock -----------------------------------------------------------------------------

    def _clock(self, batch: _Batch) -> int:
        due = batch.tx.due_timers(batch.now, BATCH)
        if due:
            here = batch.tx.schedules(timer.schedule_id for timer in due)
            unfinished = batch.tx.unfinished(here)
            versions = self._versions(batch.tx, here)
            moves = [
                self._timer(
                    batch,
                    timer,
                    here[timer.schedule_id],
                    unfinished.get(timer.schedule_id, Unfinished()),
                    versions,
                )
                for timer in due
                if not _held(here[timer.schedule_id], batch.now)
            ]
            batch.tx.move_timers(moves)
        return len(due)

    def _timer(
        self,
        batch: _Batch,
        timer: DueTimer,
        here: RegisteredSchedule,
        unfinished: Unfinished,
        versions: Mapping[str, PublishedPipeline],
    ) -> TimerMove:
        try:
            schedule = self._read(here, versions)
            calendar = self._book.calendar(here)
        except ReconcilerError as error:
            self._degrade(batch, here, error)
            return TimerMove(
                schedule_id=here.id,
                next_due=batch.now + MINUTE,
                processed_to=timer.processed_to,
            )
        self._degraded.pop(here.id, None)
        policy = Policy.of(schedule)
        running, waiting = list(unfinished.running), list(unfinished.waiting)
        dues: list[Due] = []
        if timer.initial:
            verdict = choose(policy.overlap, policy.max_active_runs, running, waiting)
            reason = verdict.reason or "first run on creation"
            gate = Gate.FIRST if verdict.gate is Gate.DUE else verdict.gate
            dues.append(Due(initial_key(), timer.processed_to, verdict.decision, reason, gate))
            if verdict.decision is Decision.LAUNCH:
                running.append("of its creation")
        state = Timer(
            processed_to=timer.processed_to, hold=here.hold, running=running, waiting=waiting
        )
        outcome = decide(state, calendar, policy, batch.now)
        dues += [
            Due(
                due_key(d.due),
                d.due,
                d.decision,
                d.reason,
                d.gate,
                _spread(here.id, d.due, schedule, calendar, batch.now),
            )
            for d in outcome.decided
        ]
        replaced = unfinished if outcome.cancel_running else Unfinished()
        self._write(batch, here, schedule, dues, versions, replaced)
        for gap in outcome.gaps:
            key = gap_key(gap.first, gap.last)
            _pass_over(batch, here, key, gap)
        if outcome.lift_hold:
            batch.tx.lift_expired_hold(here.id)
        return TimerMove(
            schedule_id=here.id, next_due=outcome.next_due, processed_to=outcome.processed_to
        )

    def _degrade(self, batch: _Batch, here: RegisteredSchedule, error: ReconcilerError) -> None:
        """Alert once about a schedule that cannot be decided; the others go on."""
        why = str(error)
        if self._degraded.get(here.id) == why:
            return
        batch.degraded[here.id] = why
        text = f"schedule {here.name} ({here.id}) is degraded and does not fire: {why}"
        digest = sha256(why.encode()).hexdigest()[:8]
        batch.alerts.append(
            Alert(
                key=f"{Alarm.DEGRADED}:{here.id}:{here.revision}:{digest}",
                alarm=Alarm.DEGRADED,
                at=batch.now,
                text=text,
                schedule_id=here.id,
            )
        )

    # By data ----------------------------------------------------------------------------------

    def _data(self, batch: _Batch) -> int:
        """Fire the data schedules that lag behind; returns how many moved on."""
        arrivals = batch.tx.arrivals(BATCH)
        here = batch.tx.schedules(arrival.schedule_id for arrival in arrivals)
        unfinished = batch.tx.unfinished(here) if here else {}
        versions = self._versions(batch.tx, here)
        stores = self._ledger.datastores() if here else {}
        cursors: dict[str, int] = {}
        logs, decided = Log(batch.tx), 0
        for arrival in arrivals:
            schedule = here[arrival.schedule_id]
            if decided >= _MOST_FILES:
                break
            if _held(schedule, batch.now):
                continue
            try:
                spec = self._read(schedule, versions)
                cause = _cause(spec, stores)
            except ReconcilerError as error:
                self._degrade(batch, schedule, error)
                continue
            self._degraded.pop(schedule.id, None)
            page = next_page(logs, arrival, schedule.hold, cause.trigger)
            cursors[schedule.id] = page.cursor
            decided += len(page.changes)
            open_runs = unfinished.get(schedule.id, Unfinished())
            dues, cancel = arrivals_of(page, cause, Policy.of(spec), open_runs, batch.now)
            replaced = open_runs if cancel else Unfinished()
            self._write(batch, schedule, spec, dues, versions, replaced)
            if page.passed is not None:
                gone = page.passed
                key = data_gap_key(arrival.watch_id, gone.first, gone.last)
                held = Gap(batch.now, batch.now, gone.count, gone.reason, Gate.HOLD)
                _pass_over(batch, schedule, key, held)
            if page.lift:
                batch.tx.lift_expired_hold(schedule.id)
        batch.tx.move_cursors(cursors)
        return len(cursors)

    # Both -------------------------------------------------------------------------------------

    def _versions(
        self, tx: LedgerTransaction, here: Mapping[str, RegisteredSchedule]
    ) -> dict[str, PublishedPipeline]:
        """Find the version each schedule runs now: its bound one, or the newest for ``@latest``."""
        bound = {s.pipeline_id for s in here.values() if s.pipeline_id is not None}
        by_id = tx.pipelines(bound) if bound else {}
        late: dict[str, str] = {}
        for schedule in here.values():
            if schedule.pipeline_id is None:
                with suppress(ReconcilerError):  # it is degraded where it would be decided about
                    name = self._book.schedule(schedule).pipeline
                    late[schedule.id] = name.removesuffix("@latest")
        newest = tx.newest_pipelines(set(late.values())) if late else {}
        found = {s.id: by_id[s.pipeline_id] for s in here.values() if s.pipeline_id is not None}
        found |= {id_: newest[name] for id_, name in late.items() if name in newest}
        self._book.learn({version.id: version for version in found.values()})
        return found

    def _read(
        self, here: RegisteredSchedule, versions: Mapping[str, PublishedPipeline]
    ) -> Schedule:
        """Read a schedule's spec, and see that its pipeline's can be read too.

        Raises:
            InvalidValue: this version of the program cannot read one of them.
        """
        if here.id in versions:
            self._book.pipeline(versions[here.id].id)
        return self._book.schedule(here)

    def _write(  # noqa: PLR0913, PLR0917  (everything a fire comes from)
        self,
        batch: _Batch,
        here: RegisteredSchedule,
        schedule: Schedule,
        dues: list[Due],
        versions: Mapping[str, PublishedPipeline],
        replaced: Unfinished,
    ) -> None:
        """Add the fires of one schedule, each with its run where it has one.

        A run among them takes the place of the ``replaced`` ones.
        """
        batch.names[here.id] = here.name
        version = versions.get(here.id)
        for due in dues:
            decision, reason, gate = due.decision, due.reason, due.gate
            launching = decision in {Decision.LAUNCH, Decision.QUEUE}
            if launching and (version is None or version.status is not Status.ACTIVE):
                decision, gate, launching = Decision.SKIP, Gate.STATUS, False
                reason = f"skipped: pipeline {schedule.pipeline} has no Active version"
            run = run_id(here.id, due.key, batch.epoch) if launching else None
            batch.fires.append(
                Fire(
                    schedule_id=here.id,
                    occurrence_key=due.key,
                    due_at=due.at,
                    decided_at=batch.now,
                    decision=decision,
                    reason=reason,
                    revision=here.revision,
                    run_id=run,
                    facts=due.facts,
                    gate=gate,
                )
            )
            if run is not None and version is not None:
                batch.runs.append(self._run(run, here, schedule, due, version, batch.now))
                if due.files is not None:
                    batch.files[run] = due.files
                ids = (*replaced.running, *replaced.waiting)
                text = "a newer fire replaced it (overlap: cancel_running)"
                batch.cancel |= dict.fromkeys(ids, text)

    def _run(  # noqa: PLR0913, PLR0917  (everything a run freezes)
        self,
        id_: str,
        here: RegisteredSchedule,
        schedule: Schedule,
        due: Due,
        version: PublishedPipeline,
        now: int,
    ) -> Run:
        pipeline = self._book.pipeline(version.id)
        given = {**schedule.pipeline_parameters, **(due.parameters or {})}
        own = schedule.continue_on_step_failure
        deadline = schedule.deadline or _NO_DEADLINE
        return Run(
            id=id_,
            schedule_id=here.id,
            schedule_name=here.name,
            occurrence_key=due.key,
            pipeline_id=version.id,
            experiment_name=schedule.experiment_name,
            parameters=pipeline.resolve(given),
            continue_on_step_failure=pipeline.continue_on_step_failure if own is None else own,
            state=RunState.NOT_STARTED,
            reason="",
            due_at=due.at,
            created_at=now,
            facts=due.facts,
            not_before=due.not_before,
            retries=schedule.retries,
            on_unknown=schedule.on_unknown,
            pool=schedule.pool,
            start_by=_after(due.at, deadline.start),
            finish_by=_after(due.at, deadline.finish),
        )


def _held(here: RegisteredSchedule, now: int) -> bool:
    """Tell whether somebody has held the schedule since it was claimed: what was claimed waits."""
    return here.hold is not None and here.hold.active(now)


def _cause(schedule: Schedule, stores: Mapping[str, RegisteredDatastore]) -> Cause:
    """Give what a data schedule's runs are told.

    Raises:
        InvalidValue: this version of the program cannot read its datastore's spec.
        NotFound: there is no such datastore.
    """
    trigger = schedule.trigger
    assert isinstance(trigger, DatastoreChange), "only these have cursors"  # noqa: S101  (arm's law)
    if trigger.datastore not in stores:
        raise NotFound(f"datastore '{trigger.datastore}' is not registered")
    return Cause(trigger, spec_value(Datastore, stores[trigger.datastore].spec).url)


def _after(due: int, span: timedelta | None) -> int | None:
    return None if span is None else due + span // timedelta(microseconds=1)


def _spread(
    schedule_id: str, due: int, schedule: Schedule, calendar: Calendar, now: int
) -> int | None:
    """Tell when the run of a fire may start that is on time; None for at once."""
    if schedule.jitter is None or now - due > GRACE:
        return None
    jitter = schedule.jitter // timedelta(microseconds=1)
    return due + delay(schedule_id, due, jitter, calendar.next_after(due))


def _pass_over(batch: _Batch, here: RegisteredSchedule, key: str, gap: Gap) -> None:
    """Add the one row of occurrences that are not made up for."""
    batch.names[here.id] = here.name
    batch.fires.append(
        Fire(
            schedule_id=here.id,
            occurrence_key=key,
            due_at=gap.first,
            decided_at=batch.now,
            decision=Decision.GAP,
            reason=gap.reason,
            revision=here.revision,
            count=gap.count,
            gate=gap.gate,
        )
    )
