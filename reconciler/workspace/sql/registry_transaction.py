"""The registry's writes: compare-and-set, in one transaction."""

from __future__ import annotations

import hashlib
import uuid
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from reconciler.errors import NotFound, StalePlan
from reconciler.schedule import Status
from reconciler.workspace.records import (
    Clockwork,
    CodeTree,
    Experiment,
    PublishedPipeline,
    Watching,
    WatchState,
)
from reconciler.workspace.sql import declared, history, queries, rows
from reconciler.workspace.sql import lease as leases
from reconciler.workspace.sql import watches as logs
from reconciler.workspace.sql.connection import driver
from reconciler.workspace.sql.reader import SqlLiveReader
from reconciler.workspace.sql.statements import insert_missing
from reconciler.workspace.sql.tables import (
    blobs,
    cursors,
    datastores,
    experiments,
    fires,
    holds,
    pipelines,
    schedules,
    timers,
    trees,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import BindParameter, Connection, Delete, Select, Update

    from reconciler.data import Watched
    from reconciler.run import Fire
    from reconciler.workspace.records import (
        ApplyRecord,
        Arming,
        Declaration,
        DisabledBy,
        Folder,
        Hold,
        Lease,
        LoggedChange,
        Owner,
        OwnerRecord,
        Provenance,
        Undecided,
    )

_VERSION = f"{queries.PIPELINES} WHERE p.name = :name AND p.digest = :digest"
# Building a statement costs more than running it; these are run once per changed schedule.
_ID: BindParameter[str] = bindparam("b_id")
_REVISION_OF = select(schedules.c.revision).where(schedules.c.id == _ID)
_REPLACE = update(schedules).where(
    schedules.c.id == _ID, schedules.c.revision == bindparam("b_revision")
)
_REVISE_TIMER = update(timers).where(timers.c.schedule_id == _ID)
_STOP_TIMER = delete(timers).where(timers.c.schedule_id == _ID)
_PAUSE_TIMER = _REVISE_TIMER.values(next_due=None, initial=False)
_STOP_WATCHING = delete(cursors).where(cursors.c.schedule_id == _ID)
_HERE = "datastore = :datastore AND path = :path AND depth = :depth AND done_marker = :done_marker"
_LOOKED_AT = f"""
SELECT EXISTS (
  SELECT 1 FROM cursors JOIN schedules ON schedules.id = schedule_id
  WHERE watch_id = watches.id AND status = 'Active')
FROM watches WHERE {_HERE}
"""  # noqa: S608  (a constant)
_BEGIN_WATCH = f"""
INSERT INTO watches (datastore, path, depth, done_marker, state, poll_seq, change_seq, next_poll,
  failures, place)
VALUES (:datastore, :path, :depth, :done_marker, '{WatchState.BASELINING}', 0, 0, :now, 0, '')
RETURNING id, change_seq
"""  # noqa: S608  (a constant)
# The number moves on so that a poll under way is void.
_ANEW = f"state = '{WatchState.BASELINING}', poll_seq = poll_seq + 1, place = ''"
_REBASELINE = f"UPDATE watches SET {_ANEW}, next_poll = :now WHERE datastore = :datastore"  # noqa: S608  (constants)
_BEGIN_ANEW = f"""
UPDATE watches SET {_ANEW}, next_poll = :now, failures = 0 WHERE {_HERE} RETURNING id, change_seq
"""  # noqa: S608  (constants)
# It is another instant in any case, by which a look under way is told that somebody asked.
_LOOK_SOON = f"UPDATE watches SET next_poll = :now WHERE {_HERE} RETURNING id, change_seq"  # noqa: S608  (constants)
# A watch that begins anew leaves a number out.
_UNBROKEN = f"""
SELECT id, (SELECT count(*) FROM polls WHERE watch_id = watches.id AND polled_at > :since)
FROM watches
WHERE {_HERE} AND state = '{WatchState.READY}' AND poll_seq = (
    SELECT max(poll_seq) FROM polls WHERE watch_id = watches.id AND polled_at <= :since
  ) + (SELECT count(*) FROM polls WHERE watch_id = watches.id AND polled_at > :since)
"""  # noqa: S608  (constants)
_CREATE = insert_missing(schedules)
_WIND = insert(timers)
_WATCH = insert(cursors)
_GROUP = insert_missing(experiments)
_GROUP_OF = select(experiments).where(experiments.c.name == bindparam("b_name"))


class SqlRegistryTransaction(SqlLiveReader):
    """A :class:`~reconciler.workspace.base.RegistryTransaction`: one SQL transaction.

    ``declared`` counts the declarations that it has recorded.
    """

    def __init__(self, connection: Connection, now: int) -> None:
        raw = driver(connection)
        super().__init__(lambda: nullcontext(raw))
        self._connection = connection
        self._raw = raw
        self._now = now
        self.declared = 0

    def now(self) -> int:
        """Give the instant this transaction writes with."""
        return self._now

    def publish(  # noqa: PLR0913  (the port's)
        self,
        *,
        owner: Owner | None,
        name: str,
        spec: str,
        digest: str,
        code: CodeTree | None,
        provenance: Provenance,
    ) -> PublishedPipeline:
        """Publish a pipeline, or return (and make Active again) the version with that digest.

        A version that is returned keeps the owner and provenance of its first publication.
        """
        same = {"name": name, "digest": digest}
        found = self._raw.execute(_VERSION, same).fetchone()
        if found is not None:
            known = rows.pipeline(found)
            if known.status is Status.ACTIVE:
                return known
            self.set_pipeline_status(known.id, known.revision, Status.ACTIVE, None)
            return rows.pipeline(self._raw.execute(_VERSION, same).fetchone())
        if code is not None:
            self._store(code)
        newest = select(func.coalesce(func.max(pipelines.c.version), 0))
        version = self._connection.scalar(newest.where(pipelines.c.name == name)) or 0
        self._connection.execute(
            insert(pipelines).values(
                id=str(uuid.uuid4()),
                name=name,
                version=version + 1,
                spec=spec,
                digest=digest,
                code_digest=code.digest if code else None,
                status=Status.ACTIVE.value,
                created_at=self._now,
                revision=1,
                **rows.owner_columns(owner),
                **rows.source_columns(provenance),
            )
        )
        return rows.pipeline(self._raw.execute(_VERSION, same).fetchone())

    def set_pipeline_status(
        self, pipeline_id: str, revision: int, status: Status, disabled_by: DisabledBy | None
    ) -> None:
        """Activate or disable one published version."""
        same = pipelines.c.id == pipeline_id
        change = update(pipelines).where(same, pipelines.c.revision == revision)
        values = {
            "status": status.value,
            "disabled_by": disabled_by and disabled_by.value,
            "revision": revision + 1,
        }
        if self._connection.execute(change, values).rowcount == 0:
            present = select(pipelines.c.name, pipelines.c.revision).where(same)
            raise self._stale(f"pipeline {pipeline_id}", revision, present)

    def put_datastore(
        self,
        *,
        owner: Owner | None,
        name: str,
        spec: str,
        provenance: Provenance,
        revision: int | None,
    ) -> None:
        """Register a datastore (``revision`` None) or replace its spec."""
        values: dict[str, Any] = {
            "spec": spec,
            **rows.owner_columns(owner),
            **rows.source_columns(provenance),
        }
        if revision is None:
            values |= {"name": name, "created_at": self._now, "revision": 1}
            if self._connection.execute(insert_missing(datastores), values).rowcount == 0:
                raise StalePlan(f"datastore '{name}' is registered by now: plan again")
            return
        values["revision"] = revision + 1
        self._change_datastore(update(datastores).values(values), name, revision)

    def remove_datastore(self, name: str, revision: int) -> None:
        """Unregister a datastore."""
        self._change_datastore(delete(datastores), name, revision)

    def rebaseline(self, name: str) -> None:
        """Make the next listing of each directory of a datastore a new baseline."""
        self._raw.execute(_REBASELINE, {"datastore": name, "now": self._now})

    def behind(self, datastore: str) -> tuple[str, ...]:
        """Give the ids of schedules that have yet to decide about changes in a datastore."""
        return logs.behind(self._raw, datastore)

    def pass_over(
        self, schedule_id: str, counts: Callable[[LoggedChange], bool]
    ) -> Undecided | None:
        """Take a schedule to the end of its watch's log, undecided; None where nothing counted.

        ``counts`` tells which changes its rules let through.
        """
        return logs.pass_over(self._raw, schedule_id, counts)

    def look_soon(self, watching: Watching) -> None:
        """Make the next listing of a watched directory due now."""
        here = rows.watched_values(watching.watched)
        self._raw.execute(_LOOK_SOON, {**here, "now": self._now})

    def create_schedule(  # noqa: PLR0913  (the port's)
        self,
        *,
        owner: Owner | None,
        name: str,
        spec: str,
        pipeline_id: str | None,
        status: Status,
        provenance: Provenance,
        arming: Arming | None,
    ) -> str:
        """Register a schedule and return its id; ``arming`` is None for a disabled one.

        Raises:
            StalePlan: the owner has a schedule of that name by now.
        """
        schedule_id = str(uuid.uuid4())
        values = {
            "id": schedule_id,
            "name": name,
            "spec": spec,
            "pipeline_id": pipeline_id,
            "status": status.value,
            "created_at": self._now,
            "updated_at": self._now,
            "revision": 1,
            **rows.owner_columns(owner),
            **rows.source_columns(provenance),
        }
        if self._connection.execute(_CREATE, values).rowcount == 0:
            raise StalePlan(f"schedule '{name}' of {owner} is registered by now: plan again")
        watch = self._join(arming) if isinstance(arming, Watching) else None
        self._wake(schedule_id, 1, arming, watch)
        return schedule_id

    def update_schedule(  # noqa: PLR0913  (the port's)
        self,
        schedule_id: str,
        revision: int,
        *,
        spec: str,
        pipeline_id: str | None,
        status: Status,
        disabled_by: DisabledBy | None,
        provenance: Provenance,
        name: str | None = None,
    ) -> None:
        """Replace a schedule's spec, binding and status; its timer and watch stay as they are.

        ``name`` renames it; None keeps its name.
        """
        values = {
            "b_id": schedule_id,
            "b_revision": revision,
            "spec": spec,
            "pipeline_id": pipeline_id,
            "status": status.value,
            "disabled_by": disabled_by and disabled_by.value,
            "updated_at": self._now,
            "revision": revision + 1,
            **rows.source_columns(provenance),
        }
        if name is not None:
            values["name"] = name
        try:
            found = self._connection.execute(_REPLACE, values).rowcount
        except IntegrityError as error:
            raise StalePlan(f"a schedule '{name}' is registered by now: plan again") from error
        if found == 0:
            same = schedules.c.id == schedule_id
            present = select(schedules.c.name, schedules.c.revision).where(same)
            raise self._stale(f"schedule {schedule_id}", revision, present)
        # The timer carries a copy, so that claiming it needs no look at the wide table.
        self._connection.execute(_REVISE_TIMER, {"b_id": schedule_id, "revision": revision + 1})

    def arm(self, schedule_id: str, arming: Arming | None) -> None:
        """Set what wakes the schedule; None stops its timer and takes it off its watch.

        A stopped timer keeps its mark: what was decided stays known while the schedule is disabled.
        ``initial`` makes the timer due at once, whatever its ``next_due``.

        Raises:
            NotFound: no such schedule.
        """
        revision = self._revision(schedule_id)
        # Whether a watch is looked at includes this schedule, if it is on it already.
        watch = self._join(arming) if isinstance(arming, Watching) else None
        stop = _PAUSE_TIMER if arming is None else _STOP_TIMER
        self._connection.execute(stop, {"b_id": schedule_id})
        self._connection.execute(_STOP_WATCHING, {"b_id": schedule_id})
        self._wake(schedule_id, revision, arming, watch)

    def resume(self, schedule_id: str, watched: Watched, since: int) -> int | None:
        """Arm a schedule for data from where the watch's change log stood at the instant ``since``.

        Gives the number of polls since, or None where nothing was done: what changed since is not
        known, because the watch began anew or what it logged was deleted.

        Raises:
            NotFound: no such schedule.
        """
        here = {**rows.watched_values(watched), "now": self._now}
        self._raw.execute(_LOOK_SOON, here)
        found = self._raw.execute(_UNBROKEN, {**here, "since": since}).fetchone()
        if found is None:
            return None
        watch_id, polls = found
        self.arm(schedule_id, None)
        cursor = logs.logged_before(self._raw, watch_id, since + 1)
        self._wake(schedule_id, 0, Watching(watched=watched), (watch_id, cursor))
        return int(polls)

    def hold(self, schedule_id: str, hold: Hold | None) -> None:
        """Set or lift the schedule's hold.

        Raises:
            NotFound: no such schedule.
        """
        self._revision(schedule_id)
        self._connection.execute(delete(holds).where(holds.c.schedule_id == schedule_id))
        if hold is not None:
            self._connection.execute(
                insert(holds).values(
                    schedule_id=schedule_id,
                    who=rows.plain(hold.who),
                    why=rows.plain(hold.why),
                    since=hold.since,
                    until=hold.until,
                    catchup=hold.catchup.value,
                )
            )

    def record_gap(self, fire: Fire) -> None:
        """Add the decision row of occurrences that an edit or a pause passed over."""
        values = dict(zip(rows.FIRE_FIELDS, rows.fire_values(fire), strict=True))
        self._connection.execute(insert_missing(fires).values(values))

    def ensure_experiment(self, name: str) -> Experiment:
        """Return the experiment, created on first use."""
        new = {"id": str(uuid.uuid4()), "name": name, "created_at": self._now}
        self._connection.execute(_GROUP, new)
        return rows.experiment(self._connection.execute(_GROUP_OF, {"b_name": name}).one())

    def claim(self, kind: str, key: str, revision: int, owner: Owner) -> int:
        """Make an object the owner's: a schedule by id, a datastore or a pipeline by name.

        ``revision`` is that of a pipeline's version in use: its newest Active one, else its
        newest; all versions change hands, and each goes one revision on. What another owner
        declared of the object is forgotten. Returns the object's revision after it.
        """
        return declared.claim(self._raw, kind, key, revision, owner)

    def declare(self, owner: Owner, declarations: Sequence[Declaration]) -> None:
        """Record what was applied to objects; their live rows carry the same file and line."""
        self.declared += len(declarations)
        declared.declare(self._raw, owner, declarations)

    def undeclare(self, owner: Owner, kind: str, names: Iterable[str]) -> None:
        """Forget what was applied to objects that are declared no more."""
        declared.undeclare(self._raw, owner, kind, names)

    def record_folders(
        self, owner: Owner, changed: Mapping[str, Folder], gone: Iterable[str]
    ) -> None:
        """Record what folders of the project were read as, and forget others."""
        declared.record_folders(self._raw, owner, changed, gone)

    def record_owner(self, record: OwnerRecord) -> None:
        """Record where an owner applies from and what it applied last; comes after other writes.

        Without ``applied_at`` that is this transaction's instant.
        """
        declared.record_owner(self._raw, self._now, record)

    def record_apply(self, record: ApplyRecord) -> int:
        """Append to the history of applies; returns the line's number."""
        return history.append(self._raw, record)

    def check_lease(self, lease: Lease) -> None:
        """Make sure that a lease still holds, whatever its end says.

        Raises:
            StalePlan: somebody else has taken it since.
        """
        leases.check(self._raw, lease)

    def _revision(self, schedule_id: str) -> int:
        revision: int | None = self._connection.scalar(_REVISION_OF, {"b_id": schedule_id})
        if revision is None:
            raise NotFound(f"no schedule {schedule_id}")
        return revision

    def _change_datastore(self, change: Update | Delete, name: str, revision: int) -> None:
        same = datastores.c.name == name
        change = change.where(same, datastores.c.revision == revision)
        if self._connection.execute(change).rowcount == 0:
            present = select(datastores.c.name, datastores.c.revision).where(same)
            raise self._stale(f"datastore '{name}'", revision, present)

    def _stale(self, what: str, revision: int, present: Select[tuple[str, int]]) -> StalePlan:
        """Tell why a compare-and-set found nothing to change."""
        found = self._connection.execute(present).first()
        if found is None:
            return StalePlan(f"{what} was at revision {revision} and is gone by now: plan again")
        kind = what.split(maxsplit=1)[0]
        return StalePlan(
            f"{kind} '{found.name}' was at revision {revision} and is at {found.revision} by now: "
            "plan again"
        )

    def _wake(
        self,
        schedule_id: str,
        revision: int,
        arming: Arming | None,
        watch: tuple[int, int] | None,
    ) -> None:
        """Insert the timer or the cursor of a schedule that has neither."""
        if isinstance(arming, Clockwork):
            due = arming.next_due
            if arming.initial:
                due = self._now if due is None else min(due, self._now)
            timer = {
                "schedule_id": schedule_id,
                "revision": revision,
                "next_due": due,
                "processed_to": arming.processed_to,
                "initial": arming.initial,
            }
            self._connection.execute(_WIND, timer)
        elif watch is not None:
            watch_id, change_seq = watch
            cursor = {"schedule_id": schedule_id, "watch_id": watch_id, "cursor": change_seq}
            asks = isinstance(arming, Watching) and arming.existing
            self._connection.execute(_WATCH, {**cursor, "existing": 0 if asks else None})

    def _join(self, watching: Watching) -> tuple[int, int]:
        """Find or begin a watch; give its id and the end of its change log."""
        here = {**rows.watched_values(watching.watched), "now": self._now}
        found = self._raw.execute(_LOOKED_AT, here).fetchone()
        # Where nobody looked for a while, what changed meanwhile is no news.
        known = _LOOK_SOON if found and found[0] else _BEGIN_ANEW
        statement = known if found else _BEGIN_WATCH
        watch_id, change_seq = self._raw.execute(statement, here).fetchone()
        return watch_id, change_seq

    def _store(self, code: CodeTree) -> None:
        entries = []
        for path, mode, data in code.entries:
            digest = hashlib.sha256(data).hexdigest()
            self._connection.execute(insert_missing(blobs).values(digest=digest, data=data))
            entries.append((path, mode, digest))
        self._connection.execute(
            insert_missing(trees).values(digest=code.digest, entries=rows.json_text(entries))
        )
