"""Who may write to a ledger, among processes that race, die and take over from each other."""

from __future__ import annotations

import pytest

from reconciler.errors import WorkspaceError
from reconciler.run import AttemptState, RunState
from tests.workspace.make import (
    NOW,
    a_run,
    attempt,
    child,
    due,
    fire,
    on_timer,
)

DECIDE = """
import sys
from reconciler.clock import FixedClock
from reconciler.workspace.sql import open_workspace
from tests.workspace.make import NOW, fire, move, run
workspace = open_workspace(sys.argv[1], FixedClock(NOW), create=False)
print("ready", flush=True)
sys.stdin.readline()
new = 0
while True:
    with workspace.ledger.transaction() as write:
        due = write.due_timers(NOW, 3)
        if not due:
            break
        ids = [f"{sys.argv[2]}-{timer.schedule_id}" for timer in due]
        fires = [fire(t.schedule_id, f"r:{t.next_due}", i) for t, i in zip(due, ids)]
        runs = [run(i, t.schedule_id, f"r:{t.next_due}") for t, i in zip(due, ids)]
        new += len(write.record_fires(fires, runs))
        write.move_timers([move(timer.schedule_id, None) for timer in due])
print(new, flush=True)
"""
HALF_WAY = """
import sys
from reconciler.clock import FixedClock
from reconciler.workspace.sql import open_workspace
from tests.workspace.make import NOW, fire, move, run
workspace = open_workspace(sys.argv[1], FixedClock(NOW), create=False)
with workspace.ledger.transaction() as write:
    (timer,) = write.due_timers(NOW, 3)
    write.record_fires([fire(timer.schedule_id, "r:1", "x")], [run("x", timer.schedule_id)])
    write.move_timers([move(timer.schedule_id, None)])
    print("written, not committed", flush=True)
    sys.stdin.readline()
"""


def test_two_processes_that_race_decide_each_timer_once(workspaces, workspace, ledger):
    ids = [on_timer(workspace, name=f"s{number}") for number in range(40)]
    with child(DECIDE, workspaces.path, "a") as one, child(DECIDE, workspaces.path, "b") as two:
        for process in (one, two):
            assert process.stdout.readline() == "ready\n"
        for process in (one, two):
            process.stdin.write("go\n")
            process.stdin.flush()
        counts = [int(process.stdout.readline()) for process in (one, two)]
    assert sum(counts) == 40
    assert len(ledger.runs(limit=100)) == 40
    for schedule_id in ids:
        (row,) = ledger.fires(schedule_id)
        assert ledger.run(row.run_id).schedule_id == schedule_id


def test_a_process_killed_within_a_transaction_leaves_nothing(workspaces, workspace, ledger):
    schedule_id = on_timer(workspace)
    with child(HALF_WAY, workspaces.path) as process:
        assert process.stdout.readline() == "written, not committed\n"
        process.kill()
        process.wait()
    assert (ledger.fires(schedule_id), ledger.runs()) == ([], [])
    assert due(ledger) == [schedule_id]


def test_a_runner_cannot_become_the_runner_twice(runner):
    with pytest.raises(WorkspaceError, match="already is the runner"):
        runner.begin_session(host="here", pid=1, wait=True)


def test_a_runner_whose_successor_began_writes_nothing(workspaces, workspace, runner):
    schedule_id = on_timer(workspace)
    a_run(runner)
    workspaces.take_over()
    for change in (
        lambda write: write.start_runs(["run-1"], NOW),
        lambda write: write.record_fires([fire(schedule_id)], []),
        lambda write: write.record_attempts([attempt()]),
    ):
        with (
            pytest.raises(WorkspaceError, match="session has ended"),
            runner.transaction() as write,
        ):
            change(write)
    assert runner.fires(schedule_id) == []
    assert runner.run("run-1").state is RunState.NOT_STARTED


def test_a_runner_whose_successor_began_takes_nothing_over(workspaces, workspace, runner):
    a_run(runner)
    workspaces.take_over()
    successor = workspaces._opened[-1].ledger
    with successor.transaction() as write:
        write.start_runs(["run-1"], NOW)
    with pytest.raises(WorkspaceError, match="session has ended"):
        runner.take_over(0)
    assert [run.id for run in successor.running_runs()] == ["run-1"]


def test_only_a_runner_moves_runs(ledger):
    a_run(ledger)
    for change in (
        lambda write: write.start_runs(["run-1"], NOW),
        lambda write: write.finish_runs([("run-1", RunState.FAILED, "no")], NOW),
        lambda write: write.record_attempts([attempt()]),
    ):
        with pytest.raises(WorkspaceError, match="session"), ledger.transaction() as write:
            change(write)


def test_a_new_session_finds_what_the_last_one_left(workspaces, runner):
    a_run(runner)
    with runner.transaction() as write:
        write.start_runs(["run-1"], NOW)
        write.record_attempts([attempt(state=AttemptState.RUNNING)])
    runner.end_session()
    successor = workspaces.open().ledger
    successor.begin_session(host="there", pid=2, wait=False)
    assert successor.take_over(0) == ["run-1"]
    assert successor.take_over(0) == []
    (found,) = successor.running_runs()
    assert list(successor.attempts([found.id])) == ["run-1"]
    with successor.transaction() as write:
        write.record_attempts([attempt(state=AttemptState.FINISHED, exit_code=0)])
        write.finish_runs([("run-1", RunState.FINISHED, "")], NOW)
    assert successor.running_runs() == []
