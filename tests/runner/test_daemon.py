"""The runner as a process: it drains, stands by, adopts what still runs, and outlives a full disk."""

import os
import resource
import subprocess
import threading
from datetime import timedelta

import pytest

from reconciler.clock import SystemClock, to_datetime
from reconciler.errors import WorkspaceUnreachable
from reconciler.reconcile.apply import apply_plan
from reconciler.reconcile.read import plan, read, read_project
from reconciler.run import AttemptState, RunState
from reconciler.settings import open_source
from reconciler.workspace.sql import open_workspace
from tests.processes import RunnerProcess, runner, until


class Home:
    """A project whose pipeline waits at a gate, and its workspace on the machine's own clock."""

    def __init__(self, folder):
        self.folder = folder
        self.gate = folder / "gate"
        os.mkfifo(self.gate)
        self.path = folder / "ws.db"
        self.log = folder / "runner.log"
        self.workspace = open_workspace(str(self.path), SystemClock(), create=True)
        self.ledger = self.workspace.ledger

    def apply(self, command, due_in=None):
        project = self.folder / "project"
        project.mkdir(exist_ok=True)
        (project / "reconciler.yml").write_text("project: home\ninclude: ['*.yml']\n")
        when = "first_run: immediate"
        if due_in is not None:
            now = to_datetime(SystemClock().now()).replace(microsecond=0, tzinfo=None)
            when = f"start_time: {(now + timedelta(seconds=due_in)).isoformat()}"
        (project / "all.yml").write_text(
            f"""
kind: Pipeline
name: wait
steps: [{{name: wait, command: [sh, -c, '{command}']}}]
---
kind: Schedule
name: once
pipeline: wait
trigger: {{recurrence: {{frequency: Hour, {when}}}}}
"""
        )
        source = open_source(str(project))
        reading = read(source, read_project(source), "dev", self.workspace.registry)
        apply_plan(
            plan(reading, "ws", self.workspace.registry.now()), reading, self.workspace.registry
        )

    def open_gate(self):
        """Let one waiting step go on; returns once it reads."""
        self.gate.write_text("go\n")

    def attempt(self, state):
        for tries in self.ledger.attempts([run.id for run in self.ledger.runs()]).values():
            if tries[-1].state is state:
                return tries[-1]
        return None

    def finished(self):
        return self.ledger.runs(states=[RunState.FINISHED])


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    yield made
    made.workspace.close()


def test_sigterm_waits_for_the_steps_under_way_and_exits_0(home):
    home.apply(f"read line < {home.gate}; echo $line")
    with runner(home.path, home.log) as first:
        until(lambda: home.attempt(AttemptState.RUNNING))
        first.process.terminate()
        until(lambda: first.said("draining"))
        home.open_gate()
        assert first.process.wait(timeout=60) == 0
    assert home.attempt(AttemptState.FINISHED)
    assert len(home.finished()) == 1


def test_a_second_sigterm_leaves_the_steps_to_the_next_runner(home):
    home.apply(f"read line < {home.gate}; echo $line")
    with runner(home.path, home.log) as first:
        until(lambda: home.attempt(AttemptState.RUNNING))
        first.process.terminate()
        until(lambda: first.said("draining"))
        first.process.terminate()
        assert first.process.wait(timeout=60) == 0
    with runner(home.path, home.log):
        home.open_gate()
        until(home.finished)
    (run,) = home.ledger.runs()
    assert len(home.ledger.attempts([run.id])[run.id]) == 1


def test_a_step_outlives_a_killed_runner_and_is_adopted(home):
    home.apply(f"read line < {home.gate}; echo $line")
    with runner(home.path, home.log) as first:
        until(lambda: home.attempt(AttemptState.RUNNING))
        first.kill()
    with runner(home.path, home.log):
        home.open_gate()
        until(home.finished)
    (run,) = home.ledger.runs()
    assert [a.state for a in home.ledger.attempts([run.id])[run.id]] == [AttemptState.FINISHED]


def test_a_second_runner_stands_by_and_takes_over(home):
    with runner(home.path, home.log) as first:
        until(lambda: first.said("runner started"))
        with runner(home.path, home.folder / "second.log") as second:
            until(lambda: second.said("standing by"))
            first.kill()
            until(lambda: second.said("runner started"))
            home.apply("true")
            until(home.finished)


def test_a_runner_that_stands_by_can_be_stopped(home):
    with runner(home.path, home.log) as first:
        until(lambda: first.said("runner started"))
        with runner(home.path, home.folder / "second.log") as second:
            until(lambda: second.said("standing by"))
            assert second.stop() == 0
            assert second.said("stopped while standing by")
        assert first.stop() == 0


def test_a_full_disk_means_no_launch_one_alert_and_recovery_by_itself(home):
    started = RunnerProcess(home.path, home.log, errors=subprocess.PIPE)
    said = []
    reading = threading.Thread(
        target=lambda: said.extend(line.decode() for line in started.process.stderr), daemon=True
    )
    reading.start()
    try:
        until(lambda: any("runner started" in line for line in said))
        # From here on every write of the runner fails, as on a full disk.
        _, hard = resource.prlimit(started.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(started.process.pid, resource.RLIMIT_FSIZE, (0, hard))
        home.apply(f"echo started >> {home.folder}/started", due_in=1)
        until(lambda: any("trying again" in line for line in said))
        due = to_datetime(SystemClock().now())
        until(lambda: to_datetime(SystemClock().now()) - due > timedelta(seconds=4))
        assert home.ledger.runs() == []
        assert not (home.folder / "started").exists()
        assert sum("trying again" in line for line in said) == 1
        resource.prlimit(started.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        until(home.finished)
        until(lambda: any("recovered" in line for line in said))
        assert (home.folder / "started").read_text() == "started\n"
    finally:
        started.kill()
        reading.join(timeout=10)
        started.process.stderr.close()


def test_what_passes_by_itself_is_told_once_however_it_says_so_and_tried_every_second(
    place, caplog
):
    words = iter(["shutting down", "no such file", "starting up"])

    def busy():
        raise WorkspaceUnreachable(next(words))

    assert [place.daemon._guarded(busy) for _ in range(3)] == [1.0, 1.0, 1.0]
    assert place.daemon._guarded(place.clock.now) == 0.0
    assert [record.message for record in caplog.records] == [
        "shutting down; trying again until it works",
        "recovered from: starting up",
    ]


def test_a_defect_is_told_with_its_traceback_and_tried_later_and_later(place, caplog):
    def defect():
        raise KeyError("x")

    assert [place.daemon._guarded(defect) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    (error,) = caplog.records
    assert error.exc_info
    assert error.message == "KeyError('x'); trying again until it works"
