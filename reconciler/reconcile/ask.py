"""Runs that somebody asks for: once by hand, or many of a backfill; with everything frozen.

What is asked for twice with one token is one and the same. The schedule's own policies that say
when and whether to fire play no part; those that say how a run goes do.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.errors import NotFound, Refused
from reconciler.pipeline import Pipeline
from reconciler.plan.bind import label
from reconciler.plan.spec import spec_value
from reconciler.reconcile.operate import (
    check_parameters,
    find_pipeline,
    find_schedule,
    registered,
)
from reconciler.run import Run, RunState, run_id
from reconciler.schedule import Deadline, Schedule, Status
from reconciler.trigger.decide import manual_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.fields import Scalar
    from reconciler.live import Live, PublishedPipeline, RegisteredSchedule
    from reconciler.workspace.base import RegistryReader
    from reconciler.workspace.ledger import Ledger

# A run of a pipeline belongs to no schedule's namespace of occurrences; ids are derived within
# this one.
_MANUAL = uuid.UUID("6e2d1f3c-5a0b-5c7e-9d41-7a1f0c2b9e55")

LONGEST_TOKEN = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """The run that was asked for; ``again`` tells that its token had been used for it before."""

    run: Run
    again: bool


def run_schedule(
    registry: RegistryReader, ledger: Ledger, name: str, given: Mapping[str, Scalar], token: str
) -> Asked:
    """Run a schedule's pipeline once, now, as the schedule would; ``given`` overrides parameters.

    The same ``token`` twice is one run of that schedule.

    Raises:
        NotFound: no such schedule or parameter.
        Refused: the pipeline is not Active, a parameter has another type, or the token is none or
            was used with other parameters.
    """
    check_token(token)
    live, now = registered(registry, name), registry.now()
    here = find_schedule(live, name)
    schedule = spec_value(Schedule, here.spec)
    run = frozen(here, schedule, bound(live, here), manual_key(token), now, given)
    return _submit(ledger, run, given)


def run_pipeline(  # noqa: PLR0913, PLR0917  (two ports, and what Azure ML's submit takes)
    registry: RegistryReader,
    ledger: Ledger,
    name: str,
    experiment_name: str,
    given: Mapping[str, Scalar],
    token: str,
) -> Asked:
    """Run a published pipeline once, now. The same ``token`` twice is one run.

    Raises:
        NotFound: no such pipeline or parameter.
        Refused: it is not Active, a parameter has another type or no value, or the token is none
            or was used for another pipeline or with other parameters.
    """
    check_token(token)
    pipeline = find_pipeline(registered(registry, name), name)
    parameters, go_on = _checked(pipeline, given)
    now = registry.now()
    run = Run(
        id=str(uuid.uuid5(_MANUAL, token)),
        schedule_id=None,
        schedule_name="",
        occurrence_key=manual_key(token),
        pipeline_id=pipeline.id,
        experiment_name=experiment_name,
        parameters=parameters,
        continue_on_step_failure=go_on,
        state=RunState.NOT_STARTED,
        reason="",
        due_at=now,
        created_at=now,
    )
    return _submit(ledger, run, given)


def check_token(token: str) -> None:
    """See that a token can be a part of a key.

    Raises:
        Refused: it is too long, empty, or cannot be printed.
    """
    # Databases do not take keys of any length.
    if not 0 < len(token) <= LONGEST_TOKEN or not token.isprintable():
        shown = f"{token[:20]}..." if len(token) > LONGEST_TOKEN else token
        rule = f"printable characters, at most {LONGEST_TOKEN}"
        raise Refused(f"{shown!a} is no token; use {rule}")


def bound(live: Live, here: RegisteredSchedule) -> PublishedPipeline:
    """Find the pipeline version that a schedule runs now.

    Raises:
        NotFound: there is none any more.
    """
    reference = spec_value(Schedule, here.spec).pipeline
    return find_pipeline(live, here.pipeline_id or reference.removesuffix("@latest"))


def frozen(  # noqa: PLR0913, PLR0917  (everything that a run freezes)
    here: RegisteredSchedule,
    schedule: Schedule,
    pipeline: PublishedPipeline,
    key: str,
    now: int,
    given: Mapping[str, Scalar] | None = None,
    due: int | None = None,
) -> Run:
    """Freeze the run of one occurrence of a schedule that somebody asks for.

    ``due`` is the instant that it stands for, now by default; for one in the past no deadline
    holds.

    Raises:
        NotFound: the pipeline has no such parameter.
        Refused: it is not Active, or a parameter has another type or no value.
    """
    parameters, go_on = _checked(pipeline, {**schedule.pipeline_parameters, **(given or {})})
    own = schedule.continue_on_step_failure
    deadline = schedule.deadline if due is None and schedule.deadline is not None else Deadline()
    return Run(
        id=run_id(here.id, key),
        schedule_id=here.id,
        schedule_name=here.name,
        occurrence_key=key,
        pipeline_id=pipeline.id,
        experiment_name=schedule.experiment_name,
        parameters=parameters,
        continue_on_step_failure=go_on if own is None else own,
        state=RunState.NOT_STARTED,
        reason="",
        due_at=now if due is None else due,
        created_at=now,
        retries=schedule.retries,
        on_unknown=schedule.on_unknown,
        pool=schedule.pool,
        start_by=_after(now, deadline.start),
        finish_by=_after(now, deadline.finish),
    )


def _after(now: int, span: timedelta | None) -> int | None:
    return None if span is None else now + span // timedelta(microseconds=1)


def _checked(
    pipeline: PublishedPipeline, given: Mapping[str, Scalar]
) -> tuple[Mapping[str, Scalar], bool]:
    """Give all parameters of a run, and whether it goes on after a failed step."""
    if pipeline.status is not Status.ACTIVE:
        raise Refused(f"pipeline '{label(pipeline)}' is {pipeline.status}")
    check_parameters(pipeline, given)
    spec = spec_value(Pipeline, pipeline.spec)
    parameters = spec.resolve(given)
    missing = sorted(spec.parameters.keys() - parameters.keys())
    if missing:
        raise Refused(f"pipeline '{pipeline.name}' needs a value for: {', '.join(missing)}")
    return parameters, spec.continue_on_step_failure


def _submit(ledger: Ledger, run: Run, given: Mapping[str, Scalar]) -> Asked:
    """Record a run once, and give it as it was recorded first."""
    known = _known(ledger, run)
    again = known is not None
    if known is None:
        ledger.submit_run(run)
        # Somebody else may have used the token in between.
        known = _known(ledger, run) or run
    # What a schedule runs may have moved on since; then only what was given can be compared.
    moved = run.schedule_id is not None and known.pipeline_id != run.pipeline_id
    other = "other parameters" if known.pipeline_id == run.pipeline_id else "another pipeline"
    same = given.items() <= known.parameters.items() if moved else _same(known, run)
    if not same:
        token = run.occurrence_key.partition(":")[2]
        raise Refused(f"token '{token}' was used for run {known.id} with {other}; choose a new one")
    return Asked(known, again)


def _known(ledger: Ledger, run: Run) -> Run | None:
    """Find the run that the token stands for already."""
    if run.schedule_id is not None:
        fire = ledger.fire(run.schedule_id, run.occurrence_key)
        return None if fire is None or fire.run_id is None else ledger.run(fire.run_id)
    try:
        return ledger.run(run.id)
    except NotFound:
        return None


def _same(known: Run, run: Run) -> bool:
    return (known.pipeline_id, known.parameters) == (run.pipeline_id, run.parameters)
