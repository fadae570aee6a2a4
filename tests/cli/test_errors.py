"""How commands fail: one line on stderr and a code, never a traceback."""

import os
import subprocess
import sys

import pytest

import reconciler.cli.validate
from reconciler.cli import run
from reconciler.errors import StalePlan


@pytest.fixture
def failing(monkeypatch, capfd):
    def fail(error, *arguments):
        def check(_scope):
            raise error

        monkeypatch.setattr(reconciler.cli.validate, "check", check)
        code = run([*arguments, "validate"])
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
        (["--", "-x"], "reconciler"),
    ],
)
def test_a_wrong_usage_exits_1_and_says_where_help_is(arguments, place, capfd):
    assert run(arguments) == 1
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(f" See `{place} --help`.")


def test_a_mistyped_command_is_answered_with_the_nearest(capfd):
    assert run(["paln"]) == 1
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
