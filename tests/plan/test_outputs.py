import json
import os
import subprocess
import sys
from dataclasses import replace

from reconciler.live import Hold, Live
from reconciler.plan.build import build_plan
from reconciler.plan.codec import plan_json
from reconciler.plan.render import plan_text, shown
from tests.plan.world import (
    ALL,
    LANDING,
    NIGHTLY,
    PIPELINE,
    applied,
    desired,
    planned,
    with_schedule,
)

FIRST = """\
Project risk, target dev, workspace sqlite:ws.db
Commit c0ffeec0ffee

+ create   Datastore  landing  (1.yml:1)
      url: "file:///landing"

+ create   Pipeline   score  (0.yml:2)
      parameters.input.default: "landing/x.csv"
      parameters.input.type: "datapath"
      parameters.size.default: 1
      parameters.size.type: "integer"
      steps.prepare.command: ["prepare", "${{ parameters.input }}"]
      steps.score.command: ["score"]
      steps.score.depends_on: ["prepare"]

+ create   Schedule   nightly  (2.yml:2)
      experiment_name: "nightly"
      overlap: "skip"
      pipeline: "score"
      pipeline_parameters.size: 2
      trigger.recurrence.frequency: "Day"
      trigger.recurrence.time_of_day: "06:30"

Plan: 3 to add, 0 to change, 0 to disable, 0 unchanged.
"""
SECOND = """\
Project risk, target dev, workspace sqlite:ws.db
Commit c0ffeec0ffee with 1 uncommitted: a.yml

~ update   Pipeline   score  (0.yml:2)
      steps.score.command: ["score"] -> ["score", "--fast"]
      version: "score@1" -> "score@new"

- disable  Schedule   arrival, its manifest was removed  (3.yml:2)
      held by ann: audit
      status: "Active" -> "Disabled"

~ update   Schedule   nightly, its pipeline has another version  (2.yml:2)
      pipeline version: "score@1" -> "score@new"

Plan: 0 to add, 2 to change, 1 to disable, 1 unchanged.
"""


def second():
    edited = PIPELINE.replace("[score]", "[score, --fast]", 1)
    live = with_schedule(applied(*ALL), "arrival", hold=Hold(who="ann", why="audit", since=0))
    return replace(planned(desired(edited, LANDING, NIGHTLY), live), dirty=("a.yml",))


def test_a_first_plan_as_text():
    assert plan_text(planned(desired(PIPELINE, LANDING, NIGHTLY), Live())) == FIRST


def test_a_plan_of_changes_as_text():
    assert plan_text(second()) == SECOND


def test_an_empty_plan_says_so():
    text = plan_text(planned(desired(*ALL), applied(*ALL)))
    assert "No changes. The workspace is as declared." in text
    assert text.endswith("Plan: 0 to add, 0 to change, 0 to disable, 4 unchanged.\n")


def test_a_plan_outside_a_repository_says_so_and_a_blocked_one_too():
    plan = build_plan(desired(LANDING), applied(LANDING, owner=None))
    text = plan_text(plan)
    assert "Not committed to Git; objects will carry no commit and no author." in text
    assert "Blocked: Datastore 'landing' was made through the SDK" in text


def test_long_values_are_cut_in_text():
    assert shown("x" * 300).endswith("... (302 characters)")
    assert shown(None) == "(none)"


def test_json_has_terraforms_shape():
    data = json.loads(plan_json(second()))
    assert data["format_version"] == 1
    assert [change["address"] for change in data["resource_changes"]] == [
        "Pipeline.score",
        "Schedule.arrival",
        "Schedule.nightly",
    ]
    change = data["resource_changes"][2]["change"]
    assert change["actions"] == ["update"]
    assert change["before"]["name"] == change["after"]["name"] == "nightly"
    assert data["resource_changes"][1]["change"]["after"] is None
    assert data["summary"] == {
        "create": 0,
        "update": 2,
        "enable": 0,
        "disable": 1,
        "remove": 0,
        "unchanged": 1,
    }


def test_the_same_inputs_give_the_same_bytes_whatever_the_hash_seed():
    program = (
        "from tests.plan.test_outputs import second\n"
        "from reconciler.plan.codec import plan_json\n"
        "from reconciler.plan.render import plan_text\n"
        "print(plan_json(second()) + plan_text(second()))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1
