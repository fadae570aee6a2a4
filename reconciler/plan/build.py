"""Desired against live: which changes make them equal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.live import DisabledBy
from reconciler.pipeline import Pipeline
from reconciler.plan.bind import Published, bind, label
from reconciler.plan.change import KINDS, Action, Cause, Change, FieldChange, Kind, Plan
from reconciler.plan.diff import field_changes
from reconciler.plan.spec import spec_text, spec_value
from reconciler.schedule import Datastore, DatastoreChange, Schedule, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.live import Live, PublishedPipeline, RegisteredSchedule
    from reconciler.manifest.load import Declared
    from reconciler.plan.bind import Binding
    from reconciler.plan.desired import Desired


def build_plan(
    desired: Desired,
    live: Live,
    *,
    workspace: str = "",
    commit: str | None = None,
    dirty: tuple[str, ...] = (),
) -> Plan:
    """Compare what one owner declares with what the workspace holds.

    The references in ``desired`` must have been checked (:func:`reconciler.plan.check.problems`).
    Other owners' objects never change; where they stand in the way the plan carries a refusal.
    """
    builder = _Builder(desired, live)
    found = [*builder.datastores(), *builder.pipelines(), *builder.schedules()]
    changes = sorted(
        (change for change in found if change is not None),
        key=lambda change: (KINDS.index(change.kind), change.name),
    )
    return Plan(
        owner=desired.owner,
        workspace=workspace,
        changes=tuple(changes),
        unchanged=len(found) - len(changes),
        refusals=tuple(sorted(builder.refusals())),
        commit=commit,
        dirty=dirty,
    )


class _Builder:
    """The two sides, indexed. Each method yields a change, or None for an unchanged object."""

    def __init__(self, desired: Desired, live: Live) -> None:
        self.desired = desired
        self.live = live
        self.owner = desired.owner
        self.published = Published(live.pipelines)
        self.own_schedules = {s.name: s for s in live.schedules if s.owner == self.owner}

    def datastores(self) -> Iterator[Change | None]:
        live = {store.name: store for store in self.live.datastores}
        for name, declared in self.desired.datastores.items():
            here = live.get(name)
            after = spec_text(declared.value)
            change = Change(
                action=Action.CREATE,
                kind=Kind.DATASTORE,
                name=name,
                cause=Cause.DECLARED,
                file=declared.file,
                line=declared.line,
                after=after,
            )
            if here is None:
                yield change
            elif here.spec == after:
                yield None
            else:
                yield replace(
                    change,
                    action=Action.UPDATE,
                    cause=Cause.EDITED,
                    fields=field_changes(spec_value(Datastore, here.spec), declared.value),
                    revision=here.revision,
                    before=here.spec,
                )
        for store in self.live.datastores:
            if store.owner == self.owner and store.name not in self.desired.datastores:
                yield Change(
                    action=Action.REMOVE,
                    kind=Kind.DATASTORE,
                    name=store.name,
                    cause=Cause.MISSING,
                    file=store.provenance.file,
                    line=store.provenance.line,
                    revision=store.revision,
                    before=store.spec,
                )

    def pipelines(self) -> Iterator[Change | None]:
        for declared in self.desired.pipelines.values():
            yield self._pipeline(declared)
        for name, versions in self.published.by_name.items():
            newest = self._newest_of_ours(versions)
            if newest is not None and name not in self.desired.pipelines:
                yield Change(
                    action=Action.DISABLE,
                    kind=Kind.PIPELINE,
                    name=name,
                    cause=Cause.MISSING,
                    fields=(FieldChange("status", Status.ACTIVE.value, Status.DISABLED.value),),
                    file=newest.provenance.file,
                    line=newest.provenance.line,
                    id=newest.id,
                    revision=newest.revision,
                    before=newest.spec,
                )

    def _newest_of_ours(self, versions: list[PublishedPipeline]) -> PublishedPipeline | None:
        ours = (v for v in versions if v.owner == self.owner and v.status is Status.ACTIVE)
        return max(ours, key=lambda version: version.version, default=None)

    def _pipeline(self, declared: Declared[Pipeline]) -> Change | None:
        name = declared.value.name
        digest = self.desired.digest(name)
        code_digest = self.desired.code_digests.get(name)
        versions = self.published.by_name.get(name, [])
        change = Change(
            action=Action.CREATE,
            kind=Kind.PIPELINE,
            name=name,
            cause=Cause.DECLARED,
            file=declared.file,
            line=declared.line,
            after=spec_text(declared.value),
            digest=digest,
            code_digest=code_digest,
        )
        if not versions:
            return change
        same = self.published.by_digest.get((name, digest))
        current = self.published.newest(name)
        if same is not None and same.status is Status.ACTIVE:
            return None
        before = current or same or versions[-1]
        fields = field_changes(spec_value(Pipeline, before.spec), declared.value)
        if before.code_digest != code_digest:
            code = FieldChange("code (content)", _short(before.code_digest), _short(code_digest))
            fields = (*fields, code)
        version = label(same) if same is not None else f"{name}@new"
        if same is not before:
            fields = (*fields, FieldChange("version", label(before), version))
        if current is None:
            fields = (FieldChange("status", Status.DISABLED.value, Status.ACTIVE.value), *fields)
        return replace(
            change,
            action=Action.ENABLE if current is None else Action.UPDATE,
            cause=Cause.EDITED if current is not None else _back(before),
            fields=fields,
            id=before.id,
            revision=before.revision,
            before=before.spec,
        )

    def schedules(self) -> Iterator[Change | None]:
        for name, declared in self.desired.schedules.items():
            here = self.own_schedules.get(name)
            yield self._create(declared) if here is None else self._update(declared, here)
        for name, here in self.own_schedules.items():
            if name not in self.desired.schedules and here.status is Status.ACTIVE:
                yield Change(
                    action=Action.DISABLE,
                    kind=Kind.SCHEDULE,
                    name=name,
                    cause=Cause.MISSING,
                    fields=(FieldChange("status", Status.ACTIVE.value, Status.DISABLED.value),),
                    file=here.provenance.file,
                    line=here.provenance.line,
                    id=here.id,
                    revision=here.revision,
                    before=here.spec,
                    pipeline_id=here.pipeline_id,
                    note=_held(here),
                )

    def _binding(self, declared: Declared[Schedule]) -> Binding:
        binding = bind(declared.value.pipeline, self.desired, self.published)
        assert binding is not None, "references are checked before a plan is built"  # noqa: S101  (the caller's duty)
        return binding

    def _create(self, declared: Declared[Schedule]) -> Change:
        binding = self._binding(declared)
        return Change(
            action=Action.CREATE,
            kind=Kind.SCHEDULE,
            name=declared.value.name,
            cause=Cause.DECLARED,
            file=declared.file,
            line=declared.line,
            after=spec_text(declared.value),
            pipeline_id=binding.published.id if binding.published else None,
            digest=binding.digest,
        )

    def _update(self, declared: Declared[Schedule], here: RegisteredSchedule) -> Change | None:
        binding = self._binding(declared)
        bound = binding.published.id if binding.published else None
        late = binding.published is None and binding.digest is None
        moved = here.pipeline_id is not None if late else bound is None or bound != here.pipeline_id
        after = spec_text(declared.value)
        status = declared.value.status
        if here.spec == after and not moved and here.status is status:
            return None
        old = spec_value(Schedule, here.spec)
        fields = field_changes(old, declared.value) if here.spec != after else ()
        fields = tuple(field for field in fields if field.path != "status")
        if moved:
            fields = (*fields, FieldChange("pipeline version", self._bound(here), binding.label))
        if here.status is not status:
            fields = (FieldChange("status", here.status.value, status.value), *fields)
        return Change(
            action=_action(here.status, status),
            kind=Kind.SCHEDULE,
            name=here.name,
            cause=_cause(here, edited=here.spec != after),
            fields=fields,
            file=declared.file,
            line=declared.line,
            id=here.id,
            revision=here.revision,
            before=here.spec,
            after=after,
            pipeline_id=bound,
            digest=binding.digest,
            note=_held(here),
        )

    def _bound(self, here: RegisteredSchedule) -> str:
        if here.pipeline_id is None:
            return f"{spec_value(Schedule, here.spec).pipeline}"
        return label(self.published.by_id[here.pipeline_id])

    def refusals(self) -> Iterator[str]:
        """Say what stands in the way, with the way out."""
        for store in self.live.datastores:
            if store.name in self.desired.datastores and store.owner != self.owner:
                yield _foreign(Kind.DATASTORE, store.name, store.owner)
        for name, versions in self.published.by_name.items():
            foreign = next((v for v in versions if v.owner != self.owner), None)
            if name in self.desired.pipelines and foreign is not None:
                yield _foreign(Kind.PIPELINE, name, foreign.owner)
        yield from self._still_used()

    def _still_used(self) -> Iterator[str]:
        """Others' active schedules that use what this apply would take away."""
        gone = {
            version.id: version.name
            for version in self.live.pipelines
            if version.owner == self.owner and version.name not in self.desired.pipelines
        }
        # One that is bound at each fire has no version's id.
        gone |= {f"{name}@latest": name for name in gone.values()}
        stores = {
            store.name
            for store in self.live.datastores
            if store.owner == self.owner and store.name not in self.desired.datastores
        }
        for schedule in self.live.schedules:
            if schedule.status is not Status.ACTIVE or schedule.owner == self.owner:
                continue
            whose = f"schedule '{schedule.name}' of {schedule.owner or 'nobody (made by SDK)'}"
            spec = spec_value(Schedule, schedule.spec)
            used = gone.get(schedule.pipeline_id or spec.pipeline)
            if used is not None:
                yield (
                    f"pipeline '{used}' would be disabled, but {whose} uses it; disable that first"
                )
            trigger = spec.trigger
            if isinstance(trigger, DatastoreChange) and trigger.datastore in stores:
                yield (
                    f"datastore '{trigger.datastore}' would be removed, but {whose} watches it; "
                    "disable that first"
                )


def _foreign(kind: Kind, name: str, owner: object) -> str:
    whose = f"belongs to {owner}" if owner else "was made through the SDK and belongs to no project"
    return f"{kind} '{name}' {whose}; give yours another name"


def _held(here: RegisteredSchedule) -> str:
    return f"held by {here.hold.who}: {here.hold.why}" if here.hold else ""


def _action(live: Status, desired: Status) -> Action:
    if live is desired:
        return Action.UPDATE
    return Action.ENABLE if desired is Status.ACTIVE else Action.DISABLE


def _back(version: PublishedPipeline) -> Cause:
    """Say why a pipeline without any Active version is enabled."""
    return Cause.RESTORED if version.disabled_by is DisabledBy.MISSING else Cause.DRIFTED


def _cause(here: RegisteredSchedule, *, edited: bool) -> Cause:
    if here.disabled_by is DisabledBy.MISSING:
        return Cause.RESTORED
    return Cause.EDITED if edited else Cause.PIPELINE_MOVED


def _short(digest: str | None) -> str | None:
    return digest and digest[:12]
