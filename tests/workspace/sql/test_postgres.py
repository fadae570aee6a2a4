"""A workspace in a real PostgreSQL database: how it is made, read, lost and found again."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import closing

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from reconciler.clock import FixedClock, SystemClock
from reconciler.errors import (
    NotFound,
    SchemaMismatch,
    WorkspaceBusy,
    WorkspaceError,
    WorkspaceFull,
    WorkspaceUnreachable,
)
from reconciler.workspace.sql import open_reader, open_workspace, postgres
from reconciler.workspace.sql.migrate import migrate, upgrade
from reconciler.workspace.sql.postgres_database import PostgresDatabase
from reconciler.workspace.sql.schema import HEAD, REVISIONS
from reconciler.workspace.sql.tables import metadata
from tests.postgres import Databases, Server
from tests.processes import until
from tests.workspace.make import (
    NOW,
    OWNER,
    Postgres,
    a_run,
    child,
    declaration,
    due,
    fire,
    on_timer,
    pipeline,
    record,
    run,
)

CLOCK = FixedClock(0)
CREATE = """
import sys
from reconciler.clock import FixedClock
from reconciler.workspace.sql import open_workspace
print("ready", flush=True)
sys.stdin.readline()
workspace = open_workspace(sys.argv[1], FixedClock(0), create=True)
print(len(workspace.registry.live().schedules), flush=True)
"""
FORK = """
import os, sys
from reconciler.clock import FixedClock
from reconciler.workspace.sql import open_workspace
ledger = open_workspace(sys.argv[1], FixedClock(0), create=False).ledger
ledger.begin_session(host="h", pid=1)
with ledger.transaction() as write:
    assert len(write.due_timers(2**62, 9)) == 1
    if os.fork() == 0:
        print("child", flush=True)
        sys.stdin.readline()
        os._exit(0)
    os.wait()
"""
LIGHT = """
import sys
from reconciler.settings import open_reader
from reconciler.workspace.records import Owner
reader = open_reader(sys.argv[1])
assert len(reader.live().schedules) == 1
assert reader.glance(Owner("shop", "prod")) is None
heavy = {"sqlalchemy", "alembic", "git", "rich"} & {name.split(".")[0] for name in sys.modules}
print(sorted(heavy), flush=True)
"""


@pytest.fixture
def workspaces(databases):
    factory = Postgres(databases)
    yield factory
    factory.close()


@pytest.fixture
def workspace(workspaces):
    return workspaces.open()


@pytest.fixture
def empty(databases):
    url = databases.empty()
    yield url
    databases.drop(url)


@pytest.fixture(scope="module")
def durable():
    """A server of this module's own, which survives what happens to it."""
    server = Server(durable=True)
    databases = Databases(server.url, Postgres.prepare, Postgres.clean)
    yield server, databases
    databases.close()
    server.close()


def open_and_close(url, **how):
    open_workspace(url, CLOCK, **how).close()


def test_the_instant_is_the_databases(empty):
    with closing(open_workspace(empty, CLOCK, create=True)) as workspace:
        before = SystemClock().now()
        for tell in (
            workspace.ledger.now,
            workspace.registry.now,
            open_reader(empty, CLOCK).now,
        ):
            assert abs(tell() - before) < 60_000_000


def test_nothing_is_created_unless_asked_for(empty):
    with pytest.raises(NotFound, match="`reconciler apply` creates it"):
        open_and_close(empty, create=False)
    with pytest.raises(NotFound, match="`reconciler apply` creates it"):
        open_reader(empty, CLOCK)
    with pytest.raises(NotFound, match="`reconciler apply` creates it"):
        migrate(empty)


def test_of_two_that_create_a_workspace_at_once_one_does(empty):
    with child(CREATE, empty) as one, child(CREATE, empty) as two:
        for process in (one, two):
            assert process.stdout.readline() == "ready\n"
        for process in (one, two):
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.stdout.readline() for process in (one, two)] == ["0\n", "0\n"]


def test_a_workspace_may_have_a_schema_of_its_own(empty):
    with psycopg.connect(empty) as raw:
        raw.execute("CREATE SCHEMA team")
    url = f"{empty}&options=-csearch_path%3Dteam"
    open_and_close(url, create=True)
    with closing(open_workspace(empty, CLOCK, create=True)) as other:
        on_timer(other)
        with closing(open_workspace(url, CLOCK, create=False)) as workspace:
            assert workspace.registry.live().schedules == ()
            assert workspace.ledger.begin_session(host="h", pid=1)
            assert migrate(empty) == (HEAD, HEAD)
            with pytest.raises(WorkspaceBusy, match="stop it"):
                migrate(url)


@pytest.mark.parametrize("start", REVISIONS)
def test_migrating_from_every_revision_ends_in_the_tables_of_the_program(empty, start):
    with closing(PostgresDatabase(empty)) as database, database.migrating() as connection:
        upgrade(connection, start)
    assert migrate(empty) == (start, HEAD)
    engine = create_engine("postgresql+psycopg://", creator=lambda: postgres.connect(empty))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        others = connection.exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type = 'text' AND collation_name <> 'C'"
        )
        assert others.fetchall() == []
    engine.dispose()


