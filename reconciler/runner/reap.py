"""Learn what became of the attempts, from evidence and never from elapsed time."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.executor.base import Exited, Gone, NotStarted, Running
from reconciler.run import Attempt, AttemptState, Run
from reconciler.runner.endings import tell
from reconciler.runner.logs import about
from reconciler.runner.metrics import NOBODY, Metrics
from reconciler.workspace.records import Alarm, Alert

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.executor.base import Evidence, Executor
    from reconciler.workspace.ledger import Ledger

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Underway:
    """The runs that are Running, with all their attempts as known now.

    ``unstarted`` are the ids of attempts that were recorded and have not started: they were never
    submitted, or their submission is still on its way, or came to nothing.
    """

    runs: tuple[Run, ...]
    attempts: dict[str, list[Attempt]]
    unstarted: frozenset[str]

    @property
    def live(self) -> int:
        """How many attempts are not over."""
        return sum(not attempt.over for tries in self.attempts.values() for attempt in tries)


def reap(
    ledger: Ledger, executor: Executor, now: int, node: str = "", metrics: Metrics = NOBODY
) -> Underway:
    """Read the runs under way, ask the executor about their attempts, record what is new.

    The executor sees the programs of ``node`` alone: an attempt of another one, whose runner is
    gone, is beyond all evidence.
    """
    runs = tuple(ledger.running_runs())
    attempts = ledger.attempts([run.id for run in runs]) if runs else {}
    live = [attempt for tries in attempts.values() for attempt in tries if not attempt.over]
    here = [attempt.id for attempt in live if attempt.node in {node, ""}]
    evidence = executor.look(here) if here else {}
    for attempt in live:
        evidence.setdefault(
            attempt.id, Gone(f"the runner on {attempt.node} that started it is gone")
        )
    learned = {
        attempt.id: after
        for attempt in live
        if (after := learn(attempt, evidence[attempt.id], now)) != attempt
    }
    if learned:
        with ledger.transaction() as tx:
            recorded = tx.record_attempts(list(learned.values()))
            names = {run.id: run for run in runs}
            alerts = tx.alert(
                [
                    _puzzle(names[attempt.run_id], attempt, now)
                    for attempt in learned.values()
                    if attempt.state is AttemptState.UNKNOWN and attempt.id in recorded
                ]
            )
        _tell(attempt for attempt in learned.values() if attempt.state is not AttemptState.UNKNOWN)
        metrics.learned(attempt for attempt in learned.values() if attempt.id in recorded)
        tell(alerts)
    return Underway(
        runs,
        {run: [learned.get(a.id, a) for a in tries] for run, tries in attempts.items()},
        frozenset(id_ for id_, found in evidence.items() if isinstance(found, NotStarted))
        - learned.keys(),
    )


def learn(attempt: Attempt, evidence: Evidence, now: int) -> Attempt:
    """Tell what an attempt is, given what the executor found; ``now`` dates what left no date."""
    match evidence:
        case NotStarted() if attempt.state is AttemptState.STARTING:
            return attempt
        case NotStarted():
            # It was seen running. To start it again would be to start it twice.
            return _unknown(attempt, "it ran, and its evidence is gone", now)
        case Running(started_at=started_at):
            return replace(attempt, state=AttemptState.RUNNING, started_at=started_at)
        case Exited():
            return replace(
                attempt,
                state=_end(evidence),
                reason=evidence.reason,
                exit_code=evidence.exit_code,
                started_at=evidence.started_at,
                ended_at=evidence.ended_at,
            )
        case Gone(reason=reason):
            return _unknown(attempt, reason, now)


def _unknown(attempt: Attempt, why: str, now: int) -> Attempt:
    return replace(
        attempt, state=AttemptState.UNKNOWN, reason=f"outcome unknown: {why}", ended_at=now
    )


def _end(exited: Exited) -> AttemptState:
    if exited.canceled:
        return AttemptState.CANCELED
    return AttemptState.FINISHED if exited.exit_code == 0 else AttemptState.FAILED


def _puzzle(run: Run, attempt: Attempt, now: int) -> Alert:
    text = f"step {attempt.id} of {run.schedule_name or 'a pipeline'} is {attempt.state}"
    return Alert(
        key=f"{Alarm.UNKNOWN}:{attempt.id}",
        alarm=Alarm.UNKNOWN,
        at=now,
        text=f"{text}: {attempt.reason} (on_unknown: {run.on_unknown})",
        schedule_id=run.schedule_id,
        run_id=run.id,
    )


def _tell(attempts: Iterable[Attempt]) -> None:
    for attempt in attempts:
        said = f"{attempt.state}: {attempt.reason}" if attempt.reason else attempt.state
        named = about(run=attempt.run_id, step=attempt.step)
        log.info("step %s is %s", attempt.id, said, extra=named)
