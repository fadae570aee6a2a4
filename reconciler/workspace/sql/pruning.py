"""What may go from a ledger on SQL.

Every table is walked once, in the order of its key, and what goes is deleted in transactions of at
most ``_BATCH`` rows: whoever fires never waits for long, and nothing is quadratic.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.workspace.sql.connection import driver

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from reconciler.workspace.sql.connection import Database
    from reconciler.workspace.upkeep import Cuts

_PAGE = 10_000
# So many rows take some 20 ms, which is how long whoever fires waits.
_BATCH = 250
_UNFINISHED = "state IN ('NotStarted', 'Running')"

# A run whose retry is still of interest stays with it.
_OLD = """
coalesce({run}.ended_at < :runs, FALSE) AND NOT EXISTS (
  SELECT 1 FROM runs AS again
  WHERE again.retry_of = {run}.id AND coalesce(again.ended_at >= :runs, TRUE))
"""
_RUNS = f"""
SELECT seq, id, schedule_id, due_at, created_at, {_OLD.format(run="runs")}
FROM runs WHERE seq > :place ORDER BY seq LIMIT :page
"""  # noqa: S608  (constants)
_ATTEMPTS = "FROM attempts WHERE run_id IN (SELECT value FROM json_each(:ids))"
_DROP_FILES = "DELETE FROM run_files WHERE run_id IN (SELECT value FROM json_each(:ids))"
_DROP_RUNS = "DELETE FROM runs WHERE id IN (SELECT value FROM json_each(:ids))"
# A decision goes after its run, or with it.
_FIRES = f"""
SELECT schedule_id, occurrence_key, due_at, decided_at < :fires AND NOT EXISTS (
  SELECT 1 FROM runs WHERE runs.id = fires.run_id AND NOT ({_OLD.format(run="runs")}))
FROM fires WHERE (schedule_id, occurrence_key) > (:schedule, :key)
ORDER BY schedule_id, occurrence_key LIMIT :page
"""  # noqa: S608  (constants)
_DROP_FIRE = "DELETE FROM fires WHERE schedule_id = ? AND occurrence_key = ?"
_FLOORS = """
SELECT schedule_id, due_at FROM (
  SELECT schedule_id, due_at,
    row_number() OVER (PARTITION BY schedule_id ORDER BY due_at DESC) AS place
  FROM fires WHERE schedule_id IN (SELECT value FROM json_each(:ids))) AS placed
