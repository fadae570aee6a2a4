"""Looking after a workspace on SQL: one text of each statement for both kinds of database."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reconciler.clock import SECOND, iso, parse_instant
from reconciler.run import AttemptState, RunState
from reconciler.workspace.records import DueTimer, WatchState
from reconciler.workspace.sql import queries, rows, schema
from reconciler.workspace.sql.connection import driver
from reconciler.workspace.sql.pruning import SqlPruning
from reconciler.workspace.upkeep import RunnerSeen, Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.live import RegisteredSchedule
    from reconciler.workspace.records import Arrival
    from reconciler.workspace.sql.connection import Database
    from reconciler.workspace.sql.driver import Driver
    from reconciler.workspace.upkeep import Anew

_UNFINISHED = "state IN ('NotStarted', 'Running')"
_LIVE = "state IN ('Starting', 'Running')"

_STAYS = """
SELECT id FROM runs
WHERE id IN (SELECT value FROM json_each(:ids)) AND coalesce(ended_at >= :before, TRUE)
"""
_CODE = f"""
SELECT code_digest FROM pipelines WHERE code_digest IS NOT NULL AND (status = 'Active' OR id IN (
  SELECT pipeline_id FROM runs WHERE {_UNFINISHED}))
"""  # noqa: S608  (constants)

_COUNTS = f"SELECT state, count(*) FROM runs WHERE {_UNFINISHED} GROUP BY state"  # noqa: S608  (a constant)
_STEPS = f"""
SELECT count(*) FROM attempts WHERE {_LIVE} AND run_id IN (
  SELECT id FROM runs WHERE {_UNFINISHED} AND state = 'Running')
"""  # noqa: S608  (constants)
_NEXT_DUE = """
SELECT next_due FROM timers WHERE next_due IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.schedule_id = timers.schedule_id)
ORDER BY next_due LIMIT 1
"""
_LATEST = """
SELECT max(instant) FROM (
  SELECT max(decided_at) AS instant FROM fires
  UNION ALL SELECT max(created_at) FROM runs
  UNION ALL SELECT max(ended_at) FROM runs
  UNION ALL SELECT max(polled_at) FROM polls
  UNION ALL SELECT max(applied_at) FROM applies
  UNION ALL SELECT max(updated_at) FROM schedules
  UNION ALL SELECT max(started_at) FROM sessions
  UNION ALL SELECT max(ended_at) FROM sessions) AS instants
"""
_ARMED = """
SELECT schedule_id, revision, next_due, processed_to, initial FROM timers
WHERE next_due IS NOT NULL OR initial
"""
_SCHEDULES = f"{queries.SCHEDULES} WHERE s.id IN (SELECT value FROM json_each(:ids))"  # noqa: S608  (a constant)
_BEHIND = """
SELECT cursors.schedule_id, schedules.revision, watch_id, cursor, coalesce(existing, 0), change_seq
FROM cursors JOIN watches ON watches.id = watch_id JOIN schedules ON schedules.id = schedule_id
WHERE cursor < change_seq
"""
_NEW_FIRE = f"""
INSERT INTO fires ({", ".join(rows.FIRE_FIELDS)}) VALUES ({", ".join("?" * len(rows.FIRE_FIELDS))})
ON CONFLICT DO NOTHING
"""  # noqa: S608  (constants)
_MOVE = "UPDATE timers SET next_due = ?, processed_to = ?, initial = FALSE WHERE schedule_id = ?"
_ABANDONED = """
state = 'Running' AND id NOT IN (SELECT value FROM json_each(:adopted))
"""
_UNKNOWN = f"""
UPDATE attempts SET state = '{AttemptState.UNKNOWN}', reason = :why, ended_at = :at
WHERE {_LIVE} AND run_id IN (SELECT id FROM runs WHERE {_UNFINISHED} AND {_ABANDONED})
"""  # noqa: S608  (constants)
_FAIL = f"""
UPDATE runs SET state = '{RunState.FAILED}', reason = :why, ended_at = :at
WHERE {_UNFINISHED} AND {_ABANDONED}
"""  # noqa: S608  (constants)
_CANCEL = f"""
UPDATE runs SET state = '{RunState.CANCELED}', reason = :why, ended_at = :at
WHERE {_UNFINISHED} AND state = 'NotStarted'
"""  # noqa: S608  (constants)
_END_SESSIONS = "UPDATE sessions SET ended_at = :at WHERE ended_at IS NULL"
_TO_THE_END = """
UPDATE cursors SET cursor = (SELECT change_seq FROM watches WHERE watches.id = watch_id)
"""
# The number that is left out tells that what changed meanwhile is not known.
_REBASELINE = f"""
UPDATE watches SET state = '{WatchState.BASELINING}', poll_seq = poll_seq + 2, next_poll = :at,
  failures = 0, place = '', fence = NULL
