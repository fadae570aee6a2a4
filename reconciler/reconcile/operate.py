"""What an operator or the SDK does to single objects.

A schedule that a project manages is never edited here: disabling it writes a hold without end,
which no apply lifts; only ``release`` does.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.errors import NotFound, Refused
from reconciler.live import DisabledBy, Hold, Provenance
from reconciler.pipeline import ParameterType, Pipeline
from reconciler.plan.bind import Published, label
from reconciler.plan.spec import spec_text, spec_value
from reconciler.reconcile.arm import arming, passed_over
from reconciler.reconcile.write import rearm
from reconciler.run import Run, RunState
from reconciler.schedule import DatastoreChange, Missed, Schedule, Status
from reconciler.trigger.decide import manual_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.fields import Scalar
    from reconciler.live import Live, PublishedPipeline, RegisteredSchedule
    from reconciler.workspace.base import Ledger, Registry, RegistryReader, RegistryTransaction

# A run by hand belongs to no schedule's namespace of occurrences; ids are derived within this one.
_MANUAL = uuid.UUID("6e2d1f3c-5a0b-5c7e-9d41-7a1f0c2b9e55")


def find_schedule(live: Live, name: str) -> RegisteredSchedule:
    """Find a schedule by name or id; an Active one is preferred where a name repeats.

    Raises:
        NotFound: none, or several; the message says how to tell them apart.
    """
    by_id = [schedule for schedule in live.schedules if schedule.id == name]
    found = by_id or [schedule for schedule in live.schedules if schedule.name == name]
    active = [schedule for schedule in found if schedule.status is Status.ACTIVE]
    found = active or found
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(f"{s.id} ({s.owner or 'no project'})" for s in found)
        raise NotFound(f"{len(found)} schedules are named '{name}'; give an id: {ids}")
    raise NotFound(f"no schedule '{name}'; `reconciler list schedules --all` shows them")


def find_pipeline(live: Live, name: str) -> PublishedPipeline:
    """Find a published pipeline by id, ``name@3`` or name, which means its newest Active version.

    Raises:
        NotFound: there is none.
    """
    found = [p for p in live.pipelines if name in {p.id, f"{p.name}@{p.version}"}]
    used = found[-1] if found else Published(live.pipelines).newest(name)
    if used is not None:
        return used
    raise NotFound(f"no pipeline '{name}'; `reconciler list pipelines --all` shows them")


def create_schedule(registry: Registry, schedule: Schedule, pipeline_id: str) -> str:
    """Register a schedule that belongs to no project; returns its id. Names may repeat.

    Raises:
        NotFound: no such pipeline or datastore.
        Refused: the pipeline is not Active.
    """
    with registry.transaction() as tx:
        live, now = tx.live(), tx.now()
        pipeline = _check(live, schedule, pipeline_id)
        active = schedule.status is Status.ACTIVE
        schedule_id = tx.create_schedule(
            owner=None,
            name=schedule.name,
            spec=spec_text(schedule),
            pipeline_id=pipeline.id,
            status=schedule.status,
            provenance=Provenance(),
            arming=arming(schedule, now, now, created=True) if active else None,
        )
        tx.ensure_experiment(schedule.experiment_name)
    return schedule_id


def update_schedule(
    registry: Registry, schedule_id: str, change: Callable[[Schedule], Schedule]
) -> None:
    """Replace the spec, name and status of a schedule that belongs to no project.

    ``change`` gets the present spec inside the transaction, so no other edit is lost.

    Raises:
        NotFound: no such schedule or datastore.
        Refused: a project manages it, or its pipeline is not Active.
    """
    with registry.transaction() as tx:
        live = tx.live()
        here = find_schedule(live, schedule_id)
        if here.owner is not None:
            raise Refused(f"schedule '{here.name}' is managed by {here.owner}; edit its manifest")
        schedule = change(spec_value(Schedule, here.spec))
        _check(live, schedule, here.pipeline_id or "")
        _set(tx, here, schedule, schedule.status)


def _check(live: Live, schedule: Schedule, pipeline_id: str) -> PublishedPipeline:
    pipeline = find_pipeline(live, pipeline_id)
    if pipeline.status is not Status.ACTIVE and schedule.status is Status.ACTIVE:
        raise Refused(f"pipeline '{pipeline.name}' is {pipeline.status}; publish it again first")
    trigger = schedule.trigger
    if isinstance(trigger, DatastoreChange):
        find_datastore(live, trigger.datastore)
    _check_parameters(pipeline, schedule.pipeline_parameters)
    _check_complete(pipeline, schedule)
    return pipeline


def _check_complete(pipeline: PublishedPipeline, schedule: Schedule) -> None:
    """Refuse a schedule whose runs would lack a value."""
    declared = spec_value(Pipeline, pipeline.spec).parameters
    trigger = schedule.trigger
    path = trigger.data_path_parameter_name if isinstance(trigger, DatastoreChange) else None
    if path is not None:
        if path in declared and declared[path].type is not ParameterType.DATAPATH:
            text = f"parameter '{path}' of '{pipeline.name}' is of type {declared[path].type}"
            raise Refused(f"{text}; it must be datapath to receive a file's path")
        _check_parameters(pipeline, {path: ""})
    given = {*schedule.pipeline_parameters, path}
    missing = sorted(n for n, p in declared.items() if p.default is None and n not in given)
    if missing:
        raise Refused(f"pipeline '{pipeline.name}' needs a value for: {', '.join(missing)}")


def _check_parameters(pipeline: PublishedPipeline, given: Mapping[str, Scalar]) -> None:
    declared = spec_value(Pipeline, pipeline.spec).parameters
    for name, value in given.items():
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            text = f"pipeline '{pipeline.name}' has no parameter '{name}' (known: {known})"
            raise NotFound(text)
        if not declared[name].type.accepts(value):
            text = f"parameter '{name}' of '{pipeline.name}' is of type {declared[name].type}"
            raise Refused(f"{text}, not {value!r}")


def find_datastore(live: Live, name: str) -> str:
    """Tell that a datastore is registered, and give its spec.

    Raises:
        NotFound: it is not.
    """
    for store in live.datastores:
        if store.name == name:
            return store.spec
    raise NotFound(f"no datastore '{name}'; `reconciler list datastores` shows them")


def _set(
    tx: RegistryTransaction, here: RegisteredSchedule, schedule: Schedule, status: Status
) -> None:
    tx.update_schedule(
        here.id,
        here.revision,
        spec=spec_text(replace(schedule, status=status)),
        pipeline_id=here.pipeline_id,
        status=status,
        disabled_by=DisabledBy.OPERATOR if status is Status.DISABLED else None,
        provenance=here.provenance,
        name=schedule.name,
    )
    rearm(tx, here, schedule, status, tx.now())


def disable_schedule(registry: Registry, name: str, *, who: str, why: str) -> Status | Hold:
    """Stop a schedule: disabled if it belongs to no project, else held without end.

    Runs under way go on. Returns the hold for a managed schedule, else the new status.

    Raises:
        NotFound: no such schedule.
    """
    with registry.transaction() as tx:
        here = find_schedule(tx.live(), name)
        if here.owner is None:
            _set(tx, here, spec_value(Schedule, here.spec), Status.DISABLED)
            return Status.DISABLED
        hold = Hold(who=who, why=why, since=tx.now(), catchup=_usual_catchup(here))
        return _hold(tx, here, hold)


def enable_schedule(registry: Registry, name: str) -> None:
    """Let a schedule fire again from its next due time on: Active, and without a hold.

    Raises:
        NotFound: no such schedule.
        Refused: its manifest says Disabled, or is gone.
    """
    with registry.transaction() as tx:
        live = tx.live()
        here = find_schedule(live, name)
        if here.owner is None and here.status is Status.DISABLED:
            schedule = replace(spec_value(Schedule, here.spec), status=Status.ACTIVE)
            _check(live, schedule, here.pipeline_id or "")
            _set(tx, here, schedule, Status.ACTIVE)
        elif here.status is Status.DISABLED:
            text = f"schedule '{here.name}' is disabled by {here.disabled_by} in {here.owner}"
            raise Refused(f"{text}; declare it Active in its manifest")
        if here.hold is not None:
            _lift(tx, here, here.hold)


def hold_schedule(  # noqa: PLR0913  (what a hold says, each by its name)
    registry: Registry,
    name: str,
    *,
    who: str,
    why: str,
    until: int | None,
    catchup: Missed | None = None,
) -> None:
    """Pause a schedule until an instant, or without end.

    ``catchup`` says which of the fires that come due meanwhile are made up for when it ends. By
    default that is none for a schedule by the clock and all for one by data: files do not pass.

    Raises:
        NotFound: no such schedule.
        Refused: it is disabled, or ``until`` is not in the future.
    """
    with registry.transaction() as tx:
        here = find_schedule(tx.live(), name)
        if here.status is Status.DISABLED:
            raise Refused(f"schedule '{here.name}' is disabled; there is nothing to hold")
        if until is not None and until <= tx.now():
            raise Refused("the end of a hold must be in the future")
        catchup = catchup or _usual_catchup(here)
        _hold(tx, here, Hold(who=who, why=why, since=tx.now(), until=until, catchup=catchup))


def _usual_catchup(here: RegisteredSchedule) -> Missed:
    return Missed.ALL if _by_data(here) else Missed.SKIP


def _by_data(here: RegisteredSchedule) -> bool:
    return isinstance(spec_value(Schedule, here.spec).trigger, DatastoreChange)


def _hold(tx: RegistryTransaction, here: RegisteredSchedule, hold: Hold) -> Hold:
    """Set a hold; what an earlier one has kept from firing, this one does."""
    earlier, due = here.hold, here.next_due
    if earlier is not None:
        undecided = due is not None and due <= hold.since
        if earlier.active(hold.since) or undecided:
            hold = replace(hold, since=min(earlier.since, hold.since))
    tx.hold(here.id, hold)
    return hold


def release_schedule(registry: Registry, name: str, catchup: Missed | None = None) -> None:
    """End a hold now; what came due meanwhile is made up for as the hold says, or ``catchup``.

    What is passed over is recorded at once where that can be known here; the rest the runner
    decides when it looks next, as at the end of a hold that ends by itself.

    Raises:
        NotFound: no such schedule.
        Refused: it is not held.
    """
    with registry.transaction() as tx:
        here = find_schedule(tx.live(), name)
        if here.hold is None:
            raise Refused(f"schedule '{here.name}' is not held")
        _lift(tx, here, replace(here.hold, catchup=catchup or here.hold.catchup))


def _lift(tx: RegistryTransaction, here: RegisteredSchedule, hold: Hold) -> None:
    """End the schedule's ``hold``, which may have got another catch-up."""
    now = tx.now()
    gap = passed_over(here, now, f"held by {hold.who}: {hold.why}")
    decided_here = hold.catchup is Missed.SKIP and hold.active(now)
    if _by_data(here) or (gap is not None and not decided_here):
        until = now if hold.until is None else min(hold.until, now)
        tx.hold(here.id, replace(hold, until=until))
        return
    if gap is not None:
        tx.record_gap(gap)
        schedule = spec_value(Schedule, here.spec)
        tx.arm(here.id, arming(schedule, here.created_at, now, created=here.initial))
    tx.hold(here.id, None)


