"""What is different on a terminal: colours, widths and questions."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading

import pytest

from tests.journeys.checkout import fill

# Whoever started the tests may have had them ignore Ctrl-C.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from reconciler.cli import main
main()
"""


def typing(text):
    return lambda _process, keyboard: os.write(keyboard, text)


def interrupting(process, _keyboard):
    """Press Ctrl-C, as a person does: again when nothing happens.

    A signal that arrives after the prompt is shown and before the read begins is only noticed with
    the next one.
    """

    def press():
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)

    threading.Thread(target=press, daemon=True).start()


@pytest.fixture
def terminal(empty):
    """Run a command on a terminal of its own; gives its exit code and all that it showed."""

    def run(*arguments, answer=None, **env):
        ours, theirs = pty.openpty()
        environ = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "COLUMNS"}}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs,
            env=environ | {"TERM": "xterm-256color", **env},
        )  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65_536):
                shown += part
                if answer is not None and shown.endswith(b"[y/N]: "):
                    answer(process, ours)
                    answer = None
        except OSError:  # how a terminal ends on Linux
            pass
        os.close(ours)
        return process.wait(), shown.decode()

    fill(empty)
    return run


def test_a_plan_is_coloured_unless_colours_are_declined(terminal):
    code, shown = terminal("plan")
    assert code == 0
    assert "\x1b[32m+ create   Schedule   nightly" in shown
    assert "\x1b" not in terminal("plan", "--no-color")[1]
    assert "\x1b" not in terminal("plan", NO_COLOR="1")[1]


def test_an_error_is_red_unless_colours_are_declined(terminal):
    for words in (["next", "nobody"], ["paln"], ["plan", "--frob"]):
        assert "\x1b[31m\x1b[1merror:\x1b[0m " in terminal(*words)[1]
        assert "\x1b" not in terminal(*words, NO_COLOR="1")[1]
    assert "\x1b" not in terminal("next", "nobody", "--no-color")[1]


def test_apply_asks_and_does_what_it_is_told(terminal, empty):
    code, shown = terminal("apply", answer=typing(b"n\n"))
    assert code == 1
    assert "Apply these changes? [y/N]" in shown
    assert "Nothing was applied." in shown
    code, shown = terminal("apply", answer=typing(b"y\n"))
    assert code == 0
    assert "Applied: 4 added" in shown


def test_ctrl_c_at_the_question_is_130_and_applies_nothing(terminal, empty):
    code, shown = terminal("apply", answer=interrupting)
    assert code == 130
    assert "interrupted" in shown
    assert not (empty.path / ".reconciler").exists()


def test_a_table_is_coloured_and_fits_the_terminal(terminal, empty):
    empty.apply()
    _, shown = terminal("list", COLUMNS="60")
    assert "\x1b[32mActive" in shown
    assert "\x1b" not in terminal("list", "--no-color", COLUMNS="60")[1]
    wide = empty("list").out.splitlines()
    assert [line.split()[0] for line in wide] == ["NAME", "arrivals", "nightly"]


def test_a_large_apply_shows_its_progress(terminal, empty):
    body = empty.path.joinpath("schedules/nightly.yml").read_text()
    many = "---\n".join(body.replace("nightly", f"nightly-{number}") for number in range(200))
    empty.write("schedules/many.yml", many)
    empty.commit()
    code, shown = terminal("apply", "--yes")
    assert code == 0
    assert "Applying" in shown
    assert "Applied: 204 added" in shown
