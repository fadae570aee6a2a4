"""Make the workspace as declared: a plan, carried out in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from reconciler.errors import Refused, StalePlan
from reconciler.live import DisabledBy
from reconciler.plan.build import build_plan
from reconciler.plan.change import Action, Kind
from reconciler.plan.check import problems
from reconciler.plan.codec import plan_json
from reconciler.plan.spec import spec_value
from reconciler.reconcile.arm import arming, first_passed_over, passed_over
from reconciler.schedule import Datastore, Schedule, Status
from reconciler.workspace.records import ApplyRecord, Clockwork

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.live import Live, RegisteredSchedule
    from reconciler.plan.change import Change, Plan
    from reconciler.reconcile.read import Reading
    from reconciler.run import Fire
    from reconciler.workspace.base import Registry, RegistryTransaction

T = TypeVar("T")

# What is needed comes first, what takes away comes last: schedules before the pipelines they use.
_ORDER: tuple[tuple[Kind, frozenset[Action]], ...] = (
    (Kind.DATASTORE, frozenset({Action.CREATE, Action.UPDATE})),
    (Kind.PIPELINE, frozenset({Action.CREATE, Action.UPDATE, Action.ENABLE})),
    (Kind.SCHEDULE, frozenset({Action.CREATE, Action.UPDATE, Action.ENABLE})),
    (Kind.SCHEDULE, frozenset({Action.DISABLE})),
    (Kind.PIPELINE, frozenset({Action.DISABLE})),
    (Kind.DATASTORE, frozenset({Action.REMOVE})),
)


def refuse(plan: Plan, *, allow_dirty: bool, allow_empty: bool) -> None:
    """Stop what must not be applied.

    Raises:
        Refused: a guard of the plan, uncommitted files without ``allow_dirty``, or a project that
            declares nothing any more without ``allow_empty``.
    """
    reasons = list(plan.refusals)
    if plan.dirty and not allow_dirty:
        files = ", ".join(plan.dirty[:5]) + (", ..." if len(plan.dirty) > 5 else "")
        noun, them = ("file", "it") if len(plan.dirty) == 1 else ("files", "them")
        text = f"{len(plan.dirty)} uncommitted {noun} ({files}); commit {them} or add --allow-dirty"
        reasons.append(text)
    if plan.empties and not allow_empty:
        text = (
            f"nothing is declared any more, and all {len(plan.changes)} objects would be taken away"
        )
        reasons.append(f"{text}; put the manifests back or add --allow-empty")
    if reasons:
        raise Refused("; ".join(reasons))


def apply_plan(
    plan: Plan,
    reading: Reading,
    registry: Registry,
    done: Callable[[Change], None] = lambda _: None,
) -> None:
    """Carry a plan out; all of it becomes visible at once, or nothing.

    ``done`` is told of each change as it is written, for progress.

    Raises:
        StalePlan: the workspace moved since the plan was made; nothing was written.
    """
    # Asked once for all before anyone is kept waiting; the source remembers the answers.
    reading.source.provenance(sorted({c.file for c in plan.changes if c.file and c.after}))
    with registry.transaction() as tx:
        live = tx.live()
        gone = problems(reading.desired, live)
        if gone:
            raise StalePlan(f"the workspace moved since the plan was made: {gone[0]}; plan again")
        present = build_plan(
            reading.desired, live, workspace=plan.workspace, commit=plan.commit, dirty=plan.dirty
        )
        if present.changes != plan.changes:
            raise StalePlan(_moved(plan, present))
        writer = _Writer(tx, reading, live)
        for kind, actions in _ORDER:
            for change in plan.changes:
                if change.kind is kind and change.action in actions:
                    writer.write(change)
                    done(change)
        state = reading.state
        tx.record_apply(
            ApplyRecord(
                owner=plan.owner,
                commit=state.commit,
                author=state.author,
                applied_at=tx.now(),
                summary=plan.summary,
                plan=plan_json(plan),
            )
        )


def _moved(plan: Plan, present: Plan) -> str:
    before = {(c.kind, c.name): c for c in plan.changes}
    after = {(c.kind, c.name): c for c in present.changes}
    keys = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
    names = ", ".join(f"{kind} '{name}'" for kind, name in keys[:5])
    return f"the workspace moved since the plan was made: {names}; plan again"


class _Writer:
    """Carries single changes out within one transaction."""

    def __init__(self, tx: RegistryTransaction, reading: Reading, live: Live) -> None:
        self.tx = tx
        self.reading = reading
        self.owner = reading.desired.owner
        self.pipelines = live.pipelines
        self.schedules = {schedule.id: schedule for schedule in live.schedules}
        self.published: dict[str, str] = {}

    def write(self, change: Change) -> None:
        match change.kind:
            case Kind.DATASTORE:
                self._datastore(change)
            case Kind.PIPELINE:
                self._pipeline(change)
            case Kind.SCHEDULE:
                self._schedule(change)

    def _datastore(self, change: Change) -> None:
        if change.after is None:
            self.tx.remove_datastore(change.name, _given(change.revision))
            return
        self.tx.put_datastore(
            owner=self.owner,
            name=change.name,
            spec=change.after,
            provenance=self.reading.provenance(change.file, change.line),
            revision=change.revision,
        )
        if change.before is not None and _url(change.before) != _url(change.after):
            # The same name is another place now: nothing in it is news.
            self.tx.rebaseline(change.name)

    def _pipeline(self, change: Change) -> None:
        if change.after is None:
            for version in self.pipelines:
                ours = version.name == change.name and version.owner == self.owner
                if ours and version.status is Status.ACTIVE:
                    self.tx.set_pipeline_status(
                        version.id, version.revision, Status.DISABLED, DisabledBy.MISSING
                    )
            return
        digest = _given(change.digest)
        version = self.tx.publish(
            owner=self.owner,
            name=change.name,
            spec=change.after,
            digest=digest,
            code=self.reading.code.get(change.name),
            provenance=self.reading.provenance(change.file, change.line),
        )
        self.published[digest] = version.id

    def _schedule(self, change: Change) -> None:
        if change.id is None:
            self._create(change, _given(change.after))
        else:
            self._update(change, self.schedules[change.id])

    def _bound(self, change: Change) -> str | None:
        if change.pipeline_id is None and change.digest is not None:
            return self.published[change.digest]
        return change.pipeline_id

    def _create(self, change: Change, spec: str) -> None:
        schedule = spec_value(Schedule, spec)
        now = self.tx.now()
        active = schedule.status is Status.ACTIVE
        self.tx.create_schedule(
            owner=self.owner,
            name=change.name,
            spec=spec,
            pipeline_id=self._bound(change),
            status=schedule.status,
            provenance=self.reading.provenance(change.file, change.line),
            arming=arming(schedule, now, now, created=True) if active else None,
        )
        self.tx.ensure_experiment(schedule.experiment_name)

    def _update(self, change: Change, here: RegisteredSchedule) -> None:
        now = self.tx.now()
        gone = change.after is None
        spec = change.after or here.spec
        schedule = spec_value(Schedule, spec)
        status = Status.DISABLED if gone else schedule.status
        disabled_by = None
        if status is Status.DISABLED:
            disabled_by = DisabledBy.MISSING if gone else DisabledBy.GIT
        self.tx.update_schedule(
            here.id,
            _given(change.revision),
            spec=spec,
            pipeline_id=self._bound(change),
            status=status,
            disabled_by=disabled_by,
            provenance=here.provenance
            if gone
            else self.reading.provenance(change.file, change.line),
        )
        rearm(self.tx, here, schedule, status, now)
        self.tx.ensure_experiment(schedule.experiment_name)


def rearm(
    tx: RegistryTransaction,
    here: RegisteredSchedule,
    schedule: Schedule,
    status: Status,
    now: int,
) -> None:
    """Set what wakes an edited, enabled or disabled schedule; ``here`` is its state before.

    A timer whose trigger stays the same is left alone, so that no occurrence is lost to an edit of
    something else. What nobody will decide any more gets its gap row.
    """
    if status is Status.DISABLED:
        if here.status is Status.ACTIVE:
            _record(tx, first_passed_over(here, now, "the schedule was disabled before it ran"))
            tx.arm(here.id, None)
        return
    before = spec_value(Schedule, here.spec)
    enabled = here.status is Status.DISABLED
    if not enabled and before.trigger == schedule.trigger:
        return
    reason = "the schedule was disabled" if enabled else "the trigger was edited before it fired"
    _record(tx, passed_over(here, now, reason))
    after = arming(schedule, here.created_at, now, created=here.initial)
    if not (isinstance(after, Clockwork) and after.initial):
        _record(tx, first_passed_over(here, now, reason))
    watched = arming(before, here.created_at, now, created=False)
    if enabled or isinstance(after, Clockwork) or after != watched:
        tx.arm(here.id, after)
    else:
        # The same place, looked at by other rules: they hold from now on, not from the next look.
        tx.look_soon(after)


def _record(tx: RegistryTransaction, gap: Fire | None) -> None:
    if gap is not None:
        tx.record_gap(gap)


def _url(spec: str) -> str:
    return spec_value(Datastore, spec).url


def _given(value: T | None) -> T:
    assert value is not None, "a plan of this kind of change carries it"  # noqa: S101  (the plan's own law)
    return value