def disable_pipeline(registry: Registry, name: str) -> str:
    """Disable a published pipeline version; a project that declares it plans to enable it again.

    Returns which one, as ``name@3``.

    Raises:
        NotFound: no such pipeline.
        Refused: active schedules use it; the message names them.
    """
    with registry.transaction() as tx:
        live = tx.live()
        pipeline = find_pipeline(live, name)
        users = sorted(s.name for s in live.schedules if _uses(s, pipeline))
        if users:
            names = ", ".join(users)
            text = f"pipeline '{label(pipeline)}' is used by active schedules: {names}"
            raise Refused(f"{text}; disable them first")
        tx.set_pipeline_status(pipeline.id, pipeline.revision, Status.DISABLED, DisabledBy.OPERATOR)
    return label(pipeline)


def enable_pipeline(registry: Registry, name: str) -> str:
    """Make a published pipeline version Active again; a bare name means the newest Disabled one.

    Returns which one, as ``name@3``.

    Raises:
        NotFound: no such pipeline.
    """
    with registry.transaction() as tx:
        live = tx.live()
        disabled = [p for p in live.pipelines if p.name == name and p.status is Status.DISABLED]
        pipeline = disabled[-1] if disabled else find_pipeline(live, name)
        tx.set_pipeline_status(pipeline.id, pipeline.revision, Status.ACTIVE, None)
    return label(pipeline)


