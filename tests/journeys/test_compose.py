"""One set of manifests in several environments: the page about it, and the commands."""

import re
from pathlib import Path

import pytest

from reconciler.manifest.project import load_project
from tests.journeys.checkout import NIGHTLY
from tests.journeys.golden import assert_golden, assert_plan

GUIDE = Path(__file__).parents[2] / "docs" / "environments.md"
PIPELINE = """
kind: Pipeline
name: scoring
parameters: {batch_size: {type: integer}}
steps: [{name: score, command: [python, -c, pass]}]
"""
MONTH_END = """
kind: Schedule
name: month-end
pipeline: scoring
trigger: {cron: {expression: 0 6 1 * *}}
pipeline_parameters: {batch_size: 1}
"""
TARGETS = """
project: shop
variables: {size: {type: integer, default: 512}}
targets:
  dev:
    workspace: sqlite:.reconciler/dev.db
    preset: paused
    variables: {size: 64}
  prod:
    workspace: sqlite:.reconciler/prod.db
    overrides:
      Schedule:
        nightly: {trigger: {recurrence: {interval: 2}}}
"""


def blocks():
    """Give the YAML of the guide by the file that each block names."""
    found = re.findall(r"```yaml\n# (\S+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert [name for name, _ in found] == ["reconciler.yml", "schedules/nightly.yml"]
    return dict(found)


@pytest.fixture
def guide(empty):
    """The project of the guide, with the manifests it leaves to the reader."""
    for file, text in blocks().items():
        empty.write(file, text)
    empty.write("schedules/scoring.yml", PIPELINE)
    empty.write("only-prod/month-end.yml", MONTH_END)
    empty.git("init", "-q", "-b", "main")
    empty.commit("begin")
    return empty


@pytest.fixture
def targets(shop):
    """The usual project with two targets that differ."""
    shop.write("reconciler.yml", TARGETS)
    shop.edit("schedules/nightly.yml", "batch_size: 512", 'batch_size: "${{ variables.size }}"')
    shop.commit("targets")
    return shop


def rendered(checkout, *words):
    done = checkout("render", "schedule", *words, "--output", "json")
    assert done.code == 0, done.err
    return done.data


def test_the_guides_example_means_what_the_guide_says(guide):
    (nightly,) = rendered(guide, "--target", "dev")
    assert nightly == {
        "kind": "Schedule",
        "name": "nightly",
        "description": "Reads dev, 16 rows at a time.",
        "pipeline": "scoring",
        "experiment_name": "nightly",
        "trigger": {
            "recurrence": {
                "frequency": "Day", "time_zone": "Europe/Paris", "time_of_day": "02:30", "first_run": "aligned",
            }
        },
        "pipeline_parameters": {"batch_size": 16},
        "overlap": "skip",
        "missed": "all",
        "tags": {"team": "risk"},
    }  # fmt: skip
    month_end, nightly = rendered(guide, "--target", "prod")
    assert month_end["tags"] == {"team": "risk", "tier": "gold"}
    assert month_end["trigger"] == {"cron": {"expression": "0 6 1 * *"}}
    assert nightly["trigger"]["recurrence"]["time_of_day"] == "04:30"
    assert nightly["pipeline_parameters"] == {"batch_size": 256}
    assert "missed" not in nightly


def test_the_guide_shows_what_explain_says(guide):
    said = guide("render", "schedule", "nightly", "--explain", "--target", "prod").out
    assert_golden("explain.txt", said)
    shown = re.search(r"```console\n\$ (.*?)\n(.*?)\.\.\.\n```", GUIDE.read_text(), re.DOTALL)
    assert shown[1] == "reconciler render schedule nightly --explain --target prod"
    assert set(shown[2].splitlines()) < set(said.splitlines())


def test_explain_as_json_has_the_same_facts(guide):
    words = ("render", "schedule", "nightly", "--explain", "--target", "prod", "--output", "json")
    done = guide(*words)
    assert_golden("explain.json", done.out)
    (facts,) = done.data
    assert (facts["kind"], facts["name"], facts["file"], facts["line"]) == (
        "Schedule", "nightly", "schedules/nightly.yml", 1,
    )  # fmt: skip
    told = {".".join(one["path"]): one for one in facts["values"]}
    assert told["trigger.recurrence.time_of_day"] == {
        "path": ["trigger", "recurrence", "time_of_day"],
        "value": "04:30",
        "origin": {
            "file": "reconciler.yml",
            "line": 32,
            "column": 47,
            "how": "override of target prod",
            "over": {"file": "schedules/nightly.yml", "line": 6, "column": 45},
            "used_at": None,
        },
    }
    assert told["pipeline_parameters.batch_size"]["origin"]["used_at"]["line"] == 7
    assert told["name"]["origin"]["how"] == "manifest"
    assert told["overlap"] == {"path": ["overlap"], "value": "skip", "origin": None}


def test_explain_names_the_parts_of_a_pipeline(guide):
    said = guide("render", "pipeline", "scoring", "--explain", "--target", "dev").out
    assert "  steps.score.command: [python, -c, pass]  schedules/scoring.yml:4\n" in said
    assert "  parameters.batch_size.type: integer      schedules/scoring.yml:3\n" in said


def test_each_target_loads_its_own_files_and_terms(guide):
    project, problems = load_project("reconciler.yml", Path("reconciler.yml").read_bytes())
    assert problems == ()
    assert project.terms("prod").limits.disables == 5
    assert project.terms("dev").protected == ("Schedule.month-end",)
    assert (
        guide("validate", "--target", "dev").out
        == "OK: 1 schedule, 1 pipeline, 0 datastores in 2 files\n"
    )
    assert (
        guide("validate", "--target", "prod").out
        == "OK: 2 schedules, 1 pipeline, 0 datastores in 3 files\n"
    )


def test_render_asks_for_a_target_only_where_targets_differ(targets):
    done = targets("render")
    assert (done.code, done.out) == (1, "")
    assert (
        done.err == "error: the project has several targets; choose one with --target (dev, prod)\n"
    )
    project = "project: shop\ntargets: {dev: {}, prod: {workspace: 'sqlite:b.db'}}\n"
    targets.write("reconciler.yml", project)
    targets.write("schedules/nightly.yml", NIGHTLY)
    assert targets("render").code == 0


def test_a_paused_target_plans_every_schedule_disabled_and_the_other_does_not(targets):
    assert targets("validate").code == 0
    for target, status, size in (("dev", "Disabled", 64), ("prod", "Active", 512)):
        changes = targets("plan", "--target", target, "--output", "json").data["resource_changes"]
        after = {
            one["name"]: one["change"]["after"] for one in changes if one["type"] == "Schedule"
        }
        assert sorted(after) == ["arrivals", "nightly"]
        assert {spec.get("status", "Active") for spec in after.values()} == {status}
        assert after["nightly"]["pipeline_parameters"] == {"batch_size": size}


@pytest.mark.parametrize("target", ["dev", "prod"])
def test_the_plan_of_a_target_says_what_it_makes_of_the_manifests(targets, target):
    assert_plan(f"target-{target}", targets, "--target", target)


def test_an_applied_target_has_nothing_left_to_change(targets):
    for target in ("dev", "prod"):
        assert targets("apply", "--yes", "--target", target).code == 0
        again = targets("plan", "--target", target, "--detailed-exitcode")
        assert again.code == 0, again.out
    targets.edit("reconciler.yml", "size: 64", "size: 65")
    targets.commit()
    assert targets("plan", "--target", "dev", "--detailed-exitcode").code == 2
    assert targets("plan", "--target", "prod", "--detailed-exitcode").code == 0


def test_next_asks_what_the_manifest_says_in_the_target(targets):
    words = ("next", "nightly", "--manifest", "--count", "2", "--after", "2026-03-02")
    assert "every 2 days" in targets(*words, "--target", "prod").out
    assert "every 2 days" not in targets(*words, "--target", "dev").out
    assert targets(*words).err.startswith("error: the project has several targets; ")


def test_what_is_wrong_in_one_target_only_is_told_for_it(targets):
    targets.edit("reconciler.yml", "interval: 2", "interval: 5000")
    assert targets("validate", "--target", "dev").code == 0
    done = targets("validate")
    assert done.code == 1
    assert done.err == (
        "reconciler.yml:12:52: Interval must be at most 500 for frequency Day. (for Schedule 'nightly')\n"
        "error: 1 problem in 1 file\n"
    )


def test_a_reference_that_an_override_gives_is_told_at_its_place(targets):
    targets.edit("reconciler.yml", "{trigger: {recurrence: {interval: 2}}}", "{pipeline: scorign}")
    done = targets("plan", "--target", "prod")
    assert done.code == 1
    assert done.err.startswith(
        "reconciler.yml:12:29: pipeline 'scorign' is neither declared here nor "
    )


def test_a_wrong_project_file_stops_every_command_with_its_lines(targets):
    targets.edit("reconciler.yml", "size: 64", "sise: 64")
    for words in (("validate",), ("plan", "--target", "dev"), ("render", "--target", "prod")):
        done = targets(*words)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith(
            "reconciler.yml:7:23: variable 'sise' is not declared in reconciler.yml; did you mean 'size'?\n"
        )


def test_render_refuses_what_it_cannot_show(targets):
    assert targets("render", "--defaults", "--explain", "--output", "json").code == 1
    targets.edit("schedules/arrivals.yml", "pipeline:", "pipline:")
    assert targets("render", "--target", "dev").err.startswith(
        "schedules/arrivals.yml:3:1: unknown key 'pipline'"
    )
    targets.edit("schedules/arrivals.yml", "pipline:", "pipeline:")
    done = targets("render", "schedule", "nobody", "--target", "dev", "--explain")
    assert done.err == "error: no schedule 'nobody' is declared\n"
