"""What happened: fires, runs and attempts as frozen values, and how a run's graph moves on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha1
from typing import TYPE_CHECKING

from reconciler.fields import Scalar
from reconciler.retries import Retries
from reconciler.schedule import OnUnknown

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
    POLL = "p"
    BACKFILL = "b"
    MANUAL = "m"
    GAP = "g"


class Gate(StrEnum):
    """Which of the gates that a fire passes had the last word; ``due`` means that none stopped it.

    In the order they are passed: ``status`` (Disabled, or its pipeline is), ``hold``, ``missed``
    (late, and the missed policy decided), ``overlap``, ``limit`` (max_active_runs). ``asked`` is a
    fire by hand or of a backfill, ``first`` the one immediate run of a new schedule, ``restore``
    what a restored workspace cannot know about.
    """

    DUE = "due"
    FIRST = "first"
    ASKED = "asked"
    STATUS = "status"
    HOLD = "hold"
    MISSED = "missed"
    OVERLAP = "overlap"
    LIMIT = "limit"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """One decision about one occurrence of one schedule.

    ``occurrence_key`` is unique within the schedule and carries no revision, so no edit can make
    an occurrence fire twice: ``r:2026-03-08T07:30:00Z`` recurrence and cron, ``i:`` initial,
    ``d:<watch>:<change_seq>`` one changed file, ``p:<watch>:<poll_seq>`` all that one poll found,
    ``b:<backfill>:<due>`` one of a backfill, ``m:<token>`` manual, ``g:<from>/<to>`` a gap.
    ``gate`` says what decided.
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
    gate: Gate = Gate.DUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of one published pipeline version, with everything frozen at the fire.

    Times are instants in microseconds. ``facts`` are what the fire knew about its cause, for data
    fires what ``trigger.cause`` says.

    It is not started before ``not_before``. A failed run that is run anew is another run with the
    same key: ``number`` counts them from 1, and ``retry_of`` is the first one's id. ``start_by``
    and ``finish_by`` are the instants after which somebody is told that it is late.
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
    number: int = 1
    retry_of: str | None = None
    not_before: int | None = None
    retries: Retries | None = None
    on_unknown: OnUnknown = OnUnknown.FAIL
    pool: str | None = None
    start_by: int | None = None
    finish_by: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at one step of one run. ``number`` counts from 1; times are instants.

    ``node`` names the place it was started on (see ``workspace.records.Session``): only a runner
    there can find out about it.
    """

    run_id: str
    step: str
    number: int
    state: AttemptState
    reason: str = ""
    exit_code: int | None = None
    created_at: int = 0
    started_at: int | None = None
    ended_at: int | None = None
    node: str = ""

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


def run_id(schedule_id: str, key: str, epoch: int = 0) -> str:
    """Derive a run's id from what it is a run of: the same occurrence, the same run.

    ``epoch`` is the workspace's: after a restore the same key may stand for another occurrence,
    whose programs must not be taken for those of the first.
    """
    # It is uuid5(UUID(schedule_id), name), in a quarter of its time.
    name = f"{key}@{epoch}" if epoch else key
    space = bytes.fromhex(schedule_id.replace("-", ""))
    digest = sha1(space + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) % 4]
    middle = f"{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}"
    return f"{digest[:8]}-{middle}-{digest[20:32]}"


# How often one step is started again where its outcome was unknown.
RELAUNCHES = 3


def progress(run: Run, pipeline: Pipeline, attempts: Sequence[Attempt], now: int) -> Progress:
    """Decide how ``run`` moves on, from nothing but what is known about its attempts.

    A step may start once all it depends on have finished. A failed step is retried as its
    ``retries`` say. An attempt whose outcome is unknown counts as the run's ``on_unknown`` says: as
    failed, as something to start again (``RELAUNCHES`` times at most, then as failed), or as
    unfinished until somebody cancels the run. A step that failed for good stops the run and the
    steps still running, unless ``continue_on_step_failure`` is set: then only the steps that depend
    on it are left out.
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
        step.name: _retry_at(step, last[step.name], run, attempts)
        for step in pipeline.steps
        if step.name in last
    }
    puzzles = run.on_unknown is OnUnknown.WAIT and any(
        attempt.state is AttemptState.UNKNOWN for attempt in last.values()
    )
    dead = [
        name
        for name, attempt in last.items()
        if attempt.over
        and name not in finished
        and retries[name] is None
        and not (puzzles and attempt.state is AttemptState.UNKNOWN)
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
    if start or live or wake_at is not None or puzzles:
        return Progress(start=tuple(start), wake_at=wake_at)
    return _failed(last, dead) if dead else Progress(outcome=RunState.FINISHED)


def _retry_at(step: Step, last: Attempt, run: Run, attempts: Sequence[Attempt]) -> int | None:
    """When the step's ``last`` attempt is followed by another, as an instant; None for never."""
    ended = last.ended_at or last.created_at
    tries = [attempt for attempt in attempts if attempt.step == step.name]
    if last.state is AttemptState.UNKNOWN and run.on_unknown is OnUnknown.RELAUNCH:
        unknown = sum(attempt.state is AttemptState.UNKNOWN for attempt in tries)
        return ended if unknown <= RELAUNCHES else None
    if last.state is not AttemptState.FAILED or step.retries is None:
        return None
    failed = sum(attempt.state is AttemptState.FAILED for attempt in tries)
    if failed > step.retries.max:
        return None
    return ended + step.retries.wait(failed) // timedelta(microseconds=1)


def _failed(last: Mapping[str, Attempt], dead: Sequence[str]) -> Progress:
    # A step stopped because another failed is a consequence; name the cause first.
    causes = [name for name in dead if last[name].state is not AttemptState.CANCELED] or dead
    first = min((last[name] for name in causes), key=lambda a: (a.ended_at or 0, a.step))
    return Progress(outcome=RunState.FAILED, reason=f"step {first.step}: {first.reason}")
