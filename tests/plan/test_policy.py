"""The example policy of the documentation, run by a real Rego engine on plans of the program."""

from pathlib import Path

import pytest
from regopy import Interpreter

from reconciler.plan.change import Action, FieldChange, Kind, Side
from reconciler.plan.codec import plan_json
from reconciler.plan.impact import Impact
from tests.plan.told import DAILY, OFTEN, WHOLE, changed, created, disabled, plan_of, schedule, spec

POLICY = Path(__file__).parents[2] / "docs" / "policy" / "schedules.rego"

# How policies for Terraform are commonly written, from before ``contains`` and ``if``.
TERRAFORM = """
package main

import rego.v1

deny contains msg if {
    resource := input.resource_changes[_]
    resource.change.actions[_] == "delete"
    msg := sprintf("%s would be deleted", [resource.address])
}
"""


def judged(plan, rule="deny", policy=None):
    rego = Interpreter()
    rego.add_module("policy.rego", policy or POLICY.read_text())
    rego.set_input_term(plan_json(plan))
    (found,) = rego.query(f"data.main.{rule}").results[0].expressions
    return sorted(found)


def of_team(team):
    return schedule(name="old", tags={"team": team})


def test_a_harmless_plan_passes():
    plan = plan_of(changed(), created(), disabled(before=of_team("fun")), disabled("untagged"))
    assert judged(plan) == []
    assert judged(plan, "warn") == []


@pytest.mark.parametrize("team", ["payments", "risk"])
def test_disabling_a_protected_teams_schedule_is_denied(team):
    said = [f"Schedule.old belongs to team {team} and must not be disabled"]
    assert judged(plan_of(disabled(before=of_team(team)))) == said


def test_so_it_is_where_a_manifest_disables_it():
    after = schedule(name="old", status="Disabled", tags={"team": "fun"})
    assert len(judged(plan_of(disabled(before=of_team("risk"), after=after)))) == 1


def test_removing_a_datastore_is_denied():
    store = disabled("attic", action=Action.REMOVE, kind=Kind.DATASTORE, before=spec(name="attic"))
    assert judged(plan_of(store)) == ["Datastore.attic must not be removed"]


def test_too_many_added_runs_are_denied():
    plan = plan_of(changed(impact=Impact(before=DAILY, after=OFTEN)))
    assert judged(plan) == ["287 more runs a day, at most 200 are allowed"]


def test_drift_is_a_warning():
    field = FieldChange("tags.team", "fun", "risk", "risk", Side.LIVE)
    assert judged(plan_of(changed(fields=(field,))), "warn") == [
        "somebody set tags.team of Schedule.nightly on the live object"
    ]


def test_a_policy_for_terraform_works_unchanged():
    assert judged(WHOLE, policy=TERRAFORM) == ["Datastore.attic would be deleted"]
