"""Drift: where the workspace differs from what was applied last. Nothing is written anywhere.

No manifest is read for it: what Git says now is the plan's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.data import Datastore
from reconciler.live import Hold, Owner, OwnerRecord
from reconciler.plan.bind import Published, label
from reconciler.plan.change import KINDS, Kind, Plain
from reconciler.plan.diff import field_changes
from reconciler.plan.guards import matches
from reconciler.plan.spec import spec_value
from reconciler.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.live import (
        Live,
        Lost,
        PublishedPipeline,
        RegisteredDatastore,
        RegisteredSchedule,
    )
    from reconciler.manifest.terms import Terms

STATUS = "status"
VERSION = "pipeline version"
SPEC = "spec"


class State(StrEnum):
    """How an object stands to what was applied last; each has one, the first that holds.

    ``changed``: somebody edited it. ``missing``: somebody deleted it. ``held``: an operator paused
    it. ``ignored``: it differs only where ``ignore_drift`` leaves it to others. ``unmanaged``: it
    belongs to no project. ``foreign``: it belongs to another project or target.
    """

    CHANGED = "changed"
    MISSING = "missing"
    HELD = "held"
    IGNORED = "ignored"
    UNMANAGED = "unmanaged"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Touched:
    """One field that somebody changed; ``path`` is dotted as in a plan, None stands for absent."""

    path: str
    applied: Plain
    live: Plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One object and how it stands.

    ``id`` is that of a schedule or of a pipeline's version. ``file`` and ``line`` are where it was
    declared when it was applied; ``ignored`` are the fields that are left to others, and ``hold``
    may stand beside any change.
    """

    state: State
    kind: Kind
    name: str
    id: str | None = None
    owner: Owner | None = None
    file: str | None = None
    line: int | None = None
    fields: tuple[Touched, ...] = ()
    ignored: tuple[Touched, ...] = ()
    hold: Hold | None = None

    @property
    def address(self) -> str:
        """The object's ``Kind.name``."""
        return f"{self.kind}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What was found in one workspace on behalf of one owner, sorted by kind, name and id.

    ``as_of`` is the instant that holds were judged at; ``record`` is what the owner applied last,
    None before a first apply.
    """

    owner: Owner
    workspace: str
    as_of: int
    record: OwnerRecord | None
    findings: tuple[Finding, ...]

    def of(self, *states: State) -> tuple[Finding, ...]:
        """Give the findings in one of these states."""
        return tuple(finding for finding in self.findings if finding.state in states)

    @property
    def drifted(self) -> bool:
        """Whether something of the owner's is not as it was applied."""
        return bool(self.of(State.CHANGED, State.MISSING))

    @property
    def summary(self) -> str:
        """All of it in one line."""
        counts = {state: len(self.of(state)) for state in State}
        always = (State.CHANGED, State.MISSING, State.UNMANAGED, State.HELD)
        seldom = tuple(state for state in (State.IGNORED, State.FOREIGN) if counts[state])
        return ", ".join(f"{counts[state]} {state}" for state in (*always, *seldom)) + "."


def find_drift(live: Live, owner: Owner, terms: Terms, *, workspace: str, as_of: int) -> Drift:
    """Compare what is live with what ``owner`` applied last.

    ``terms`` say which drift is left alone, ``as_of`` is the instant that "now" means.
    """
    finder = _Finder(owner, terms, as_of, Published(live.pipelines))
    found = [
        *map(finder.datastore, live.datastores),
        *map(finder.pipeline, finder.published.by_name.values()),
        *map(finder.schedule, live.schedules),
        *(_missing(lost) for lost in live.lost if lost.owner == owner),
    ]
    findings = (finding for finding in found if finding is not None)
    return Drift(
        owner=owner,
        workspace=workspace,
        as_of=as_of,
        record=next((record for record in live.owners if record.owner == owner), None),
        findings=tuple(sorted(findings, key=lambda f: (KINDS.index(f.kind), f.name, f.id or ""))),
    )


