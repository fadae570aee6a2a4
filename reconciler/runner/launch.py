"""Start what may start: waiting runs, and the ready steps of running ones.

The order is record, submit, mark. A crash after recording finds an attempt that was never
submitted and submits it; a crash after submitting submits it again, and the start token makes that
nothing.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.clock import SECOND
from reconciler.errors import ExecutorError, ReconcilerError
from reconciler.run import Attempt, AttemptState, Kind, RunState, progress
from reconciler.trigger.decide import Policy
from reconciler.trigger.overlap import startable

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from reconciler.executor.base import Executor, Launch
    from reconciler.run import Progress, Run
    from reconciler.runner.book import Book
    from reconciler.runner.compose import Composer
    from reconciler.runner.reap import Underway
    from reconciler.workspace.base import Ledger, LedgerTransaction

log = logging.getLogger(__name__)

# An attempt that has not started for so long is submitted again: the executor may have had no room
# for it. Its start token makes that harmless, however early it comes.
PATIENCE = 10 * SECOND


class Launcher:
    """Moves runs forward, with at most ``max_steps`` programs at a time."""

    def __init__(
        self, ledger: Ledger, executor: Executor, composer: Composer, book: Book, max_steps: int
    ) -> None:
        self._ledger = ledger
        self._executor = executor
        self._composer = composer
        self._book = book
        self._max_steps = max_steps
        # When each attempt that has not started was given to this executor: one that is not in
        # here was recorded by a runner that died before, or while, it submitted.
        self._submitted: dict[str, int] = {}
        self._canceled: set[str] = set()
        self._unreadable: set[str] = set()

    def launch(self, underway: Underway, now: int, *, begin: bool = True) -> int | None:
        """Move every run as far as it goes now; with ``begin`` False nothing new is started.

        Returns the instant of the next retry, ``now`` if there is more to do at once, or None.
        """
        steps = self._progress(underway.runs, underway, now)
        free = max(0, self._max_steps - underway.live) if begin else 0
        # A run that only waits for its retry takes no room from another.
        room = free - sum(len(step.start) for step in steps.values())
        started = self._start_waiting(now, max(0, room)) if begin else []
        runs = [*underway.runs, *started]
        if not runs:
            return None
        steps |= self._progress(started, underway, now)
        lost = self._not_started(underway, steps, now) if begin else []
        new = [
            Attempt(
                run_id=run_id, step=step, number=number, state=AttemptState.STARTING, created_at=now
            )
            for run_id, moves in steps.items()
            for step, number in moves.start
        ][:free]
        by_id = {run.id: run for run in runs}
        launches, attempts = self._compose([*lost, *new], by_id, now)
        ends = [
            (run_id, step.outcome, step.reason)
            for run_id, step in steps.items()
            if step.outcome is not None
        ]
        recorded: set[str] = set()
        if attempts or ends:
            with self._ledger.transaction() as tx:
                recorded = tx.record_attempts(attempts)
                ended = set(tx.finish_runs(ends, now))
            ends = [end for end in ends if end[0] in ended]
        for run_id, outcome, reason in ends:
            said = f"{outcome}: {reason}" if reason else outcome
            log.info(
                "run %s of %s is %s", run_id, by_id[run_id].schedule_name or "a pipeline", said
            )
        self._cancel(steps.values())
        failed_at_once = len(launches) < len(attempts)
        launches = [launch for launch in launches if launch.id in recorded]
        if launches:
            self._executor.submit(launches)
            self._submitted |= {launch.id: now for launch in launches}
        if ends or failed_at_once:
            return now
        return min((s.wake_at for s in steps.values() if s.wake_at is not None), default=None)

    def _start_waiting(self, now: int, room: int) -> list[Run]:
        """Move ``room`` waiting runs, as their schedules' overlap policies let them, to Running."""
        if not self._ledger.waits(now):
            return []
        with self._ledger.transaction() as tx:
            waiting = tx.waiting_runs(now, room)
            canceled = [run for run in waiting if run.cancel_requested is not None]
            ends = [(run.id, RunState.CANCELED, run.cancel_requested or "") for run in canceled]
            tx.finish_runs(ends, now)
            rest = [run for run in waiting if run.cancel_requested is None]
            chosen = self._may_start(tx, rest)[:room]
            started = set(tx.start_runs([run.id for run in chosen], now))
        return [
            replace(run, state=RunState.RUNNING, started_at=now)
            for run in chosen
            if run.id in started
        ]

    def _may_start(self, tx: LedgerTransaction, waiting: list[Run]) -> list[Run]:
        queues: dict[str | None, list[Run]] = {}
        for run in waiting:
            # Whoever asked for a run by hand has seen the others.
            manual = run.occurrence_key.startswith(Kind.MANUAL)
            queues.setdefault(None if manual else run.schedule_id, []).append(run)
        schedules = tx.schedules({id_ for id_ in queues if id_ is not None})
        unfinished = tx.unfinished(schedules)
        chosen = queues.pop(None, [])
        for id_, queue in queues.items():
            try:
                policy = Policy.of(self._book.schedule(schedules[str(id_)]))
            except ReconcilerError as error:
                self._alert(f"the waiting runs of schedule {id_}", error)
                continue
            running = len(unfinished[str(id_)].running)
            count = startable(policy.overlap, policy.max_active_runs, running, len(queue))
            chosen += queue[:count]
        return sorted(chosen, key=lambda run: (run.created_at, run.due_at))

    def _progress(self, runs: Iterable[Run], underway: Underway, now: int) -> dict[str, Progress]:
        unknown = self._book.unknown(run.pipeline_id for run in runs)
        if unknown:
            with self._ledger.transaction() as tx:
                self._book.learn(tx.pipelines(unknown))
        moves = {}
        for run in runs:
            try:
                pipeline = self._book.pipeline(run.pipeline_id)
            except ReconcilerError as error:
                self._alert(f"run {run.id}", error)
            else:
                moves[run.id] = progress(run, pipeline, underway.attempts.get(run.id, []), now)
        return moves

    def _alert(self, what: str, error: ReconcilerError) -> None:
        """Alert once about what is left alone because it cannot be read; the others go on."""
        if what not in self._unreadable:
            self._unreadable.add(what)
            log.error("%s cannot move: %s", what, error)

    def _not_started(self, underway: Underway, readable: Container[str], now: int) -> list[Attempt]:
        """Give the attempts to submit again, and forget what is known to have started."""
        self._submitted = {
            id_: at for id_, at in self._submitted.items() if id_ in underway.unstarted
        }
        return [
            attempt
            for run_id, tries in underway.attempts.items()
            if run_id in readable
            for attempt in tries
            if attempt.id in underway.unstarted
            and not 0 <= now - self._submitted.get(attempt.id, now - PATIENCE) < PATIENCE
        ]

    def _compose(
        self, attempts: Iterable[Attempt], runs: Mapping[str, Run], now: int
    ) -> tuple[list[Launch], list[Attempt]]:
        """Put the programs together; one that cannot be is a failed attempt with the reason."""
        launches: list[Launch] = []
        recorded: list[Attempt] = []
        for attempt in attempts:
            run = runs[attempt.run_id]
            version = self._book.version(run.pipeline_id)
            pipeline = self._book.pipeline(run.pipeline_id)
            step = next(step for step in pipeline.steps if step.name == attempt.step)
            try:
                launch = self._composer.launch(run, pipeline, step, attempt, version)
            except ExecutorError as error:
                # A runner that died may have submitted it: from now on it cannot start any more.
                self._executor.cancel([attempt.id])
                failed = replace(
                    attempt, state=AttemptState.FAILED, reason=str(error), ended_at=now
                )
                recorded.append(failed)
                log.error("step %s is Failed: %s", attempt.id, error)
            else:
                launches.append(launch)
                recorded.append(attempt)
        return launches, recorded

    def _cancel(self, steps: Iterable[Progress]) -> None:
        ids = {attempt.id for step in steps for attempt in step.cancel}
        if ids - self._canceled:
            self._executor.cancel(sorted(ids - self._canceled))
        self._canceled = ids
