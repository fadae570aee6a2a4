"""The ledger on SQL: what was decided and what ran."""

from __future__ import annotations

import uuid
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, text, update

from reconciler.errors import NotFound, WorkspaceError
from reconciler.run import Decision, Fire, Kind, RunState
from reconciler.schedule import Status
from reconciler.workspace.records import Session, Watch, WatchState
from reconciler.workspace.sql import queries, rows, statements
from reconciler.workspace.sql.connection import driver
from reconciler.workspace.sql.ledger_transaction import SqlLedgerTransaction
from reconciler.workspace.sql.lock import RunnerLock
from reconciler.workspace.sql.tables import (
    UNFINISHED,
    attempts,
    cursors,
    fires,
    polls,
    runs,
    schedules,
    sessions,
    watches,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import ColumnElement

    from reconciler.clock import Clock
    from reconciler.run import Attempt, Run
    from reconciler.workspace.records import FileFacts, Poll, RegisteredDatastore
    from reconciler.workspace.sql.connection import Database

_RUN = tuple(runs.c[name] for name in rows.RUN_FIELDS)
_ATTEMPT = tuple(attempts.c[name] for name in rows.ATTEMPT_FIELDS)
_FIRE = tuple(fires.c[name] for name in rows.FIRE_FIELDS)
_POLL = tuple(polls.c[name] for name in rows.POLL_FIELDS)

# Where each waiting run stands among its schedule's. Thousands may wait for a few places.
_QUEUE = (
    select(
        runs.c.seq,
        runs.c.cancel_requested,
        func.row_number()
        .over(
            partition_by=[
                runs.c.schedule_id,
                runs.c.occurrence_key.startswith(Kind.MANUAL.value + ":"),
            ],
            order_by=runs.c.seq,
        )
        .label("place"),
    )
    .where(text(UNFINISHED), runs.c.state == RunState.NOT_STARTED.value)
    .subquery()
)

# The first timer that no hold stands before; then the first whose hold has an end; then the first
# data schedule that will be behind its watch when its hold ends; then the first poll. CROSS JOIN
# makes SQLite begin with the holds, which are few.
_NEXT_WAKE = """
SELECT min(instant) FROM (
  SELECT * FROM (
    SELECT next_due AS instant FROM timers
    WHERE next_due IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.schedule_id = timers.schedule_id)
    ORDER BY next_due LIMIT 1)
  UNION ALL
  SELECT CASE WHEN until > next_due THEN until ELSE next_due END
  FROM holds CROSS JOIN timers
  WHERE timers.schedule_id = holds.schedule_id AND until IS NOT NULL AND next_due IS NOT NULL
  UNION ALL
  SELECT until FROM holds JOIN cursors USING (schedule_id) JOIN watches ON watches.id = watch_id
  WHERE until IS NOT NULL AND cursor < change_seq
  UNION ALL
  SELECT next_poll FROM watches WHERE EXISTS (
    SELECT 1 FROM cursors JOIN schedules ON schedules.id = schedule_id
    WHERE watch_id = watches.id AND status = 'Active')
) AS wakes
"""


class SqlLedger:
    """A :class:`~reconciler.workspace.base.Ledger` on one SQLite database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = RunnerLock(f"{database.path}.runner.lock")
        self._session: Session | None = None
        self._experiments: set[str] = set()

    def now(self) -> int:
        """Give the present instant; SQLite has no better clock than the machine's."""
        return self._clock.now()

    def begin_session(self, *, host: str, pid: int, wait: bool) -> Session | None:
        """Become the runner and take over what earlier sessions left unfinished.

        With ``wait`` this blocks until the present runner is gone, or a signal handler raises.

        Raises:
            WorkspaceError: this ledger already is the runner, or the platform has no file locks.
        """
        if self._session is not None:
            raise WorkspaceError("this ledger already is the runner")
        if not self._lock.acquire(wait=wait):
            return None
        try:
            with self._database.writing() as connection:
                session_id = str(uuid.uuid4())
                fence: int = connection.execute(
                    insert(sessions)
                    .returning(sessions.c.fence)
                    .values(
                        id=session_id,
                        host=host,
                        pid=pid,
                        boot_id=_boot_id(),
                        started_at=self._clock.now(),
                    )
                ).scalar_one()
                connection.execute(
                    update(runs)
                    .where(text(UNFINISHED), runs.c.state == RunState.RUNNING.value)
                    .values(fence=fence)
                )
        except BaseException:
            self._lock.release()
            raise
        self._session = Session(id=session_id, fence=fence)
        return self._session

    def end_session(self) -> None:
        """Give the right back; without a session this does nothing."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            with self._database.writing() as connection:
                connection.execute(
                    update(sessions)
                    .where(sessions.c.fence == session.fence)
                    .values(ended_at=self._clock.now())
                )
        finally:
            self._lock.release()

    @contextmanager
    def transaction(self) -> Iterator[SqlLedgerTransaction]:
        """Begin writing as the current session; without one, runs and attempts do not move.

        Raises:
            WorkspaceError: another runner has taken over.
            WorkspaceBusy: somebody else writes for too long.
            WorkspaceFull: no space is left; nothing was written.
        """
        fence = self._session.fence if self._session else None
        with self._database.writing() as connection:
            raw = driver(connection)
            if fence is not None:
                # Nobody else can begin a session before this transaction ends.
                (newest,) = raw.execute("SELECT max(fence) FROM sessions").fetchone()
                if newest != fence:
                    raise WorkspaceError("another runner has taken over; this one may not write")
            transaction = SqlLedgerTransaction(
                connection, raw, self._clock.now(), fence, self._experiments
            )
            yield transaction
        self._experiments |= transaction.new_experiments

    def next_wake(self) -> int | None:
        """The earliest next_due, hold end or next_poll, as an instant; None when nothing waits."""
        with self._database.reading() as connection:
            return connection.execute(text(_NEXT_WAKE)).scalar()

    def datastores(self) -> dict[str, RegisteredDatastore]:
        """Read all registered datastores by name."""
        with self._database.reading() as connection:
            found = map(rows.datastore, driver(connection).execute(queries.DATASTORES))
            return {datastore.name: datastore for datastore in found}

    def due_watches(self, now: int) -> list[Watch]:
        """Watches with at least one active schedule whose ``next_poll`` has come."""
        return self._watches(watches.c.next_poll <= now)

    def watches(self) -> list[Watch]:
        """List all watches that have an active schedule."""
        return self._watches()

    def snapshot(self, watch_id: int) -> dict[bytes, FileFacts]:
        """Read what a watch last knew of its directory."""
        with self._database.reading() as connection:
            found = driver(connection).execute(
                "SELECT name, size, mtime_ns, inode FROM files WHERE watch_id = ?", (watch_id,)
            )
            return {row[0]: rows.file(row) for row in found}

    def waiting_runs(self, each: int | None = None) -> list[Run]:
        """Runs NotStarted, oldest first.

        With ``each``: at most so many of each schedule's own, so many of each schedule's by hand,
        and all that are to be canceled.
        """
        if each is None:
            return self._unfinished(RunState.NOT_STARTED)
        return self._unfinished(
            RunState.NOT_STARTED,
            runs.c.seq.in_(
                select(_QUEUE.c.seq).where(
                    (_QUEUE.c.place <= each) | _QUEUE.c.cancel_requested.is_not(None)
                )
            ),
        )

    def running_runs(self) -> list[Run]:
        """Runs Running, oldest first."""
        return self._unfinished(RunState.RUNNING)

    def attempts(self, run_ids: Iterable[str]) -> dict[str, list[Attempt]]:
        """Attempts by run, in the order they were made; a run without any is left out."""
        query = (
            select(*_ATTEMPT)
            .where(attempts.c.run_id.in_(statements.among(run_ids)))
            .order_by(attempts.c.created_at, attempts.c.number, attempts.c.step)
        )
        found: dict[str, list[Attempt]] = {}
        with self._database.reading() as connection:
            for attempt in map(rows.attempt, connection.execute(query)):
                found.setdefault(attempt.run_id, []).append(attempt)
        return found

    def runs(
        self,
        *,
        schedule_id: str | None = None,
        states: Sequence[RunState] = (),
        limit: int = 50,
    ) -> list[Run]:
        """List runs, newest first."""
        query = select(*_RUN).order_by(runs.c.seq.desc()).limit(limit)
        if schedule_id is not None:
            # Every run of a schedule has a fire, and fires lie together by schedule.
            ids = select(fires.c.run_id).where(fires.c.schedule_id == schedule_id)
            query = query.where(runs.c.id.in_(ids))
        if states:
            query = query.where(runs.c.state.in_([state.value for state in states]))
        with self._database.reading() as connection:
            return list(map(rows.run, connection.execute(query)))

    def run(self, prefix: str) -> Run:
        """Find a run by its id or an unambiguous beginning of it.

        Raises:
            NotFound: none, or several; the message names them.
        """
        query = (
            select(*_RUN)
            .where(runs.c.id >= prefix, runs.c.id <= prefix + "\U0010ffff")
            .order_by(runs.c.id)
            .limit(6)
        )
        with self._database.reading() as connection:
            found = [rows.run(row) for row in connection.execute(query)]
        if not found:
            raise NotFound(f"no run '{prefix}'; `reconciler runs` lists them")
        if len(found) > 1 and found[0].id != prefix:
            ids = ", ".join(run.id for run in found[:5]) + (", ..." if len(found) > 5 else "")
            raise NotFound(f"several runs begin with '{prefix}': {ids}")
        return found[0]

    def fires(self, schedule_id: str, limit: int = 50) -> list[Fire]:
        """List a schedule's decisions, newest due first."""
        newest = fires.c.due_at.desc(), fires.c.decided_at.desc(), fires.c.occurrence_key.desc()
        query = select(*_FIRE).where(fires.c.schedule_id == schedule_id).order_by(*newest)
        with self._database.reading() as connection:
            return list(map(rows.fire, connection.execute(query.limit(limit))))

    def polls(self, datastore: str, path: str, limit: int = 50) -> list[Poll]:
        """List a directory's polls, newest first."""
        query = (
            select(*_POLL)
            .join(watches, watches.c.id == polls.c.watch_id)
            .where(watches.c.datastore == datastore, watches.c.path == path)
            .order_by(polls.c.poll_seq.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return list(map(rows.poll, connection.execute(query)))

    def submit_run(self, run: Run) -> None:
        """Record a manual run: its fire (if it belongs to a schedule) and the run, once.

        Raises:
            NotFound: no such schedule.
        """
        run = replace(run, state=RunState.NOT_STARTED)
        with self.transaction() as transaction:
            if run.schedule_id is None:
                transaction.insert_runs([run])
                return
            schedule = transaction.schedules([run.schedule_id]).get(run.schedule_id)
            if schedule is None:
                raise NotFound(f"no schedule {run.schedule_id}")
            fire = Fire(
                schedule_id=run.schedule_id,
                occurrence_key=run.occurrence_key,
                due_at=run.due_at,
                decided_at=run.created_at,
                decision=Decision.LAUNCH,
                reason=run.reason or "asked for by hand",
                revision=schedule.revision,
                run_id=run.id,
                facts=run.facts,
            )
            transaction.record_fires([fire], [run])

    def _watches(self, *conditions: ColumnElement[bool]) -> list[Watch]:
        query = (
            select(watches, schedules.c.id)
            .join(cursors, cursors.c.watch_id == watches.c.id)
            .join(schedules, schedules.c.id == cursors.c.schedule_id)
            .where(schedules.c.status == Status.ACTIVE.value, *conditions)
            .order_by(watches.c.id, schedules.c.id)
        )
        found: dict[Any, list[str]] = {}
        with self._database.reading() as connection:
            for *watch, schedule_id in connection.execute(query):
                found.setdefault(tuple(watch), []).append(schedule_id)
        return [
            Watch(
                id=watch[0],
                datastore=watch[1],
                path=watch[2],
                state=WatchState(watch[3]),
                poll_seq=watch[4],
                change_seq=watch[5],
                next_poll=watch[6],
                failures=watch[7],
                schedule_ids=tuple(ids),
            )
            for watch, ids in found.items()
        ]

    def _unfinished(self, state: RunState, *conditions: ColumnElement[bool]) -> list[Run]:
        # The literal condition lets SQLite use the partial index; ordering by an expression keeps
        # it from walking all runs in order instead.
        query = (
            select(*_RUN)
            .where(text(UNFINISHED), runs.c.state == state.value, *conditions)
            .order_by(runs.c.seq + 0)
        )
        with self._database.reading() as connection:
            return list(map(rows.run, connection.execute(query)))


def _boot_id() -> str:
    """Give what tells this boot of the machine from any other; empty where there is none."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""
