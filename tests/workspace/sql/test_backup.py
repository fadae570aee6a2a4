"""A workspace as one file, and back."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.clock import DAY, FixedClock
from reconciler.errors import NotFound, Refused, SchemaMismatch, WorkspaceBusy, WorkspaceError
from reconciler.workspace.sql import backup as module
from reconciler.workspace.sql import open_workspace
from reconciler.workspace.sql.backup import backup, open_upkeep, restoring
from reconciler.workspace.upkeep import Anew
from tests.postgres import programs
from tests.workspace.make import NOW, Sqlite, a_run, on_timer

LATER = FixedClock(NOW + DAY)


@pytest.fixture
def stores(workspaces, monkeypatch):
    """Where both kinds of workspaces are, with PostgreSQL's programs within reach."""
    monkeypatch.setenv("PATH", f"{programs()}{os.pathsep}{os.environ['PATH']}")
    return workspaces


@pytest.fixture
def sqlite(tmp_path):
    made = Sqlite(tmp_path)
    yield made
    made.close()


@pytest.fixture
def file(tmp_path):
    return str(tmp_path / "backup")


def begin_anew(upkeep):
    with upkeep.restoring() as restored:
        restored.begin_anew(Anew(taken=NOW, at=NOW, fires=(), moves=(), adopted=()))


def restore(file, place, *, overwrite=False):
    with restoring(file, place, LATER, overwrite=overwrite) as (upkeep, kept):
        begin_anew(upkeep)
    return kept


def names(workspace):
    return [schedule.name for schedule in workspace.registry.live().schedules]


def test_a_backup_is_taken_while_a_runner_writes_and_is_put_back(stores, file):
    workspace = stores.open()
    on_timer(workspace, name="before")
    assert workspace.ledger.begin_session(host="here", pid=1)
    with workspace.ledger.transaction():
        # SQLite has one writer, and the note of the backup waits for it elsewhere.
        pass
    assert backup(stores.path, file, stores.clock) == NOW
    on_timer(workspace, name="after")
    with pytest.raises(WorkspaceBusy, match="a runner is at work"):
        restore(file, stores.path, overwrite=True)
    workspace.ledger.end_session()
    restore(file, stores.path, overwrite=True)
    assert names(stores.open()) == ["before"]
    with closing(open_upkeep(stores.path, stores.clock)) as upkeep:
        assert upkeep.epoch() > 0
        assert upkeep.damage() == []


def test_a_backup_leaves_nothing_else_and_overwrites_nothing(sqlite, file):
    sqlite.open()
    backup(sqlite.path, file, sqlite.clock)
    assert sorted(path.name for path in Path(file).parent.iterdir() if "work" not in path.name) == [
        "backup"
    ]
    with pytest.raises(WorkspaceError, match="is there already; name a new file"):
        backup(sqlite.path, file, sqlite.clock)
    with pytest.raises(WorkspaceError, match="cannot be written"):
        backup(sqlite.path, "/no/such/folder/backup", sqlite.clock)
    with pytest.raises(NotFound):
        backup("/no/such/workspace", f"{file}2", sqlite.clock)


def test_a_copy_that_is_not_whole_gets_no_name(sqlite, file):
    workspace = sqlite.open()
    a_run(workspace.ledger)
    workspace.close()
    with closing(sqlite3.connect(sqlite.path)) as raw:
        raw.execute("PRAGMA foreign_keys=OFF")
        raw.execute("INSERT INTO attempts SELECT 'gone','s',1,'Failed','',1,1,1,1,1,'' FROM runs")
        raw.commit()
    with pytest.raises(WorkspaceError, match="attempts: a row refers to nothing"):
        backup(sqlite.path, file, sqlite.clock)
    assert not Path(file).exists()


def test_what_only_the_present_workspace_knows_is_not_lost_unasked(sqlite, file):
    workspace = sqlite.open()
    backup(sqlite.path, file, sqlite.clock)
    sqlite.clock.instant += DAY
    a_run(workspace.ledger, created_at=sqlite.clock.instant)
    with pytest.raises(Refused, match="give --yes to go back to it"):
        restore(file, sqlite.path)
    kept = restore(file, sqlite.path, overwrite=True)
    assert kept == f"{sqlite.path}.before-2026-05-29T202640Z"
    assert [run.id for run in open_workspace(kept, LATER, create=False).ledger.runs()] == ["run-1"]
    assert sqlite.open().ledger.runs() == []


def test_a_workspace_that_knows_nothing_more_gives_way(sqlite, file):
    sqlite.open()
    backup(sqlite.path, file, sqlite.clock)
    assert restore(file, sqlite.path) is not None


def test_a_backup_is_restored_where_there_was_nothing(sqlite, file, tmp_path):
    on_timer(sqlite.open(), name="one")
    backup(sqlite.path, file, sqlite.clock)
    place = str(tmp_path / "new" / "place.db")
    assert restore(file, place) is None
    assert names(open_workspace(place, LATER, create=False)) == ["one"]
    left = sorted(path.name for path in Path(place).parent.iterdir())
    assert left == ["place.db", "place.db.runner.lock"] or left[0] == "place.db"


def test_what_is_no_backup_is_told_and_nothing_changes(sqlite, file, tmp_path):
    place = tmp_path / "new.db"
    with pytest.raises(NotFound, match="no backup at"):
        restore(file, str(place))
    Path(file).write_text("not a database, but long enough to be read as one\n" * 20)
    with pytest.raises(WorkspaceError, match="damaged or not a workspace"):
        restore(file, str(place))
    sqlite.open()
    Path(file).unlink()
    backup(sqlite.path, file, sqlite.clock)
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '0003'")
        raw.commit()
    with pytest.raises(SchemaMismatch, match=r"backup.* has schema 0003"):
        restore(file, str(place))
    assert not place.exists()


def test_a_restore_that_fails_leaves_what_was_there(sqlite, file):
    workspace = sqlite.open()
    backup(sqlite.path, file, sqlite.clock)
    on_timer(workspace, name="kept")
    with (
        pytest.raises(ZeroDivisionError),
        restoring(file, sqlite.path, LATER, overwrite=True),
    ):
        raise ZeroDivisionError
    assert names(sqlite.open()) == ["kept"]


def test_postgres_is_not_overwritten_unasked(databases, stores, file):
    if isinstance(stores, Sqlite):
        return
    stores.open()
    backup(stores.path, file, stores.clock)
    with pytest.raises(Refused, match="holds a workspace: give --yes"):
        restore(file, stores.path)
    empty = databases.empty()
    restore(file, empty)
    with closing(open_upkeep(empty, LATER)) as upkeep:
        assert upkeep.careless() == ["fsync = off", "full_page_writes = off"]


def test_without_its_programs_postgres_says_which_command_to_run(databases, file, monkeypatch):
    url = databases.workspace()
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    with pytest.raises(WorkspaceError, match=r"pg_dump is not on the PATH; run where it is: pg_du"):
        backup(url, file, LATER)


def test_what_a_program_of_postgres_complains_about_is_told(databases, file):
    Path(file).write_text("no archive")
    with pytest.raises(WorkspaceError, match="pg_restore: error"):
        restore(file, databases.empty())


def test_a_password_is_never_an_argument(tmp_path, monkeypatch):
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\necho "$PGPASSWORD $@" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(WorkspaceError) as caught:
        module._run("pg_dump", ["--file", "x"], "postgresql://ann:s3cret@db/ws", "x")
    said = str(caught.value)
    assert said.startswith("s3cret --file x --dbname=")
    assert said.count("s3cret") == 1