class _Finder:
    def __init__(self, owner: Owner, terms: Terms, as_of: int, published: Published) -> None:
        self.owner = owner
        self.terms = terms
        self.as_of = as_of
        self.published = published

    def datastore(self, here: RegisteredDatastore) -> Finding | None:
        if here.owner != self.owner:
            return _others(_at(Kind.DATASTORE, here))
        if here.applied is None:
            return None
        found = _at(Kind.DATASTORE, here)
        return self._judged(found, _touched(Datastore, here.spec, here.applied.spec))

    def pipeline(self, versions: list[PublishedPipeline]) -> Finding | None:
        """Judge a pipeline by the version that was applied last; content never drifts."""
        newest = self.published.newest(versions[-1].name) or versions[-1]
        if newest.owner != self.owner:
            return _others(replace(_at(Kind.PIPELINE, newest), id=newest.id))
        for here in versions:
            if here.applied is not None and here.applied.status is not here.status:
                touched = Touched(STATUS, here.applied.status.value, here.status.value)
                return self._judged(replace(_at(Kind.PIPELINE, here), id=here.id), [touched])
        return None

    def schedule(self, here: RegisteredSchedule) -> Finding | None:
        if here.owner != self.owner:
            return _others(replace(_at(Kind.SCHEDULE, here), id=here.id))
        held = here.hold is not None and here.hold.active(self.as_of)
        if here.applied is None and not held:
            return None
        found = replace(_at(Kind.SCHEDULE, here), id=here.id)
        if held:
            found = replace(found, state=State.HELD, hold=here.hold)
        touched: list[Touched] = []
        if here.applied is not None:
            if here.applied.status is not here.status:
                touched.append(Touched(STATUS, here.applied.status.value, here.status.value))
            specs = _touched(Schedule, here.spec, here.applied.spec)
            # The status beside the spec is the one that counts.
            touched += (one for one in specs if one.path != STATUS)
            if here.applied.pipeline_id != here.pipeline_id:
                ids = (here.applied.pipeline_id, here.pipeline_id)
                touched.append(Touched(VERSION, *map(self._version, ids)))
        return self._judged(found, touched) or (found if held else None)

    def _version(self, pipeline_id: str | None) -> str:
        version = self.published.by_id.get(pipeline_id or "")
        return label(version) if version is not None else pipeline_id or "latest"

    def _judged(self, found: Finding, touched: Iterable[Touched]) -> Finding | None:
        """Part what is left to others from what is drift; None where there is neither."""
        rules = [
            field
            for rule in self.terms.ignore_drift
            if matches(found.address, [rule.objects])
            for field in rule.fields
        ]
        drifted: list[Touched] = []
        ignored: list[Touched] = []
        for one in touched:
            left = any(one.path == rule or one.path.startswith(f"{rule}.") for rule in rules)
            (ignored if left else drifted).append(one)
        if not drifted and not ignored:
            return None
        state = State.CHANGED if drifted else State.IGNORED
        if not drifted and found.hold is not None:
            state = State.HELD
        return replace(found, state=state, fields=tuple(drifted), ignored=tuple(ignored))


def _touched(cls: type[Schedule | Datastore], live: str, applied: str) -> list[Touched]:
    """Compare two specs; one that says nothing valid any more differs as a whole."""
    before = spec_value(cls, applied)
    try:
        changes = field_changes(spec_value(cls, live), before)
    except ValueError:
        return [Touched(SPEC, applied, live)]
    return [Touched(change.path, change.new, change.old) for change in changes]


def _at(kind: Kind, here: RegisteredDatastore | PublishedPipeline | RegisteredSchedule) -> Finding:
    return Finding(
        state=State.CHANGED,
        kind=kind,
        name=here.name,
        owner=here.owner,
        file=here.provenance.file,
        line=here.provenance.line,
    )


def _others(found: Finding) -> Finding:
    return replace(found, state=State.UNMANAGED if found.owner is None else State.FOREIGN)


def _missing(lost: Lost) -> Finding:
    return Finding(
        state=State.MISSING,
        kind=Kind(lost.kind),
        name=lost.name,
        owner=lost.owner,
        file=lost.file,
        line=lost.line,
    )
