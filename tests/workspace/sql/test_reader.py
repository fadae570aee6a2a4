"""A plan's reading: light, in few statements, and without a way to write."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.clock import FixedClock
from reconciler.errors import NotFound, SchemaMismatch, WorkspaceError
from reconciler.workspace.records import Declaration, Folder, OwnerRecord
from reconciler.workspace.sql import glance, open_reader, queries
from tests.workspace.make import GIT, NOW, OWNER, Sqlite, applied, child, pipeline, schedule, tree

ASKED = {"files": ["a.yml"], "schedules": ["s"], "pipelines": ["p"], "datastores": ["landing"]}

LIGHT = """
import json, sys
from reconciler.settings import open_reader
from reconciler.workspace.records import Owner
reader = open_reader("sqlite:" + sys.argv[1])
owner = Owner("shop", "prod")
assert reader.glance(owner).owned == 1
assert len(reader.live_part(owner, **json.loads(sys.argv[2])).schedules) == 1
assert len(reader.live().schedules) == 1
heavy = {"sqlalchemy", "alembic", "git", "rich", "deepdiff"} & {
    name.split(".")[0] for name in sys.modules
}
print(sorted(heavy), flush=True)
"""


@pytest.fixture
def workspaces(tmp_path):
    factory = Sqlite(tmp_path)
    yield factory
    factory.close()


@pytest.fixture
def registry(workspaces):
    """A registry with something of everything that a reader reads."""
    registry = workspaces.open().registry
    with registry.transaction() as write:
        published = pipeline(write, code=tree(("a.py", 0o100644, b"1")))
        schedule(write, pipeline_id=published.id)
        write.put_datastore(owner=OWNER, name="landing", spec="{}", provenance=GIT, revision=None)
        write.ensure_experiment("scoring")
        write.declare(
            OWNER,
            [
                Declaration(kind="Schedule", name="s", file="a.yml", line=1, spec="{}", revision=1),
                Declaration(
                    kind="Pipeline",
                    name="p",
                    file="p.yml",
                    line=1,
                    spec="{}",
                    revision=1,
                    digest="d1",
                    datastores=("landing",),
                ),
            ],
        )
        write.record_folders(OWNER, {"": Folder(key="k", entries={"a.yml": "1"})}, [])
        write.record_owner(OwnerRecord(owner=OWNER, commit="c0ffee"))
        write.record_apply(applied())
    return registry


def test_a_reader_sees_what_the_registry_sees(workspaces, registry):
    reader = open_reader(workspaces.path, FixedClock(NOW))
    for read in (
        lambda side: side.now(),
        lambda side: side.live(),
        lambda side: side.glance(OWNER),
        lambda side: side.live_part(OWNER, **ASKED),
        lambda side: side.dependents(OWNER, pipelines=["p"], datastores=["landing"]),
        lambda side: side.declarations(OWNER),
        lambda side: side.experiments(),
        lambda side: side.code("tree-1"),
        lambda side: side.applies(),
        lambda side: side.apply_record(1),
    ):
        assert read(reader) == read(registry)
        assert read(reader)
    assert reader.broken_chain() is None


def test_a_reader_has_no_way_to_write(workspaces, registry):
    reader = open_reader(workspaces.path, FixedClock(NOW))
    for name in ("transaction", "acquire_lease", "renew_lease", "release_lease"):
        assert hasattr(registry, name)
        assert not hasattr(reader, name)
    with (
        pytest.raises(WorkspaceError, match="readonly"),
        reader._reading() as raw,
    ):
        raw.execute("DELETE FROM applies")


def test_reading_loads_nothing_slow(workspaces, registry):
    with child(LIGHT, workspaces.path, json.dumps(ASKED)) as process:
        assert process.stdout.readline() == "[]\n"


def test_an_incremental_plan_costs_three_statements(workspaces, registry):
    statements = []
    reader = open_reader(workspaces.path, FixedClock(NOW), statements.append)
    assert len(statements) == 1
    reader.glance(OWNER)
    assert len(statements) == 2
    reader.live_part(OWNER, **ASKED)
    assert len(statements) == 3
    reader.live()
    assert len(statements) == 4


def test_a_transaction_reads_like_a_reader_what_it_has_written(workspaces, registry):
    reader = open_reader(workspaces.path, FixedClock(NOW))
    with registry.transaction() as write:
        assert write.glance(OWNER) == reader.glance(OWNER)
        assert write.live_part(OWNER, **ASKED) == reader.live_part(OWNER, **ASKED)
        schedule(write, "t")
        assert write.glance(OWNER).owned == 2
        assert reader.glance(OWNER).owned == 1


@pytest.mark.parametrize(
    ("statement", "error", "answer"),
    [
        ("UPDATE alembic_version SET version_num = '0002'", SchemaMismatch, "workspace migrate"),
        ("UPDATE alembic_version SET version_num = '9999'", SchemaMismatch, "newer version"),
        ("DROP TABLE alembic_version", WorkspaceError, "a database but not a workspace"),
        ("ALTER TABLE alembic_version RENAME COLUMN version_num TO n", WorkspaceError, "no such"),
    ],
)
def test_another_schema_is_refused_with_the_way_out(workspaces, registry, statement, error, answer):
    with closing(sqlite3.connect(workspaces.path)) as raw, raw:
        raw.execute(statement)
    with pytest.raises(error, match=answer):
        open_reader(workspaces.path, FixedClock(NOW))


def test_what_is_no_workspace_is_refused_in_one_line(tmp_path):
    with pytest.raises(NotFound, match="`reconciler apply` creates it"):
        open_reader(str(tmp_path / "none.db"), FixedClock(NOW))
    with pytest.raises(WorkspaceError, match="is not a file"):
        open_reader(str(tmp_path), FixedClock(NOW))
    notes = Path(tmp_path, "notes.txt")
    notes.write_text("not a database, and long enough to be looked at " * 99)
    with pytest.raises(WorkspaceError, match="damaged or not a workspace"):
        open_reader(str(notes), FixedClock(NOW))


def test_the_small_indexes_are_used(workspaces, registry):
    """Whoever reads a part of a large workspace must not walk through all of it."""
    asked = {"project": "shop", "target": "prod"} | {k: json.dumps(v) for k, v in ASKED.items()}
    with closing(sqlite3.connect(workspaces.path)) as raw:
        for statement in (glance._GLANCE, queries._LIVE_PART, queries._DEPENDENTS):
            plan = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", asked)]
            walks = [line for line in plan if line.startswith("SCAN ") and " INDEX " not in line]
            assert not {"schedules", "s", "declarations", "d"} & {w.split()[1] for w in walks}
