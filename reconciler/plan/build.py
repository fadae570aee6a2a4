"""Desired against live, with what was applied last between them: which changes make them equal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from reconciler.errors import InvalidValue
from reconciler.live import DisabledBy
from reconciler.manifest.terms import OnMissing
from reconciler.pipeline import Pipeline
from reconciler.plan.bind import Published, bind, label
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
    Reason,
    Side,
    Suppressed,
)
from reconciler.plan.diff import field_changes, leave, settled
from reconciler.plan.guards import guards, matches
from reconciler.plan.likeness import suggest
from reconciler.plan.spec import fingerprint, spec_text, spec_value
from reconciler.plan.timing import with_impact
from reconciler.schedule import Datastore, Schedule, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.live import Applied, Live, PublishedPipeline, RegisteredSchedule
    from reconciler.manifest.load import Declared
    from reconciler.plan.bind import Binding
    from reconciler.plan.desired import Desired

T = TypeVar("T")
NOBODY = "nobody"


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
    builder = _Builder(desired, live)
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
            for here in live.schedules
            if here.owner == desired.owner and here.hold is not None and here.hold.active(as_of)
        ),
        commit=commit,
        dirty=dirty,
    )
    blocking = {*builder.guards, *further, *guards(plan, desired, live)}
    return replace(plan, guards=tuple(sorted(blocking, key=lambda g: (g.id, g.message))))


class _Builder:
    """All sides, indexed. Each method yields a change, or None for an unchanged object."""

    def __init__(self, desired: Desired, live: Live) -> None:
        self.desired = desired
        self.live = live
        self.owner = desired.owner
        self.published = Published(live.pipelines)
        self.own_schedules = {s.name: s for s in live.schedules if s.owner == self.owner}
        self.lost = {(lost.kind, lost.name) for lost in live.lost if lost.owner == self.owner}
        self.suppressed: list[Suppressed] = []
        self.guards: list[Guard] = []
        self.adopted: set[str] = set()

    def datastores(self) -> Iterator[Change | None]:
        live = {store.name: store for store in self.live.datastores}
        for name, declared in self.desired.datastores.items():
            here = live.get(name)
            after = spec_text(declared.value)
            change = self._create(Kind.DATASTORE, declared, after)
            if here is None:
                yield change
                continue
            change = replace(
                change,
                action=Action.UPDATE,
                cause=Cause.EDITED,
                revision=here.revision,
                fingerprint=fingerprint(here.spec, str(here.owner)),
                before=here.spec,
            )
            fields = self._protection(change, here.protected)
            if here.spec != after:
                old = spec_value(Datastore, here.spec)
                applied = _applied(Datastore, here.applied)
                fields = (*field_changes(old, declared.value, applied), *fields)
            if here.owner != self.owner:
                yield self._adopt(change, fields, here.owner)
            else:
                yield replace(change, fields=fields) if fields else None
        for store in self.live.datastores:
            kept = store.name in self.desired.kept.datastores
            if store.owner == self.owner and store.name not in self.desired.datastores and not kept:
                yield self._missing(
                    Change(
                        action=Action.REMOVE,
                        kind=Kind.DATASTORE,
                        name=store.name,
                        cause=Cause.MISSING,
                        file=store.provenance.file,
                        line=store.provenance.line,
                        revision=store.revision,
                        fingerprint=fingerprint(store.spec, str(store.owner)),
                        before=store.spec,
                    )
                )

    def pipelines(self) -> Iterator[Change | None]:
        for declared in self.desired.pipelines.values():
            yield self._pipeline(declared)
        for name, versions in self.published.by_name.items():
            newest = self._newest_of_ours(versions)
            if newest is not None and not self.desired.declares(name):
                yield self._missing(
                    Change(
                        action=Action.DISABLE,
                        kind=Kind.PIPELINE,
                        name=name,
                        cause=Cause.MISSING,
                        fields=(_status(Status.ACTIVE, Status.DISABLED),),
                        file=newest.provenance.file,
                        line=newest.provenance.line,
                        id=newest.id,
                        revision=newest.revision,
                        fingerprint=_version_print(newest),
                        before=newest.spec,
                    )
                )

    def _newest_of_ours(self, versions: list[PublishedPipeline]) -> PublishedPipeline | None:
        ours = (v for v in versions if v.owner == self.owner and v.status is Status.ACTIVE)
        return max(ours, key=lambda version: version.version, default=None)

    def _pipeline(self, declared: Declared[Pipeline]) -> Change | None:
        name = declared.value.name
        digest = self.desired.digest(name)
        code_digest = self.desired.code_digests.get(name)
        versions = self.published.by_name.get(name, [])
        change = self._create(Kind.PIPELINE, declared, spec_text(declared.value))
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
            revision=before.revision,
            fingerprint=_version_print(before),
            before=before.spec,
        )
        fields = self._protection(change, any(v.protected for v in versions))
        if same is None or same.status is not Status.ACTIVE:
            change, fields = self._republish(change, declared, before, same, fields)
        stranger = next((v for v in versions if v.owner != self.owner), None)
        if stranger is not None:
            return self._adopt(change, fields, stranger.owner)
        return replace(change, fields=fields) if fields else None

    def _republish(
        self,
        change: Change,
        declared: Declared[Pipeline],
        before: PublishedPipeline,
        same: PublishedPipeline | None,
        fields: tuple[FieldChange, ...],
    ) -> tuple[Change, tuple[FieldChange, ...]]:
        """Publish new content, or make the version that has this content Active again."""
        edits = field_changes(spec_value(Pipeline, before.spec), declared.value)
        if before.code_digest != change.code_digest:
            code = _short(before.code_digest), _short(change.code_digest)
            edits = (*edits, FieldChange.by_git("code (content)", *code))
        if same is not before:
            version = label(same) if same is not None else f"{before.name}@new"
            edits = (*edits, FieldChange.by_git("version", label(before), version))
        if self.published.newest(before.name) is None:
            edits = (_status(Status.DISABLED, Status.ACTIVE, before.applied), *edits)
            change = replace(change, action=Action.ENABLE, cause=_back(before))
        return change, (*edits, *fields)

    def schedules(self) -> Iterator[Change | None]:
        renamed = set()
        for name, declared in self.desired.schedules.items():
            here = self.own_schedules.get(name)
            former = declared.value.renamed_from
            if here is None and former in self.own_schedules:
                renamed.add(former)
                here = self.own_schedules[former]
            elif here is None:
                here = self._to_adopt(name)
            yield self._new(declared) if here is None else self._update(declared, here)
        for name, here in self.own_schedules.items():
            gone = name not in self.desired.schedules and name not in renamed
            if gone and here.status is Status.ACTIVE:
                yield self._missing(
                    Change(
                        action=Action.DISABLE,
                        kind=Kind.SCHEDULE,
                        name=name,
                        cause=Cause.MISSING,
                        fields=(_status(Status.ACTIVE, Status.DISABLED),),
                        file=here.provenance.file,
                        line=here.provenance.line,
                        id=here.id,
                        revision=here.revision,
                        fingerprint=_schedule_print(here),
                        before=here.spec,
                        pipeline_id=here.pipeline_id,
                        notes=_held(here),
                    )
                )
        for address in sorted(self.desired.adopt - self.adopted):
            text = f"{address} is to be adopted, but nobody else has an object of that name"
            self.guards.append(Guard("adopt", f"{text} that is declared here; leave it out"))

    def _to_adopt(self, name: str) -> RegisteredSchedule | None:
        address = f"{Kind.SCHEDULE}.{name}"
        others = [s for s in self.live.schedules if s.name == name and s.owner != self.owner]
        if address not in self.desired.adopt or not others:
            return None
        self.adopted.add(address)
        if len(others) > 1:
            whose = ", ".join(f"{s.id} of {s.owner or NOBODY}" for s in others)
            text = f"several schedules are named '{name}' ({whose}); disable and rename the others"
            self.guards.append(Guard("adopt", text))
        return others[0]

    def _new(self, declared: Declared[Schedule]) -> Change:
        binding = self._binding(declared)
        schedule = declared.value
        notes: tuple[str, ...] = ()
        if schedule.renamed_from is not None:
            notes = (f"there is no schedule '{schedule.renamed_from}' to be renamed",)
        unmanaged = next(
            (s for s in self.live.schedules if s.name == schedule.name and s.owner is None), None
        )
        if unmanaged is not None:
            text = f"the SDK made a schedule of that name too (id {unmanaged.id})"
            way = f"to take it over instead: --adopt {Kind.SCHEDULE}.{schedule.name}"
            notes = (*notes, f"{text}; {way}")
        change = self._create(Kind.SCHEDULE, declared, spec_text(schedule))
        bound = binding.published.id if binding.published else None
        return replace(change, pipeline_id=bound, digest=binding.digest, notes=notes)

    def _binding(self, declared: Declared[Schedule]) -> Binding:
        binding = bind(declared.value.pipeline, self.desired, self.published)
        assert binding is not None, "references are checked before a plan is built"  # noqa: S101  (the caller's duty)
        return binding

    def _update(self, declared: Declared[Schedule], here: RegisteredSchedule) -> Change | None:
        binding = self._binding(declared)
        bound = binding.published.id if binding.published else None
        late = binding.published is None and binding.digest is None
        moved = here.pipeline_id is not None if late else bound is None or bound != here.pipeline_id
        after = spec_text(declared.value)
        desired = declared.value
        if here.spec != after and self.desired.terms.ignore_drift:
            desired = self._left(desired, here)
            after = spec_text(desired)
        status = desired.status
        protected = matches(f"{Kind.SCHEDULE}.{desired.name}", self.desired.terms.protected)
        same = (here.spec, here.status, here.protected) == (after, status, protected)
        if same and not moved and here.name == desired.name and here.owner == self.owner:
            return None
        change = self._create(Kind.SCHEDULE, declared, after)
        fields = self._protection(change, here.protected)
        applied = here.applied
        if here.spec != after:
            fields = (*self._edits(here, desired, change.address), *fields)
        if moved:
            version = FieldChange.by_git("pipeline version", self._bound(here), binding.label)
            fields = (*fields, version)
        if here.status is not status:
            fields = (_status(here.status, status, applied), *fields)
        change = replace(
            change,
            action=_action(here.status, status),
            cause=_cause(here, fields, edited=here.spec != after),
            pipeline_id=bound,
            digest=binding.digest,
            notes=_held(here),
        )
        return self._owned(change, fields, here)

    def _owned(
        self, change: Change, fields: tuple[FieldChange, ...], here: RegisteredSchedule
    ) -> Change | None:
        """Complete a change of a schedule that exists, under whatever name and owner."""
        change = replace(
            change,
            id=here.id,
            revision=here.revision,
            fingerprint=_schedule_print(here),
            before=here.spec,
        )
        if here.owner != self.owner:
            return self._adopt(change, fields, here.owner)
        if here.name != change.name:
            name = FieldChange.by_git("name", here.name, change.name)
            return replace(
                change,
                action=Action.RENAME,
                cause=Cause.RENAMED,
                fields=(name, *(field for field in fields if field.path != "name")),
                formerly=here.name,
            )
        return replace(change, fields=fields) if fields else None

    def _left(self, desired: Schedule, here: RegisteredSchedule) -> Schedule:
        """Leave alone what the project's terms leave to others."""
        address = f"{Kind.SCHEDULE}.{desired.name}"
        rules = self.desired.terms.ignore_drift
        paths = {path for rule in rules if matches(address, [rule.objects]) for path in rule.fields}
        try:
            merged, found = leave(spec_value(Schedule, here.spec), desired, paths)
        except InvalidValue as error:
            text = f"{address} cannot keep what ignore_drift leaves to others: {error}"
            self.guards.append(Guard("ignore_drift", f"{text}; change the rule in reconciler.yml"))
            return desired
        self.suppressed += (Suppressed(address, *one) for one in found)
        return merged

    def _edits(
        self, here: RegisteredSchedule, desired: Schedule, address: str
    ) -> tuple[FieldChange, ...]:
        old = spec_value(Schedule, here.spec)
        applied = _applied(Schedule, here.applied)
        if applied is not None:
            self.suppressed += (Suppressed(address, *s) for s in settled(old, desired, applied))
        fields = field_changes(old, desired, applied)
        return tuple(field for field in fields if field.path != "status")

    def _bound(self, here: RegisteredSchedule) -> str:
        if here.pipeline_id is None:
            return f"{spec_value(Schedule, here.spec).pipeline}"
        return label(self.published.by_id[here.pipeline_id])

    def _create(
        self, kind: Kind, declared: Declared[Schedule | Pipeline | Datastore], after: str
    ) -> Change:
        address = f"{kind}.{declared.value.name}"
        return Change(
            action=Action.CREATE,
            kind=kind,
            name=declared.value.name,
            cause=Cause.LOST if (kind, declared.value.name) in self.lost else Cause.DECLARED,
            file=declared.file,
            line=declared.line,
            after=after,
            protected=matches(address, self.desired.terms.protected),
        )

    def _protection(self, change: Change, protected: bool) -> tuple[FieldChange, ...]:  # noqa: FBT001  (a fact)
        if protected == change.protected:
            return ()
        return (FieldChange.by_git("protected", protected, change.protected),)

    def _adopt(
        self, change: Change, fields: tuple[FieldChange, ...], owner: object
    ) -> Change | None:
        """Take an object over if that was asked for; else it is left alone, as a guard says."""
        if change.address not in self.desired.adopt:
            return None
        self.adopted.add(change.address)
        whose = FieldChange.by_git("owner", str(owner or NOBODY), str(self.owner))
        return replace(
            change,
            action=Action.ADOPT,
            cause=Cause.ADOPTED,
            fields=(whose, *fields),
            formerly=str(owner or NOBODY),
        )

    def _missing(self, change: Change) -> Change | None:
        """Decide about an object whose manifest is gone."""
        on_missing = self.desired.terms.on_missing
        if on_missing is OnMissing.KEEP:
            kept = Suppressed(change.address, "manifest", Reason.KEPT, change.file, None)
            self.suppressed.append(kept)
            return None
        if on_missing is OnMissing.FAIL:
            text = f"the manifest of {change.kind} '{change.name}' is gone and on_missing is fail"
            self.guards.append(Guard("missing", f"{text}; put it back, or declare it Disabled"))
        return change