WHERE place = :keep
"""
# The first poll of a watch that stays: it is young, the last one of a watch that a schedule is on,
# or somebody has yet to pass what it logged.
_FIRST_POLL = """
SELECT min(poll_seq) FROM (
  SELECT * FROM (SELECT poll_seq FROM polls WHERE watch_id = :watch AND polled_at >= :polls
    ORDER BY poll_seq LIMIT 1) AS young
  UNION ALL
  SELECT * FROM (SELECT poll_seq FROM changes WHERE watch_id = :watch AND seq > (
      SELECT coalesce(min(cursor), :last) FROM cursors WHERE watch_id = :watch)
    ORDER BY seq LIMIT 1) AS behind
  UNION ALL
  SELECT poll_seq + CASE WHEN EXISTS (SELECT 1 FROM cursors WHERE watch_id = :watch)
    THEN 0 ELSE 1 END FROM watches WHERE id = :watch
) AS stays
"""
_POLLS = "FROM polls WHERE watch_id = :watch AND poll_seq < :first"
_FIRST_CHANGE = """
SELECT seq FROM changes WHERE watch_id = :watch AND poll_seq >= :first ORDER BY seq LIMIT 1
"""
# Nothing goes where a schedule has come back meanwhile to where it stood.
_CHANGES = """
FROM changes WHERE watch_id = :watch AND seq < :end
AND NOT EXISTS (SELECT 1 FROM cursors WHERE watch_id = :watch AND cursor < :end - 1)
"""
_DROP_POLLS = f"""
DELETE {_POLLS} AND poll_seq IN (SELECT poll_seq {_POLLS} ORDER BY poll_seq LIMIT :batch)
"""
_DROP_CHANGES = f"""
DELETE {_CHANGES} AND seq IN (SELECT seq {_CHANGES} ORDER BY seq LIMIT :batch)
"""
# A schedule may come back to a watch that none is on as long as its polls tell what it was. After
# that a new one begins with a new baseline, and what was known is of no use. No number comes twice,
# for decisions bear it: the newest watch gives the next one its own.
_NOBODYS = "NOT EXISTS (SELECT 1 FROM cursors WHERE watch_id = :watch)"
_NOBODYS_WATCHES = "SELECT id FROM watches WHERE id NOT IN (SELECT watch_id FROM cursors)"
_CLAIM_WATCH = "SELECT id FROM watches WHERE id = :watch"
_FORGOTTEN = f"""
{_NOBODYS} AND NOT EXISTS (SELECT 1 FROM polls WHERE watch_id = :watch AND polled_at >= :polls)
"""  # noqa: S608  (a constant)
_PAGES = f"FROM pages WHERE watch_id = :watch AND {_FORGOTTEN}"
_DROP_PAGES = f"""
DELETE {_PAGES} AND first IN (SELECT first {_PAGES} ORDER BY first LIMIT :batch)
"""
_WATCH = f"""
FROM watches WHERE id = :watch AND id < (SELECT max(id) FROM watches) AND {_FORGOTTEN}
"""  # noqa: S608  (a constant)
_ALERTS = "FROM alerts WHERE at < :fires"
_DROP_ALERTS = f"DELETE FROM alerts WHERE key IN (SELECT key {_ALERTS} LIMIT :batch)"  # noqa: S608  (constants)
# The newest session gives the next one its number; whoever takes a run over looks for its session.
_SESSIONS = f"""
FROM sessions WHERE ended_at < :fires AND fence < (SELECT max(fence) FROM sessions)
AND fence NOT IN (SELECT fence FROM runs WHERE {_UNFINISHED} AND fence IS NOT NULL)
"""  # noqa: S608  (a constant)
_DROP_SESSIONS = f"DELETE FROM sessions WHERE fence IN (SELECT fence {_SESSIONS} LIMIT :batch)"  # noqa: S608  (constants)


class SqlPruning:
    """Deletes what is old."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def prune(self, cuts: Cuts, *, dry_run: bool = False) -> Generator[tuple[str, int]]:
        """Delete what is old; yields a kind and how many of it, after each small transaction."""
        yield from self._prune_runs(cuts, dry_run=dry_run)
        yield from self._prune_fires(cuts, dry_run=dry_run)
        yield from self._prune_watches(cuts, dry_run=dry_run)
        asked = {"fires": cuts.fires}
        yield from self._drop("alerts", _ALERTS, _DROP_ALERTS, asked, dry_run=dry_run)
        yield from self._drop("sessions", _SESSIONS, _DROP_SESSIONS, asked, dry_run=dry_run)

    def _prune_runs(self, cuts: Cuts, *, dry_run: bool) -> Generator[tuple[str, int]]:
        floors: dict[str, int] = {}
        place, newest = 0, 0
        while newest < cuts.runs:
            asked = {"runs": cuts.runs, "place": place, "page": _PAGE}
            page = self._read(_RUNS, asked)
            if not page:
                return
            # Later rows are younger.
            place, newest = page[-1][0], page[-1][4]
            found = [(id_, schedule_id, due) for _, id_, schedule_id, due, _, old in page if old]
            self._learn_floors(floors, {owner for _, owner, _ in found if owner}, cuts.keep)
            gone = [id_ for id_, owner, due in found if due < floors.get(owner, due + 1)]
            for batch in _batches(gone):
                ids = {"ids": json.dumps(batch)}
                if dry_run:
                    attempts = self._read(f"SELECT count(*) {_ATTEMPTS}", ids)[0][0]
                else:
                    with self._database.writing() as connection:
                        raw = driver(connection)
                        attempts = raw.execute(f"DELETE {_ATTEMPTS}", ids).rowcount
                        raw.execute(_DROP_FILES, ids)
                        raw.execute(_DROP_RUNS, ids)
                yield "attempts", attempts
                yield "runs", len(batch)

    def _prune_fires(self, cuts: Cuts, *, dry_run: bool) -> Generator[tuple[str, int]]:
        floors: dict[str, int] = {}
        schedule = key = ""
        while True:
            asked = {"fires": cuts.fires, "runs": cuts.runs, "page": _PAGE}
            page = self._read(_FIRES, asked | {"schedule": schedule, "key": key})
            if not page:
                return
            schedule, key = page[-1][:2]
            old = [(owner, key, due) for owner, key, due, goes in page if goes]
            self._learn_floors(floors, {owner for owner, _, _ in old}, cuts.keep)
            gone = [(owner, key) for owner, key, due in old if due < floors.get(owner, due + 1)]
            for batch in _batches(gone):
                if not dry_run:
                    with self._database.writing() as connection:
                        driver(connection).executemany(_DROP_FIRE, batch)
                yield "fires", len(batch)

    def _learn_floors(self, floors: dict[str, int], schedules: set[str], keep: int) -> None:
        """Find from which due time on a schedule's fires are among its ``keep`` newest."""
        new = schedules - floors.keys()
        if not keep or not new:
            return
        # One with fewer keeps them all.
        floors |= dict.fromkeys(new, 0)
        floors |= dict(self._read(_FLOORS, {"ids": json.dumps(sorted(new)), "keep": keep}))

    def _prune_watches(self, cuts: Cuts, *, dry_run: bool) -> Generator[tuple[str, int]]:
        nobodys = {id_ for (id_,) in self._read(_NOBODYS_WATCHES, {})}
        for watch, last in self._read("SELECT id, change_seq FROM watches ORDER BY id", {}):
            asked = {"watch": watch, "polls": cuts.polls, "last": last}
            asked["first"] = self._read(_FIRST_POLL, asked)[0][0]
            found = self._read(_FIRST_CHANGE, asked)
            asked["end"] = found[0][0] if found else last + 1
            # Without its polls nobody comes back to a watch, and needs its changes.
            parts = [("polls", _POLLS, _DROP_POLLS), ("changes", _CHANGES, _DROP_CHANGES)]
            if watch not in nobodys:
                for kind, which, statement in parts:
                    yield from self._drop(kind, which, statement, asked, dry_run=dry_run)
                continue
            # No schedule can come to it within one of these transactions.
            begin = self._database.registering
            for kind, which, statement in (*parts, ("pages", _PAGES, _DROP_PAGES)):
                yield from self._drop(kind, which, statement, asked, begin, dry_run=dry_run)
            yield "watches", self._drop_watch(asked, dry_run=dry_run)

    def _drop_watch(self, asked: Mapping[str, Any], *, dry_run: bool) -> int:
        if dry_run:
            count: int = self._read(f"SELECT count(*) {_WATCH}", asked)[0][0]
            return count
        # No poll can end meanwhile, either.
        with self._database.registering() as connection:
            raw = driver(connection)
            claim = self._database.dialect.claiming(_CLAIM_WATCH, "watches")
            if raw.execute(claim, asked).fetchone() is None:
                return 0
            return raw.execute(f"DELETE {_WATCH}", asked).rowcount

    def _drop(  # noqa: PLR0913  (what, and how)
        self,
        kind: str,
        which: str,
        statement: str,
        asked: Mapping[str, Any],
        begin: Callable[[], AbstractContextManager[Connection]] | None = None,
        *,
        dry_run: bool,
    ) -> Generator[tuple[str, int]]:
        if dry_run:
            yield kind, self._read(f"SELECT count(*) {which}", asked)[0][0]
            return
        gone = _BATCH
        while gone == _BATCH:
            with (begin or self._database.writing)() as connection:
                gone = driver(connection).execute(statement, {**asked, "batch": _BATCH}).rowcount
            yield kind, gone

    def _read(self, statement: str, asked: Mapping[str, Any]) -> list[Any]:
        with self._database.reading() as connection:
            return list(driver(connection).execute(statement, asked))


def _batches(values: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _BATCH):
        yield list(values[start : start + _BATCH])
