"""Desired against live, with what was applied last between them: which changes make them equal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.data import Datastore
from reconciler.live import DisabledBy
from reconciler.pipeline import Pipeline
from reconciler.plan.bind import label
from reconciler.plan.change import (
    KINDS,
    Action,
    Cause,
    Change,
    FieldChange,
    Guard,
    Held,
    Kind,
    Plan,
    Side,
)
from reconciler.plan.diff import field_changes
from reconciler.plan.facts import (
    NOBODY,
    action_of,
    cause_of,
    cause_of_return,
    held_notes,
    schedule_print,
    status_change,
    store_print,
    version_print,
)
from reconciler.plan.guards import guards
from reconciler.plan.likeness import suggest
from reconciler.plan.sides import Sides
from reconciler.plan.spec import spec_text, spec_value
from reconciler.plan.timing import with_impact
from reconciler.plan.warn import warnings
from reconciler.schedule import Schedule, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.live import Live, PublishedPipeline, RegisteredDatastore, RegisteredSchedule
    from reconciler.manifest.load import Declared
    from reconciler.plan.bind import Binding
    from reconciler.plan.desired import Desired

# What makes a datastore another place, as Datastore.place has it.
_PLACE = frozenset({"url", "account", "endpoint"})
_ELSEWHERE = "whoever watches it begins anew: what is there already does not fire"


def build_plan(  # noqa: PLR0913  (the two sides, and the circumstances by keyword)
    desired: Desired,
    live: Live,
    *,
    workspace: str = "",
    as_of: int = 0,
    tool: str = "",
    commit: str | None = None,
    dirty: tuple[str, ...] = (),
    further: Iterable[Guard] = (),
) -> Plan:
    """Compare what one owner declares with what the workspace holds and what was applied last.

    The references in ``desired`` must have been checked (:func:`reconciler.plan.check.problems`).
    Other owners' objects never change unless they are adopted; where they stand in the way the
    plan carries a guard. ``as_of`` is the instant that "now" means; ``further`` are guards about
    the source, which this room cannot see.
    """
    builder = _Builder(desired, live, as_of)
    found = [*builder.datastores(), *builder.pipelines(), *builder.schedules()]
    changes = sorted(
        (change for change in found if change is not None),
        key=lambda change: (KINDS.index(change.kind), change.name),
    )
    plan = Plan(
        owner=desired.owner,
        workspace=workspace,
        changes=with_impact(suggest(changes), live, as_of),
        unchanged=len(found) - len(changes) + desired.kept.objects,
        as_of=as_of,
        tool=tool,
        suppressed=tuple(sorted(builder.suppressed, key=lambda s: (s.address, s.path))),
        held=tuple(
            Held(here.name, here.hold)
            for _, here in sorted(builder.own_schedules.items())
            if here.hold is not None and here.hold.active(as_of)
        ),
        commit=commit,
        dirty=dirty,
    )
    blocking = {*builder.guards, *further, *guards(plan, desired, live)}
    return replace(
        plan,
        guards=tuple(sorted(blocking, key=lambda g: (g.id, g.message))),
        warnings=warnings(desired, live, frozenset(change.address for change in changes)),
    )


class _Builder(Sides):
    """Each method yields a change, or None for an unchanged object."""

    def datastores(self) -> Iterator[Change | None]:
        live = {store.name: store for store in self.live.datastores}
        for name, declared in self.desired.datastores.items():
            here = live.get(name)
            if here is None:
                yield self.create(Kind.DATASTORE, declared, spec_text(declared.value))
            else:
                yield self._datastore(declared, here)
        for store in self.live.datastores:
            kept = store.name in self.desired.kept.datastores
            if store.owner == self.owner and store.name not in self.desired.datastores and not kept:
                yield self.missing(
                    Change(
                        action=Action.REMOVE,
                        kind=Kind.DATASTORE,
                        name=store.name,
                        cause=Cause.MISSING,
                        file=store.provenance.file,
                        line=store.provenance.line,
                        revision=store.revision,
                        fingerprint=store_print(store),
                        before=store.spec,
                    )
                )

    def _datastore(self, declared: Declared[Datastore], here: RegisteredDatastore) -> Change | None:
        after = spec_text(declared.value)
        edits: tuple[FieldChange, ...] = ()
        if here.spec != after or here.applied is not None:
            known = here.applied if here.owner == self.owner else None
            desired, edits = self.compare(
                spec_value(Datastore, here.spec),
                declared.value,
                None if known is None else spec_value(Datastore, known.spec),
            )
            after = spec_text(desired)
        address = f"{Kind.DATASTORE}.{here.name}"
        fields = (*edits, *self.protection(address, live=here.protected))
        if not fields and here.owner == self.owner:
            return None
        change = replace(
            self.create(Kind.DATASTORE, declared, after),
            action=Action.UPDATE,
            cause=cause_of(fields),
            fields=fields,
            revision=here.revision,
            fingerprint=store_print(here),
            before=here.spec,
            notes=(_ELSEWHERE,) if any(field.path in _PLACE for field in fields) else (),
        )
        return change if here.owner == self.owner else self.adopt(change, here.owner)

    def pipelines(self) -> Iterator[Change | None]:
        for declared in self.desired.pipelines.values():
            yield self._pipeline(declared)
        for name, versions in self.published.by_name.items():
            newest = self._newest_of_ours(versions)
            if newest is not None and not self.desired.declares(name):
                yield self.missing(
                    Change(
                        action=Action.DISABLE,
                        kind=Kind.PIPELINE,
                        name=name,
                        cause=Cause.MISSING,
                        fields=(status_change(Status.ACTIVE, Status.DISABLED, newest.applied),),
                        file=newest.provenance.file,
                        line=newest.provenance.line,
                        id=newest.id,
                        revision=newest.revision,
                        fingerprint=version_print(newest),
                        before=newest.spec,
                    )
                )

    def _newest_of_ours(self, versions: list[PublishedPipeline]) -> PublishedPipeline | None:
        ours = (v for v in versions if v.owner == self.owner and v.status is Status.ACTIVE)
        return max(ours, key=lambda version: version.version, default=None)

    def _pipeline(self, declared: Declared[Pipeline]) -> Change | None:
        name = declared.value.name
        digest = self.bindings.digest(name)
        code_digest = self.desired.code_digests.get(name)
        versions = self.published.by_name.get(name, [])
        change = self.create(Kind.PIPELINE, declared, spec_text(declared.value))
        change = replace(change, digest=digest, code_digest=code_digest)
        if not versions:
            return change
        same = self.published.by_digest.get((name, str(digest)))
        current = self.published.newest(name)
        before = current or same or versions[-1]
        change = replace(
            change,
            action=Action.UPDATE,
            cause=Cause.EDITED,
            id=before.id,
            # Of the version in use, which is what changes hands.
            revision=(current or versions[-1]).revision,
            fingerprint=version_print(before),
            before=before.spec,
        )
        if same is None or same is not current:
            change = self._republish(change, declared, before, same)
        protection = self.protection(change.address, live=any(v.protected for v in versions))
        change = replace(change, fields=(*change.fields, *protection))
        stranger = next((v for v in versions if v.owner != self.owner), None)
        if stranger is not None:
            return self.adopt(change, stranger.owner)
        return change if change.fields else None

    def _republish(
        self,
        change: Change,
        declared: Declared[Pipeline],
        before: PublishedPipeline,
        same: PublishedPipeline | None,
    ) -> Change:
        """Publish new content, or make the version that has this content Active again."""
        edits = field_changes(spec_value(Pipeline, before.spec), declared.value)
        if before.code_digest != change.code_digest:
            code = _short(before.code_digest), _short(change.code_digest)
            edits = (*edits, FieldChange.by_git("code (content)", *code))
        if same is not before:
            version = label(same) if same is not None else f"{before.name}@new"
            edits = (*edits, FieldChange.by_git("version", label(before), version))
        if self.published.newest(before.name) is None:
            edits = (status_change(Status.DISABLED, Status.ACTIVE, before.applied), *edits)
            change = replace(change, action=Action.ENABLE, cause=cause_of_return(before))
        return replace(change, fields=edits)

    def schedules(self) -> Iterator[Change | None]:
        renamed, hindered = set(), {}
        for name, declared in self.desired.schedules.items():
            here = self.own_schedules.get(name)
            former = declared.value.renamed_from
            if former in self.own_schedules and here is None:
                renamed.add(former)
                here = self.own_schedules[former]
            elif former in self.own_schedules:
                hindered[former] = (f"it cannot be renamed to '{name}': that is there already",)
            elif here is None:
                here = self._to_adopt(name)
            yield self._new(declared) if here is None else self._update(declared, here)
        for name, here in self.own_schedules.items():
            gone = name not in self.desired.schedules and name not in renamed
            if gone and here.status is Status.ACTIVE:
                yield self.missing(
                    Change(
                        action=Action.DISABLE,
                        kind=Kind.SCHEDULE,
                        name=name,
                        cause=Cause.MISSING,
                        fields=(status_change(Status.ACTIVE, Status.DISABLED, here.applied),),
                        file=here.provenance.file,
                        line=here.provenance.line,
                        id=here.id,
                        revision=here.revision,
                        fingerprint=schedule_print(here),
                        before=here.spec,
                        pipeline_id=here.pipeline_id,
                        notes=(*held_notes(here, self.as_of), *hindered.get(name, ())),
                    )
                )
        for address in sorted(self.desired.adopt - self.adopted):
            text = f"{address} is to be adopted, but nothing of that name is both declared here"
            self.guards.append(Guard("adopt", f"{text} and somebody else's; leave it out"))

    def _to_adopt(self, name: str) -> RegisteredSchedule | None:
        address = f"{Kind.SCHEDULE}.{name}"
        if address not in self.desired.adopt or name not in self.others:
            return None
        others = sorted(self.others[name], key=lambda other: other.id)
        self.adopted.add(address)
        if len(others) > 1:
            whose = ", ".join(f"{s.id} of {s.owner or NOBODY}" for s in others)
            text = f"several schedules are named '{name}' ({whose}); disable and rename the others"
            self.guards.append(Guard("adopt", text))
        return others[0]

    def _new(self, declared: Declared[Schedule]) -> Change:
        schedule = declared.value
        binding = self._binding(schedule)
        notes: tuple[str, ...] = ()
        if schedule.renamed_from is not None:
            notes = (f"there is no schedule '{schedule.renamed_from}' to be renamed",)
        change = self.create(Kind.SCHEDULE, declared, spec_text(schedule))
        others = self.others.get(schedule.name, ())
        owners = sorted(str(s.owner) for s in others if s.owner is not None)
        if change.cause is Cause.LOST and owners:
            text = f"Schedule '{schedule.name}' is gone, and {owners[0]} has one of that name"
            way = "if it was taken over, remove its manifest; to have one of your own as well"
            guard = Guard("taken_over", f"{text}; {way} add --allow taken_over", allowable=True)
            self.guards.append(guard)
        unmanaged = [s.id for s in others if s.owner is None]
        if unmanaged:
            text = f"the SDK made a schedule of that name too (id {min(unmanaged)})"
            way = f"to take it over instead: --adopt {Kind.SCHEDULE}.{schedule.name}"
            notes = (*notes, f"{text}; {way}")
        bound = binding.published.id if binding.published else None
        return replace(change, pipeline_id=bound, digest=binding.digest, notes=notes)

    def _binding(self, schedule: Schedule) -> Binding:
        binding = self.bindings.bind(schedule.pipeline)
        assert binding is not None, "references are checked before a plan is built"  # noqa: S101  (the caller's duty)
        return binding

    def _update(self, declared: Declared[Schedule], here: RegisteredSchedule) -> Change | None:
        desired, edits = self._compared(declared.value, here)
        binding = self._binding(desired)
        bound = binding.published.id if binding.published else None
        late = binding.published is None and binding.digest is None
        moved = here.pipeline_id is not None if late else bound is None or bound != here.pipeline_id
        fields = (*edits, self._move(here, binding)) if moved else edits
        address = f"{Kind.SCHEDULE}.{desired.name}"
        fields = (*fields, *self.protection(address, live=here.protected))
        if not fields and here.name == desired.name and here.owner == self.owner:
            return None
        change = replace(
            self.create(Kind.SCHEDULE, declared, spec_text(desired)),
            action=action_of(here.status, desired.status),
            cause=cause_of(fields, here.disabled_by, edited=bool(edits)),
            fields=fields,
            id=here.id,
            revision=here.revision,
            fingerprint=schedule_print(here),
            before=here.spec,
            pipeline_id=bound,
            digest=binding.digest,
            notes=held_notes(here, self.as_of),
        )
        if here.owner != self.owner:
            return self.adopt(change, here.owner)
        return change if here.name == change.name else _renamed(change, here.name)

    def _compared(
        self, declared: Schedule, here: RegisteredSchedule
    ) -> tuple[Schedule, tuple[FieldChange, ...]]:
        """Give what is desired of a schedule and how it differs, its status first."""
        same = here.spec == spec_text(declared) and here.status is declared.status
        if same and here.applied is None:
            return declared, ()
        known = here.applied if here.owner == self.owner else None
        desired, edits = self.compare(
            replace(spec_value(Schedule, here.spec), status=here.status),
            declared,
            None
            if known is None
            else replace(spec_value(Schedule, known.spec), status=known.status),
            # What a missing manifest disabled comes back with it: nobody else set that.
            but=frozenset({"status"} if here.disabled_by is DisabledBy.MISSING else ()),
        )
        return desired, tuple(sorted(edits, key=lambda edit: edit.path != "status"))

    def _move(self, here: RegisteredSchedule, binding: Binding) -> FieldChange:
        """Tell that a schedule is bound to another version, and who bound it to which."""
        before = here.applied if here.owner == self.owner else None
        live = self.version(here.spec, here.pipeline_id)
        if before is None or before.pipeline_id == here.pipeline_id:
            return FieldChange.by_git("pipeline version", live, binding.label)
        applied = self.version(before.spec, before.pipeline_id)
        side = Side.LIVE if applied == binding.label else Side.BOTH
        return FieldChange("pipeline version", live, binding.label, applied, side)


def _renamed(change: Change, former: str) -> Change:
    name = FieldChange.by_git("name", former, change.name)
    others = (field for field in change.fields if field.path != "name")
    return replace(
        change,
        action=Action.RENAME,
        cause=Cause.RENAMED,
        fields=(name, *others),
        formerly=former,
    )


def _short(digest: str | None) -> str | None:
    return digest and digest[:12]
