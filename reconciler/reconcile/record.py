"""What an apply leaves behind for the next plan: what was declared, and what it was read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.live import OwnerRecord
from reconciler.plan.bind import Published
from reconciler.plan.change import Action, Cause, Kind, Reason
from reconciler.plan.guards import matches
from reconciler.plan.spec import spec_text
from reconciler.reconcile.narrow import datastores_in, inputs_digest
from reconciler.reconcile.survey import survey
from reconciler.schedule import DatastoreChange
from reconciler.workspace.records import Declaration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.live import Live
    from reconciler.manifest.load import Declared
    from reconciler.pipeline import Pipeline
    from reconciler.plan.change import Plan
    from reconciler.reconcile.read import Reading
    from reconciler.schedule import Datastore, Schedule
    from reconciler.workspace.base import RegistryTransaction


def record(tx: RegistryTransaction, plan: Plan, reading: Reading) -> None:
    """Write down what was applied; the last thing an apply does within its transaction."""
    owner = plan.owner
    live = _after(tx, reading)
    ignored = {s.address for s in plan.suppressed if s.reason is Reason.IGNORED}
    tx.declare(owner, tuple(_Declarer(reading, live, ignored).declarations()))
    for kind in Kind:
        tx.undeclare(owner, kind, _forgotten(plan, reading, kind))
    _folders(tx, reading)
    state, known = reading.state, reading.record
    root = known.root_commit if known is not None else None
    if root is None and state.commit is not None:
        root = reading.source.root_commit()
    tx.record_owner(
        OwnerRecord(
            owner=owner,
            root_commit=root,
            project_path=state.project_path,
            commit=state.commit,
            applied_at=tx.now(),
            inputs=inputs_digest(reading.source, owner.target),
        )
    )


def outdated(reading: Reading) -> bool:
    """Tell whether an apply without any change would still leave something behind."""
    known, desired = reading.record, reading.desired
    if known is None:
        return bool(desired.schedules or desired.pipelines or desired.datastores)
    seen = reading.part.survey if reading.part is not None else None
    return (
        known.commit != reading.state.commit
        or known.inputs != inputs_digest(reading.source, desired.owner.target)
        or bool(reading.state.dirty)
        or (seen is not None and bool(seen.folders or seen.gone))
    )


def _after(tx: RegistryTransaction, reading: Reading) -> Live:
    """Read back what was written: its revisions and ids."""
    if reading.part is None:
        return tx.live()
    desired = reading.desired
    return tx.live_part(
        desired.owner,
        files=(),
        schedules=desired.schedules,
        pipelines=desired.pipelines,
        datastores=desired.datastores,
    )


def _forgotten(plan: Plan, reading: Reading, kind: Kind) -> list[str]:
    """Name what was declared of a kind and is no longer, whether or not it was still there."""
    changed = [change for change in plan.changes if change.kind is kind]
    names = {c.name for c in changed if c.cause is Cause.MISSING}
    names |= {str(c.formerly) for c in changed if c.action is Action.RENAME}
    declared = {
        Kind.SCHEDULE: reading.desired.schedules,
        Kind.PIPELINE: reading.desired.pipelines,
        Kind.DATASTORE: reading.desired.datastores,
    }[kind]
    names |= {
        lost.name
        for lost in reading.live.lost
        if lost.owner == plan.owner and lost.kind == kind and lost.name not in declared
    }
    return sorted(names)


def _folders(tx: RegistryTransaction, reading: Reading) -> None:
    folders = reading.source.folders()
    if folders is None:
        return
    if reading.part is not None:
        seen, stale = reading.part.survey, frozenset[str]()
    else:
        glance = tx.glance(reading.desired.owner)
        known = frozenset(glance.folders) if glance is not None else frozenset()
        include = reading.project.includes(reading.desired.owner.target)
        seen = survey(folders, include, reading.code_folders().values(), {})
        stale = known - seen.folders.keys()
    tx.record_folders(reading.desired.owner, seen.folders, seen.gone | stale)


class _Declarer:
    """Says of each declared object what was applied."""

    def __init__(self, reading: Reading, live: Live, ignored: set[str]) -> None:
        self.desired = reading.desired
        self.folders = reading.code_folders()
        self.ignored = ignored
        self.published = Published(live.pipelines)
        self.datastores = {store.name: store for store in live.datastores}
        self.schedules = {s.name: s for s in live.schedules if s.owner == self.desired.owner}

    def declarations(self) -> Iterator[Declaration]:
        for store in self.desired.datastores.values():
            yield self._datastore(store)
        for pipeline in self.desired.pipelines.values():
            yield self._pipeline(pipeline)
        for schedule in self.desired.schedules.values():
            yield self._schedule(schedule)

    def _datastore(self, declared: Declared[Datastore]) -> Declaration:
        name = declared.value.name
        return Declaration(
            kind=Kind.DATASTORE,
            name=name,
            file=declared.file,
            line=declared.line,
            spec=spec_text(declared.value),
            revision=self.datastores[name].revision,
            protected=self._protected(Kind.DATASTORE, name),
        )

    def _pipeline(self, declared: Declared[Pipeline]) -> Declaration:
        name = declared.value.name
        digest = str(self.desired.digest(name))
        version = self.published.by_digest[name, digest]
        defaults = (parameter.default for parameter in declared.value.parameters.values())
        return Declaration(
            kind=Kind.PIPELINE,
            name=name,
            file=declared.file,
            line=declared.line,
            spec=version.spec,
            revision=version.revision,
            digest=digest,
            code=self.folders.get(name),
            datastores=tuple(sorted(set(datastores_in(defaults)))),
            protected=self._protected(Kind.PIPELINE, name),
        )

    def _schedule(self, declared: Declared[Schedule]) -> Declaration:
        schedule = declared.value
        here = self.schedules[schedule.name]
        stores = set(datastores_in(schedule.pipeline_parameters.values()))
        if isinstance(schedule.trigger, DatastoreChange):
            stores.add(schedule.trigger.datastore)
        # What is left to others stays unsettled, so that every plan looks at it and says so.
        settled = f"{Kind.SCHEDULE}.{schedule.name}" not in self.ignored
        return Declaration(
            kind=Kind.SCHEDULE,
            name=schedule.name,
            file=declared.file,
            line=declared.line,
            spec=spec_text(schedule),
            revision=here.revision if settled else 0,
            status=schedule.status,
            pipeline_id=here.pipeline_id,
            pipeline=schedule.pipeline,
            datastores=tuple(sorted(stores)),
            protected=self._protected(Kind.SCHEDULE, schedule.name),
        )

    def _protected(self, kind: Kind, name: str) -> bool:
        return matches(f"{kind}.{name}", self.desired.terms.protected)
