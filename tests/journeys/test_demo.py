"""``reconciler demo`` as a user runs it: it is true, it fails when it is not, and it cleans up."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from reconciler.run import RunState
from reconciler.settings import open_workspace, runner_active

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-P", "-m", "reconciler", "demo"]


def environment(folder, **more):
    """An environment whose temporary folder is the test's own."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(temporary), **more}


def run(folder, *arguments, **more):
    return subprocess.run(
        [*DEMO, *map(str, arguments)],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        check=False,
    )


def left_in(folder):
    """What was left in the temporary folder, and the processes that are at work in ``folder``."""
    processes = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cwd", "cmdline"])
        if (process.info["cwd"] or "").startswith(str(folder))
    ]
    return sorted(path.name for path in (folder / "tmp").iterdir()), processes


def test_the_story_is_told_in_order_and_the_ledger_agrees(tmp_path):
    place = tmp_path / "wine"
    done = run(
        tmp_path,
        place,
        # None of it may have a part in the story.
        RECONCILER_WORKSPACE="sqlite:/nowhere/workspace.db",
        RECONCILER_RUNNER_CONFIG="/nowhere/runner.yml",
        GIT_DIR="/nowhere",
        GIT_AUTHOR_DATE="nonsense",
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    story = iter(done.stdout.splitlines())
    for told in (
        "OK: 4 schedules, 3 pipelines, 4 datastores in 8 files",
        "manifests/retrain.yml:9:16: Invalid value for frequency",
        "Plan: 11 to add, 0 to change, 0 to disable, 0 unchanged.",
        "Applied: 11 added, 0 changed, 0 disabled, 0 unchanged.",
        "ok a second plan has nothing to do, and exits 0",
        "$ reconciler runner start",
        "ok its log says: accuracy 0.971 (34 of 35 held-out wines)",
        "$ cp data/batches/labelled.csv data/landing/",
        "accuracy 1.000 (18 of 18 labelled wines)",
        "ok its parameter input_data is landing/labelled.csv",
        'trigger.recurrence.time_of_day: "06:30" -> "07:45"',
        "Applied: 0 added, 1 changed, 0 disabled, 10 unchanged.",
        "weekly-audit: every week on Monday, Thursday at 07:45 (Europe/Rome)",
        "trigger.recurrence.start_time: (none) -> ",
        "it was launched",
        "- disable  Schedule   evening-report, its manifest was removed",
        "$ kill -9 ",
        "ok its parameter input_data is landing/unlabelled.csv",
        "ok that is the one new run; nothing was repeated",
        "$ reconciler runs",
        "ok each file has exactly one run",
        "ok the runner exited with 0",
        "The end. All of it happened",
        f"The project is in {place}",
    ):
        assert any(told in line for line in story), f"'{told}' is not told, or not in its place"
    assert "\x1b" not in done.stdout
    url = f"sqlite:{place}/.reconciler/workspace.db"
    runs = open_workspace(url).ledger.runs()
    assert len(runs) == 4
    assert {run.state for run in runs} == {RunState.FINISHED}
    assert not runner_active(url)
    assert left_in(tmp_path) == ([], [])


def test_a_step_that_fails_ends_the_story_with_its_name_and_exit_1(tmp_path):
    # The program with a sample whose scoring is broken, as a faulty wheel would bring it.
    site = tmp_path / "site"
    leftovers = shutil.ignore_patterns("__pycache__", ".reconciler")
    shutil.copytree(ROOT / "reconciler", site / "reconciler", ignore=leftovers)
    sample = site / "reconciler" / "_data" / "schedules"
    shutil.copytree(ROOT / "schedules", sample, ignore=leftovers)
    (sample / "score" / "score.py").write_text("raise RuntimeError('no cellar')\n")
    # What is not the program's source must not count in a measurement of its coverage.
    covered = {name: "" for name in os.environ if name.startswith("COVERAGE_")}
    done = run(tmp_path, PYTHONPATH=str(site), **covered)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "RuntimeError: no cellar" in done.stdout
    assert "The end." not in done.stdout
    (error,) = done.stderr.splitlines()
    assert error.startswith("error: step 7, A file arrives: ")
    assert "expected Finished, found Failed" in error
    (kept,), processes = left_in(tmp_path)
    assert f"The folder is kept for a look: {tmp_path / 'tmp' / kept}" in done.stdout
    assert processes == []


@pytest.mark.parametrize(
    ("number", "after", "code"),
    [
        pytest.param(signal.SIGINT, "$ reconciler logs", 130, id="Ctrl-C with a runner"),
        pytest.param(signal.SIGTERM, "2. Validate", 143, id="SIGTERM"),
    ],
)
def test_whoever_interrupts_it_finds_no_process_and_no_folder(tmp_path, number, after, code):
    with subprocess.Popen(
        DEMO,
        # Whoever runs the tests in the background may ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  (before it runs)
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        assert any(after in line for line in demo.stdout)
        demo.send_signal(number)
        rest = demo.stdout.read()
    assert demo.returncode == code, rest
    assert "The end." not in rest
    assert left_in(tmp_path) == ([], [])


def test_without_git_it_says_so_and_does_nothing(tmp_path):
    done = run(tmp_path, tmp_path / "wine", PATH="/nowhere")
    assert done.returncode == 1
    assert done.stderr == "error: the demo needs git, which is not on the PATH\n"
    assert not (tmp_path / "wine").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    done = run(tmp_path, tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path} is not empty; give a new folder, or none\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "tmp"]
