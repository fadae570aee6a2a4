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
from reconciler.workspace.sql import open_workspace
from reconciler.workspace.sql.connection import Database
from reconciler.workspace.sql.migrate import migrate, upgrade
from reconciler.workspace.sql.schema import HEAD, REVISIONS
from reconciler.workspace.sql.tables import metadata
from tests.workspace.make import NOW, ROOT

CLOCK = FixedClock(NOW)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "workspace.db")


def at_revision(path, revision):
    sqlite3.connect(path).close()
    database = Database(path)
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
