"""A secret is a reference everywhere: its value reaches one step's environment and nothing else."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.processes import RunnerProcess, until

CANARY = "canary-7f3a9c1e"
OTHER = "canary-file-55d0"
REFERENCE = "${{ secret.API_TOKEN }}"
# The steps prove that they have the values without showing them.
PIPELINE = """
kind: Pipeline
name: guarded
parameters:
  note: {type: string, default: none}
steps:
  - name: use
    command: [python, -c, "import os; print('got', len(os.environ['TOKEN']), len(os.environ['FILE']))"]
    env: {TOKEN: "${{ secret.API_TOKEN }}", FILE: "${{ secret.FROM_FILE }}", PLAIN: "${{ parameters.note }}"}
  - name: without
    depends_on: [use]
    command: [python, -c, "import os; print(sorted(os.environ))"]
  - name: refused
    depends_on: [without]
    command: ["true"]
    env: {X: "${{ secret.NOT_MINE }}"}
---
kind: Schedule
name: nightly
pipeline: guarded
trigger: {recurrence: {frequency: Day, time_of_day: "02:30", first_run: aligned}}
"""
FORMATS = ("text", "json", "markdown", "github", "gitlab")


@pytest.fixture
def guarded(empty, monkeypatch):
    """A project that refers to secrets, with a runner that knows their values."""
    monkeypatch.setenv("THE_TOKEN", CANARY)
    empty.write("reconciler.yml", "project: vault\n")
    empty.write("schedules/all.yml", PIPELINE)
    empty.write(".gitignore", ".reconciler/\n")
    empty.git("init", "-q", "-b", "main")
    empty.commit()
    outside = empty.path.parent
    Path(outside, "secret.txt").write_text(OTHER + "\n")
    Path(outside, "runner.yml").write_text(
        "secrets:\n"
        "  API_TOKEN: {env: THE_TOKEN, projects: [vault/dev]}\n"
        f"  FROM_FILE: {{file: '{outside}/secret.txt'}}\n"
        f"  NOT_MINE: {{command: [{sys.executable}, -c, 'print(\"{CANARY}\")'], projects: [a/b]}}\n"
    )
    return empty


def everything(folder):
    """All bytes of all files that commands and runner left behind."""
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_the_value_is_in_no_output_no_file_and_no_error_and_the_reference_is(guarded):
    said = {}

    def say(*words, code=0):
        done = guarded(*words)
        assert done.code == code, done.err
        said[words] = done.out + done.err
        return done

    say("validate")
    say("render")
    say("render", "--output", "json")
    say("render", "--explain")
    for form in FORMATS:
        say("plan", "--output", form)
    say("plan", "--out", "plan.json")
    say("apply", "plan.json")
    log = guarded.path.parent / "runner.log"
    config = guarded.path.parent / "runner.yml"
    runner = RunnerProcess(
        guarded.path / ".reconciler/workspace.db", log, "--config", str(config), env=os.environ
    )
    try:
        until(lambda: runner.said("runner started"))
        done = say("run", "nightly", "--wait", code=1)
        run = done.out.split()[1]
        assert say("logs", run, "--step", "use").out.endswith(f"got {len(CANARY)} {len(OTHER)}\n")
        assert "THE_TOKEN" not in say("logs", run, "--step", "without").out
        assert "secret NOT_MINE is not for vault/dev" in say("show", "run", run).out
    finally:
        assert runner.stop() == 0
    guarded.edit("schedules/all.yml", "default: none", "default: some")
    guarded.edit("schedules/all.yml", "{TOKEN: ", "{MORE: x, TOKEN: ")
    for form in FORMATS:
        say("plan", "--output", form)
    say("apply", "--yes", "--allow-dirty", "--output", "json")
    for words in (
        ("show", "nightly"), ("show", "pipeline", "guarded"), ("list",), ("list", "pipelines"),
        ("runs",), ("history",), ("logs", run), ("show", "run", run), ("drift",), ("next", "nightly"),
    ):  # fmt: skip
        say(*words)
        say(*words, "--output", "json")
    words = ("disable", "nightly", "--reason", "audit")
    say(*words)
    guarded.edit("schedules/all.yml", "secret.API_TOKEN", "secrets.API_TOKEN")
    say("validate", code=1)
    for words, text in said.items():
        assert CANARY not in text, words
        assert OTHER not in text, words
    for words in [("render",), ("plan", "--output", "json"), ("show", "pipeline", "guarded")]:
        assert REFERENCE in said[words], words
    left = everything(guarded.path) | {log: log.read_bytes()}
    assert any(path.name == "workspace.db" for path in left)
    assert any(path.name == "out.log" for path in left)
    for path, content in left.items():
        assert CANARY.encode() not in content, path
        assert OTHER.encode() not in content, path
    assert any(REFERENCE.encode() in content for path, content in left.items() if "db" in path.name)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"import os; print(sorted(os.environ))"', "'${{ secret.API_TOKEN }}'", "11:27"),
        ("default: none", "default: '${{ secret.API_TOKEN }}'", "4:33"),
        ("name: guarded\n", "name: guarded\ndescription: '${{ secret.API_TOKEN }}'\n", "3:14"),
        ("name: guarded\n", "name: guarded\ntags: {token: '${{ secret.API_TOKEN }}'}\n", "3:15"),
        ("trigger:", "pipeline_parameters: {note: '${{ secret.API_TOKEN }}'}\ntrigger:", "20:29"),
        ("trigger:", "tags: {note: '${{ secret.API_TOKEN }}'}\ntrigger:", "20:14"),
        ("trigger:", "experiment_name: '${{ secret.API_TOKEN }}'\ntrigger:", "20:18"),
    ],
)
def test_a_reference_anywhere_but_in_the_env_of_a_step_is_refused_with_its_place(
    guarded, old, new, place
):
    guarded.edit("schedules/all.yml", old, new)
    done = guarded("plan")
    assert (done.code, done.out) == (1, "")
    lines = done.err.splitlines()[:-1]
    assert any(line.startswith(f"schedules/all.yml:{place}: ") for line in lines), done.err
    assert all("secret" in line for line in lines), done.err


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("variables: {token: {type: string, default: '${{ secret.API_TOKEN }}'}}\n", "2:44"),
        ("defaults: {Schedule: {description: '${{ secret.API_TOKEN }}'}}\n", "2:36"),
        ("targets: {dev: {variables: {a: '${{ secret.API_TOKEN }}'}}}\n", "2:32"),
    ],
)
def test_the_project_file_holds_no_reference_either(guarded, text, place):
    guarded.write("reconciler.yml", "project: vault\n" + text)
    done = guarded("validate")
    assert done.code == 1
    assert done.err.startswith(f"reconciler.yml:{place}: "), done.err


def test_a_misspelt_reference_is_not_taken_for_a_value(guarded):
    for wrong in ("${{ secret.api token }}", "${{ secrets.API_TOKEN }}", "${{secret}}"):
        guarded.write("schedules/all.yml", PIPELINE.replace(REFERENCE, wrong))
        done = guarded("validate")
        assert done.code == 1, wrong
        assert done.err.startswith("schedules/all.yml:8:"), done.err


def test_a_change_of_a_reference_is_shown_as_such(guarded):
    guarded.apply()
    guarded.edit("schedules/all.yml", "secret.API_TOKEN", "secret.NEW_TOKEN")
    done = guarded("plan")
    line = '      steps.use.env.TOKEN: "${{ secret.API_TOKEN }}" -> "${{ secret.NEW_TOKEN }}"'
    assert line in done.out.splitlines()
    (change, *_) = json.loads(guarded("plan", "--output", "json").out)["resource_changes"]
    assert change["change"]["before_sensitive"] == {}