def _uses(schedule: RegisteredSchedule, pipeline: PublishedPipeline) -> bool:
    hold = schedule.hold
    # A hold without end is an operator's disable of what a project manages.
    held = hold is not None and hold.until is None
    if schedule.status is not Status.ACTIVE or held:
        return False
    if schedule.pipeline_id is not None:
        return schedule.pipeline_id == pipeline.id
    return spec_value(Schedule, schedule.spec).pipeline == f"{pipeline.name}@latest"


def run_schedule(
    registry: RegistryReader, ledger: Ledger, name: str, given: Mapping[str, Scalar], token: str
) -> Run:
    """Run a schedule's pipeline once, now, as the schedule would; ``given`` overrides parameters.

    The same ``token`` twice is one run.

    Raises:
        NotFound: no such schedule or parameter.
        Refused: the pipeline is not Active, or a parameter has another type.
    """
    live = registry.live()
    here = find_schedule(live, name)
    schedule = spec_value(Schedule, here.spec)
    pipeline = find_pipeline(live, here.pipeline_id or schedule.pipeline.removesuffix("@latest"))
    run = _manual(pipeline, {**schedule.pipeline_parameters, **given}, token, registry.now())
    own = schedule.continue_on_step_failure
    run = replace(
        run,
        schedule_id=here.id,
        schedule_name=here.name,
        experiment_name=schedule.experiment_name,
        continue_on_step_failure=run.continue_on_step_failure if own is None else own,
    )
    ledger.submit_run(run)
    return run