@pytest.mark.parametrize(
    ("revision", "answer"),
    [("0001", "run `reconciler workspace migrate`"), ("9999", "written by a newer version")],
)
def test_another_schema_is_refused_with_the_way_out(workspaces, revision, answer):
    workspaces.by_hand(f"UPDATE alembic_version SET version_num = '{revision}'")
    with pytest.raises(SchemaMismatch, match=answer):
        workspaces.open()
    with pytest.raises(SchemaMismatch, match=answer):
        open_reader(workspaces.path, CLOCK)


def test_a_reader_has_no_way_to_write(workspaces, workspace):
    reader = open_reader(workspaces.path, CLOCK)
    with pytest.raises(WorkspaceError, match="read-only"), reader._reading() as raw:
        raw.execute("DELETE FROM applies")
    read_only = workspaces.open(read_only=True)
    assert read_only.registry.live() == reader.live()
    with pytest.raises(WorkspaceError, match="reading only"), read_only.registry.transaction():
        pass


def test_a_reader_is_light_and_costs_a_statement_each(workspaces, workspace):
    on_timer(workspace)
    statements = []
    reader = open_reader(workspaces.path, CLOCK, statements.append)
    assert (reader.live().schedules[0].name, len(statements)) == ("s", 2)
    with child(LIGHT, workspaces.path) as process:
        assert process.stdout.readline() == "[]\n"


def test_many_new_rows_are_known_to_the_planner_at_once(workspaces, workspace):
    counted = "SELECT 1 FROM pg_class WHERE relname = 'declarations' AND reltuples >= 1001"
    with workspace.registry.transaction() as write:
        write.declare(OWNER, [declaration(name="few")])
    assert not workspaces.by_hand(counted)
    with workspace.registry.transaction() as write:
        write.declare(OWNER, [declaration(name=f"s{number}") for number in range(1_001)])
    assert workspaces.by_hand(counted)


def test_text_that_postgres_cannot_hold_is_still_recorded(workspace):
    record(workspace.ledger, (fire("s-1", reason="a\0b", facts={"name": "c\0"}), run("r", "s-1")))
    (row,) = workspace.ledger.fires("s-1")
    assert (row.reason, row.facts) == (r"a\x00b", {"name": "c\0"})


def test_connections_that_were_cut_are_replaced(workspaces, workspace):
    schedule_id = on_timer(workspace)
    reader = open_reader(workspaces.path, CLOCK)
    workspaces.cut_all()
    assert due(workspace.ledger) == [schedule_id]
    assert workspace.ledger.now() == NOW
    with pytest.raises(WorkspaceUnreachable) as caught:
        reader.live()
    assert caught.value.retriable
    assert "\n" not in str(caught.value)


def test_a_connection_cut_within_a_transaction_writes_nothing(workspaces, workspace):
    schedule_id = on_timer(workspace)

    def write_and_lose(*fires):
        with workspace.ledger.transaction() as write:
            write.record_fires([fire(schedule_id)], [])
            workspaces.cut_all()
            write.record_fires(fires, [])

    with pytest.raises(WorkspaceUnreachable):
        write_and_lose(fire(schedule_id, "r:2"))
    with pytest.raises(WorkspaceUnreachable):
        write_and_lose()
    assert workspace.ledger.fires(schedule_id) == []


def test_a_server_that_restarts_is_found_again(durable):
    server, databases = durable
    with closing(Postgres(databases)) as workspaces:
        workspace = workspaces.open()
        ledger, schedule_id = workspace.ledger, on_timer(workspace)
        ledger.begin_session(host="h", pid=1, node="n")
        a_run(ledger, "before", schedule_id)
        server.stop(at_once=True)
        with pytest.raises(WorkspaceUnreachable, match="cannot be reached"):
            ledger.now()
        with pytest.raises(WorkspaceUnreachable, match="cannot be reached"):
            open_workspace(workspaces.path, CLOCK, create=False)
        server.start()
        databases.reconnect()
        workspaces.clock.reconnect()
        assert [found.id for found in ledger.waiting_runs()] == ["before"]
        ledger.heard()
        ledger.end_session()
        assert ledger.begin_session(host="h", pid=1, node="n")
        assert due(ledger) == [schedule_id]


def test_every_commit_survives_a_power_cut(durable):
    _, databases = durable
    url = databases.workspace()
    with psycopg.connect(url, autocommit=True) as raw:
        name = raw.info.dbname
        raw.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    with postgres.connect(url) as raw:
        assert raw.execute("SHOW synchronous_commit").fetchone() == ("on",)
        assert raw.execute("SHOW fsync").fetchone() == ("on",)
    databases.drop(url)


