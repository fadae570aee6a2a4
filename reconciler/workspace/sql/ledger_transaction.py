"""The runner's writes. What happens at every fire goes straight to the driver, in batches."""

from __future__ import annotations

import json
import uuid
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from reconciler.errors import WorkspaceError
from reconciler.run import RunState
from reconciler.schedule import Status
from reconciler.workspace.records import DueTimer, Pool, Unfinished, WatchState
from reconciler.workspace.sql import queries, rows
from reconciler.workspace.sql import watches as watched
from reconciler.workspace.sql.connection import driver
from reconciler.workspace.sql.tables import (
    UNFINISHED,
    cursors,
    holds,
    schedules,
    watches,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from reconciler.live import Hold
    from reconciler.run import Attempt, Fire, Run
    from reconciler.trigger.arrivals import Change, Rewrite
    from reconciler.workspace.records import (
        Alert,
        Arrival,
        LoggedChange,
        Poll,
        PublishedPipeline,
        RegisteredSchedule,
        Session,
        TimerMove,
    )
    from reconciler.workspace.sql.dialect import Dialect


def _into(table: str, columns: Sequence[str], rest: str = "") -> str:
    marks = ", ".join("?" * len(columns))
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) VALUES ({marks}) {rest}"  # noqa: S608  (constants)


