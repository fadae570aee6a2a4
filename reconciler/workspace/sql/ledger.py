"""The ledger on SQL: what was decided and what ran."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from reconciler.clock import parse_instant
from reconciler.errors import NotFound
from reconciler.run import Decision, Fire, Gate, RunState
from reconciler.workspace.records import Pool
from reconciler.workspace.sql import pages, queries, rows
from reconciler.workspace.sql import watches as watched
from reconciler.workspace.sql.connection import driver
from reconciler.workspace.sql.ledger_transaction import POOLS, SqlLedgerTransaction
from reconciler.workspace.sql.sessions import SqlSessions
from reconciler.workspace.sql.tables import (
    UNFINISHED,
    alerts,
    fires,
    runs,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import ColumnElement

    from reconciler.run import Attempt, Run
    from reconciler.workspace.records import (
        Alert,
        Arrival,
        LoggedChange,
        Poll,
        RegisteredDatastore,
        Watch,
    )
    from reconciler.workspace.sql.connection import Database

_RUN = tuple(runs.c[name] for name in rows.RUN_FIELDS)
_ATTEMPTS = f"""
SELECT {", ".join(rows.ATTEMPT_FIELDS)} FROM attempts
WHERE run_id IN (SELECT value FROM json_each(:ids)) ORDER BY created_at, number, step
"""  # noqa: S608  (constants)
_FIRE = tuple(fires.c[name] for name in rows.FIRE_FIELDS)
_ALERT = tuple(alerts.c[name] for name in rows.ALERT_FIELDS)
_SET_POOL = """
INSERT INTO pools (name, slots) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET slots = excluded.slots
"""
_FILES = "SELECT content FROM run_files WHERE run_id = ?"

# The first timer that no hold stands before; then the first whose hold has an end; then the first
# data schedule that will be behind its watch when its hold ends; then the first poll. CROSS JOIN
# makes SQLite begin with the holds, which are few.
_NEXT_WAKE = """
SELECT min(instant) FROM (
  SELECT * FROM (
    SELECT next_due AS instant FROM timers
    WHERE next_due IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.schedule_id = timers.schedule_id)
    ORDER BY next_due LIMIT 1) AS timed
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
  UNION ALL
  SELECT not_before FROM runs WHERE state IN ('NotStarted', 'Running') AND not_before > :now
) AS wakes WHERE instant > :after
"""
_WAITS = """
SELECT 1 FROM runs
WHERE state IN ('NotStarted', 'Running') AND state = 'NotStarted'
  AND (not_before IS NULL OR not_before <= ? OR cancel_requested IS NOT NULL)
