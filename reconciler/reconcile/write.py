"""Single changes of a plan, written within one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from reconciler.data import Datastore, DatastoreChange
from reconciler.live import DisabledBy
from reconciler.plan.change import Action, Kind
from reconciler.plan.spec import spec_value
from reconciler.reconcile.arm import (
    arming,
    first_passed_over,
    pass_over_files,
    pass_over_moved,
    passed_over,
)
from reconciler.schedule import Schedule, Status
from reconciler.workspace.records import Clockwork, Watching

if TYPE_CHECKING:
    from reconciler.live import RegisteredSchedule
    from reconciler.plan.change import Change
    from reconciler.reconcile.read import Reading
    from reconciler.run import Fire
    from reconciler.workspace.base import RegistryTransaction

T = TypeVar("T")


class Writer:
    """Carries single changes out; ``reading`` is of the state that the transaction sees.

    ``back`` says that all of it goes back to how it was once.
    """

    def __init__(self, tx: RegistryTransaction, reading: Reading, *, back: bool = False) -> None:
        self.back = back
        self.tx = tx
        self.reading = reading
        self.owner = reading.desired.owner
        self.pipelines = reading.live.pipelines
        self.versions = {version.id for version in self.pipelines}
        self.schedules = {schedule.id: schedule for schedule in reading.live.schedules}
        self.published: dict[str, str] = {}

    def write(self, change: Change) -> None:
        """Write one change.

        Raises:
            StalePlan: the object is no longer at the change's revision.
        """
        match change.kind:
            case Kind.DATASTORE:
                self._datastore(change)
            case Kind.PIPELINE:
                self._pipeline(change)
            case Kind.SCHEDULE:
                self._schedule(change)

    def _datastore(self, change: Change) -> None:
        revision = change.revision
        if change.after is None:
            self.tx.remove_datastore(change.name, _given(revision))
            return
        if change.action is Action.ADOPT:
            revision = self.tx.claim(change.kind, change.name, _given(revision), self.owner)
        if change.before == change.after:
            return
        self.tx.put_datastore(
            owner=self.owner,
            name=change.name,
            spec=change.after,
            provenance=self.reading.provenance(change.file, change.line),
            revision=revision,
        )
        if change.before is None or _place(change.before) != _place(change.after):
            # The name is another place now, or was none for a while: nothing in it is news.
            self.tx.rebaseline(change.name)
            pass_over_moved(self.tx, change.name)

    def _pipeline(self, change: Change) -> None:
        if change.after is None:
            for version in self.pipelines:
                ours = version.name == change.name and version.owner == self.owner
                if ours and version.status is Status.ACTIVE:
                    self.tx.set_pipeline_status(
                        version.id, version.revision, Status.DISABLED, DisabledBy.MISSING
                    )
            return
        if change.action is Action.ADOPT:
            self.tx.claim(change.kind, change.name, _given(change.revision), self.owner)
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
        # One that somebody deleted must not keep its schedule from being disabled.
        return change.pipeline_id if change.pipeline_id in self.versions else None

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
        revision = _given(change.revision)
        if change.action is Action.ADOPT:
            revision = self.tx.claim(change.kind, here.id, revision, self.owner)
        spec = change.after or here.spec
        schedule = spec_value(Schedule, spec)
        status = Status.DISABLED if gone else schedule.status
        disabled_by = None
        if status is Status.DISABLED:
            disabled_by = DisabledBy.MISSING if gone else DisabledBy.GIT
        self.tx.update_schedule(
            here.id,
            revision,
            spec=spec,
            pipeline_id=self._bound(change),
            status=status,
            disabled_by=disabled_by,
            provenance=here.provenance
            if gone
            else self.reading.provenance(change.file, change.line),
            name=change.name if change.action is Action.RENAME else None,
        )
        edited = change.action is Action.UPDATE and not self.back
        rearm(self.tx, here, schedule, status, now, edited=edited)
        self.tx.ensure_experiment(schedule.experiment_name)


def rearm(  # noqa: PLR0913  (before, after, and why)
    tx: RegistryTransaction,
    here: RegisteredSchedule,
    schedule: Schedule,
    status: Status,
    now: int,
    *,
    edited: bool = False,
) -> None:
    """Set what wakes an edited, enabled or disabled schedule; ``here`` is its state before.

    A timer whose trigger stays the same is left alone, so that no occurrence is lost to an edit of
    something else. What nobody will decide any more gets its gap row. Only where somebody
    ``edited`` what it watches may the files that are there count.
    """
    if status is Status.DISABLED:
        if here.status is Status.ACTIVE:
            _record(tx, first_passed_over(here, now, "the schedule was disabled before it ran"))
            pass_over_files(tx, here, "the schedule was disabled before they fired")
            tx.arm(here.id, None)
        return
    before, trigger = spec_value(Schedule, here.spec).trigger, schedule.trigger
    enabled = here.status is Status.DISABLED
    if not enabled and before == trigger:
        return
    reason = "the schedule was disabled" if enabled else "the trigger was edited before it fired"
    _record(tx, passed_over(here, now, reason))
    by_data = isinstance(trigger, DatastoreChange)
    created = edited and not enabled if by_data else here.initial
    after = arming(schedule, here.created_at, now, created=created)
    if not (isinstance(after, Clockwork) and after.initial):
        _record(tx, first_passed_over(here, now, reason))
    watched = before.watched if isinstance(before, DatastoreChange) and not enabled else None
    if isinstance(after, Watching) and after.watched == watched:
        # The same place, looked at by other rules: they hold from now on, not from the next look.
        tx.look_soon(after)
    else:
        pass_over_files(tx, here, reason)
        tx.arm(here.id, after)


def _record(tx: RegistryTransaction, gap: Fire | None) -> None:
    if gap is not None:
        tx.record_gap(gap)


def _place(spec: str) -> tuple[str | None, ...]:
    return spec_value(Datastore, spec).place


def _given(value: T | None) -> T:
    assert value is not None, "a plan of this kind of change carries it"  # noqa: S101  (the plan's own law)
    return value