def test_whoever_waits_too_long_for_a_lock_is_told_to_try_again(workspace, monkeypatch, workspaces):
    monkeypatch.setattr(postgres, "_SESSION", "SET lock_timeout = '10ms'")
    other = workspaces.open()
    with workspace.registry.transaction() as write:
        pipeline(write)
        with pytest.raises(WorkspaceBusy, match="try again"), other.registry.transaction():
            pass
    with other.registry.transaction() as write:
        assert pipeline(write).version == 1


def test_threads_share_a_few_connections(workspace):
    for number in range(4):
        on_timer(workspace, name=f"s{number}")
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(len(workspace.registry.live().schedules)))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [4] * 12


def test_a_forked_child_that_outlives_a_killed_runner_keeps_nothing(workspaces, workspace):
    schedule_id = on_timer(workspace)
    with child(FORK, workspaces.path) as process:
        assert process.stdout.readline() == "child\n"
        assert due(workspace.ledger) == []
        process.kill()
        until(lambda: due(workspace.ledger) == [schedule_id])
        assert workspace.ledger.begin_session(host="h", pid=1)
        workspace.ledger.take_over(0)


def test_a_statement_that_failed_is_not_taken_for_a_commit(workspace):

    def write_and_fail():
        with workspace.ledger.transaction() as write:
            write.record_fires([fire("s-1")], [])
            with pytest.raises(psycopg.Error):
                write._raw.execute("SELECT * FROM nowhere")

    with pytest.raises(WorkspaceError, match="nothing was written"):
        write_and_fail()
    assert workspace.ledger.fires("s-1") == []


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (psycopg.errors.DiskFull, WorkspaceFull),
        (psycopg.errors.ConfigurationLimitExceeded, WorkspaceFull),
        (psycopg.errors.DeadlockDetected, WorkspaceBusy),
        (psycopg.errors.SerializationFailure, WorkspaceBusy),
        (psycopg.errors.LockNotAvailable, WorkspaceBusy),
        (psycopg.errors.TooManyConnections, WorkspaceBusy),
        (psycopg.errors.AdminShutdown, WorkspaceUnreachable),
        (psycopg.errors.CannotConnectNow, WorkspaceUnreachable),
        (psycopg.OperationalError, WorkspaceUnreachable),
        (psycopg.errors.UndefinedTable, WorkspaceError),
    ],
)
def test_an_error_means_what_one_can_do_about_it(error, meant):
    told = postgres.meaning_of(error("first line\nsecond line"), "ws")
    assert type(told) is meant
    assert "first line" in str(told)
    assert "second" not in str(told)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@localhost:1/db",
        "postgresql://ann:s3c@ret@localhost:1/db",
        "postgresql://ann@localhost:1/db?password=s3cret",
        "postgresql://ann:s3cret%@localhost:1/db",
        "postgres://ann:s3cret@localhost:none/db",
    ],
)
def test_a_password_is_never_told(url):
    for open_ in (lambda: open_workspace(url, CLOCK, create=True), lambda: open_reader(url, CLOCK)):
        with pytest.raises(WorkspaceError) as caught:
            open_()
        assert "s3c" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_without_the_driver_the_way_out_is_named(monkeypatch, empty):
    for name in [*sys.modules]:
        if name.partition(".")[0] == "psycopg" or name.endswith(("sql.postgres",)):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("reconciler.workspace.sql.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(WorkspaceError, match=r"pip install 'reconciler\[postgres\]'"):
        open_reader(empty, CLOCK)


@pytest.mark.parametrize(
    ("statement", "meant"),
    [
        ("SELECT ? WHERE a = ?", "SELECT %s WHERE a = %s"),
        ("SELECT :a, b::text, ':c ? %'", "SELECT %(a)s, b::text, ':c ? %%'"),
        ("a LIKE 'it''s %' % 2", "a LIKE 'it''s %%' %% 2"),
        (
            "SELECT value FROM json_each(:ids)",
            "SELECT value FROM json_array_elements_text((%(ids)s)::json) AS each(value)",
        ),
        (
            "t CROSS JOIN json_each(d.names) AS item",
            "t CROSS JOIN json_array_elements_text((d.names)::json) AS item(value)",
        ),
        ("json_each(?)", "json_array_elements_text((%s)::json) AS each(value)"),
    ],
)
def test_a_statement_is_one_text_for_both_kinds_of_sql(statement, meant):
    assert postgres.translated(statement) == meant.encode()


def test_the_servers_environment_is_libpqs(empty, monkeypatch):
    with psycopg.connect(empty) as raw:
        monkeypatch.setenv("PGHOST", raw.info.host)
        monkeypatch.setenv("PGDATABASE", raw.info.dbname)
    monkeypatch.setenv("PGUSER", "reconciler")
    open_and_close("postgresql://", create=True)
    assert os.environ["PGHOST"]
    assert OWNER not in open_reader("postgresql://", CLOCK).live().owners
