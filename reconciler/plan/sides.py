"""All sides of a plan, indexed, and what its changes of every kind have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from reconciler.data import Datastore
from reconciler.errors import InvalidValue
from reconciler.manifest.terms import OnMissing
from reconciler.plan.bind import Bindings, label
from reconciler.plan.change import (
    Action,
    Cause,
    Change,
    FieldChange,
    Guard,
    Kind,
    Reason,
    Suppressed,
)
from reconciler.plan.diff import field_changes, leave, settled
from reconciler.plan.facts import NOBODY
from reconciler.plan.guards import matches
from reconciler.plan.spec import spec_value
from reconciler.schedule import Schedule

if TYPE_CHECKING:
    from reconciler.live import Live, Owner, RegisteredSchedule
    from reconciler.manifest.load import Declared
    from reconciler.pipeline import Pipeline
    from reconciler.plan.desired import Desired

V = TypeVar("V", bound=Schedule | Datastore)


class Sides:
    """What is desired and what is live; gathers the guards and the suppressed differences.

    ``adopted`` are the addresses that were to be adopted and were found.
    """

    def __init__(self, desired: Desired, live: Live, as_of: int) -> None:
        self.desired = desired
        self.live = live
        self.as_of = as_of
        self.owner = desired.owner
        self.bindings = Bindings(desired, live.pipelines)
        self.published = self.bindings.published
        self.own_schedules: dict[str, RegisteredSchedule] = {}
        self.others: dict[str, list[RegisteredSchedule]] = {}
        for here in live.schedules:
            if here.owner == self.owner:
                self.own_schedules[here.name] = here
            else:
                self.others.setdefault(here.name, []).append(here)
        self.lost = {(lost.kind, lost.name) for lost in live.lost if lost.owner == self.owner}
        self.suppressed: list[Suppressed] = []
        self.guards: list[Guard] = []
        self.adopted: set[str] = set()

    def create(
        self, kind: Kind, declared: Declared[Schedule | Pipeline | Datastore], after: str
    ) -> Change:
        """Give the change that makes a declared object whose spec is to be ``after``."""
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

    def protection(self, address: str, *, live: bool) -> tuple[FieldChange, ...]:
        """Tell that an object's protection is to be another than it is."""
        protected = matches(address, self.desired.terms.protected)
        return () if protected == live else (FieldChange.by_git("protected", live, protected),)

    def compare(
        self, live: V, declared: V, applied: V | None, *, but: frozenset[str] = frozenset()
    ) -> tuple[V, tuple[FieldChange, ...]]:
        """Give what is desired where others keep what is theirs, and what differs from that.

        ``applied`` is what this owner applied last, None where nobody touched the object since;
        ``but`` are paths that no rule leaves to others.
        """
        address = f"{declared.KIND}.{declared.name}"
        if applied is not None:
            self.suppressed += (Suppressed(address, *s) for s in settled(live, declared, applied))
        desired = self._left(address, live, declared, but)
        return desired, field_changes(live, desired, applied)

    def _left(self, address: str, live: V, declared: V, but: frozenset[str]) -> V:
        """Leave alone what the project's terms leave to others."""
        rules = self.desired.terms.ignore_drift
        paths = {path for rule in rules if matches(address, [rule.objects]) for path in rule.fields}
        try:
            desired, found = leave(live, declared, paths - but)
        except InvalidValue as error:
            self._unfit(address, str(error))
            return declared
        if isinstance(desired, Schedule) and not self._stays(desired.pipeline):
            self._unfit(address, f"pipeline '{desired.pipeline}' is not there any more")
            return declared
        self.suppressed += (Suppressed(address, *one) for one in found)
        return desired

    def _stays(self, reference: str) -> bool:
        """Whether a pipeline is there now and after an apply."""
        binding = self.bindings.bind(reference)
        if binding is None or self.desired.terms.on_missing is OnMissing.KEEP:
            return binding is not None
        name = binding.name
        return self.desired.declares(name) or self.published.by_name[name][-1].owner != self.owner

    def _unfit(self, address: str, why: str) -> None:
        text = f"{address} cannot keep what ignore_drift leaves to others: {why}"
        self.guards.append(Guard("ignore_drift", f"{text}; change the rule in reconciler.yml"))

    def version(self, spec: str, pipeline_id: str | None) -> str:
        """Write what a schedule with this spec is bound to."""
        if pipeline_id is None:
            return spec_value(Schedule, spec).pipeline
        version = self.published.by_id.get(pipeline_id)
        return pipeline_id if version is None else label(version)

    def adopt(self, change: Change, owner: Owner | None) -> Change | None:
        """Take an object over if that was asked for; else it is left alone, as a guard says."""
        if change.address not in self.desired.adopt:
            return None
        self.adopted.add(change.address)
        whose = FieldChange.by_git("owner", str(owner or NOBODY), str(self.owner))
        return replace(
            change,
            action=Action.ADOPT,
            cause=Cause.ADOPTED,
            fields=(whose, *change.fields),
            formerly=str(owner or NOBODY),
        )

    def missing(self, change: Change) -> Change | None:
        """Decide about an object whose manifest is gone."""
        on_missing = self.desired.terms.on_missing
        if on_missing is OnMissing.KEEP:
            kept = Suppressed(change.address, "manifest", Reason.KEPT, change.file, None)
            self.suppressed.append(kept)
            return None
        if on_missing is OnMissing.FAIL:
            text = f"the manifest of {change.kind} '{change.name}' is gone and on_missing is fail"
            off = (
                "declare it Disabled" if change.kind is Kind.SCHEDULE else "set another on_missing"
            )
            self.guards.append(Guard("missing", f"{text}; put it back, or {off}"))
        return change
