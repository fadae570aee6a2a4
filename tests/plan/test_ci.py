import json
import re
import shutil
import subprocess

import pytest
from hypothesis import given

from reconciler.errors import Problem
from reconciler.plan.change import Action, Cause, FieldChange, Guard, Kind, Side
from reconciler.plan.ci import github_annotations, gitlab_report, problem_annotations
from reconciler.plan.codec import plan_data, plan_json
from tests.journeys.golden import assert_golden
from tests.plan.told import WHOLE, changed, created, disabled, plan_of, plans
from tests.strategies import examples

COMMAND = re.compile(r"::(error|warning|notice) ([^:]*)::(.*)")


def levels(plan):
    return [COMMAND.fullmatch(line)[1] for line in github_annotations(plan).splitlines()]


def test_a_plan_with_everything_in_it():
    assert_golden("plan-whole.annotations", github_annotations(WHOLE))


def test_a_change_stands_beside_its_line():
    field = FieldChange.by_git("tags.team", None, "risk")
    assert github_annotations(plan_of(changed(fields=(field,)))) == (
        "::notice file=schedules/nightly.yml,line=3,title=update Schedule nightly"
        '::edited; tags.team: (none) -> "risk"\n'
    )


@pytest.mark.parametrize(
    ("folder", "above"), [("teams/risk", "teams/risk/"), ("teams/risk/", "teams/risk/"), (".", "")]
)
def test_a_project_in_a_folder_is_found_there(folder, above):
    text = github_annotations(plan_of(changed(line=None, fields=())), folder)
    assert text.startswith(f"::notice file={above}schedules/nightly.yml,line=1,title=")


def test_what_has_no_file_has_no_place():
    text = github_annotations(plan_of(changed(file=None, fields=())))
    assert text == "::notice title=update Schedule nightly::edited\n"


def test_problems_stand_where_they_are_and_a_name_cannot_break_out():
    problems = [
        Problem("a,line=9::b%\n.yml", 3, 5, "no\n::error::owned 100%"),
        Problem("b.yml", 0, 0, "too large"),
        "the workspace does not answer",
    ]
    assert problem_annotations(problems, "teams/risk") == (
        "::error file=teams/risk/a%2Cline=9%3A%3Ab%25%0A.yml,line=3,col=5,title=No plan"
        "::no\\n::error::owned 100%25\n"
        "::error file=teams/risk/b.yml,line=1,title=No plan::too large\n"
        "::error title=No plan::the workspace does not answer\n"
    )
    assert len(problem_annotations(["x"] * 30).splitlines()) == 10


def test_guards_are_errors_and_what_takes_away_or_undoes_is_a_warning():
    touched = FieldChange("tags.team", "a", "b", "b", Side.LIVE)
    plan = plan_of(
        created(),
        changed(fields=(touched,)),
        disabled(),
        disabled("attic", action=Action.REMOVE),
        guards=(Guard("disables", "2 of 3", allowable=True),),
    )
    assert levels(plan) == ["error", "warning", "warning", "warning", "notice"]


def test_what_follows_in_time_is_told():
    text = github_annotations(plan_of(created()))
    assert text.endswith("::declared; runs 1 a day; runs at once when applied\n")


def test_many_fields_are_counted():
    fields = tuple(FieldChange.by_git(f"tags.t{n}", 1, 2) for n in range(7))
    assert github_annotations(plan_of(changed(fields=fields))).endswith("; 2 more fields\n")


def test_of_each_level_there_are_ten_at_most_and_the_tenth_counts_the_rest():
    changes = [changed(f"c{n:02}") for n in range(10)]
    assert "more of this level" not in github_annotations(plan_of(*changes))
    plan = plan_of(*changes, changed("d"), disabled())
    lines = github_annotations(plan).splitlines()
    assert levels(plan) == ["warning"] + ["notice"] * 10
    assert lines[-1] == (
        "::notice title=and more::2 more of this level; `reconciler plan` lists all"
    )


def test_signs_with_a_meaning_are_escaped():
    plan = plan_of(
        changed("a:b,c", file="50%\r\n,:.yml", cause=Cause.EDITED, fields=()),
        guards=(Guard("x", "100%\n::error::y"),),
    )
    assert github_annotations(plan) == (
        "::error title=Blocked%3A x::100%25\\n::error::y\n"
        "::notice file=50%25%0D%0A%2C%3A.yml,line=3,title=update Schedule a%3Ab%2Cc::edited\n"
    )


@examples(20)
@given(plans)
def test_each_line_is_one_command_whatever_somebody_wrote(plan):
    text = github_annotations(plan)
    lines = text.split("\n")[:-1]
    assert len(lines) == len(plan.guards) + len(plan.warnings) + len(plan.changes)
    assert all(COMMAND.fullmatch(line) for line in lines)


def test_gitlab_counts_what_is_disabled_as_deleted():
    report = json.loads(gitlab_report(WHOLE))
    assert report == {"create": 1, "update": 7, "delete": 2}


# As it stands in GitLab's documentation of the report.
RECIPE = (
    "([.resource_changes[]?.change.actions?]|flatten)|"
    '{"create":(map(select(.=="create"))|length),'
    '"update":(map(select(.=="update"))|length),'
    '"delete":(map(select(.=="delete"))|length)}'
)


def recipe(text):
    if shutil.which("jq"):
        run = subprocess.run(
            ["jq", "-c", RECIPE], input=text.encode(), capture_output=True, check=True
        )
        return json.loads(run.stdout)
    actions = [a for c in json.loads(text)["resource_changes"] for a in c["change"]["actions"]]
    return {word: actions.count(word) for word in ("create", "update", "delete")}


@pytest.mark.parametrize("plan", [WHOLE, plan_of(), plan_of(created(), disabled())])
def test_gitlabs_own_recipe_works_on_the_json(plan):
    removed = plan.count(Action.REMOVE)
    found = recipe(plan_json(plan))
    created_ = plan.count(Action.CREATE)
    rest = len(plan.changes) - created_ - removed
    assert found == {"create": created_, "update": rest, "delete": removed}


def test_a_report_counts_every_change_once():
    report = json.loads(gitlab_report(WHOLE))
    assert sum(report.values()) == len(plan_data(WHOLE)["resource_changes"])
    assert {change.kind for change in WHOLE.changes} == set(Kind)
