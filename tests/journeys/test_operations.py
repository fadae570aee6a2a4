"""Looking after a workspace by the command line."""

from pathlib import Path

import pytest

from tests.processes import RunnerProcess, until

PROJECT = """
kind: Pipeline
name: hello
steps: [{name: say, command: [echo, hello]}]
---
kind: Schedule
name: daily
pipeline: hello
trigger: {recurrence: {frequency: Day}}
"""


@pytest.fixture
def desk(empty):
    """An applied project."""
    empty.write("reconciler.yml", "project: desk\n")
    empty.write("schedules/all.yml", PROJECT)
    empty.apply()
    return empty


@pytest.fixture
def runner(desk):
    log = Path("runner.log")
    started = RunnerProcess(desk.path / ".reconciler/workspace.db", log)
    until(lambda: "runner started" in log.read_text())
    yield started
    started.process.terminate()
    assert started.process.wait(60) == 0, log.read_text()


def test_the_doctor_says_a_line_for_each_check_and_fails_where_one_does(desk):
    done = desk("doctor")
    assert done.code == 0, done.out
    lines = [line.split(None, 2)[:2] for line in done.out.splitlines()]
    assert ["ok", "git"] in lines
    assert ["ok", "project"] in lines
    assert ["ok", "integrity"] in lines
    assert ["warn", "runner"] in lines
    Path(".reconciler/workspace.db").write_text("no database, and longer than a header is\n" * 9)
    facts = desk("doctor", "--output", "json")
    assert facts.code == 1
    assert facts.data["ok"] is False
    (check,) = [one for one in facts.data["checks"] if one["state"] == "fail"]
    assert check["check"] == "workspace"
    assert "damaged or not a workspace" in check["said"]


def test_the_doctor_needs_neither_a_project_nor_a_workspace(empty):
    done = empty("doctor")
    assert done.code == 1
    assert "workspace" in done.out
    Path("reconciler.yml").write_text("project: [\n")
    assert "fail  project" in empty("doctor").out


def test_what_is_old_goes_and_is_counted(desk, runner):
    until(lambda: desk("runs", "--state", "finished", "--output", "json").data)
    assert desk("prune").out == "nothing is that old\n"
    would = desk("prune", "--older-than", "0s", "--dry-run").out.splitlines()
    assert "would delete 1 runs" in would
    kept = desk("prune", "--older-than", "0s", "--keep", "1", "--dry-run", "--output", "json").data
    assert (kept["runs"], kept["fires"], kept["dry_run"]) == (0, 0, True)
    assert "deleted 1 decisions" in desk("prune", "--older-than", "0s").out.splitlines()
    assert desk("runs").out == "No runs.\n"
    wrong = desk("prune", "--older-than", "old")
    assert (wrong.code, wrong.err) == (
        1,
        "error: 'old' is not an age; write for example 90d\n",
    )


def test_a_backup_is_taken_under_a_runner_and_restored_without_one(desk):
    log = Path("runner.log")
    started = RunnerProcess(desk.path / ".reconciler/workspace.db", log)
    until(lambda: desk("runs", "--state", "finished", "--output", "json").data)
    assert desk("backup", "copy.db").out.startswith("copy.db is the workspace of 20")
    refused = desk("restore", "copy.db")
    assert refused.code == 1
    assert "a runner is at work" in refused.err
    assert "stop it first" in desk("workspace", "migrate").err
    assert started.stop() == 0
    assert desk("restore", "copy.db").code == 3
    done = desk("restore", "copy.db", "--yes", "--output", "json").data
    assert (done["schedules"], done["canceled"], done["failed"]) == (0, 0, 0)
    assert Path(done["kept"]).is_file()
    assert "restored the workspace of" in desk("restore", "copy.db", "--yes").out
    assert len(desk("runs", "--output", "json").data) == 1
    assert desk("doctor").code == 0


def test_the_retention_is_read_from_the_runners_configuration(desk, runner):
    until(lambda: desk("runs", "--state", "finished", "--output", "json").data)
    Path("runner.yml").write_text("retention: {fires: 0s, runs: 0s, polls: 1h, logs: 30d}\n")
    done = desk("prune", "--config", "runner.yml", "--output", "json").data
    assert (done["runs"], done["fires"], done["logs"]) == (1, 1, 0)
    Path("runner.yml").write_text("retention: {run: 1d}\n")
    assert "run" in desk("prune", "--config", "runner.yml").err


def test_an_address_to_listen_on_must_be_one(desk):
    wrong = desk("runner", "start", "--listen", "nowhere")
    assert wrong.code == 1
    assert wrong.err.endswith("'nowhere' is not HOST:PORT; write for example 127.0.0.1:9464\n")