LIMIT 1
"""


_EPOCH = "SELECT value FROM facts WHERE name = 'epoch'"
_ZONES = "SELECT value FROM facts WHERE name = 'time_zone_data'"
_SET_ZONES = """
INSERT INTO facts (name, value) VALUES ('time_zone_data', ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE facts.value < excluded.value
"""


class SqlLedger(SqlSessions):
    """A :class:`~reconciler.workspace.ledger.Ledger` on one SQL database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._experiments: set[str] = set()

    def epoch(self) -> int:
        """Give the number that each restore of a backup raises; 0 until the first."""
        with self._database.reading() as connection:
            found = driver(connection).execute(_EPOCH).fetchone()
            return int(found[0]) if found else 0

    def use_zones(self, version: str) -> str:
        """Note which version of the time zone data decides, and give the newest there was.

        One that is newer than all before makes every timer due at once, so that what is undecided
        is due by it. The first one ever changes nothing: there was none to differ from.
        """
        with self._database.reading() as connection:
            found = driver(connection).execute(_ZONES).fetchone()
        known = found[0] if found else ""
        if version <= known:
            return str(known)
        with self._database.writing() as connection:
            raw = driver(connection)
            if raw.execute(_SET_ZONES, (version,)).rowcount and known:
                now = self._database.now(connection)
                raw.execute("UPDATE timers SET next_due = ? WHERE next_due > ?", (now, now))
        return version

    @contextmanager
    def transaction(self) -> Iterator[SqlLedgerTransaction]:
        """Begin writing as the current session; without one, runs and attempts do not move.

        Raises:
            SessionLost: another runner has taken over.
            WorkspaceBusy: somebody else writes for too long.
            WorkspaceFull: no space is left; nothing was written.
        """
        session = self._session
        with self._database.writing() as connection:
            transaction = SqlLedgerTransaction(
                connection,
                self._database.dialect,
                self._database.now(connection),
                session,
                self._experiments,
            )
            if session is not None:
                self._must_live(connection, session)
            yield transaction
        self._experiments |= transaction.new_experiments

    def next_wake(self, after: int = 0) -> int | None:
        """The earliest next_due, hold end, next_poll or future not_before; None without any.

        ``after``: without what was due by that instant.
        """
        with self._database.reading() as connection:
            return connection.execute(
                text(_NEXT_WAKE), {"now": self.now(), "after": after}
            ).scalar()

    def datastores(self) -> dict[str, RegisteredDatastore]:
        """Read all registered datastores by name."""
        with self._database.reading() as connection:
            found = map(rows.datastore, driver(connection).execute(queries.DATASTORES))
            return {datastore.name: datastore for datastore in found}

    def poll_again(self, now: int) -> None:
        """Make watches due that were polled after ``now``: the clock has gone back since."""
        with self.transaction() as transaction:
            transaction.poll_again(now)

    def due_watches(self, now: int) -> list[Watch]:
        """Claim watches with at least one active schedule whose ``next_poll`` has come.

        A watch stays with the session that claimed it first, for as long as that lives.
        """
        with self._database.reading() as connection:
            found = watched.active(driver(connection), now)
        if self._session is None or not self._database.dialect.shared or not found:
            return found
        with self.transaction() as transaction:
            mine = transaction.claim_watches(now)
        return [watch for watch in found if watch.id in mine]

    def watches(self) -> list[Watch]:
        """List all watches that have an active schedule."""
        with self._database.reading() as connection:
            return watched.active(driver(connection))

    def watch_of(self, schedule_id: str) -> Watch | None:
        """Give the watch that a schedule is on, active or not; None where it is on none."""
        with self._database.reading() as connection:
            return watched.of_schedule(driver(connection), schedule_id)

    def arrival(self, schedule_id: str) -> Arrival | None:
        """Tell where a schedule stands in its watch's log; None where it is on no watch."""
        with self._database.reading() as connection:
            return watched.arrival(driver(connection), schedule_id)

    def snapshot(self, watch_id: int) -> Iterator[bytes]:
        """Read what a watch last knew, page by page, in order.

        No transaction is open in between: who compares it with a listing may take hours. Where the
        snapshot changes meanwhile the watch has moved on, and the poll that relied on it is void.
        """

        def following(after: bytes) -> list[tuple[bytes, bytes]]:
            with self._database.reading() as connection:
                return pages.following(driver(connection), watch_id, after)

        return pages.in_order(following)

    def pages(self, watch_id: int, names: Iterable[bytes]) -> list[bytes]:
        """Read the pages whose stretches hold these names, in order and each once.

        A name that comes before all pages belongs to the first one.
        """
        with self._database.reading() as connection:
            return pages.holding(driver(connection), watch_id, names)

    def log(
        self, watch_id: int, *, name: bytes | None = None, polls: Sequence[int] = (), limit: int
    ) -> list[LoggedChange]:
        """Read the change log, newest first: of one name, of some polls, or all of it."""
        with self._database.reading() as connection:
            return watched.log(driver(connection), watch_id, name=name, polls=polls, limit=limit)

    def files(self, run_id: str) -> bytes | None:
        """Give the list of files that a run was made for; None where it is for one or for none."""
        with self._database.reading() as connection:
            found = driver(connection).execute(_FILES, (run_id,)).fetchone()
        return None if found is None else zlib.decompress(found[0])

    def waiting_runs(self) -> list[Run]:
        """Runs NotStarted, oldest first."""
        return self._unfinished(RunState.NOT_STARTED)

    def waits(self, now: int) -> bool:
        """Tell whether some run waits that may be started now, or is to be canceled."""
        with self._database.reading() as connection:
            return driver(connection).execute(_WAITS, (now,)).fetchone() is not None

    def running_runs(self) -> list[Run]:
        """Runs Running of this session, oldest first; without a session, everybody's."""
        mine = () if self._session is None else (runs.c.fence == self._session.fence,)
        return self._unfinished(RunState.RUNNING, *mine)

    def attempts(self, run_ids: Iterable[str]) -> dict[str, list[Attempt]]:
        """Attempts by run, in the order they were made; a run without any is left out."""
        asked = {"ids": queries.among(run_ids)}
        found: dict[str, list[Attempt]] = {}
        with self._database.reading() as connection:
            for attempt in map(rows.attempt, driver(connection).execute(_ATTEMPTS, asked)):
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
            query = query.where(runs.c.id.in_(ids) | runs.c.retry_of.in_(ids))
        if states:
            query = query.where(runs.c.state.in_([state.value for state in states]))
        with self._database.reading() as connection:
            return list(map(rows.run, connection.execute(query)))

    def run(self, prefix: str) -> Run:
        """Find a run by its id or an unambiguous beginning of it.

        Raises:
            NotFound: none, or several; the message names them.
        """
        prefix = rows.plain(prefix)
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

    def fire(self, schedule_id: str, occurrence_key: str) -> Fire | None:
        """Read the decision about one occurrence."""
        same = fires.c.schedule_id == schedule_id, fires.c.occurrence_key == occurrence_key
        with self._database.reading() as connection:
            found = connection.execute(select(*_FIRE).where(*same)).first()
            return None if found is None else rows.fire(found)

    def fires_between(self, schedule_id: str, after: int, until: int) -> list[Fire]:
        """List decisions whose due time, or gap, touches the half-open interval, oldest first.

        A gap's row is dated by its first occurrence, and its last stands in its key alone.
        """
        gap = fires.c.decision == Decision.GAP.value
        query = (
            select(*_FIRE)
            .where(
                fires.c.schedule_id == schedule_id,
                fires.c.due_at <= until,
                gap | (fires.c.due_at > after),
            )
            .order_by(fires.c.due_at, fires.c.occurrence_key)
        )
        with self._database.reading() as connection:
            found = map(rows.fire, connection.execute(query))
            return [fire for fire in found if fire.due_at > after or _last_of(fire) > after]

    def fires(self, schedule_id: str, limit: int = 50) -> list[Fire]:
        """List a schedule's decisions, newest due first."""
        newest = fires.c.due_at.desc(), fires.c.decided_at.desc(), fires.c.occurrence_key.desc()
        query = select(*_FIRE).where(fires.c.schedule_id == schedule_id).order_by(*newest)
        with self._database.reading() as connection:
            return list(map(rows.fire, connection.execute(query.limit(limit))))

    def polls(self, watch_id: int, limit: int = 50) -> list[Poll]:
        """List a watch's polls, newest first."""
        with self._database.reading() as connection:
            return watched.polls(driver(connection), watch_id, limit)

    def first_poll(self, watch_id: int) -> Poll | None:
        """Give the oldest poll of a watch that is kept."""
        with self._database.reading() as connection:
            return watched.first_poll(driver(connection), watch_id)

    def overdue(self, now: int) -> list[Run]:
        """Unfinished runs past their ``start_by`` (not started) or ``finish_by``."""
        waiting = runs.c.state == RunState.NOT_STARTED.value
        late = (waiting & (runs.c.start_by < now)) | (runs.c.finish_by < now)
        query = select(*_RUN).where(text(UNFINISHED), late).order_by(runs.c.seq + 0)
        with self._database.reading() as connection:
            return list(map(rows.run, connection.execute(query)))

    def alerts(self, schedule_id: str | None = None, limit: int = 50) -> list[Alert]:
        """List alerts, newest first."""
        query = select(*_ALERT).order_by(alerts.c.at.desc(), alerts.c.key).limit(limit)
        if schedule_id is not None:
            query = query.where(alerts.c.schedule_id == schedule_id)
        with self._database.reading() as connection:
            return list(map(rows.alert, connection.execute(query)))

    def pools(self) -> list[Pool]:
        """List pools by name, with the places in use."""
        with self._database.reading() as connection:
            found = driver(connection).execute(POOLS)
            return [Pool(name=name, slots=slots, used=used) for name, slots, used in found]

    def set_pool(self, name: str, slots: int | None) -> None:
        """Define a pool or change its places; None removes it.

        Raises:
            NotFound: one that is to be removed is not there.
        """
        with self._database.writing() as connection:
            raw = driver(connection)
            if slots is not None:
                raw.execute(_SET_POOL, (name, slots))
            elif raw.execute("DELETE FROM pools WHERE name = ?", (name,)).rowcount == 0:
                raise NotFound(f"no pool '{name}'; `reconciler pool` lists them")

    def submit_run(self, run: Run) -> None:
        """Record a manual run: its fire (if it belongs to a schedule) and the run, once.

        Raises:
            NotFound: no such schedule.
        """
        run = replace(run, state=RunState.NOT_STARTED)
        with self.transaction() as transaction:
            if run.schedule_id is None:
                transaction.insert_runs([run])
                transaction.tell_others()
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
                gate=Gate.ASKED,
            )
            transaction.record_fires([fire], [run])
            transaction.tell_others()

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


def _last_of(fire: Fire) -> int:
    """Give the last due instant that a gap by the clock stands for; any other's own."""
    last = fire.occurrence_key.rpartition("/")[2]
    return parse_instant(last) if last.endswith("Z") else fire.due_at