def run_pipeline(  # noqa: PLR0913, PLR0917  (two ports, and what Azure ML's submit takes)
    registry: RegistryReader,
    ledger: Ledger,
    name: str,
    experiment_name: str,
    given: Mapping[str, Scalar],
    token: str,
) -> Run:
    """Run a published pipeline once, now. The same ``token`` twice is one run.

    Raises:
        NotFound: no such pipeline or parameter.
        Refused: it is not Active, or a parameter has another type or no value.
    """
    pipeline = find_pipeline(registry.live(), name)
    run = _manual(pipeline, given, token, registry.now())
    run = replace(run, experiment_name=experiment_name)
    ledger.submit_run(run)
    return run


def _manual(pipeline: PublishedPipeline, given: Mapping[str, Scalar], token: str, now: int) -> Run:
    if pipeline.status is not Status.ACTIVE:
        raise Refused(f"pipeline '{pipeline.name}@{pipeline.version}' is {pipeline.status}")
    _check_parameters(pipeline, given)
    spec = spec_value(Pipeline, pipeline.spec)
    parameters = spec.resolve(given)
    missing = sorted(spec.parameters.keys() - parameters.keys())
    if missing:
        raise Refused(f"pipeline '{pipeline.name}' needs a value for: {', '.join(missing)}")
    return Run(
        id=str(uuid.uuid5(_MANUAL, token)),
        schedule_id=None,
        schedule_name="",
        occurrence_key=manual_key(token),
        pipeline_id=pipeline.id,
        experiment_name=pipeline.name,
        parameters=parameters,
        continue_on_step_failure=spec.continue_on_step_failure,
        state=RunState.NOT_STARTED,
        reason="",
        due_at=now,
        created_at=now,
    )
