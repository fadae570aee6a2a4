from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from reconciler.clock import FixedClock
from reconciler.errors import NotFound, SchemaMismatch, WorkspaceBusy, WorkspaceError
from reconciler.schedule import Missed
from reconciler.workspace.records import Hold, OwnerRecord
from reconciler.workspace.sql import open_workspace
from reconciler.workspace.sql.migrate import migrate, upgrade
from reconciler.workspace.sql.schema import HEAD, REVISIONS
from reconciler.workspace.sql.sqlite_database import SqliteDatabase
from reconciler.workspace.sql.tables import metadata
from tests.workspace.make import NOW, OWNER, ROOT

CLOCK = FixedClock(NOW)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "workspace.db")


def at_revision(path, revision):
    sqlite3.connect(path).close()
    database = SqliteDatabase(path, CLOCK)
    with closing(database), database.writing() as connection:
        upgrade(connection, revision)


def schema(path):
    """Everything that SQLite and SQLAlchemy know about the tables, in no particular order."""
    with closing(sqlite3.connect(path)) as raw:

        def pragma(name, of):
            return sorted(map(repr, raw.execute(f"PRAGMA {name}({of})")))

        tables = {
            name: (without_rowid, strict)
            for _, name, kind, _, without_rowid, strict in raw.execute("PRAGMA table_list")
            if kind == "table" and not name.startswith("sqlite_") and name != "alembic_version"
        }
        shape = {
            name: (facts, pragma("table_xinfo", name), pragma("foreign_key_list", name))
            for name, facts in tables.items()
        }
        indexes = sorted(
            (name, table, sql and " ".join(sql.split()), *pragma("index_xinfo", name))
            for name, table, sql in raw.execute(
                "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index'"
                " AND tbl_name <> 'alembic_version'"
            )
            if sql
        )
    engine = create_engine(f"sqlite:///{path}")
    look = inspect(engine)
    constraints = {
        name: (
            look.get_pk_constraint(name),
            sorted(look.get_unique_constraints(name), key=repr),
            sorted(look.get_check_constraints(name), key=repr),
            sorted(look.get_foreign_keys(name), key=repr),
        )
        for name in tables
    }
    engine.dispose()
    return shape, indexes, constraints


@pytest.fixture
def wanted(tmp_path):
    path = tmp_path / "wanted.db"
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    return schema(str(path))


@pytest.mark.parametrize("start", REVISIONS)
def test_migrating_from_every_revision_ends_in_the_same_schema(path, wanted, start):
    at_revision(path, start)
    assert migrate(path) == (start, HEAD)
    assert schema(path) == wanted
    open_workspace(path, CLOCK, create=False).close()


def test_a_new_workspace_has_the_same_schema(path, wanted):
    open_workspace(path, CLOCK, create=True).close()
    assert schema(path) == wanted


def test_the_comparison_sees_a_difference(path, wanted):
    open_workspace(path, CLOCK, create=True).close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP INDEX ix_runs_unfinished")
        raw.execute("CREATE INDEX ix_runs_unfinished ON runs (schedule_id)")
    assert schema(path) != wanted


def test_the_revisions_are_those_of_the_scripts():
    config = Config()
    config.set_main_option(
        "script_location", str(ROOT / "reconciler/workspace/sql/migrations").replace("%", "%%")
    )
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(script.revision for script in scripts)[::-1] == REVISIONS


def test_content_survives_a_migration(path):
    at_revision(path, "0001")
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("INSERT INTO experiments VALUES ('e-1', 'scoring', 1)")
    migrate(path)
    workspace = open_workspace(path, CLOCK, create=False)
    assert [each.name for each in workspace.registry.experiments()] == ["scoring"]
    workspace.close()