def _applied(cls: type[T], applied: Applied | None) -> T | None:
    return None if applied is None else spec_value(cls, applied.spec)


def _status(live: Status, desired: Status, applied: Applied | None = None) -> FieldChange:
    before = live if applied is None else applied.status
    side = Side.GIT if before is live else Side.LIVE if before is desired else Side.BOTH
    return FieldChange("status", live.value, desired.value, before.value, side)


def _schedule_print(here: RegisteredSchedule) -> str:
    facts = (here.id, here.name, here.spec, here.pipeline_id, here.status, here.disabled_by)
    return fingerprint(*facts, str(here.owner), here.protected)


def _version_print(version: PublishedPipeline) -> str:
    return fingerprint(version.id, version.status, str(version.owner), version.protected)


def _held(here: RegisteredSchedule) -> tuple[str, ...]:
    return (f"held by {here.hold.who}: {here.hold.why}",) if here.hold else ()


def _action(live: Status, desired: Status) -> Action:
    if live is desired:
        return Action.UPDATE
    return Action.ENABLE if desired is Status.ACTIVE else Action.DISABLE


def _back(version: PublishedPipeline) -> Cause:
    """Say why a pipeline without any Active version is enabled."""
    return Cause.RESTORED if version.disabled_by is DisabledBy.MISSING else Cause.DRIFTED


def _cause(here: RegisteredSchedule, fields: tuple[FieldChange, ...], *, edited: bool) -> Cause:
    if here.disabled_by is DisabledBy.MISSING:
        return Cause.RESTORED
    if fields and all(field.side is Side.LIVE for field in fields):
        return Cause.DRIFTED
    moved = not edited and any(field.path == "pipeline version" for field in fields)
    return Cause.PIPELINE_MOVED if moved else Cause.EDITED


def _short(digest: str | None) -> str | None:
    return digest and digest[:12]
