"""What an apply leaves behind for the next plan: what was declared, and what it was read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.data import DatastoreChange
from reconciler.live import OwnerRecord
from reconciler.manifest.terms import OnMissing
from reconciler.plan.bind import Published
from reconciler.plan.change import Action, Kind, Reason
from reconciler.plan.guards import matches
from reconciler.plan.spec import spec_text
from reconciler.reconcile.narrow import datastores_in, inputs_digest
from reconciler.reconcile.survey import survey
from reconciler.source.base import Descent
from reconciler.workspace.records import Declaration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.data import Datastore
    from reconciler.live import (
        Live,
        PublishedPipeline,
        RegisteredDatastore,
        RegisteredSchedule,
    )
    from reconciler.manifest.load import Declared
    from reconciler.pipeline import Pipeline
    from reconciler.plan.change import Plan
    from reconciler.reconcile.read import Reading
    from reconciler.schedule import Schedule
    from reconciler.workspace.base import LiveReader, RegistryTransaction


# What no digest is: the next plan reads everything.
_UNKNOWN = ""


def record(tx: RegistryTransaction, plan: Plan, reading: Reading) -> None:
    """Write down what was applied; the last thing an apply does within its transaction."""
    owner = plan.owner
    live = _after(tx, reading)
    ignored = {s.address for s in plan.suppressed if s.reason is Reason.IGNORED}
    tx.declare(owner, tuple(_Declarer(reading, live, ignored).declarations()))
    for kind in Kind:
        tx.undeclare(owner, kind, _forgotten(plan, reading, kind))
    plain = _folders(tx, reading)
    state, known = reading.state, reading.record
    root = known.root_commit if known is not None else None
    if state.commit is not None and (root is None or _moved(reading)):
        root = reading.source.root_commit() or root
    tx.record_owner(
        OwnerRecord(
            owner=owner,
            root_commit=root,
            project_path=state.project_path,
            commit=state.commit,
            applied_at=tx.now(),
            inputs=inputs_digest(reading.source, owner.target) if plain else _UNKNOWN,
        )
    )


def _moved(reading: Reading) -> bool:
    """Whether the last applied commit is not known here: the project has another history now."""
    known = reading.record
    if known is None or known.commit is None:
        return False
    return reading.source.descent(known.commit) is Descent.UNKNOWN


def outdated(reading: Reading, reader: LiveReader) -> bool:
    """Tell whether an apply without any change would still leave something behind.

    ``reader`` is of the workspace that was read.
    """
    known, desired = reading.record, reading.desired
    if known is None:
        return bool(desired.schedules or desired.pipelines or desired.datastores)
    seen = reading.part.survey if reading.part is not None else None
    return (
        known.commit != reading.state.commit
        or known.inputs not in {_UNKNOWN, inputs_digest(reading.source, desired.owner.target)}
        or bool(reading.state.dirty)
        or (seen is not None and bool(seen.folders))
        or (seen is None and known.inputs != _UNKNOWN and _unsettled(reading, reader))
    )


def _unsettled(reading: Reading, reader: LiveReader) -> bool:
    """Whether others' doings keep plans from the short cut until it is said that they were seen."""
    glance = reader.glance(reading.desired.owner)
    return glance is not None and not glance.settled


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
    desired, kept, live = reading.desired, reading.desired.kept, reading.live
    declared: frozenset[str]
    here: Sequence[RegisteredSchedule | PublishedPipeline | RegisteredDatastore]
    match kind:
        case Kind.SCHEDULE:
            declared, here = frozenset(desired.schedules), live.schedules
        case Kind.PIPELINE:
            declared, here = frozenset({*desired.pipelines, *kept.pipelines}), live.pipelines
        case Kind.DATASTORE:
            declared, here = frozenset({*desired.datastores, *kept.datastores}), live.datastores
    names = {lost.name for lost in live.lost if lost.owner == plan.owner and lost.kind == kind}
    names |= {
        str(change.formerly)
        for change in plan.changes
        if change.kind is kind and change.action is Action.RENAME
    }
    if desired.terms.on_missing is not OnMissing.KEEP:
        # Also what was Disabled already, of which no plan says anything.
        names |= {one.name for one in here if one.owner == plan.owner}
    return sorted(names - declared)


def _folders(tx: RegistryTransaction, reading: Reading) -> bool:
    """Record what folders were read as; tells whether a short cut may trust that."""
    folders = reading.source.folders()
    if folders is None:
        return False
    owner, part = reading.desired.owner, reading.part
    glance = tx.glance(owner)
    known = glance.folders if glance is not None else {}
    include = reading.project.includes(owner.target)
    code = reading.code_folders().values()
    seen = survey(folders, include, code, known if part is not None else {})
    stale = known.keys() - seen.folders.keys() if part is None else ()
    tx.record_folders(owner, seen.folders, stale)
    return seen.plain


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
        settled = self._settled(Kind.DATASTORE, name)
        return Declaration(
            kind=Kind.DATASTORE,
            name=name,
            file=declared.file,
            line=declared.line,
            spec=spec_text(declared.value),
            revision=self.datastores[name].revision if settled else 0,
            protected=self._protected(Kind.DATASTORE, name),
        )

    def _pipeline(self, declared: Declared[Pipeline]) -> Declaration:
        name = declared.value.name
        digest = str(self.desired.digest(name))
        version = self.published.by_digest[name, digest]
        written = (text.partition("/")[0] for text in declared.value.writes)
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
            datastores=tuple(sorted({*datastores_in(defaults), *written})),
            protected=self._protected(Kind.PIPELINE, name),
        )

    def _schedule(self, declared: Declared[Schedule]) -> Declaration:
        schedule = declared.value
        here = self.schedules[schedule.name]
        stores = set(datastores_in(schedule.pipeline_parameters.values()))
        if isinstance(schedule.trigger, DatastoreChange):
            stores.add(schedule.trigger.datastore)
        # So does one that takes a name, for no other may take the same.
        settled = self._settled(Kind.SCHEDULE, schedule.name) and schedule.renamed_from is None
        return Declaration(
            kind=Kind.SCHEDULE,
            name=schedule.name,
            file=declared.file,
            line=declared.line,
            spec=spec_text(schedule),
            revision=here.revision if settled else 0,
            status=schedule.status,
            pipeline_id=here.pipeline_id,
            pipeline=schedule.pipeline.partition("@")[0],
            datastores=tuple(sorted(stores)),
            protected=self._protected(Kind.SCHEDULE, schedule.name),
        )

    def _settled(self, kind: Kind, name: str) -> bool:
        """Tell whether plans may pass the object by; what is left to others each looks at anew."""
        return f"{kind}.{name}" not in self.ignored

    def _protected(self, kind: Kind, name: str) -> bool:
        return matches(f"{kind}.{name}", self.desired.terms.protected)
