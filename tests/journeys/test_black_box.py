"""The twelve failures that a black-box trial of dbt-jobs-as-code found, each with our answer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.errors import WorkspaceFull
from reconciler.reconcile.write import Writer
from tests.journeys.checkout import NIGHTLY, PIPELINE


def one_line(done, code=1):
    assert (done.code, done.out) == (code, "")
    (line,) = done.err.splitlines()
    assert "Traceback" not in line
    return line


def problem(done):
    """Give the one problem of a command that found one, without the count below it."""
    assert (done.code, done.out) == (1, "")
    line, count = done.err.splitlines()
    assert count == "error: 1 problem in 1 file"
    return line


# P1: a plan with pending creates exits 0, whatever is asked


def test_pending_creates_are_told_by_the_exit_code(shop):
    assert shop("plan").code == 0
    done = shop("plan", "--detailed-exitcode")
    assert done.code == 2
    assert "Plan: 4 to add," in done.out


# P2: swapped steps are "No changes detected"


def test_swapped_steps_are_a_change(shop):
    steps = """
  - {name: first, command: ["true"]}
  - {name: second, command: ["true"]}
"""
    first, second = steps.strip("\n").splitlines()
    shop.write(
        "schedules/scoring.yml", PIPELINE.partition("steps:")[0] + f"steps:\n{first}\n{second}\n"
    )
    shop.commit()
    shop.apply()
    shop.write(
        "schedules/scoring.yml", PIPELINE.partition("steps:")[0] + f"steps:\n{second}\n{first}\n"
    )
    shop.commit()
    done = shop("plan", "--detailed-exitcode")
    assert done.code == 2
    assert (
        '      steps (order): ["first", "second"] -> ["second", "first"]' in done.out.splitlines()
    )


def test_swapped_arguments_of_a_step_are_a_change(shop):
    shop.apply()
    shop.edit("schedules/scoring.yml", "python, score.py", "score.py, python")
    shop.commit()
    assert 'steps.score.command: ["python", "score.py", ' in shop("plan").out


# P3: a plan of a file that does not exist is a success


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--project", "nowhere"), "Directory 'nowhere' does not exist"),
        (("--ref", "nobody"), "'nobody' names no commit here; correct it, or run: git fetch"),
        (("--target", "prod"), "target 'prod' is not in reconciler.yml (known: dev)"),
    ],
)
def test_planning_what_does_not_exist_is_an_error(shop, options, said):
    assert said in one_line(shop("plan", *options))


def test_an_include_without_a_file_is_an_error(shop):
    shop.edit("reconciler.yml", "targets:", "include: [scedules/*.yml]\ntargets:")
    shop.commit()
    assert "include 'scedules/*.yml' matches no file" in one_line(shop("plan"))


# P4: nothing declared and two live objects are "No changes detected"


def test_nothing_declared_any_more_is_blocked_and_lists_what_would_go(shop):
    shop.apply()
    for file in Path("schedules").glob("*.yml"):
        file.write_text("")
    shop.commit()
    done = shop("plan")
    assert done.code == 3
    for line in (
        "- remove   Datastore  landing",
        "- disable  Pipeline   scoring",
        "- disable  Schedule   arrivals",
        "- disable  Schedule   nightly",
    ):
        assert line in done.out
    assert "all 4 objects would be taken away" in done.err


# P5: the same name in two files, the last one wins


def test_the_same_name_in_two_files_is_an_error_that_names_both(shop):
    shop.write("schedules/again.yml", NIGHTLY)
    shop.commit()
    for command in ("validate", "plan"):
        assert problem(shop(command)) == (
            "schedules/nightly.yml:2:7: Schedule 'nightly' is already declared at "
            "schedules/again.yml:2:7; rename one"
        )


# P6: a cron that never fires is valid


def test_a_cron_that_never_fires_is_an_error(shop):
    shop.edit("schedules/nightly.yml", "recurrence: {", 'cron: {expression: "0 0 30 2 *"} #')
    assert "never fires" in problem(shop("plan"))


# P7: an invalid cron is a traceback


@pytest.mark.parametrize("expression", ["61 * * * *", "* * * *", "0 0 * * 9"])
def test_an_invalid_cron_is_one_line_with_its_place(shop, expression):
    shop.edit("schedules/nightly.yml", "recurrence: {", f'cron: {{expression: "{expression}"}} #')
    assert problem(shop("plan")).startswith("schedules/nightly.yml:5:")


# P8: an unquoted */5 is a traceback about aliases


def test_an_unquoted_star_is_answered_with_quote_it(shop):
    shop.edit("schedules/nightly.yml", "recurrence: {", "cron: {expression: */5 * * * *} #")
    line = problem(shop("plan"))
    assert line.startswith("schedules/nightly.yml:5:")
    assert "quote" in line
    assert "'*/5 * * * *'" in line or '"*/5 * * * *"' in line


# P9: three plans in three orders


def test_the_same_plan_is_the_same_bytes_in_every_process(shop):
    for number in range(12):
        shop.write(f"schedules/s{number}.yml", NIGHTLY.replace("nightly", f"s{number}"))
    shop.commit()
    plans = {
        subprocess.run(
            [sys.executable, "-m", "reconciler", "plan", "--now", "2090-03-01T12:00:00Z"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2", "random")
    }
    assert len(plans) == 1


# P10: rejected creates, and the deletes still run: nothing is left


def test_creates_that_fail_leave_everything_as_it_was(shop, monkeypatch):
    shop.apply()
    before = shop("list", "--all", "--output", "json").out
    shop.delete("schedules/nightly.yml")
    shop.write("schedules/new.yml", NIGHTLY.replace("nightly", "new"))
    shop.commit()
    plain = Writer.write

    def full(self, change):
        if change.name == "new":
            raise WorkspaceFull("no space is left for the workspace")
        plain(self, change)

    monkeypatch.setattr(Writer, "write", full)
    monkeypatch.setattr("reconciler.reconcile.apply.BACKOFF", ())
    done = shop("apply", "--yes")
    assert (done.code, done.err) == (1, "error: no space is left for the workspace\n")
    assert shop("list", "--all", "--output", "json").out == before
    monkeypatch.undo()
    os.chdir(shop.path)
    assert "1 added, 0 changed, 1 disabled" in shop.apply().out


# P11: the other side is down, four chained tracebacks


def test_a_workspace_that_cannot_be_read_is_one_line_and_no_plan(shop):
    shop.apply()
    database = Path(".reconciler/workspace.db")
    database.write_bytes(b"this is no database" * 1000)
    assert ".reconciler/workspace.db" in one_line(shop("plan"))
    shutil.rmtree(".reconciler")
    Path(".reconciler").write_text("a file in the way")
    for words in (("plan",), ("apply", "--yes")):
        done = shop(*words)
        assert "Traceback" not in done.err
    assert one_line(shop("plan", "--workspace", "postgres://nowhere/db"))


# P12: unknown keys are valid


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("trigger:", "triger:", "did you mean 'trigger'?"),
        ("pipeline_parameters:", "pipeline_params:", "did you mean 'pipeline_parameters'?"),
        ("frequency:", "frequence:", "did you mean 'frequency'?"),
        ("kind: Schedule", "kind: Shedule", "did you mean Schedule?"),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_one(shop, old, new, said):
    shop.edit("schedules/nightly.yml", old, new)
    done = shop("validate")
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert all(line.startswith("schedules/nightly.yml:") for line in done.err.splitlines()[:-1])


def test_a_key_that_is_like_none_is_an_error_with_all_there_are(shop):
    shop.write("schedules/nightly.yml", NIGHTLY + "pause: true\n")
    line = problem(shop("validate"))
    assert line.startswith("schedules/nightly.yml:7:1: ")
    assert "pause" in line