_SCHEDULES = f"""
{queries.SCHEDULES} WHERE s.id IN (SELECT value FROM json_each(:ids))
"""  # noqa: S608  (constants)
_PIPELINES = f"""
{queries.PIPELINES} WHERE p.id IN (SELECT value FROM json_each(:ids))
"""  # noqa: S608  (constants)
_NEWEST_PIPELINES = f"""
{queries.PIPELINES} WHERE p.name IN (SELECT value FROM json_each(:names)) AND p.status = 'Active'
ORDER BY p.declared_revision IS NOT NULL, p.version
"""  # noqa: S608  (constants)
_DUE = """
SELECT timers.schedule_id, revision, next_due, processed_to, initial
FROM timers LEFT JOIN holds ON holds.schedule_id = timers.schedule_id
WHERE next_due <= ? AND (holds.schedule_id IS NULL OR holds.until <= ?)
ORDER BY next_due LIMIT ?
"""
_MOVE = "UPDATE timers SET next_due = ?, processed_to = ?, initial = FALSE WHERE schedule_id = ?"
_MOVE_CURSOR = "UPDATE cursors SET cursor = ? WHERE schedule_id = ?"
_NEW_FIRE = _into("fires", rows.FIRE_FIELDS, "ON CONFLICT DO NOTHING")
_NEW_RUN = _into("runs", rows.RUN_FIELDS, "ON CONFLICT (id) DO NOTHING")
_OPEN = f"""
SELECT schedule_id, id, state, substr(occurrence_key, 1, 2) = 'b:' FROM runs
WHERE {UNFINISHED} AND schedule_id IN (SELECT value FROM json_each(?)) ORDER BY seq
"""  # noqa: S608  (a constant)
_START = """
UPDATE runs SET state = 'Running', started_at = :now, fence = :fence
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'NotStarted' RETURNING id
"""
_FINISH = """
UPDATE runs SET state = :state, reason = :reason, ended_at = :now, fence = :fence
WHERE id IN (SELECT value FROM json_each(:ids))
  AND (state = 'NotStarted' OR state = 'Running' AND fence = :fence) RETURNING id
"""
_RUN = ", ".join(f"runs.{name}" for name in rows.RUN_FIELDS)
_WAITS = f"""
{UNFINISHED} AND state = 'NotStarted'
  AND (not_before IS NULL OR not_before <= :now OR cancel_requested IS NOT NULL)
"""
# What waits is read in a statement of its own after this one, so that it sees what those who held
# the schedules before have written.
_QUEUED = f"""
SELECT id FROM schedules WHERE id IN (SELECT schedule_id FROM runs WHERE {_WAITS}) ORDER BY id
"""  # noqa: S608  (constants)
# Thousands may wait for a few places; where each stands among its schedule's is counted by hand
# and by the clock apart.
_WAITING = f"""
SELECT {_RUN} FROM runs JOIN (
  SELECT seq AS number_of, row_number() OVER (
    PARTITION BY schedule_id, CASE substr(occurrence_key, 1, 2)
      WHEN 'm:' THEN 1 WHEN 'b:' THEN 2 ELSE 0 END ORDER BY seq) AS place
  FROM runs WHERE {_WAITS} AND (CAST(:claimed AS TEXT) IS NULL OR schedule_id IS NULL
    OR schedule_id IN (SELECT value FROM json_each(:claimed))
    OR NOT EXISTS (SELECT 1 FROM schedules WHERE schedules.id = schedule_id))
) AS queue ON queue.number_of = runs.seq
WHERE runs.state = 'NotStarted'
  AND (CAST(:each AS INTEGER) IS NULL OR place <= :each OR cancel_requested IS NOT NULL)
ORDER BY runs.seq
"""  # noqa: S608  (constants)
POOLS = f"""
SELECT name, slots, (
  SELECT count(*) FROM runs WHERE {UNFINISHED} AND state = 'Running' AND pool = pools.name)
FROM pools ORDER BY name
"""  # noqa: S608  (a constant)
_CLAIM_POOLS = """
SELECT 1 FROM pools WHERE name IN (SELECT value FROM json_each(:names)) ORDER BY name FOR UPDATE
"""
_POOLS = POOLS.replace("ORDER", "WHERE name IN (SELECT value FROM json_each(:names)) ORDER")
_STREAK = """
INSERT INTO streaks (schedule_id, failed) VALUES (?, 1)
ON CONFLICT (schedule_id) DO UPDATE SET failed = streaks.failed + 1 RETURNING failed
"""
_CLEAR = "DELETE FROM streaks WHERE schedule_id IN (SELECT value FROM json_each(:ids))"
_PAUSE = """
INSERT INTO holds (schedule_id, who, why, since, until, catchup) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (schedule_id) DO NOTHING
"""
_ALERT = _into("alerts", rows.ALERT_FIELDS, "ON CONFLICT (key) DO NOTHING")
_CANCEL = f"""
UPDATE runs SET cancel_requested = coalesce(cancel_requested, :reason)
WHERE id IN (SELECT value FROM json_each(:ids)) AND {UNFINISHED} RETURNING id
"""  # noqa: S608  (a constant)
_ATTEMPT = f"""
INSERT INTO attempts ({", ".join(rows.ATTEMPT_FIELDS)}, fence)
SELECT {", ".join("?" * (len(rows.ATTEMPT_FIELDS) + 1))}
WHERE EXISTS (SELECT 1 FROM runs WHERE id = ? AND state = 'Running' AND fence = ?)
ON CONFLICT (run_id, step, number) DO UPDATE SET
    state = excluded.state, reason = excluded.reason, exit_code = excluded.exit_code,
    created_at = excluded.created_at, started_at = excluded.started_at,
    ended_at = excluded.ended_at, fence = excluded.fence
"""  # noqa: S608  (constants)
# A list that nobody will ask for, because its run was there before, is not kept.
_KEEP_FILES = """
INSERT INTO run_files (run_id, content) SELECT ?, ? WHERE EXISTS (SELECT 1 FROM runs WHERE id = ?)
ON CONFLICT (run_id) DO NOTHING
"""


