"""Real errors of the real SQLite, and what becomes of them."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.errors import WorkspaceBusy, WorkspaceError, WorkspaceFull
from reconciler.workspace.sql import sqlite
from reconciler.workspace.sql.connection import driver
from tests.workspace.make import NOW, Sqlite, child, fire, move, on_timer, run

LITTLE_SPACE = """
import resource, signal, sys
from reconciler.clock import FixedClock
from reconciler.errors import WorkspaceFull
from reconciler.workspace.sql import open_workspace
from tests.workspace.make import NOW, fire, move, run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
workspace = open_workspace(sys.argv[1], FixedClock(NOW), create=False)
big = {"x": "x" * 300_000}
def decide():
    with workspace.ledger.transaction() as write:
        (timer,) = write.due_timers(NOW, 3)
        write.record_fires(
            [fire(timer.schedule_id, "r:1", "x")], [run("x", timer.schedule_id, parameters=big)]
        )
        write.move_timers([move(timer.schedule_id, None)])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    decide()
except WorkspaceFull as error:
    print("full:", error, flush=True)
sys.stdin.readline()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
decide()
print("recovered", flush=True)
"""


@pytest.fixture
def workspaces(tmp_path):
    factory = Sqlite(tmp_path)
    yield factory
    factory.close()


@pytest.fixture
def workspace(workspaces):
    return workspaces.open()


def test_a_full_disk_is_told_apart_writes_nothing_and_recovers(workspaces, workspace):
    schedule_id = on_timer(workspace)
    with child(LITTLE_SPACE, workspaces.path) as process:
        assert process.stdout.readline().startswith("full: the disk under ")
        assert workspace.ledger.fires(schedule_id) == []
        assert workspace.ledger.runs() == []
        assert workspace.ledger.next_wake() == NOW
        process.stdin.write("there is space again\n")
        process.stdin.flush()
        assert process.stdout.readline() == "recovered\n"
    assert len(workspace.ledger.fires(schedule_id)) == 1
    assert workspace.ledger.next_wake() is None


def test_a_database_at_its_size_limit_is_full_and_recovers(workspace):
    ledger, schedule_id = workspace.ledger, on_timer(workspace)

    def decide(pages):
        with ledger.transaction() as write:
            write._raw.execute(f"PRAGMA max_page_count={pages}")
            write.record_fires(
                [fire(schedule_id, run_id="x")], [run("x", parameters={"x": "x" * 99_000})]
            )
            write.move_timers([move(schedule_id, None)])

    with pytest.raises(WorkspaceFull) as caught:
        decide(1)
    assert caught.value.retriable
    assert (ledger.fires(schedule_id), ledger.runs()) == ([], [])
    assert ledger.next_wake() == NOW
    decide(1_000_000)
    assert len(ledger.runs()) == 1


def test_somebody_who_writes_for_too_long_makes_it_busy(workspaces, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    workspace = workspaces.open()
    with closing(sqlite3.connect(workspaces.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(WorkspaceBusy, match="try again"), workspace.ledger.transaction():
            pass
        assert workspace.registry.live().schedules == ()
    on_timer(workspace)


def test_a_session_that_cannot_be_recorded_leaves_the_right_free(workspaces, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    ledger = workspaces.open().ledger
    with closing(sqlite3.connect(workspaces.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(WorkspaceBusy):
            ledger.begin_session(host="here", pid=1, wait=False)
    assert workspaces.open().ledger.begin_session(host="there", pid=2, wait=False)


def test_damage_is_told_in_one_line(workspaces):
    on_timer(workspaces.open())
    workspaces.close()
    with Path(workspaces.path).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 400_000)
    with pytest.raises(WorkspaceError, match="damaged") as caught:
        workspaces.open().registry.live()
    assert "\n" not in str(caught.value)


def test_any_other_error_of_the_database_is_an_error_of_the_workspace(workspace):
    with (
        pytest.raises(WorkspaceError, match="no such table: nowhere"),
        workspace._database.reading() as connection,
    ):
        driver(connection).execute("SELECT * FROM nowhere")


def test_threads_share_a_workspace(workspace):
    ids = [on_timer(workspace, name=f"s{number}") for number in range(20)]
    decided, failures = [], []

    def decide_some():
        try:
            while True:
                with workspace.ledger.transaction() as write:
                    due = [timer.schedule_id for timer in write.due_timers(NOW, 2)]
                    write.move_timers([move(schedule_id, None) for schedule_id in due])
                if not due:
                    return
                decided.extend(due)
                workspace.registry.live()
        except BaseException as error:  # noqa: BLE001  (told by the main thread)
            failures.append(error)

    threads = [threading.Thread(target=decide_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(decided) == sorted(ids)


def test_a_folder_that_is_gone_is_told(workspaces, tmp_path):
    workspace = workspaces.open()
    workspace.close()
    Path(workspaces.path).unlink()
    with pytest.raises(WorkspaceError, match="unable to open"):
        workspace.registry.live()
