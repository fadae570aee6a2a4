"""How commands fail: one line on stderr and a code, never a traceback."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import reconciler.cli.validate
from reconciler.cli import execute, main
from reconciler.errors import StalePlan
from tests.journeys.checkout import PIPELINE


@pytest.fixture
def failing(monkeypatch, capfd):
    def fail(error, *arguments):
        def check(_scope):
            raise error

        monkeypatch.setattr(reconciler.cli.validate, "check", check)
        code = execute([*arguments, "validate"])
        return code, capfd.readouterr().err

    return fail


def test_an_expected_error_has_its_own_code(failing):
    assert failing(StalePlan("it moved;\nplan again")) == (4, "error: it moved; plan again\n")


def test_an_unexpected_error_is_one_line_and_a_traceback_only_on_demand(failing):
    code, said = failing(ZeroDivisionError("oh"))
    assert code == 1
    assert said == (
        "internal error: ZeroDivisionError: oh; rerun with `reconciler --debug ...` for the traceback\n"
    )
    code, said = failing(ZeroDivisionError("oh"), "--debug")
    assert code == 1
    assert said.startswith("Traceback (most recent call last):")


def test_an_error_of_the_operating_system_names_the_file(failing):
    assert failing(PermissionError(13, "Permission denied", "/x")) == (
        1,
        "error: /x: Permission denied\n",
    )


def test_ctrl_c_is_130(failing):
    assert failing(KeyboardInterrupt()) == (130, "\ninterrupted\n")


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["frobnicate"], "reconciler"),
        (["plan", "--frob"], "reconciler plan"),
        (["--frob"], "reconciler"),
        (["show"], "reconciler show"),
        (["show", "a", "b"], "reconciler show"),
        (["list", "gadgets"], "reconciler list"),
        (["next", "x", "--count", "0"], "reconciler next"),
        (["render", "--defaults"], "reconciler render"),
        (["runner", "stop"], "reconciler runner"),
        (["runner"], "reconciler runner"),
        (["workspace"], "reconciler workspace"),
        (["plan", "x"], "reconciler plan"),
        (["completion"], "reconciler completion"),
        (["--", "-x"], "reconciler"),
    ],
)
def test_a_wrong_usage_exits_1_and_says_where_help_is(arguments, place, capfd):
    assert execute(arguments) == 1
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith((f". See `{place} --help`.", f"? See `{place} --help`."))
    assert line.isprintable()


def test_a_mistyped_command_is_answered_with_the_nearest(capfd):
    assert execute(["paln"]) == 1
    assert capfd.readouterr().err == (
        "error: No such command 'paln'; did you mean 'plan'? See `reconciler --help`.\n"
    )


@pytest.mark.parametrize("words", ["--help", "render --help", "completion zsh"])
def test_a_reader_that_goes_away_is_no_news(words):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", *words.split()],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("words", ["--help >&-", "plan >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_news(words, shop):
    command = f"exec {shlex.quote(sys.executable)} -m reconciler {words}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_ctrl_c_before_anything_is_loaded_is_130(monkeypatch, capfd):
    def interrupt(_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(reconciler.cli, "execute", interrupt)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capfd.readouterr().err == "\ninterrupted\n"


@pytest.mark.parametrize(
    ("encoding", "snowman"),
    # Click takes a terminal that claims to know ASCII alone for a wrong setting.
    [("utf-8:strict", "☃".encode()), ("latin-1", rb"\u2603"), ("ascii", "☃".encode())],
)
def test_what_a_terminal_cannot_say_is_escaped(encoding, snowman, shop):
    def plan():
        return subprocess.run(
            [sys.executable, "-m", "reconciler", "plan"],
            env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True, check=False,
        )  # fmt: skip

    shop.write("schedules/☃.yml", PIPELINE.replace("scoring", "snow"))
    done = plan()
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"1 uncommitted: schedules/" + snowman + b".yml" in done.stdout
    Path("schedules", os.fsdecode(b"\xff.yml")).touch()
    done = plan()
    assert done.returncode == 1
    assert rb"schedules/\udcff.yml' is not UTF-8; rename it" in done.stderr


def test_the_name_of_a_file_never_reaches_the_terminal_raw(shop):
    shop.write("schedules/\u202e\x1b[2J\n.yml", "kind: Pip\n")
    done = shop("validate")
    Path("schedules/\u202e\x1b[2J\n.yml").unlink()
    assert done.code == 1
    assert done.err.splitlines()[0].startswith("schedules/ [2J .yml:1:7: kind must be")
    assert "\x1b" not in done.err
    shop.write("schedules/\x1b[2J\n.yml", PIPELINE.replace("scoring", "other"))
    plan = shop("plan")
    assert '  ("schedules/\\u001b[2J\\n.yml":1)\n' in plan.out
    assert 'uncommitted: "schedules/\\u001b[2J\\n.yml"\n' in plan.out
