"""Short ways to the values that workspace tests need, and to children that misbehave."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import psycopg

from reconciler.clock import MINUTE, FixedClock
from reconciler.data import FileChange, Watched
from reconciler.run import Attempt, AttemptState, Decision, Fire, Run, RunState
from reconciler.schedule import Status
from reconciler.trigger.arrivals import Change, Rewrite
from reconciler.trigger.snapshot import Files, join, split
from reconciler.workspace.records import (
    ApplyRecord,
    Clockwork,
    CodeTree,
    Declaration,
    Hold,
    Owner,
    Poll,
    Provenance,
    TimerMove,
    Watching,
    WatchState,
)
from reconciler.workspace.sql import open_workspace
from reconciler.workspace.sql.schema import HEAD
from reconciler.workspace.sql.tables import metadata
from tests.processes import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.workspace.sql import SqlWorkspace
    from tests.postgres import Databases

NOW = 1_780_000_000_000_000
OWNER = Owner("shop", "prod")
OTHER = Owner("shop", "dev")
ROOT = Path(__file__).parents[2]
GIT = Provenance(
    file="schedules/a.yml", line=3, commit="c0ffee", author="Ann", committed_at=NOW - 9
)


class Sqlite:
    """Makes workspaces on one SQLite file. Another database is another class with these members.

    ``path`` is where it lies, for another process; ``clock`` is its clock.
    """

    _template: ClassVar[bytes | None] = None

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "workspace.db")
        self.clock = FixedClock(NOW)
        self._opened: list[SqlWorkspace] = []

    def open(self, *, read_only: bool = False) -> SqlWorkspace:
        file = Path(self.path)
        if not file.exists():
            # Migrating costs ten times as much as the usual test.
            if Sqlite._template is None:
                open_workspace(self.path, self.clock, create=True).close()
                Sqlite._template = file.read_bytes()
            file.write_bytes(Sqlite._template)
        workspace = open_workspace(self.path, self.clock, create=False, read_only=read_only)
        self._opened.append(workspace)
        return workspace

    def take_over(self) -> None:
        """Begin another session although the first holds its lock: somebody removed the file."""
        Path(f"{self.path}.runner.lock").unlink()
        assert self.open().ledger.begin_session(host="there", pid=2, wait=False)

    def by_hand(self, *statements: str) -> int:
        """Run statements with another program, all or none; gives how many rows the last wrote."""
        with closing(sqlite3.connect(self.path)) as raw, raw:
            return [raw.execute(statement).rowcount for statement in statements][-1]

    def close(self) -> None:
        for workspace in self._opened:
            workspace.close()


class Postgres:
    """Makes workspaces in one PostgreSQL database, whose clock is a row in a table of the tests."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self.path = databases.workspace()
        self.clock = DatabaseClock(self.path)
        self._opened: list[SqlWorkspace] = []

    @staticmethod
    def prepare(url: str) -> None:
        open_workspace(url, FixedClock(NOW), create=True).close()
        with psycopg.connect(url) as raw:
            raw.execute("CREATE TABLE test_clock AS SELECT %s::bigint AS instant", (NOW,))
            raw.execute(
                "CREATE OR REPLACE FUNCTION reconciler_now() RETURNS bigint LANGUAGE sql VOLATILE"
                " AS 'SELECT instant FROM test_clock'"
            )

    @staticmethod
    def clean(raw: psycopg.Connection) -> None:
        # Neither triggers nor references are looked at.
        raw.execute("SET session_replication_role = replica")
        raw.execute(";".join(f'DELETE FROM "{table}"' for table in metadata.tables))
        raw.execute("SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'")
        raw.execute("UPDATE alembic_version SET version_num = %s", (HEAD,))
        raw.execute("UPDATE test_clock SET instant = %s", (NOW,))

    def open(self, *, read_only: bool = False) -> SqlWorkspace:
        workspace = open_workspace(self.path, self.clock, create=False, read_only=read_only)
        self._opened.append(workspace)
        return workspace

    def take_over(self) -> None:
        """Begin another session, cut off the first's and end it."""
        ledger = self.open().ledger
        assert ledger.begin_session(host="there", pid=2)
        self.cut(self._opened[0].ledger)
        ledger.take_over(0)

    def cut(self, ledger) -> None:
        """End the connection that a ledger's session is held by, from the server's side."""
        pid = ledger._right._connection.info.backend_pid
        self.by_hand(f"SELECT pg_terminate_backend({pid})")
        until(lambda: not self.by_hand(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"))

    def cut_all(self) -> None:
        """End all connections to the database but those of the tests' own, from the server."""
        mine = self.clock.pid
        self.by_hand(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
            f" current_database() AND pid NOT IN (pg_backend_pid(), {mine})"
        )
        others = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'reconciler'"
        until(lambda: not self.by_hand(f"{others} AND datname = current_database()"))

    def waiting(self) -> bool:
        """Tell whether somebody waits for a lock."""
        return bool(self.by_hand("SELECT 1 FROM pg_locks WHERE NOT granted"))

    def by_hand(self, *statements: str) -> int:
        """Run statements with another program, all or none; gives how many rows the last wrote."""
        with psycopg.connect(self.path) as raw:
            return [raw.execute(statement).rowcount for statement in statements][-1]

    def close(self) -> None:
        for workspace in self._opened:
            workspace.close()
        self.clock.close()
        self._databases.give_back(self.path)


class DatabaseClock:
    """The clock of a database that was prepared for tests; see :class:`FixedClock`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._raw = psycopg.connect(self._url, autocommit=True)
        self.pid = self._raw.info.backend_pid

    def reconnect(self) -> None:
        self._raw.close()
        self._raw = psycopg.connect(self._url, autocommit=True)
        self.pid = self._raw.info.backend_pid

    def close(self) -> None:
        self._raw.close()

    @property
    def instant(self) -> int:
        return self._raw.execute("SELECT instant FROM test_clock").fetchone()[0]

    @instant.setter
    def instant(self, instant: int) -> None:
        self._raw.execute("UPDATE test_clock SET instant = %s", (instant,))

    def now(self) -> int:
        return self.instant


def pipeline(write, name="p", digest="d1", code=None, owner=OWNER):
    return write.publish(
        owner=owner, name=name, spec=f'{{"n":"{digest}"}}', digest=digest, code=code, provenance=GIT
    )


def schedule(write, name="s", owner=OWNER, arming=None, *, status=Status.ACTIVE, pipeline_id=None):
    return write.create_schedule(
        owner=owner,
        name=name,
        spec='{"name":"s"}',
        pipeline_id=pipeline_id,
        status=status,
        provenance=GIT,
        arming=arming,
    )


def edit(
    write, schedule_id, revision=1, status=Status.ACTIVE, disabled_by=None, *, spec="{}", name=None
):
    write.update_schedule(
        schedule_id,
        revision,
        spec=spec,
        pipeline_id=None,
        status=status,
        disabled_by=disabled_by,
        provenance=GIT,
        name=name,
    )


def clockwork(due=NOW, initial=False):
    return Clockwork(next_due=due, processed_to=NOW - MINUTE, initial=initial)


def on_timer(workspace, due=NOW, name="s", owner=OWNER):
    with workspace.registry.transaction() as write:
        return schedule(write, name, owner, clockwork(due))


def watched(path="in", **values):
    return Watched(datastore="landing", path=path, **values)


def on_data(workspace, name="s", path="in", *, existing=False, **values):
    with workspace.registry.transaction() as write:
        arming = Watching(watched=watched(path, **values), existing=existing)
        return schedule(write, name, arming=arming)


def hold(workspace, schedule_id, until=None):
    with workspace.registry.transaction() as write:
        write.hold(schedule_id, Hold(who="ann", why="audit", since=NOW, until=until))


def fire(schedule_id, key="r:1", run_id=None, **values):
    made = Fire(
        schedule_id=schedule_id,
        occurrence_key=key,
        due_at=NOW,
        decided_at=NOW,
        decision=Decision.LAUNCH if run_id else Decision.SKIP,
        reason="due",
        revision=1,
        run_id=run_id,
    )
    return replace(made, **values)


def run(run_id="run-1", schedule_id=None, key="r:1", **values):
    made = Run(
        id=run_id,
        schedule_id=schedule_id,
        schedule_name="s",
        occurrence_key=key,
        pipeline_id="p-1",
        experiment_name="scoring",
        parameters={"batch_size": 512},
        continue_on_step_failure=False,
        state=RunState.NOT_STARTED,
        reason="",
        due_at=NOW,
        created_at=NOW,
    )
    return replace(made, **values)


def attempt(run_id="run-1", step="prepare", number=1, state=AttemptState.STARTING, **values):
    return Attempt(run_id=run_id, step=step, number=number, state=state, created_at=NOW, **values)


def move(schedule_id, due):
    return TimerMove(schedule_id=schedule_id, next_due=due, processed_to=NOW)


def facts(size=1):
    return b"%d 1700000000000000000@7" % size


def added(name, change=FileChange.ADDED, size=1):
    return Change(name, change, facts(size))


def page(*names):
    """One page of files, each of one byte."""
    return join(Files(names, [facts()] * len(names)))


def rewrite(*pages, replaces=None):
    return Rewrite(replaces, pages)


def files(ledger, watch_id=1):
    """Everything that a watch knows, by name."""
    known = [split(page) for page in ledger.snapshot(watch_id)]
    return {name: told for page in known for name, told in zip(*page, strict=True)}


def poll(watch_id, poll_seq, state=WatchState.READY, **values):
    made = Poll(
        watch_id=watch_id,
        poll_seq=poll_seq,
        polled_at=NOW,
        listed=0,
        state=state,
        next_poll=NOW + MINUTE,
    )
    return replace(made, **values)


def record_poll(workspace, *args, **kwargs):
    with workspace.ledger.transaction() as write:
        return write.record_poll(*args, **kwargs)


def record(ledger, *pairs):
    """Record (fire, run) pairs; a pair's run may be missing."""
    with ledger.transaction() as write:
        return write.record_fires(
            [pair[0] for pair in pairs], [pair[1] for pair in pairs if len(pair) > 1]
        )


def a_run(ledger, run_id="run-1", schedule_id="s-1", **values):
    made = run(run_id, schedule_id, f"r:{run_id}", **values)
    record(ledger, (fire(schedule_id, f"r:{run_id}", run_id), made))
    return made


def applied(**values):
    made = ApplyRecord(
        owner=OWNER, commit="c0ffee", author="Ann", applied_at=NOW, summary="1 to add", plan="{}"
    )
    return replace(made, **values)


def declaration(kind="Schedule", name="s", **values):
    made = Declaration(
        kind=kind,
        name=name,
        file=f"{kind.lower()}s/{name}.yml",
        line=7,
        spec='{"applied":1}',
        revision=1,
    )
    return replace(made, **values)


def store(write, name="landing", owner=OWNER, revision=None):
    write.put_datastore(owner=owner, name=name, spec="{}", provenance=GIT, revision=revision)


def due(ledger, now=NOW, limit=9):
    with ledger.transaction() as write:
        return [timer.schedule_id for timer in write.due_timers(now, limit)]


def tree(*entries):
    return CodeTree(digest="tree-1", entries=entries)


@contextmanager
def child(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python in another process, as a text dialogue over its pipes; it never survives."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
