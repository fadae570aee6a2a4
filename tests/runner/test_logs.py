"""What a runner's log looks like."""

import io
import json
import logging
import sys

import pytest

from reconciler.runner.logs import Json, Text, about
from tests.site import HELLO, minutely


@pytest.fixture
def lines():
    """Log through a formatter; gives the lines."""

    def written(formatter, *args, level=logging.INFO, **options):
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        record = logging.LogRecord("reconciler.x", level, "", 0, args[0], args[1:], None)
        record.created = 1_780_000_000.25
        for name, value in options.items():
            setattr(record, name, value)
        handler.emit(record)
        return stream.getvalue().splitlines()

    return written


def test_people_get_a_line_of_text(lines):
    assert lines(Text(), "run %s", "r") == ["2026-05-28T20:26:40.250Z INFO    run r"]


def test_programs_get_an_object_that_names_what_it_is_about(lines):
    (line,) = lines(Json(), "run %s", "r", **about(run="r", schedule="s", gate=None, step=""))
    assert json.loads(line) == {
        "time": "2026-05-28T20:26:40.250Z",
        "level": "INFO",
        "logger": "reconciler.x",
        "message": "run r",
        "run": "r",
        "schedule": "s",
    }


def test_a_defect_brings_its_traceback(lines):
    try:
        print(1 // 0)
    except ZeroDivisionError:
        found = sys.exc_info()
    assert lines(Text(), "x", exc_info=found)[-1].startswith("ZeroDivisionError")
    (line,) = lines(Json(), "x", exc_info=found)
    assert json.loads(line)["traceback"].endswith("by zero")


def test_a_field_that_no_log_has_is_a_mistake():
    with pytest.raises(ValueError, match="not a field of the log: colour"):
        about(colour="red")


def test_every_line_about_a_run_names_it(place, caplog):
    caplog.set_level(logging.INFO)
    place.apply(p=HELLO, s=minutely())
    place.forward(90)
    (run,) = place.finish()
    told = {r.message.partition(" ")[0]: r.about for r in caplog.records if hasattr(r, "about")}
    assert told["r:2026-03-02T12:01:00Z"] == {
        "schedule": "every-minute",
        "run": run.id,
        "decision": "launch",
        "gate": "due",
    }
    assert told["step"] == {"run": run.id, "step": "say"}
    assert told["run"] == {"schedule": "every-minute", "run": run.id}
