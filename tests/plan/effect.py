"""What an apply makes of the live side, as a model: no database, no order, no time."""

from dataclasses import replace

from reconciler.live import (
    DisabledBy,
    Provenance,
    PublishedPipeline,
    RegisteredDatastore,
    RegisteredSchedule,
)
from reconciler.plan.change import Action, Kind
from reconciler.plan.spec import spec_value
from reconciler.schedule import Schedule, Status


def carried_out(plan, live):
    """Give the live side after ``plan``; what its owner applied is what is there afterwards."""
    stores = {store.name: store for store in live.datastores}
    schedules = {schedule.id: schedule for schedule in live.schedules}
    pipelines = {pipeline.id: pipeline for pipeline in live.pipelines}
    for change in plan.changes:
        if change.kind is Kind.DATASTORE:
            _datastore(change, plan.owner, stores)
        elif change.kind is Kind.PIPELINE:
            _pipeline(change, plan.owner, pipelines)
    for change in plan.changes:
        if change.kind is Kind.SCHEDULE:
            _schedule(change, plan.owner, schedules, pipelines)
    return replace(
        live,
        datastores=_settled(plan, stores, lambda store: store.name),
        pipelines=_settled(plan, pipelines, lambda pipeline: (pipeline.name, pipeline.version)),
        schedules=_settled(plan, schedules, lambda schedule: (schedule.name, schedule.id)),
        lost=tuple(lost for lost in live.lost if lost.owner != plan.owner),
    )


def _settled(plan, found, key):
    settled = (
        replace(one, applied=None) if one.owner == plan.owner else one for one in found.values()
    )
    return tuple(sorted(settled, key=key))


def _provenance(change):
    return Provenance(file=change.file, line=change.line)


def _datastore(change, owner, stores):
    if change.action is Action.REMOVE:
        del stores[change.name]
        return
    here = stores.get(change.name)
    assert (here.revision if here else None) == change.revision
    stores[change.name] = RegisteredDatastore(
        name=change.name,
        spec=change.after,
        owner=owner,
        provenance=_provenance(change),
        created_at=0,
        revision=(change.revision or 0) + 1,
        protected=change.protected,
    )


def _pipeline(change, owner, pipelines):
    versions = [p for p in pipelines.values() if p.name == change.name]
    if change.action is Action.DISABLE:
        for version in versions:
            if version.status is Status.ACTIVE:
                pipelines[version.id] = replace(
                    version,
                    status=Status.DISABLED,
                    disabled_by=DisabledBy.MISSING,
                    revision=version.revision + 1,
                )
        return
    for version in versions:
        pipelines[version.id] = replace(version, owner=owner, protected=False, declared=False)
    same = next((p for p in versions if p.digest == change.digest), None)
    here = same or PublishedPipeline(
        id=f"{change.name}-{len(versions) + 1}",
        name=change.name,
        version=len(versions) + 1,
        spec=change.after,
        digest=change.digest,
        code_digest=change.code_digest,
        status=Status.ACTIVE,
        disabled_by=None,
        owner=owner,
        provenance=_provenance(change),
        created_at=0,
        revision=0,
    )
    pipelines[here.id] = replace(
        here,
        owner=owner,
        status=Status.ACTIVE,
        disabled_by=None,
        revision=here.revision + 1,
        protected=change.protected,
        declared=True,
    )


def _schedule(change, owner, schedules, pipelines):
    gone = change.after is None
    here = schedules.get(change.id)
    assert (here.revision if here else None) == change.revision
    status = Status.DISABLED if gone else spec_value(Schedule, change.after).status
    disabled_by = None
    if status is Status.DISABLED:
        disabled_by = DisabledBy.MISSING if gone else DisabledBy.GIT
    bound = change.pipeline_id
    if bound is None and change.digest is not None:
        bound = next(p.id for p in pipelines.values() if p.digest == change.digest)
    facts = {
        "name": change.name,
        "spec": change.after or here.spec,
        "pipeline_id": bound,
        "status": status,
        "disabled_by": disabled_by,
        "owner": owner,
        "provenance": _provenance(change),
        "updated_at": 0,
        "revision": (change.revision or 0) + 1,
        "protected": here.protected if gone else change.protected,
    }
    if here is None:
        new = f"{owner.project}-{change.name}"
        while new in schedules:
            new += "x"
        schedules[new] = RegisteredSchedule(id=new, created_at=0, **facts)
    else:
        schedules[here.id] = replace(here, **facts)
