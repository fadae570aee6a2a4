"""What happened: fires, runs and attempts as frozen values, and how a run's graph moves on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.fields import Scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.pipeline import Pipeline, Step


class Decision(StrEnum):
    """What was decided about one occurrence."""

    LAUNCH = "launch"
    QUEUE = "queue"
    SKIP = "skip"
    MISS = "miss"
    GAP = "gap"


class RunState(StrEnum):
    """Where a run stands; the words are those of Azure ML's pipeline runs."""

    NOT_STARTED = "NotStarted"
    RUNNING = "Running"
    FINISHED = "Finished"
    FAILED = "Failed"
    CANCELED = "Canceled"

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to the run."""
        return self in {RunState.FINISHED, RunState.FAILED, RunState.CANCELED}


class AttemptState(StrEnum):
    """Where one attempt at one step stands.

    ``Starting`` was recorded before the executor was asked; ``Unknown`` means the program was
    started once and its outcome cannot be known.
    """

    STARTING = "Starting"
    RUNNING = "Running"
    FINISHED = "Finished"
    FAILED = "Failed"
    CANCELED = "Canceled"
    UNKNOWN = "Unknown"

    @property
    def over(self) -> bool:
        """Whether the attempt has ended."""
        return self not in {AttemptState.STARTING, AttemptState.RUNNING}


class Kind(StrEnum):
    """What made a fire due; the first letter opens its occurrence key."""

    RECURRENCE = "r"
    INITIAL = "i"
    DATA = "d"
    MANUAL = "m"
    GAP = "g"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """One decision about one occurrence of one schedule.

    ``occurrence_key`` is unique within the schedule and carries no revision, so no edit can make
    an occurrence fire twice: ``r:2026-03-08T07:30:00Z`` recurrence and cron, ``i:`` initial,
    ``d:<watch>:<change_seq>`` one changed file, ``m:<token>`` manual, ``g:<from>/<to>`` a gap.
    ``due_at`` and ``decided_at`` are instants in microseconds; ``count`` is the number of
    occurrences the row stands for, above 1 only for a gap.
    """

    schedule_id: str
    occurrence_key: str
    due_at: int
    decided_at: int
    decision: Decision
    reason: str
    revision: int
    run_id: str | None = None
    count: int = 1
    facts: Mapping[str, Scalar] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of one published pipeline version, with everything frozen at the fire.

    Times are instants in microseconds. ``facts`` are what the fire knew about its cause, for data
    fires the datastore, path, size and kind of change.
    """

    id: str
    schedule_id: str | None
    schedule_name: str
    occurrence_key: str
    pipeline_id: str
    experiment_name: str
    parameters: Mapping[str, Scalar]
    continue_on_step_failure: bool
    state: RunState
    reason: str
    due_at: int
    created_at: int
    started_at: int | None = None
    ended_at: int | None = None
    cancel_requested: str | None = None
    facts: Mapping[str, Scalar] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at one step of one run. ``number`` counts from 1; times are instants."""

    run_id: str
    step: str
    number: int
    state: AttemptState
    reason: str = ""
    exit_code: int | None = None
    created_at: int = 0
    started_at: int | None = None
    ended_at: int | None = None

    @property
    def over(self) -> bool:
        """Whether the attempt has ended."""
        return self.state.over

    @property
    def id(self) -> str:
        """The engine's id for it: the same for ever, so asking twice cannot start it twice."""
        return f"{self.run_id}/{self.step}/{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What to do next for a run.

    ``start`` are (step, attempt number) pairs to start now; ``cancel`` are attempts to stop;
    ``wake_at`` is when a retry is due; ``outcome`` and ``reason`` are set once the run is over.
    """

    start: tuple[tuple[str, int], ...] = ()
    cancel: tuple[Attempt, ...] = ()
    wake_at: int | None = None
    outcome: RunState | None = None
    reason: str = ""


def progress(run: Run, pipeline: Pipeline, attempts: Sequence[Attempt], now: int) -> Progress:
    """Decide how ``run`` moves on, from nothing but what is known about its attempts.

    A step may start once all it depends on have finished. A failed step is retried as its
    ``retries`` say. A step that failed for good stops the run and the steps still running, unless
    ``continue_on_step_failure`` is set: then only the steps that depend on it are left out.
    """
    last = {attempt.step: attempt for attempt in sorted(attempts, key=lambda a: a.number)}
    live = tuple(attempt for attempt in last.values() if not attempt.over)
    finished = {name for name, a in last.items() if a.state is AttemptState.FINISHED}
    if run.cancel_requested is not None:
        if live:
            return Progress(cancel=live)
        if len(finished) < len(pipeline.steps):
            return Progress(outcome=RunState.CANCELED, reason=run.cancel_requested)
        return Progress(outcome=RunState.FINISHED)
    retries = {
        name: _retry_at(step, last[name]) for step in pipeline.steps if (name := step.name) in last
    }
    dead = [
        name
        for name, attempt in last.items()
        if attempt.over and name not in finished and retries[name] is None
    ]
    if dead and not run.continue_on_step_failure:
        return Progress(cancel=live) if live else _failed(last, dead)
    start = [
        (step.name, 1)
        for step in pipeline.steps
        if step.name not in last and finished.issuperset(step.depends_on)
    ]
    waiting = [(name, at) for name, at in retries.items() if at is not None]
    start += [(name, last[name].number + 1) for name, at in waiting if at <= now]
    wake_at = min((at for _, at in waiting if at > now), default=None)
    if start or live or wake_at is not None:
        return Progress(start=tuple(start), wake_at=wake_at)
    return _failed(last, dead) if dead else Progress(outcome=RunState.FINISHED)


def _retry_at(step: Step, attempt: Attempt) -> int | None:
    """When ``attempt`` is followed by another one, as an instant; None for never."""
    if attempt.state is not AttemptState.FAILED or step.retries is None:
        return None
    if attempt.number > step.retries.max:
        return None
    ended = attempt.ended_at or attempt.created_at
    return ended + int(step.retries.wait(attempt.number).total_seconds() * 1_000_000)


def _failed(last: Mapping[str, Attempt], dead: Sequence[str]) -> Progress:
    # A step stopped because another failed is a consequence; name the cause first.
    causes = [name for name in dead if last[name].state is not AttemptState.CANCELED] or dead
    first = min((last[name] for name in causes), key=lambda a: (a.ended_at or 0, a.step))
    return Progress(outcome=RunState.FAILED, reason=f"step {first.step}: {first.reason}")
