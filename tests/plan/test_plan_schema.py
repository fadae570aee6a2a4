import json
from pathlib import Path

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from reconciler.plan.codec import plan_data, plan_json
from reconciler.plan.plan_schema import plan_schema, plan_schema_text
from tests.plan.told import WHOLE, changed, plan_of, plans
from tests.strategies import examples

COMMITTED = Path(__file__).parents[2] / "schemas" / "plan.schema.json"
VALIDATOR = Draft202012Validator(plan_schema())


def test_the_committed_schema_is_current():
    assert COMMITTED.read_text(encoding="utf-8") == plan_schema_text()


def test_the_schema_is_one():
    Draft202012Validator.check_schema(plan_schema())


@pytest.mark.parametrize("plan", [plan_of(), plan_of(changed()), WHOLE])
def test_a_plan_obeys_the_schema(plan):
    VALIDATOR.validate(json.loads(plan_json(plan)))


@examples(20)
@given(plans)
def test_every_plan_obeys_the_schema(plan):
    VALIDATOR.validate(json.loads(plan_json(plan)))


def objects(data, path=()):
    """Give every object of our own within a plan: not the specs and values of manifests."""
    if isinstance(data, dict):
        yield path
        for key, value in data.items():
            free = key in {"live", "desired", "last_applied"} or (
                path[-1:] == ("change",) and key != "actions"
            )
            if not free:
                yield from objects(value, (*path, key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from objects(value, (*path, number))


def at(data, path):
    for key in path:
        data = data[key]
    return data


def copy():
    return json.loads(plan_json(WHOLE))


@pytest.mark.parametrize("path", list(objects(plan_data(WHOLE))), ids=str)
def test_a_key_that_is_wrong_or_missing_anywhere_is_refused(path):
    wrong = copy()
    at(wrong, path)["unheard_of"] = 1
    assert not VALIDATOR.is_valid(wrong)
    for key in at(copy(), path):
        missing = copy()
        del at(missing, path)[key]
        assert not VALIDATOR.is_valid(missing)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format_version",), "3.0"),
        (("as_of",), "2026-03-08 12:00"),
        (("errored",), True),
        (("plan_digest",), "sha256:12"),
        (("resource_changes", 0, "change", "actions"), ["disable"]),
        (("resource_changes", 0, "change", "actions"), []),
        (("resource_changes", 0, "change", "before"), "text"),
        (("resource_changes", 0, "action_reason"), "because"),
        (("resource_changes", 0, "action"), "delete"),
        (("resource_changes", 0, "type"), "Experiment"),
        (("suppressed", 0, "reason"), "so"),
        (("summary", "create"), -1),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(path, value):
    wrong = copy()
    at(wrong, path[:-1])[path[-1]] = value
    assert not VALIDATOR.is_valid(wrong)