BEFORE_DECLARATIONS = """
INSERT INTO pipelines (id, name, version, spec, digest, status, owner_project, owner_target,
  created_at, revision) VALUES ('p-1', 'p', 1, '{}', 'd1', 'Active', 'shop', 'prod', 1, 1);
INSERT INTO datastores (name, spec, owner_project, owner_target, created_at, revision)
  VALUES ('landing', '{}', 'shop', 'prod', 1, 1);
INSERT INTO schedules (id, name, spec, pipeline_id, status, owner_project, owner_target,
  created_at, updated_at, revision)
  VALUES ('s-1', 's', '{}', 'p-1', 'Active', 'shop', 'prod', 1, 1, 4);
INSERT INTO timers VALUES ('s-1', 4, 5, 1, 0);
INSERT INTO holds VALUES ('s-1', 'ann', 'audit', 1, NULL);
INSERT INTO applies (owner_project, owner_target, applied_at, summary, plan)
  VALUES ('shop', 'prod', 1, '3 to add', '{}');
"""


def test_objects_of_a_time_before_declarations_are_taken_as_untouched(path):
    at_revision(path, "0002")
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.executescript(BEFORE_DECLARATIONS)
    migrate(path)
    workspace = open_workspace(path, CLOCK, create=False)
    registry = workspace.registry
    live = registry.live()
    objects = (*live.schedules, *live.pipelines, *live.datastores)
    assert [(each.owner, each.applied, each.protected) for each in objects] == [
        (OWNER, None, False)
    ] * 3
    assert [each.revision for each in objects] == [4, 1, 1]
    assert live.schedules[0].hold == Hold(who="ann", why="audit", since=1, catchup=Missed.SKIP)
    assert (live.lost, live.owners, registry.glance(OWNER)) == ((), (), None)
    (old,) = registry.applies()
    assert (old.summary, old.outcome, old.actor, old.chain) == ("3 to add", "applied", "", "")
    assert registry.broken_chain() is None
    with registry.transaction() as write:
        write.record_owner(OwnerRecord(owner=OWNER))
    assert registry.glance(OWNER).expected == 1
    workspace.close()


def test_a_hold_of_that_time_ends_as_it_would_have(path):
    at_revision(path, "0002")
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.executescript(BEFORE_DECLARATIONS)
        raw.execute("DELETE FROM timers")
        raw.execute(
            "INSERT INTO watches (id, datastore, path, state, poll_seq, change_seq, next_poll,"
            " failures) VALUES (1, 'landing', 'in', 'ready', 1, 0, 1, 0)"
        )
        raw.execute("INSERT INTO cursors VALUES ('s-1', 1, 0)")
    migrate(path)
    workspace = open_workspace(path, CLOCK, create=False)
    hold = workspace.registry.live().schedules[0].hold
    assert hold == Hold(who="ann", why="audit", since=1, catchup=Missed.ALL)
    workspace.close()


def test_every_workspace_notices_edits_by_hand(path):
    at_revision(path, "0002")
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.executescript(BEFORE_DECLARATIONS)
    migrate(path)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE schedules SET status = 'Disabled'")
        found = raw.execute(
            "SELECT s.revision, t.revision FROM schedules AS s JOIN timers AS t ON schedule_id = id"
        )
        assert found.fetchall() == [(5, 5)]


def test_a_migration_that_fails_changes_nothing(path):
    at_revision(path, "0001")
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE polls (in_the_way)")
    before = schema(path)
    with pytest.raises(Exception, match="polls"):
        migrate(path)
    assert schema(path) == before


def test_a_newer_workspace_is_not_migrated(path):
    at_revision(path, HEAD)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaMismatch, match="newer"):
        migrate(path)


def test_nothing_is_migrated_under_a_runner(path):
    workspace = open_workspace(path, CLOCK, create=True)
    workspace.ledger.begin_session(host="h", pid=1, wait=False)
    with pytest.raises(WorkspaceBusy, match="stop it"):
        migrate(path)
    workspace.close()
    assert migrate(path) == (HEAD, HEAD)


def test_there_must_be_something_to_migrate(path):
    with pytest.raises(NotFound):
        migrate(path)


def test_what_is_no_workspace_stays_as_it_was(path):
    Path(path).write_text("notes")
    with pytest.raises(WorkspaceError, match="damaged or not a workspace"):
        migrate(path)
    assert list(Path(path).parent.iterdir()) == [Path(path)]
    Path(path).unlink()
    Path(path).mkdir()
    with pytest.raises(WorkspaceError, match="is not a file"):
        migrate(path)
    assert list(Path(path).parent.iterdir()) == [Path(path)]
