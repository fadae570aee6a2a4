from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.clock import FixedClock
from reconciler.errors import NotFound, SchemaMismatch, WorkspaceError
from reconciler.workspace.sql import open_workspace, sqlite
from reconciler.workspace.sql.sqlite import must_be_local
from tests.workspace.make import NOW, on_timer

CLOCK = FixedClock(NOW)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "deep" / "folder" / "workspace.db")


def test_nothing_is_created_unless_asked_for(path, tmp_path):
    with pytest.raises(NotFound, match="`reconciler apply` creates it"):
        open_workspace(path, CLOCK, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_is_created_with_its_folder_and_nothing_beside_it(path):
    open_workspace(path, CLOCK, create=True).close()
    assert list(Path(path).parent.iterdir()) == [Path(path)]


def test_a_workspace_that_exists_is_opened_as_it_is(path):
    workspace = open_workspace(path, CLOCK, create=True)
    on_timer(workspace)
    workspace.close()
    for create in (True, False):
        again = open_workspace(path, CLOCK, create=create)
        assert len(again.registry.live().schedules) == 1
        again.close()


def test_a_workspace_that_appears_meanwhile_stays(path, monkeypatch):
    open_workspace(path, CLOCK, create=True).close()
    content = Path(path).read_bytes()
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda self: str(self) != path and real(self))
    open_workspace(path, CLOCK, create=True).close()
    assert Path(path).read_bytes() == content


def test_every_commit_survives_a_power_cut(path):
    workspace = open_workspace(path, CLOCK, create=True)
    with workspace._database.reading() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    workspace.close()
    assert pragmas == ["wal", 2, 1]


def test_a_path_may_hold_what_a_uri_would_take_for_its_own(tmp_path):
    path = str(tmp_path / "50% of?what#é" / "w.db")
    open_workspace(path, CLOCK, create=True).close()
    assert Path(path).exists()


def test_closing_ends_the_session(path):
    workspace = open_workspace(path, CLOCK, create=True)
    assert workspace.ledger.begin_session(host="h", pid=1, wait=False)
    workspace.close()
    other = open_workspace(path, CLOCK, create=False)
    assert other.ledger.begin_session(host="h", pid=1, wait=False)
    other.close()


def test_a_folder_is_not_a_workspace(tmp_path):
    with pytest.raises(WorkspaceError, match="is not a file"):
        open_workspace(str(tmp_path), CLOCK, create=True)


def test_a_workspace_cannot_lie_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="cannot be created: "):
        open_workspace(str(tmp_path / "file" / "w.db"), CLOCK, create=True)


def test_something_else_is_refused_in_one_line(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database, and long enough to be looked at " * 99)
    with pytest.raises(WorkspaceError, match=r"notes.txt is damaged or not a workspace") as caught:
        open_workspace(str(text), CLOCK, create=True)
    assert "\n" not in str(caught.value)


def test_another_programs_database_is_refused(tmp_path):
    path = str(tmp_path / "other.db")
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE things (id)")
    with pytest.raises(WorkspaceError, match="not a workspace"):
        open_workspace(path, CLOCK, create=True)


def stamp(path, revision):
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = ?", (revision,))


@pytest.mark.parametrize(
    ("revision", "answer"),
    [("0001", "run `reconciler workspace migrate`"), ("9999", "written by a newer version")],
)
def test_another_schema_is_refused_with_the_way_out(path, revision, answer):
    open_workspace(path, CLOCK, create=True).close()
    stamp(path, revision)
    with pytest.raises(SchemaMismatch, match=answer):
        open_workspace(path, CLOCK, create=False)


def test_a_reader_leaves_the_database_as_it_was(path):
    open_workspace(path, CLOCK, create=True).close()
    before = Path(path).read_bytes()
    reader = open_workspace(path, CLOCK, create=False, read_only=True)
    assert reader.registry.live().schedules == ()
    reader.close()
    assert Path(path).read_bytes() == before


def test_a_workspace_in_a_folder_that_cannot_be_written_is_read(path, monkeypatch):
    workspace = open_workspace(path, CLOCK, create=True)
    on_timer(workspace)
    workspace.close()
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    reader = open_workspace(path, CLOCK, create=False, read_only=True)
    assert len(reader.registry.live().schedules) == 1
    reader.close()
    assert list(Path(path).parent.iterdir()) == [Path(path)]


MOUNTS = """\
22 27 0:21 / / rw - ext4 /dev/sda rw
23 27 0:22 / /srv rw,relatime shared:1 - nfs4 server:/srv rw
24 27 0:23 / /srv/local\\040disk rw - xfs /dev/sdb rw
25 27 0:24 / /over rw - ext4 /dev/sdc rw
26 27 0:25 / /over rw - fuse.sshfs host: rw
"""


@pytest.mark.parametrize(
    ("place", "refused"),
    [
        ("/home/w.db", None),
        ("/srv/w.db", "nfs4"),
        ("/srv/deep/w.db", "nfs4"),
        ("/srv/local disk/w.db", None),
        ("/srvw.db", None),
        ("/over/w.db", "fuse.sshfs"),
    ],
)
def test_a_network_file_system_is_told_apart(tmp_path, place, refused):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    if refused is None:
        must_be_local(place, str(mounts))
    else:
        with pytest.raises(WorkspaceError, match=f"{refused}.*locks do not hold: use a local"):
            must_be_local(place, str(mounts))


def test_what_cannot_be_known_about_mounts_refuses_nothing(tmp_path):
    must_be_local("/srv/w.db", str(tmp_path / "none"))


def test_nothing_is_written_over_the_network(path, monkeypatch):
    open_workspace(path, CLOCK, create=True).close()
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    monkeypatch.setattr(
        sqlite, "_NETWORK", {line.partition(" - ")[2].split()[0] for line in mounts}
    )
    for create in (True, False):
        with pytest.raises(WorkspaceError, match="network file system"):
            open_workspace(path, CLOCK, create=create)
    with pytest.raises(WorkspaceError, match="network file system"):
        open_workspace(f"{path}.new", CLOCK, create=True)
    open_workspace(path, CLOCK, create=False, read_only=True).close()
