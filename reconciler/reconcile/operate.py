"""What an operator or the SDK does to single objects.

A schedule that a project manages is never edited here: disabling it writes a hold without end,
which no apply lifts; only ``release`` does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.data import DatastoreChange
from reconciler.errors import NotFound, Refused
from reconciler.live import DisabledBy, Hold, Provenance
from reconciler.pipeline import ParameterType, Pipeline
from reconciler.plan.bind import Published, label
from reconciler.plan.spec import spec_text, spec_value
from reconciler.reconcile.arm import arming, passed_over
from reconciler.reconcile.write import rearm
from reconciler.run import Gate
from reconciler.schedule import Missed, Schedule, Status
from reconciler.trigger.compile import compile_trigger
from reconciler.workspace.records import Clockwork, Owner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.fields import Scalar
    from reconciler.live import Live, PublishedPipeline, RegisteredSchedule
    from reconciler.workspace.base import LiveReader, Registry, RegistryTransaction


_NOBODY = Owner("", "")


def registered(reader: LiveReader, *names: str) -> Live:
    """Read what is registered under these names or ids alone: one of 100,000 takes no time.

    That is their schedules, with the pipelines that those run, and their pipelines (``name@3`` is
    one, too), with all versions.
    """

    def read(*pipelines: str) -> Live:
        return reader.live_part(
            _NOBODY, files=(), schedules=names, pipelines=pipelines, datastores=()
        )

    asked = {*names, *(name.rpartition("@")[0] or name for name in names)}
    live = read(*asked)
    late = [here for here in live.schedules if here.pipeline_id is None]
    named = {spec_value(Schedule, here.spec).pipeline.removesuffix("@latest") for here in late}
    return read(*asked, *named) if named else live


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
    check_parameters(pipeline, schedule.pipeline_parameters)
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
        check_parameters(pipeline, {path: ""})
    given = {*schedule.pipeline_parameters, path}
    missing = sorted(n for n, p in declared.items() if p.default is None and n not in given)
    if missing:
        raise Refused(f"pipeline '{pipeline.name}' needs a value for: {', '.join(missing)}")


def check_parameters(pipeline: PublishedPipeline, given: Mapping[str, Scalar]) -> None:
    """Make sure that a pipeline takes these values.

    Raises:
        NotFound: it has no such parameter.
        Refused: a parameter has another type.
    """
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
    _update(tx, here, schedule, status)
    rearm(tx, here, schedule, status, tx.now(), edited=True)


def _update(
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


def enable_schedule(
    registry: Registry, name: str, *, who: str = "", recover: Missed | None = None
) -> None:
    """Let a schedule fire again from its next due time on: Active, and without a hold.

    ``recover`` says which of the fires that came due meanwhile are made up for. Without it that is
    none after it was Disabled, and what the hold says after a hold.

    Raises:
        NotFound: no such schedule.
        Refused: its manifest says Disabled, or is gone; or files are to be made up for, and which
            changed is not known.
    """
    with registry.transaction() as tx:
        live = tx.live()
        here = find_schedule(live, name)
        if here.owner is None and here.status is Status.DISABLED:
            schedule = replace(spec_value(Schedule, here.spec), status=Status.ACTIVE)
            _check(live, schedule, here.pipeline_id or "")
            if recover in {Missed.LAST, Missed.ALL}:
                _recover(tx, here, schedule, Hold(who=who, why=_WAS_DISABLED, since=0), recover)
            else:
                _set(tx, here, schedule, Status.ACTIVE)
        elif here.status is Status.DISABLED:
            gone = here.disabled_by is DisabledBy.MISSING
            why = "and its manifest is gone" if gone else "in its manifest"
            text = f"schedule '{here.name}' of {here.owner} is Disabled {why}"
            raise Refused(f"{text}; declare it Active and apply")
        if here.hold is not None:
            _lift(tx, here, replace(here.hold, catchup=recover or here.hold.catchup))


_WAS_DISABLED = "the schedule was disabled"


def _recover(
    tx: RegistryTransaction,
    here: RegisteredSchedule,
    schedule: Schedule,
    pause: Hold,
    catchup: Missed,
) -> None:
    """Enable a schedule as if it had been held instead: the runner decides what it makes up for."""
    trigger = schedule.trigger
    if isinstance(trigger, DatastoreChange):
        _recover_files(tx, here, schedule, trigger, replace(pause, catchup=catchup))
        return
    now = tx.now()
    mark = now if here.processed_to is None else here.processed_to
    _update(tx, here, schedule, Status.ACTIVE)
    due = compile_trigger(trigger, here.created_at).next_after(mark)
    tx.arm(here.id, Clockwork(next_due=due, processed_to=mark, initial=here.initial))
    tx.hold(here.id, replace(pause, since=mark, until=now, catchup=catchup))


def _recover_files(
    tx: RegistryTransaction,
    here: RegisteredSchedule,
    schedule: Schedule,
    trigger: DatastoreChange,
    pause: Hold,
) -> None:
    """Put a schedule back where it stood in its watch's log when it was disabled."""
    since = here.updated_at
    _update(tx, here, schedule, Status.ACTIVE)
    polls = tx.resume(here.id, trigger.watched, since)
    if polls is None:
        text = f"what changed while schedule '{here.name}' was disabled is not known any more"
        raise Refused(f"{text}; enable it without --recover, then `reconciler refire` files")
    if not polls and pause.catchup is Missed.LAST:
        text = f"nobody looked at its files while schedule '{here.name}' was disabled"
        raise Refused(f"{text}, so the newest is not known; use --recover all")
    if polls:
        tx.hold(here.id, replace(pause, since=since, until=tx.now()))


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
        here = find_schedule(registered(tx, name), name)
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
        here = find_schedule(registered(tx, name), name)
        if here.hold is None:
            raise Refused(f"schedule '{here.name}' is not held")
        _lift(tx, here, replace(here.hold, catchup=catchup or here.hold.catchup))


def _lift(tx: RegistryTransaction, here: RegisteredSchedule, hold: Hold) -> None:
    """End the schedule's ``hold``, which may have got another catch-up."""
    now = tx.now()
    gap = passed_over(here, now, f"held by {hold.who}: {hold.why}", Gate.HOLD)
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
