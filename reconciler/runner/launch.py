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
from reconciler.run import Attempt, AttemptState, progress
from reconciler.runner.admit import Admitted, Admitter
from reconciler.runner.endings import End, Ended, end_runs
from reconciler.runner.logs import about
from reconciler.runner.metrics import NOBODY, Metrics

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from reconciler.executor.base import Executor, Launch
    from reconciler.run import Progress, Run
    from reconciler.runner.admit import Limits
    from reconciler.runner.book import Book
    from reconciler.runner.compose import Composer
    from reconciler.runner.reap import Underway
    from reconciler.workspace.ledger import Ledger

log = logging.getLogger(__name__)

# An attempt that has not started for so long is submitted again: the executor may have had no room
# for it. Its start token makes that harmless, however early it comes.
PATIENCE = 10 * SECOND
# Attempts recorded in one transaction: the executor starts them while the next ones are made ready.
BATCH = 200


class Launcher:
    """Moves runs forward, as far as the runner's room reaches."""

    def __init__(  # noqa: PLR0913, PLR0917  (what it is made of)
        self,
        ledger: Ledger,
        executor: Executor,
        composer: Composer,
        book: Book,
        limits: Limits,
        node: str,
        metrics: Metrics = NOBODY,
    ) -> None:
        self._metrics = metrics
        self._ledger = ledger
        self._executor = executor
        self._composer = composer
        self._book = book
        self._admitter = Admitter(ledger, book, limits, node)
        # When each attempt that has not started was given to this executor: one that is not in
        # here was recorded by a runner that died before, or while, it submitted.
        self._submitted: dict[str, int] = {}
        self._canceled: set[str] = set()
        self._unreadable: set[str] = set()

    def forget(self) -> None:
        """Forget what was done in a session that is over: another runner may have gone on."""
        self._submitted, self._canceled = {}, set()

    def launch(self, underway: Underway, now: int, *, begin: bool = True) -> int | None:
        """Move every run as far as it goes now; with ``begin`` False nothing new is started.

        Returns the instant of the next retry, ``now`` if there is more to do at once, or None.
        """
        moves = self._progress(underway.runs, underway, now)
        admitted = self._admitter.admit(underway, moves, now) if begin else Admitted([])
        self._metrics.started(admitted.begun, now)
        runs = {run.id: run for run in (*underway.runs, *admitted.begun)}
        if not runs:
            return None
        lost = self._not_started(underway, moves, now) if begin else []
        new = [
            Attempt(
                run_id=run_id, step=step, number=number, state=AttemptState.STARTING, created_at=now
            )
            for run_id, step, number in admitted.starts
        ]
        ends = [
            End(runs[run_id], move.outcome, move.reason)
            for run_id, move in moves.items()
            if move.outcome is not None
        ]
        ended = Ended()
        if ends:
            with self._ledger.transaction() as tx:
                ended = end_runs(tx, self._book, ends, now)
            ended.tell()
            self._metrics.ended(end.state for end in ended.ends)
        self._cancel(moves.values())
        todo = [*lost, *new]
        failed_at_once = False
        for start in range(0, len(todo), BATCH):
            failed_at_once |= self._start(todo[start : start + BATCH], runs, now)
        if ended.ends or failed_at_once:
            return now
        return min(
            (move.wake_at for move in moves.values() if move.wake_at is not None), default=None
        )

    def _start(self, todo: Iterable[Attempt], runs: Mapping[str, Run], now: int) -> bool:
        """Record attempts and submit them; tells whether some failed before that."""
        launches, attempts = self._compose(todo, runs, now)
        with self._ledger.transaction() as tx:
            recorded = tx.record_attempts(attempts)
        self._metrics.learned(attempt for attempt in attempts if attempt.id in recorded)
        failed = len(launches) < len(attempts)
        launches = [launch for launch in launches if launch.id in recorded]
        if launches:
            self._executor.submit(launches)
            self._submitted |= {launch.id: now for launch in launches}
        return failed

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
                named = about(schedule=run.schedule_name, run=run.id, step=attempt.step)
                log.error("step %s is Failed: %s", attempt.id, error, extra=named)
            else:
                launches.append(launch)
                recorded.append(attempt)
        return launches, recorded

    def _cancel(self, steps: Iterable[Progress]) -> None:
        ids = {attempt.id for step in steps for attempt in step.cancel}
        if ids - self._canceled:
            self._executor.cancel(sorted(ids - self._canceled))
        self._canceled = ids
