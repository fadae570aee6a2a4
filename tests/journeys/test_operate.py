"""Running, looking and operating, with a real runner on a real workspace."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from reconciler.workspace.sql.schema import HEAD
from tests.processes import RunnerProcess, until

PIPELINE = """
kind: Pipeline
name: hello
parameters:
  who: {type: string, default: world}
  times: {type: integer, default: 1}
  scale: {type: number, default: 1.5}
  loud: {type: boolean, default: false}
steps:
  - {name: greet, command: [python, -c, "import sys; print('hello', *sys.argv[1:])", "${{ parameters.who }}", "${{ parameters.times }}"]}
  - {name: fail, command: ["false"], depends_on: [greet], retries: {max: 1, backoff: 0s}}
  - {name: never, command: ["true"], depends_on: [fail]}
---
kind: Pipeline
name: sleepy
steps:
  - {name: sleep, shell: "echo dozing; sleep 600"}
---
kind: Datastore
name: landing
url: file:landing
---
kind: Schedule
name: yearly
pipeline: hello
trigger: {recurrence: {frequency: Month, interval: 12, start_time: "2020-01-01T00:00:00"}}
---
kind: Schedule
name: arrivals
pipeline: sleepy@latest
trigger: {datastore_change: {datastore: landing, polling_interval: 0.01}}
"""


@pytest.fixture
def desk(empty):
    """An applied project without a runner."""
    empty.write("reconciler.yml", "project: desk\n")
    empty.write("schedules/all.yml", PIPELINE)
    Path("landing").mkdir()
    empty.apply()
    return empty


@pytest.fixture
def running(desk):
    """The same with a runner, which is stopped afterwards."""
    log = Path("runner.log")
    runner = RunnerProcess(desk.path / ".reconciler/workspace.db", log, "--log-format", "json")
    until(lambda: "runner started" in log.read_text())
    yield desk
    runner.process.terminate()
    assert runner.process.wait(60) == 0, log.read_text()


def test_a_run_by_hand_is_waited_for_shown_and_its_logs_are_read(running):
    done = running("run", "yearly", "-p", "who=Ada", "-p", "times=2", "--wait")
    assert done.code == 1
    word, run_id, rest = done.out.split(" ", 2)
    assert (word, rest) == ("run", "Failed: step fail: exit code 1\n")
    assert done.err == f"waiting for run {run_id}\n"
    assert running("logs", run_id).out == "==> step greet, attempt 1 <==\nhello Ada 2\n"
    assert running("logs", run_id, "--follow", "--step", "greet").out.endswith("hello Ada 2\n")
    assert running("logs", run_id, "--step", "fail").out == ""
    logs = running("logs", run_id, "--output", "json").data
    assert [(log["step"], log["number"], log["log"]) for log in logs] == [
        ("greet", 1, "hello Ada 2\n"), ("fail", 1, ""), ("fail", 2, ""),
    ]  # fmt: skip
    assert running("logs", run_id, "--follow", "--output", "json").code == 1
    missing = running("logs", run_id, "--attempt", "3")
    assert (missing.code, missing.err) == (
        1,
        f"error: no such attempt; `reconciler show run {run_id}` lists them\n",
    )
    facts = running("show", "run", run_id[:8], "--output", "json").data
    assert facts["pipeline"] == "hello@1"
    assert facts["parameters"] == {"who": "Ada", "times": 2, "scale": 1.5, "loud": False}
    assert [(a["step"], a["number"], a["state"]) for a in facts["attempts"]] == [
        ("greet", 1, "Finished"), ("fail", 1, "Failed"), ("fail", 2, "Failed"),
    ]  # fmt: skip
    shown = running("show", "run", run_id).out
    assert "experiment  yearly" in shown
    assert "exit code 1" in shown
    (row,) = running("runs", "yearly", "--state", "failed", "--output", "json").data
    assert (row["id"], row["pipeline"]) == (run_id, "hello@1")
    assert run_id[:8] in running("runs").out
    assert running("runs", "--state", "Running").out == "No runs.\n"
    assert run_id[:8] in running("show", "yearly").out
    lines = [json.loads(line) for line in Path("runner.log").read_text().splitlines()]
    assert all(line["time"].endswith("Z") and line["level"] for line in lines)


def test_a_running_pipeline_is_canceled_with_a_reason(running):
    done = running(
        "run", "--pipeline", "sleepy", "--experiment", "naps", "--token", "t1", "--output", "json"
    )
    assert done.code == 0
    run_id = done.data["id"]
    again = running(
        "run", "--pipeline", "sleepy", "--experiment", "naps", "--token", "t1", "--output", "json"
    )
    assert again.data["id"] == run_id
    until(lambda: running("show", "run", run_id, "--output", "json").data["attempts"])
    follower = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "logs", "--follow", run_id], stdout=subprocess.PIPE
    )
    heading = b"==> step sleep, attempt 1 <==\n"
    assert follower.stdout.readline() == heading
    assert follower.stdout.readline() == b"dozing\n"
    assert running("cancel", run_id, "--reason", "enough").out == f"run {run_id} will be stopped\n"
    facts = until(
        lambda: (run := running("show", "run", run_id, "--output", "json").data)["ended_at"] and run
    )
    assert facts["state"] == "Canceled"
    assert facts["reason"].endswith(": enough")
    assert follower.communicate(timeout=60)[0] == b""
    assert follower.returncode == 0
    refused = running("cancel", run_id)
    assert (refused.code, refused.err) == (3, f"error: run {run_id} is over already: Canceled\n")
    assert "naps" in running("list", "experiments").out


def test_apply_waits_for_the_baseline_of_a_watch_and_show_tells_of_its_looks(running):
    assert running("apply", "--wait").code == 0
    facts = running("show", "arrivals", "--output", "json").data
    assert facts["polls"][-1]["state"] == "ready"
    assert facts["pipeline"] == "sleepy@latest"
    assert "Last looks\n" in running("show", "arrivals").out
    Path("landing/one.csv").write_text("1\n")
    fire = until(lambda: running("show", "arrivals", "--output", "json").data["decisions"])[0]
    assert fire["decision"] == "launch"
    shown = running("show", "run", fire["run_id"]).out
    assert "one.csv" in shown
    running("cancel", fire["run_id"])
    until(lambda: running("show", "run", fire["run_id"], "--output", "json").data["ended_at"])


def test_apply_wait_says_that_it_waits_for_a_runner(desk):
    waiting = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "apply", "--wait"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert waiting.stderr.readline() == "waiting for a runner to look at landing\n"
    runner = RunnerProcess(desk.path / ".reconciler/workspace.db", Path("runner.log"))
    assert waiting.communicate(timeout=60) == (None, "")
    assert waiting.returncode == 0
    runner.process.terminate()
    assert runner.process.wait(60) == 0
    assert " INFO    runner stopped\n" in Path("runner.log").read_text()


def test_wrong_parameters_are_told_by_name_and_type(desk):
    for given, message in {
        "times=two": "error: parameter 'times' is of type integer, not 'two'",
        "scale=x": "error: parameter 'scale' is of type number, not 'x'",
        "loud=yes": "error: parameter 'loud' is of type boolean, not 'yes'",
        "whom=x": "error: pipeline 'hello' has no parameter 'whom' (known: loud, scale, times, who)",
        "who": "error: 'who' is not NAME=VALUE. See `reconciler run --help`.",
    }.items():
        done = desk("run", "yearly", "-p", given)
        assert (done.code, done.err) == (1, message + "\n")
    assert desk("run").code == 1
    assert desk("run", "yearly", "--pipeline", "hello").code == 1
    assert desk("run", "yearly", "--experiment", "x").code == 1


def test_a_run_without_a_runner_waits_and_says_how_to_start_one(desk):
    done = desk("run", "yearly", "-p", "loud=true", "-p", "scale=2")
    assert done.code == 0
    assert done.out.endswith(" NotStarted\n")
    assert (
        "no runner is active; start one: reconciler runner start --workspace sqlite:/" in done.err
    )
    unknown = desk("logs", "zzz")
    assert (unknown.code, unknown.err) == (1, "error: no run 'zzz'; `reconciler runs` lists them\n")
    run_id = done.out.split()[1]
    assert f"{run_id[:8]}  yearly    hello@1   NotStarted" in desk("runs").out
    logs = desk("logs", run_id)
    assert (logs.code, logs.err) == (0, f"run {run_id} is NotStarted; no step has started\n")
    assert "no runner is active" in desk("cancel", run_id).err


def test_who_may_only_read_may_look(desk, monkeypatch):
    run_id = desk("run", "yearly").out.split()[1]
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        shutil.copytree(desk.path / ".reconciler", place, dirs_exist_ok=True)
        for path in (place, *place.iterdir()):
            path.chmod(0o555 if path.is_dir() else 0o444)
        monkeypatch.setenv("RECONCILER_WORKSPACE", f"sqlite:{place}/workspace.db")
        for words in (
            ["list"],
            ["list", "pipelines"],
            ["show", "yearly"],
            ["show", "run", run_id],
            ["runs"],
            ["logs", run_id],
            ["next", "yearly"],
        ):
            # Once as oneself, so that all modules are loaded.
            wanted = desk(*words)
            assert wanted.code == 0
            os.seteuid(65534 if user == 0 else user)
            try:
                assert desk(*words) == wanted
            finally:
                os.seteuid(user)
        place.chmod(0o755)


def test_the_command_that_starts_a_runner_can_be_pasted(desk):
    url = "sqlite:two words.db"
    assert desk("apply", "--yes", "--workspace", url).err.endswith(
        f"--workspace 'sqlite:{desk.path.resolve()}/two words.db'\n"
    )


def test_a_hold_is_shown_everywhere_and_lifted_by_release(desk):
    done = desk("hold", "yearly", "--until", "2030-01-01T00:00", "--reason", "audit")
    assert done.out == (
        "schedule yearly is held until 2030-01-01T00:00:00Z; "
        "what comes due meanwhile is passed over\n"
    )
    assert "Held" in desk("list").out
    assert "audit" in desk("show", "yearly").out
    assert desk("plan", "--detailed-exitcode").code == 0
    assert desk("release", "yearly").out == "schedule yearly is released\n"
    refused = desk("release", "yearly")
    assert (refused.code, refused.err) == (3, "error: schedule 'yearly' is not held\n")
    for end in ("999999d", "9999-12-31T23:59:59-12:00"):
        assert desk("hold", "yearly", "--until", end, "--reason", "x").err == (
            f"error: '{end}' lies beyond the year 2200; leave it out for no end\n"
        )
    assert '"hold": null' in desk("show", "yearly", "--output", "json").out
    assert desk("hold", "yearly", "--until", "2h", "--reason", "x").code == 0
    assert (
        "in the future"
        in desk("hold", "yearly", "--until", "2020-01-01T00:00:00Z", "--reason", "x").err
    )
    assert (
        desk("hold", "arrivals", "--reason", "x").out
        == "schedule arrivals is held until it is released; then all that came due run\n"
    )


def test_a_hold_without_a_reason_is_refused(desk):
    done = desk("hold", "yearly", "--reason", " ")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "error: Invalid value for '--reason': it is empty; say why. See `reconciler hold --help`.\n"
    )
    assert desk("show", "yearly", "--output", "json").data["hold"] is None


def test_a_hold_says_what_follows_it(desk):
    done = desk("hold", "yearly", "--until", "2d", "--reason", "audit", "--catchup", "last")
    assert done.out.endswith("; then the last one that came due runs\n")
    assert "Z; then the last one that came due runs\n" in desk("show", "yearly").out
    assert desk("show", "yearly", "--output", "json").data["hold"]["catchup"] == "last"
    (_, listed) = desk("list", "--output", "json").data
    assert (listed["name"], listed["hold"]["catchup"]) == ("yearly", "last")
    assert desk("release", "yearly", "--catchup", "all").out == "schedule yearly is released\n"
    wrong = desk("hold", "yearly", "--reason", "x", "--catchup", "some")
    assert (wrong.code, wrong.err.count("\n")) == (1, 1)
    assert "'some' is not one of 'skip', 'last', 'all'" in wrong.err
    disabled = desk("disable", "arrivals", "--output", "json").data
    assert disabled["hold"]["catchup"] == "all"


def test_disable_and_enable_by_hand(desk):
    refused = desk("disable", "pipeline", "hello")
    assert refused.code == 3
    assert "is used by active schedules: yearly" in refused.err
    assert desk("disable", "schedule", "yearly").out == (
        "schedule yearly is held without end, as a project manages it\n"
    )
    assert desk("disable", "pipeline", "hello").out == "pipeline hello@1 is disabled\n"
    assert "hello" not in desk("list", "pipelines").out
    assert "hello" in desk("list", "pipelines", "--all").out
    assert desk("enable", "pipeline", "hello").out == "pipeline hello@1 is enabled\n"
    assert desk("enable", "pipeline", "hello@1").out == "pipeline hello@1 is enabled\n"
    assert desk("enable", "yearly").out == "schedule yearly is enabled\n"
    assert desk("disable", "gadget", "x").code == 1
    assert desk("enable", "schedule", "a", "b").code == 1


def test_lists_as_json_are_whole_records(desk):
    (arrivals, yearly) = desk("list", "schedules", "--output", "json").data
    assert arrivals["trigger"] == "files in landing, looked at every 600ms"
    assert yearly["condition"] == "Active"
    assert yearly["spec"]["pipeline"] == "hello"
    assert [one["name"] for one in desk("list", "pipelines", "--output", "json").data] == [
        "hello",
        "sleepy",
    ]
    assert {one["name"] for one in desk("list", "experiments", "--output", "json").data} == {
        "yearly",
        "arrivals",
    }
    (landing,) = desk("list", "datastores", "--output", "json").data
    assert landing["spec"]["url"] == f"file://{desk.path}/landing"
    assert landing["owner"] == "desk/dev"
    assert str(desk.path) in desk("list", "datastores").out
    facts = desk("show", "pipeline", "hello", "--output", "json").data
    assert facts["versions"] == [{"version": 1, "status": "Active", "id": facts["id"]}]
    assert facts["schedules"] == ["yearly"]
    assert "used by" in desk("show", "pipeline", "sleepy").out


def test_a_list_of_nothing_says_so(empty):
    empty("init")
    assert (
        empty("list").err
        == "error: no workspace at .reconciler/workspace.db; `reconciler apply` creates it\n".replace(
            ".reconciler", f"{empty.path}/.reconciler"
        )
    )
    empty.apply()
    Path("schedules/hello.yml").write_text("kind: Datastore\nname: d\nurl: file:d\n")
    empty.apply()
    assert empty("list").out == "No active schedules; 1 disabled (--all shows them).\n"
    assert "Disabled" in empty("list", "--all").out
    assert "disabled by" in empty("show", "hello-every-morning").out
    assert empty("list", "pipelines").out == "No active pipelines.\n"
    assert empty("runs").out == "No runs.\n"


def test_migrate_says_what_it_did(desk):
    assert desk("workspace", "migrate").out == f"the workspace has schema {HEAD} already\n"
    assert desk("workspace", "migrate", "--workspace", "sqlite:none.db").code == 1


def test_a_runner_needs_a_workspace_and_a_right_configuration(desk):
    assert desk("runner", "start", "--workspace", "sqlite:none.db").code == 1
    assert (
        "no runner configuration at none.yml" in desk("runner", "start", "--config", "none.yml").err
    )
    desk.write("runner.yml", "max_step: 3\n")
    done = desk("runner", "start", "--config", "runner.yml")
    assert done.code == 1
    assert "error: 1 problem in 1 file" in done.err


def test_what_was_done_is_told_as_json_too(desk):
    held = desk("hold", "yearly", "--reason", "audit", "--output", "json").data
    assert (held["name"], held["hold"]["why"], held["hold"]["until"]) == ("yearly", "audit", None)
    released = desk("release", "yearly", "--output", "json").data
    assert (released["status"], released["hold"]) == ("Active", None)
    disabled = desk("disable", "yearly", "--output", "json").data
    assert disabled["hold"]["why"] == "disabled by hand"
    assert desk("enable", "yearly", "--output", "json").data["hold"] is None
    assert desk("disable", "arrivals").code == 0
    retired = desk("disable", "pipeline", "sleepy", "--output", "json").data
    assert (retired["name"], retired["status"]) == ("sleepy", "Disabled")
    assert desk("enable", "pipeline", "sleepy", "--output", "json").data["status"] == "Active"
    run_id = desk("run", "yearly", "--output", "json").data["id"]
    canceled = desk("cancel", run_id, "--reason", "no", "--output", "json").data
    assert (canceled["id"], canceled["cancel_requested"].endswith(": no")) == (run_id, True)
    schemas = desk("workspace", "migrate", "--output", "json").data
    assert schemas["before"] == schemas["after"]
