"""One plan, told in five ways: to people, to programs, and in pull and merge requests."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.journeys.checkout import NIGHTLY
from tests.journeys.golden import NOW, assert_golden, assert_plan, masked_plan
from tests.journeys.outofband import change

SCHEMA = Path(__file__).parents[2] / "schemas/plan.schema.json"
FORMATS = ("text", "json", "markdown", "github", "gitlab")


@pytest.fixture
def changing(shop):
    """A project with a change of every sort to come: by Git, by hand, held, left alone, blocked."""
    shop.edit(
        "reconciler.yml",
        "targets:",
        "limits: {disables: 0}\n"
        "ignore_drift: [{objects: Schedule.nightly, fields: [tags.owner]}]\ntargets:",
    )
    shop.write(
        "schedules/monthly.yml", NIGHTLY.replace("nightly", "monthly").replace("Day", "Month")
    )
    shop.edit(
        "schedules/monthly.yml", 'time_of_day: "02:30"', 'month_days: [1], time_of_day: "09:00"'
    )
    shop.commit()
    shop.apply()
    change("nightly", description="by hand", tags={"owner": "ops"})
    assert shop("hold", "nightly", "--until", "2090-03-05T00:00:00Z", "--reason", "audit").code == 0
    shop.edit("schedules/nightly.yml", "02:30", "02:45")
    shop.edit("schedules/code/score.py", "scored", "rated")
    shop.delete("schedules/arrivals.yml")
    shop.write(
        "schedules/monthly.yml",
        Path("schedules/monthly.yml").read_text() + "renamed_from: monthly\n",
    )
    shop.edit("schedules/monthly.yml", "name: monthly", "name: invoices")
    shop.write(
        "schedules/now.yml",
        "kind: Schedule\nname: at-once\npipeline: scoring\n"
        "trigger: {recurrence: {frequency: Hour, interval: 6}}\n",
    )
    shop.write("schedules/raw.yml", "kind: Datastore\nname: raw\nurl: file:///data/raw\n")
    shop.commit()
    return shop


@pytest.mark.parametrize(
    ("form", "ending"),
    [
        ("text", "txt"),
        ("json", "json"),
        ("markdown", "md"),
        ("github", "annotations"),
        ("gitlab", "gitlab.json"),
    ],
)
def test_each_form_of_a_plan_with_everything_in_it_is_this(changing, form, ending):
    done = changing("plan", "--output", form, *NOW)
    assert done.code == 3
    assert_golden(f"changing.{ending}", masked_plan(done.out))


def test_a_plan_that_meets_holds_says_so_and_leaves_them(shop):
    shop.apply()
    assert shop("hold", "nightly", "--reason", "audit").code == 0
    end = ("--until", "2090-03-02T06:00:00Z", "--catchup", "last")
    assert shop("hold", "arrivals", *end, "--reason", "the share is moved").code == 0
    assert_plan("held", shop)
    shop.edit("schedules/nightly.yml", "02:30", "02:45")
    shop.delete("schedules/arrivals.yml")
    shop.commit()
    assert_plan("held-changing", shop)
    shop.apply()
    held = {one["name"]: one["hold"] for one in shop("list", "--all", "--output", "json").data}
    assert held["nightly"]["why"] == "audit"


def test_a_plan_of_uncommitted_files_names_them(shop):
    shop.apply()
    shop.edit("schedules/code/score.py", "scored", "rated")
    shop.write("schedules/weekly.yml", NIGHTLY.replace("nightly", "weekly").replace("Day", "Week"))
    assert_plan("dirty", shop)


def test_several_forms_at_once_are_what_each_is_alone(changing):
    words = [word for form in FORMATS[1:] for word in ("--output", f"{form}=plan.{form}")]
    done = changing("plan", "--output", "text", *words, *NOW)
    assert done.code == 3
    assert done.out == changing("plan", *NOW).out
    for form in FORMATS[1:]:
        assert Path(f"plan.{form}").read_text() == changing("plan", "--output", form, *NOW).out
    assert changing("plan", *words, *NOW).out == ""


def test_a_file_for_two_forms_and_two_forms_for_the_terminal_are_refused(shop):
    for words in (
        ["json", "text"],
        ["json=a", "markdown=a"],
        ["yaml"],
        ["html=a"],
        [""],
        ["json="],
    ):
        done = shop("plan", *[word for one in words for word in ("--output", one)])
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("error: Invalid value for '--output': ")
    assert not Path("a").exists()


def test_a_file_that_cannot_be_written_is_named(shop):
    for option in ("--output", "--out"):
        value = "json=no/where" if option == "--output" else "no/where"
        done = shop("plan", option, value)
        assert (done.code, done.err) == (1, "error: no/where: No such file or directory\n")


def told(seed, *words):
    """Plan in a process of its own, in all forms at once; give all it wrote."""
    outputs = [word for form in FORMATS for word in ("--output", f"{form}=out.{form}")]
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "plan", *outputs, *NOW, *words],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    files = [Path(f"out.{form}") for form in FORMATS]
    written = [file.read_bytes() for file in files]
    for file in files:
        file.unlink()
    return [done.stderr, *written]


def test_the_bytes_are_the_same_in_every_process_and_by_the_long_way(changing):
    first = told("0")
    assert told("1") == first
    assert told("2", "--full") == first
    assert told("random") == first
    assert all(first)


def test_time_moves_what_a_plan_says_only_where_it_says_when(changing):
    now, later = (
        changing("plan", "--output", "json", "--now", time).data
        for time in ("2090-03-01T12:00:00Z", "2090-03-01T12:00:01Z")
    )
    assert now["approval_digest"] == later["approval_digest"]
    assert now["plan_digest"] != later["plan_digest"]
    differing = {key for key in now if now[key] != later[key]}
    assert differing == {"as_of", "plan_digest", "resource_changes"} - (
        {"resource_changes"} if now["resource_changes"] == later["resource_changes"] else set()
    )


@pytest.fixture
def validator():
    return Draft202012Validator(json.loads(SCHEMA.read_text()))


def test_every_plan_is_valid_by_the_published_schema(changing, validator):
    validator.validate(changing("plan", "--output", "json", *NOW).data)
    validator.validate(changing("plan", "--output", "json", "--workspace", "sqlite:no.db").data)
    assert changing("apply", "--yes", "--allow", "disables").code == 0
    empty = changing("plan", "--output", "json").data
    assert empty["resource_changes"] == []
    validator.validate(empty)


def test_what_an_apply_says_as_json_is_the_plan_with_its_results(changing, validator):
    done = changing("apply", "--yes", "--allow", "disables", "--output", "json")
    data = done.data
    results, applied = data.pop("results"), data.pop("applied")
    validator.validate(data)
    assert applied is True
    assert {(one["address"], one["action"], one["result"]) for one in results} == {
        ("Datastore.raw", "create", "applied"),
        ("Pipeline.scoring", "update", "applied"),
        ("Schedule.arrivals", "disable", "applied"),
        ("Schedule.at-once", "create", "applied"),
        ("Schedule.invoices", "rename", "applied"),
        ("Schedule.nightly", "update", "applied"),
    }


@pytest.mark.parametrize(("count", "level"), [(40, 0), (300, 2), (3_000, 3)])
def test_a_comment_of_thousands_of_changes_stays_within_what_github_takes(shop, count, level):
    text = "".join(
        f"---\nkind: Schedule\nname: s{n:04}\npipeline: scoring\n"
        f"trigger: {{recurrence: {{frequency: Day, time_of_day: '0{n % 10}:30', first_run: aligned}}}}\n"
        for n in range(count)
    )
    shop.write("schedules/fleet.yml", text)
    shop.commit()
    comment = shop("plan", "--output", "markdown", *NOW).out
    assert len(comment) <= 65_536
    assert f'"level":{level}}} -->' in comment.splitlines()[0]
    assert f"**{count + 4} to add, 0 to change, 0 to disable, 0 unchanged.**" in comment
    approval = re.search(r"--approve (sha256:[0-9a-f]{64})`", comment)[1]
    assert approval in comment.splitlines()[0]


def test_colours_are_for_terminals_alone(changing):
    for form in FORMATS:
        assert "\x1b" not in changing("plan", "--output", form).out
    assert "\x1b" not in changing("plan").err