"""  # noqa: S608  (a constant)
_NOTE = f"""
INSERT INTO polls (watch_id, poll_seq, polled_at, listed, state, next_poll, added, modified,
  deleted, waiting, took, skipped, note, error)
SELECT id, poll_seq, :at, 0, '{WatchState.BASELINING}', next_poll, 0, 0, 0, 0, 0, 0, :note, ''
FROM watches
"""  # noqa: S608  (a constant)
_SET_FACT = """
INSERT INTO facts (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""


class SqlUpkeep(SqlPruning):
    """A :class:`~reconciler.workspace.upkeep.Upkeep` on one database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.name = database.name

    def now(self) -> int:
        """Give the workspace's present instant."""
        return self._database.now()

    def revision(self) -> str:
        """Give the schema's revision."""
        return self._database.revision()

    def check(self) -> None:
        """Refuse a schema that is not this program's."""
        schema.check(self.revision(), self.name)

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    # What there is ----------------------------------------------------------------------------

    def standing(self) -> Standing:
        """Count what is under way."""
        at = self.now()
        with self._database.reading() as connection:
            raw = driver(connection)
            return Standing(
                at=at,
                unfinished=dict(raw.execute(_COUNTS)),
                steps=_one(raw, _STEPS) or 0,
                held=_one(raw, "SELECT count(*) FROM holds") or 0,
                next_due=_one(raw, _NEXT_DUE),
            )

    def runners(self, limit: int = 10) -> list[RunnerSeen]:
        """List the newest sessions first."""
        query = "SELECT host, pid, started_at, ended_at FROM sessions ORDER BY fence DESC LIMIT ?"
        with self._database.reading() as connection:
            return [
                RunnerSeen(host=host, pid=pid, started_at=started, ended_at=ended)
                for host, pid, started, ended in driver(connection).execute(query, (limit,))
            ]

    def zones(self) -> dict[str, int]:
        """Count schedules by the ``time_zone`` that they declare; "" where they declare none."""
        counts: dict[str, int] = {}
        with self._database.reading() as connection:
            for (spec,) in driver(connection).execute("SELECT spec FROM schedules"):
                for trigger in json.loads(spec).get("trigger", {}).values():
                    zone = trigger.get("time_zone") or ""
                    counts[zone] = counts.get(zone, 0) + 1
        return counts

    def damage(self) -> list[str]:
        """Check that the database is whole; PostgreSQL checks its pages by itself."""
        with self._database.reading() as connection:
            if connection.dialect.name != "sqlite":
                return []
            raw = driver(connection)
            said = [str(line) for (line,) in raw.execute("PRAGMA integrity_check(5)")]
            said += [
                f"{table}: a row refers to nothing"
                for (table,) in raw.execute("SELECT DISTINCT [table] FROM pragma_foreign_key_check")
            ]
        return [line for line in said if line != "ok"]

    def careless(self) -> list[str]:
        """Name the settings of the database that let it lose what it has committed."""
        with self._database.reading() as connection:
            if connection.dialect.name == "sqlite":
                return []
            raw = driver(connection)
            return [
                f"{name} = {value}"
                for name in ("fsync", "synchronous_commit", "full_page_writes")
                if (value := _one(raw, f"SHOW {name}")) == "off"
            ]

    def latest(self) -> int:
        """Give the newest instant at which something was recorded; 0 for none."""
        with self._database.reading() as connection:
            return _one(driver(connection), _LATEST) or 0

    def note_backup(self, at: int) -> None:
        """Record that a backup is taken, so that the backup tells from when it is."""
        with self._database.writing() as connection:
            driver(connection).execute(_SET_FACT, ("backup_at", iso(at)))

    def taken(self) -> int:
        """Give the instant from which a backup is: a copy may be younger than its last note."""
        with self._database.reading() as connection:
            noted = _one(driver(connection), "SELECT value FROM facts WHERE name = 'backup_at'")
        return max(self.latest(), parse_instant(noted) if noted else 0)

    def epoch(self) -> int:
        """Give the number that each restore raises; 0 until the first."""
        with self._database.reading() as connection:
            return _epoch(driver(connection))

    def over(self, run_ids: Iterable[str], before: int) -> set[str]:
        """Tell which of these runs were over before an instant, or are not known."""
        ids = list(run_ids)
        with self._database.reading() as connection:
            asked = {"ids": json.dumps(ids), "before": before}
            return set(ids) - {id_ for (id_,) in driver(connection).execute(_STAYS, asked)}

    def code_in_use(self) -> set[str]:
        """Give the digests of the code that Active versions and unfinished runs need."""
        with self._database.reading() as connection:
            return {digest for (digest,) in driver(connection).execute(_CODE)}

    # A new beginning --------------------------------------------------------------------------

    @contextmanager
    def restoring(self) -> Iterator[SqlRestoring]:
        """Begin the transaction that makes a restored ledger usable.

        Raises:
            WorkspaceBusy: a runner is at work.
        """
        # Nobody may run on it meanwhile, as when its schema changes.
        with self._database.migrating() as connection:
            yield SqlRestoring(driver(connection))


class SqlRestoring:
    """A :class:`~reconciler.workspace.upkeep.Restoring` within one transaction."""

    def __init__(self, raw: Driver) -> None:
        self._raw = raw

    def armed(self) -> list[tuple[RegisteredSchedule, DueTimer]]:
        """List schedules that wait for the clock, each with its timer."""
        timers = [
            DueTimer(
                schedule_id=schedule_id,
                revision=revision,
                next_due=processed_to if due is None else due,
                processed_to=processed_to,
                initial=bool(initial),
            )
            for schedule_id, revision, due, processed_to, initial in self._raw.execute(_ARMED)
        ]
        ids = {"ids": json.dumps([timer.schedule_id for timer in timers])}
        here = {found.id: found for found in map(rows.schedule, self._raw.execute(_SCHEDULES, ids))}
        return [(here[timer.schedule_id], timer) for timer in timers]

    def behind(self) -> list[tuple[Arrival, int]]:
        """List data schedules that lag behind, each with the last place in the change log."""
        return [(rows.arrival(row), last) for *row, last in self._raw.execute(_BEHIND)]

    def running(self) -> list[str]:
        """Name the runs that were Running."""
        query = f"SELECT id FROM runs WHERE {_UNFINISHED} AND state = 'Running'"  # noqa: S608  (a constant)
        return [run_id for (run_id,) in self._raw.execute(query)]

    def begin_anew(self, anew: Anew) -> Mapping[str, int]:
        """Write it down; returns how many runs were ``canceled``, ``failed`` and ``adopted``."""
        self._raw.executemany(_NEW_FIRE, [rows.fire_values(fire) for fire in anew.fires])
        self._raw.executemany(
            _MOVE, [(move.next_due, move.processed_to, move.schedule_id) for move in anew.moves]
        )
        restored = f"restored from a backup of {iso(anew.taken)}"
        adopted = json.dumps(list(anew.adopted))
        unknown = {"at": anew.at, "adopted": adopted}
        unknown["why"] = f"outcome unknown: {restored}"
        self._raw.execute(_UNKNOWN, unknown)
        failed = self._raw.execute(_FAIL, unknown).rowcount
        why = f"{restored}; it may have run since"
        canceled = self._raw.execute(_CANCEL, {"at": anew.at, "why": why}).rowcount
        at = {"at": anew.at}
        self._raw.execute(_END_SESSIONS, at)
        self._raw.execute(_TO_THE_END)
        self._raw.execute(_REBASELINE, at)
        self._raw.execute(_NOTE, {**at, "note": f"{restored}: the next listing is a new baseline"})
        self._raw.execute("DELETE FROM pages")
        # The present second: one backup that is restored twice does not begin one epoch twice.
        epoch = max(_epoch(self._raw) + 1, anew.at // SECOND)
        facts = {"epoch": str(epoch), "restored_at": iso(anew.at), "backup_of": iso(anew.taken)}
        self._raw.executemany(_SET_FACT, list(facts.items()))
        return {"canceled": canceled, "failed": failed, "adopted": len(anew.adopted)}


def _epoch(raw: Driver) -> int:
    return int(_one(raw, "SELECT value FROM facts WHERE name = 'epoch'") or 0)


def _one(raw: Driver, statement: str) -> Any:  # noqa: ANN401  (what the statement selects)
    row = raw.execute(statement).fetchone()
    return None if row is None else row[0]
