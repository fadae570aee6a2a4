"""When schedules are due, around the days on which clocks change."""

import re
import subprocess
import sys

import pytest

CASES = {
    # 02:30 does not exist on 8 March 2026 in New York, and 01:30 comes twice on 1 November.
    ("America/New_York", "02:30", "2026-03-06T12:00"): """
  2026-03-07 02:30 EST  2026-03-07T07:30:00Z
  2026-03-08 03:30 EDT  2026-03-08T07:30:00Z  (02:30 does not exist that day)
  2026-03-09 02:30 EDT  2026-03-09T06:30:00Z
""",
    ("America/New_York", "01:30", "2026-10-30T12:00"): """
  2026-10-31 01:30 EDT  2026-10-31T05:30:00Z
  2026-11-01 01:30 EDT  2026-11-01T05:30:00Z  (the first of two 01:30 that day)
  2026-11-02 01:30 EST  2026-11-02T06:30:00Z
""",
    # Lord Howe's clock moves by half an hour: 02:15 is skipped on 4 October, 01:45 comes twice on 5 April.
    ("Australia/Lord_Howe", "02:15", "2026-10-02T12:00"): """
  2026-10-03 02:15 +1030  2026-10-02T15:45:00Z
  2026-10-04 02:45 +11  2026-10-03T15:45:00Z  (02:15 does not exist that day)
  2026-10-05 02:15 +11  2026-10-04T15:15:00Z
""",
    ("Australia/Lord_Howe", "01:45", "2026-04-03T12:00"): """
  2026-04-04 01:45 +11  2026-04-03T14:45:00Z
  2026-04-05 01:45 +11  2026-04-04T14:45:00Z  (the first of two 01:45 that day)
  2026-04-06 01:45 +1030  2026-04-05T15:15:00Z
""",
}


@pytest.fixture
def at(shop):
    def declare(zone, time):
        shop.write("schedules/nightly.yml", f"""
            kind: Schedule
            name: nightly
            pipeline: scoring
            trigger: {{recurrence: {{frequency: Day, time_of_day: "{time}", time_zone: {zone}, start_time: "2026-01-01T00:00:00"}}}}
            """)  # fmt: skip
        shop.commit()
        return shop

    return declare


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1]}")
@pytest.mark.parametrize("applied", [False, True], ids=["declared", "applied"])
def test_both_changes_of_a_clock_follow_the_rules(at, case, applied):
    zone, time, after = case
    shop = at(zone, time)
    if applied:
        shop.apply()
    done = shop("next", "nightly", "--count", "3", "--after", after)
    head, lines = done.out.split("\n", 1)
    assert head == f"nightly: every day at {time} ({zone}), from 2026-01-01 00:00"
    assert "\n" + lines == CASES[case]


def test_json_gives_local_and_utc_times(at):
    shop = at("America/New_York", "02:30")
    facts = shop(
        "next", "nightly", "--count", "1", "--after", "2026-03-07T07:30:00Z", "--output", "json"
    ).data
    assert facts == {
        "name": "nightly",
        "from": "manifest",
        "condition": "Active",
        "trigger": "every day at 02:30 (America/New_York), from 2026-01-01 00:00",
        "time_zone": "America/New_York",
        "created_at": None,
        "due_since": None,
        "next": [
            {
                "local": "2026-03-08T03:30:00-04:00",
                "utc": "2026-03-08T07:30:00Z",
                "note": "02:30 does not exist that day",
            }
        ],
    }


@pytest.mark.parametrize("applied", [False, True], ids=["declared", "applied"])
def test_times_before_its_creation_are_what_would_have_been_due(shop, applied):
    if applied:
        shop.apply()
    lines = shop("next", "nightly", "--count", "3", "--after", "2024-03-09").out.splitlines()
    assert lines[0] == "nightly: every day at 02:30 (America/New_York)"
    assert lines[1].startswith("  created 2" if applied else "  not applied yet; now it is 2")
    assert lines[1].endswith("; before, as it would have been")
    assert lines[2:] == [
        "  2024-03-09 02:30 EST  2024-03-09T07:30:00Z",
        "  2024-03-10 03:30 EDT  2024-03-10T07:30:00Z  (02:30 does not exist that day)",
        "  2024-03-11 02:30 EDT  2024-03-11T06:30:00Z",
    ]
    assert "would have been" not in shop("next", "nightly").out


def test_what_came_due_without_a_runner_is_told(shop):
    shop.edit("schedules/nightly.yml", ", first_run: aligned", "")
    shop.commit()
    assert "due since" not in shop("next", "nightly").out
    shop.apply()
    assert re.search(
        r"^  due since 2.* E[DS]T, for a runner to decide$",
        shop("next", "nightly").out,
        re.MULTILINE,
    )
    assert shop("next", "nightly", "--output", "json").data["due_since"] is not None


def test_the_workspace_is_asked_first_and_the_manifest_on_demand(shop):
    shop.apply()
    shop.edit("schedules/nightly.yml", "02:30", "04:45")
    assert "at 02:30" in shop("next", "nightly").out
    assert "at 04:45" in shop("next", "nightly", "--manifest").out


def test_what_is_held_or_over_is_said(shop):
    shop.edit("schedules/nightly.yml", "first_run: aligned", 'end_time: "2026-01-03T00:00:00"')
    shop.commit()
    done = shop("next", "nightly", "--after", "2026-01-01T00:00:00Z", "--manifest")
    assert "once as soon as it is applied" in done.out
    assert done.out.endswith("  and never again\n")
    shop.edit("schedules/nightly.yml", 'end_time: "2026-01-03T00:00:00"', "first_run: aligned")
    shop.commit()
    shop.apply()
    shop("hold", "nightly", "--reason", "maintenance")
    assert "  it is Held now\n" in shop("next", "nightly").out


def test_what_has_no_next_time_is_an_error_in_one_line(shop):
    done = shop("next", "arrivals")
    assert (done.code, done.err) == (
        1,
        "error: schedule 'arrivals' goes by files, not by the clock: files in landing/incoming, looked at every 5m\n",
    )
    assert (
        shop("next", "nobody").err
        == "error: no schedule 'nobody'; `reconciler list schedules --all` shows them\n"
    )
    assert shop("next", "nobody", "--manifest").err == "error: no schedule 'nobody' is declared\n"
    assert "write for example 2026-03-08T02:30" in shop("next", "nightly", "--after", "soon").err
    shop.edit("schedules/scoring.yml", "kind: Pipeline", "kind: Pipe")
    assert "error: 1 problem in 1 file" in shop("next", "nobody").err
    assert shop("next", "nightly").code == 0


@pytest.mark.parametrize("applied", [False, True], ids=["declared", "applied"])
def test_a_manifest_answers_without_loading_a_database(shop, applied):
    if applied:
        shop.apply()
    program = """
import sys
from reconciler.cli import execute
assert execute(["next", "nightly", "--count", "1", "--manifest"]) == 0
heavy = {"sqlalchemy", "alembic", "git", "rich", "deepdiff", "jsonschema", "psutil"}
print(sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"