class SqlLedgerTransaction:
    """A :class:`~reconciler.workspace.ledger.LedgerTransaction`: one SQL transaction.

    ``session`` is None where no session was begun; ``known_experiments`` are names that certainly
    exist, ``new_experiments`` those that this transaction makes sure of.
    """

    def __init__(
        self,
        connection: Connection,
        dialect: Dialect,
        now: int,
        session: Session | None,
        known_experiments: set[str],
    ) -> None:
        self._connection = connection
        self._raw = driver(connection)
        self._dialect = dialect
        self._now = now
        self._session = session
        self._known_experiments = known_experiments
        self.new_experiments: set[str] = set()

    def due_timers(self, now: int, limit: int) -> list[DueTimer]:
        """Claim timers with ``next_due <= now``, the oldest first, until the transaction ends.

        A held schedule's timer waits; once the hold's end has come the timer is claimed as usual.
        """
        return [
            DueTimer(
                schedule_id=schedule_id,
                revision=revision,
                next_due=next_due,
                processed_to=processed_to,
                initial=bool(initial),
            )
            for schedule_id, revision, next_due, processed_to, initial in self._raw.execute(
                self._dialect.claiming(_DUE, "timers"), (now, now, limit)
            )
        ]

    def arrivals(self, limit: int) -> list[Arrival]:
        """Claim active, unheld data schedules whose cursor is behind their ready watch's log.

        A hold that has come to its end holds no more; where nothing was logged it is removed.
        """
        watching = holds.c.schedule_id.in_(
            select(cursors.c.schedule_id)
            .join(watches, watches.c.id == cursors.c.watch_id)
            .where(watches.c.change_seq <= cursors.c.cursor)
        )
        self._connection.execute(delete(holds).where(holds.c.until <= self._now, watching))
        query = (
            select(
                cursors.c.schedule_id,
                schedules.c.revision,
                cursors.c.watch_id,
                cursors.c.cursor,
                func.coalesce(cursors.c.existing, 0),
            )
            .join(watches, watches.c.id == cursors.c.watch_id)
            .join(schedules, schedules.c.id == cursors.c.schedule_id)
            .outerjoin(holds, holds.c.schedule_id == schedules.c.id)
            .where(
                watches.c.state == WatchState.READY.value,
                watches.c.change_seq > cursors.c.cursor,
                schedules.c.status == Status.ACTIVE.value,
                holds.c.schedule_id.is_(None) | (holds.c.until <= self._now),
            )
            .order_by(cursors.c.schedule_id)
            .limit(limit)
            .with_for_update(of=cursors, key_share=True, skip_locked=True)
        )
        return list(map(rows.arrival, self._connection.execute(query)))

    def changes(self, watch_id: int, after: int, limit: int) -> list[LoggedChange]:
        """Read the change log from ``after`` (exclusive), in order."""
        return watched.changes(self._raw, watch_id, after, limit)

    def logged_before(self, watch_id: int, instant: int) -> int:
        """Give the last place in the change log that was written before ``instant``, else 0."""
        return watched.logged_before(self._raw, watch_id, instant)

    def schedules(self, ids: Iterable[str]) -> dict[str, RegisteredSchedule]:
        """Read schedules by id."""
        found = self._raw.execute(_SCHEDULES, {"ids": queries.among(ids)})
        return {schedule.id: schedule for schedule in map(rows.schedule, found)}

    def newest_pipelines(self, names: Iterable[str]) -> dict[str, PublishedPipeline]:
        """Read the Active version of each pipeline name that is declared, else the newest."""
        found = self._raw.execute(_NEWEST_PIPELINES, {"names": queries.among(names)})
        return {pipeline.name: pipeline for pipeline in map(rows.pipeline, found)}

    def pipelines(self, ids: Iterable[str]) -> dict[str, PublishedPipeline]:
        """Read published versions by id."""
        found = self._raw.execute(_PIPELINES, {"ids": queries.among(ids)})
        return {pipeline.id: pipeline for pipeline in map(rows.pipeline, found)}

    def unfinished(self, schedule_ids: Iterable[str]) -> dict[str, Unfinished]:
        """Count runs that are not over, by schedule; a schedule without any is left out."""
        found: dict[str, tuple[list[str], list[str], list[str]]] = {}
        for schedule_id, run_id, state, backfill in self._raw.execute(
            _OPEN, (json.dumps(list(schedule_ids)),)
        ):
            running, waiting, backfills = found.setdefault(schedule_id, ([], [], []))
            if state == RunState.RUNNING.value:
                (backfills if backfill else running).append(run_id)
            elif not backfill:
                waiting.append(run_id)
        return {
            schedule_id: Unfinished(
                running=tuple(running), waiting=tuple(waiting), backfills=tuple(backfills)
            )
            for schedule_id, (running, waiting, backfills) in found.items()
        }

    def record_fires(self, fires: Sequence[Fire], runs: Sequence[Run]) -> list[Fire]:
        """Insert decisions and their runs; a key that exists is left alone, with its run.

        Experiments are created on first use. Returns the fires that were new.
        """
        new = self._insert_fires(fires)
        if len(new) < len(fires):
            ids = {fire.run_id for fire in new}
            runs = [run for run in runs if run.id in ids]
        self.insert_runs(runs)
        return new

    def insert_runs(self, runs: Sequence[Run]) -> None:
        """Insert runs that have no fire, or whose fire is new; a run that exists is left alone."""
        self._ensure_experiments({run.experiment_name for run in runs})
        self._raw.executemany(_NEW_RUN, map(rows.run_values, runs))

    def move_timers(self, moves: Sequence[TimerMove]) -> None:
        """Set timers and clear their ``initial`` mark."""
        self._raw.executemany(
            _MOVE, [(move.next_due, move.processed_to, move.schedule_id) for move in moves]
        )

    def move_cursors(self, cursors: Mapping[str, int]) -> None:
        """Set schedules' places in their watch's change log."""
        self._raw.executemany(
            _MOVE_CURSOR, [(cursor, schedule_id) for schedule_id, cursor in cursors.items()]
        )

    def lift_expired_hold(self, schedule_id: str) -> None:
        """Remove a hold whose end has been decided about; one that lasts stays."""
        self._connection.execute(
            delete(holds).where(holds.c.schedule_id == schedule_id, holds.c.until <= self._now)
        )

    def request_cancel(self, run_ids: Iterable[str], reason: str) -> list[str]:
        """Ask for runs to be stopped; returns the ids of those that were not over.

        The first reason stays. This needs no session: whoever asks is not the runner.
        """
        run_ids = list(run_ids)
        asked = {"reason": rows.plain(reason), "ids": queries.among(run_ids)}
        canceled = {run_id for (run_id,) in self._raw.execute(_CANCEL, asked)}
        if canceled:
            self.tell_others()
        return [run_id for run_id in run_ids if run_id in canceled]

    def tell_others(self) -> None:
        """Let other runners look up at the end of this transaction, where they can be told."""
        if self._dialect.notify is not None:
            self._raw.execute(self._dialect.notify)

    def record_poll(  # noqa: PLR0913  (the port's)
        self,
        poll: Poll,
        changes: Sequence[Change] = (),
        rewrites: Iterable[Rewrite] = (),
        *,
        place: str | None = None,
        baseline: bool = False,
        was: int | None = None,
    ) -> bool:
        """Store a poll, log its changes, rewrite the snapshot and move the watch.

        False if the watch has moved: compare-and-set on ``poll_seq``, a poll that lost a race is
        void. A ``baseline`` first forgets the whole snapshot. A poll with an ``error`` touches
        neither snapshot nor log. ``place`` replaces the watch's, unless it is None. ``was`` is the
        watch's ``next_poll`` as the look began: where it is another one by now, somebody has asked
        for a look since, and that stays due.

        Where schedules asked for existing files, each that was known before (after a baseline:
        all) is logged for them first, as ``existing``.
        """
        return watched.record_poll(
            self._raw, poll, changes, rewrites, place=place, baseline=baseline, was=was
        )

    def keep_files(self, files: Mapping[str, bytes]) -> None:
        """Store the lists of files that runs were made for, by run id; comes after the runs."""
        self._raw.executemany(_KEEP_FILES, [(id_, zlib.compress(files[id_]), id_) for id_ in files])

    def poll_again(self, now: int) -> None:
        """Make watches due that were polled after ``now``: the clock has gone back since."""
        watched.poll_again(self._raw, now)

    def claim_watches(self, now: int) -> set[int]:
        """Make due watches this session's that no living session has; give the ids of all it has.

        Watches that somebody else claims at this moment are left out.
        """
        return watched.claim(self._raw, self._dialect, now, self._own_fence())

    def waiting_runs(self, now: int, each: int | None = None) -> list[Run]:
        """Claim runs NotStarted whose ``not_before`` has come, oldest first.

        With ``each``: at most so many of each schedule's own, so many of each schedule's by hand,
        and all that are to be canceled.
        """
        asked: dict[str, object] = {"now": now, "each": each, "claimed": None}
        if self._dialect.shared:
            claim = self._dialect.claiming(_QUEUED, "schedules")
            asked["claimed"] = queries.among(id_ for (id_,) in self._raw.execute(claim, asked))
        found = self._raw.execute(self._dialect.claiming(_WAITING, "runs"), asked)
        return [rows.run(row) for row in found]

    def pools(self, names: Iterable[str]) -> dict[str, Pool]:
        """Claim pools until the transaction ends; one that is not defined is left out."""
        asked = {"names": queries.among(names)}
        if self._dialect.shared:
            self._raw.execute(_CLAIM_POOLS, asked)
        found = self._raw.execute(_POOLS, asked)
        return {name: Pool(name=name, slots=slots, used=used) for name, slots, used in found}

    def start_runs(self, run_ids: Sequence[str], now: int) -> list[str]:
        """Move waiting runs to Running under this session's fence; returns those that moved."""
        asked = {"now": now, "fence": self._own_fence(), "ids": queries.among(run_ids)}
        started = {run_id for (run_id,) in self._raw.execute(_START, asked)}
        return [run_id for run_id in run_ids if run_id in started]

    def finish_runs(self, ends: Sequence[tuple[str, RunState, str]], now: int) -> list[str]:
        """Move runs to a final state, with the reason; returns those that moved.

        That is this session's Running runs, and anybody's waiting ones.
        """
        alike: dict[tuple[RunState, str], list[str]] = {}
        for run_id, state, reason in ends:
            alike.setdefault((state, reason), []).append(run_id)
        ended: set[str] = set()
        for (state, reason), run_ids in alike.items():
            asked = {
                "state": state.value,
                "reason": rows.plain(reason),
                "now": now,
                "fence": self._own_fence(),
                "ids": queries.among(run_ids),
            }
            ended.update(run_id for (run_id,) in self._raw.execute(_FINISH, asked))
        return [run_id for run_id, _, _ in ends if run_id in ended]

    def record_attempts(self, attempts: Sequence[Attempt]) -> set[str]:
        """Insert attempts or replace what is known of them, as far as this session has their run.

        One without a node gets this session's. Returns the ids of those that were recorded.
        """
        fence, node = self._own_fence(), self._session.node if self._session else ""
        values = [
            (
                *rows.attempt_values(replace(attempt, node=attempt.node or node)),
                *(fence, attempt.run_id, fence),
            )
            for attempt in attempts
        ]
        if self._raw.executemany(_ATTEMPT, values).rowcount == len(values):
            return {attempt.id for attempt in attempts}
        # Seldom: some run is another's by now. Only one by one does the driver tell which.
        return {
            attempt.id
            for attempt, row in zip(attempts, values, strict=True)
            if self._raw.execute(_ATTEMPT, row).rowcount
        }

    def count_failures(self, schedule_ids: Iterable[str]) -> dict[str, int]:
        """Count one more failed run in a row for each schedule; returns how many there are now."""
        return {id_: self._raw.execute(_STREAK, (id_,)).fetchone()[0] for id_ in schedule_ids}

    def clear_failures(self, schedule_ids: Iterable[str]) -> None:
        """Begin to count failed runs in a row from none."""
        self._raw.execute(_CLEAR, {"ids": queries.among(schedule_ids)})

    def pause(self, schedule_id: str, hold: Hold) -> bool:
        """Hold a schedule that is not held, and count its failures from none; False where it is."""
        values = (schedule_id, hold.who, rows.plain(hold.why), hold.since, hold.until)
        self.clear_failures([schedule_id])
        return bool(self._raw.execute(_PAUSE, (*values, hold.catchup.value)).rowcount)

    def alert(self, alerts: Sequence[Alert]) -> list[Alert]:
        """Record alerts; returns those that were new."""
        return [
            alert
            for alert in alerts
            if self._raw.execute(_ALERT, rows.alert_values(alert)).rowcount
        ]

    def _own_fence(self) -> int:
        if self._session is None:
            raise WorkspaceError("only a runner moves runs: begin a session first")
        return self._session.fence

    def _insert_fires(self, fires: Sequence[Fire]) -> list[Fire]:
        values = [rows.fire_values(fire) for fire in fires]
        self._raw.execute("SAVEPOINT fires")
        if self._raw.executemany(_NEW_FIRE, values).rowcount != len(fires):
            # Seldom: some were decided before. Only one by one does the driver tell which.
            self._raw.execute("ROLLBACK TO fires")
            fires = [
                fire
                for fire, row in zip(fires, values, strict=True)
                if self._raw.execute(_NEW_FIRE, row).rowcount
            ]
        self._raw.execute("RELEASE fires")
        return list(fires)

    def _ensure_experiments(self, names: set[str]) -> None:
        missing = names - self._known_experiments - self.new_experiments
        self._raw.executemany(
            "INSERT INTO experiments (id, name, created_at) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO NOTHING",
            [(str(uuid.uuid4()), name, self._now) for name in sorted(missing)],
        )
        self.new_experiments |= missing
