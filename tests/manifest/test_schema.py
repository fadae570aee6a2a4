"""The loader and the schemas cannot disagree: both read the same declarations."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler.errors import InvalidValue
from reconciler.manifest.emit import from_data, to_data, to_yaml
from reconciler.manifest.load import KINDS, Document, load
from reconciler.manifest.project import Project
from reconciler.manifest.schema import json_schema, schema_text, schemas
from reconciler.schedule import Schedule
from tests.manifest.strategies import UNHURRIED, projects, values
from tests.manifest.test_yaml12 import plain

COMMITTED = Path(__file__).parents[2] / "schemas"
VALIDATORS = {cls: Draft202012Validator(json_schema(cls)) for cls in (*KINDS.values(), Project)}
STRANGE = {"string": 5, "integer": "x", "number": "x", "boolean": "x", "array": 5, "object": 5}


def meant(part: dict, whole: dict) -> dict:
    """Follow a reference, also where null may stand instead."""
    part = part["anyOf"][0] if "$ref" in part.get("anyOf", [{}])[0] else part
    return whole["$defs"][part["$ref"].split("/")[-1]] if "$ref" in part else part


def objects(schema: dict, data: dict, path=(), whole=None):
    """Give each mapping of known keys in a document, with its schema and path."""
    whole = whole or schema
    yield path, schema, data
    for key, value in data.items():
        part = meant(schema["properties"].get(key, {}), whole)
        for choice in part.get("oneOf", ()):
            if isinstance(value, dict) and choice["properties"].keys() == value.keys():
                yield from objects(choice, value, (*path, key), whole)
        if "properties" in part and isinstance(value, dict):
            yield from objects(part, value, (*path, key), whole)
        if "properties" in part.get("items", {}):
            for at, item in enumerate(value):
                yield from objects(part["items"], item, (*path, key, at), whole)
        below = part.get("additionalProperties")
        if isinstance(below, dict) and isinstance(value, dict):
            below = meant(below, whole)
            for name, item in value.items():
                if "properties" in below and isinstance(item, dict):
                    yield from objects(below, item, (*path, key, name), whole)


def at(document, path):
    for step in path:
        document = document[step]
    return document


def broken_from(part: dict) -> list:
    """Give values that a schema must refuse, one for each thing it says."""
    kinds = [part.get("type")] if isinstance(part.get("type"), str) else part.get("type", [])
    wrong = [STRANGE[kind] for kind in kinds[:1] if "string" not in kinds or "number" not in kinds]
    wrong += [[["deep"]], {"no such key": [[]]}]
    if "enum" in part:
        wrong.append("no such word")
    if "minimum" in part:
        wrong.append(part["minimum"] - 1)
    if "maximum" in part:
        wrong.append(part["maximum"] + 1)
    if "pattern" in part:
        wrong.append("?!")
    if "minLength" in part:
        wrong.append("")
    if "minItems" in part:
        wrong.append([])
    if part.get("uniqueItems"):
        wrong.append([1, 1])
    return wrong


def accepts(cls: type, data: dict) -> bool:
    try:
        from_data(cls, data)
    except InvalidValue:
        return False
    return True


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_committed_schemas_are_current(name):
    assert (COMMITTED / name).read_text(encoding="utf-8") == schema_text(name)


def test_no_other_schema_is_committed():
    assert {path.name for path in COMMITTED.iterdir()} == {*schemas(), "plan.schema.json"}


@pytest.mark.parametrize(("name", "schema"), sorted(schemas().items()))
def test_every_schema_is_a_schema_and_its_examples_and_defaults_obey_it(name, schema):
    Draft202012Validator.check_schema(schema)
    seen = 0
    todo = [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            for key, value in part.get("properties", {}).items():
                assert value.get("description") or "title" in value or key == "kind", key
                if "oneOf" not in value:
                    examples = [
                        *value.get("examples", ()),
                        *([value["default"]] if "default" in value else []),
                    ]
                    for example in examples:
                        whole = value | {"$defs": schema.get("$defs", {})}
                        Draft202012Validator(whole).validate(example)
                        seen += 1
            todo += part.values()
        elif isinstance(part, list):
            todo += part
    assert seen


@given(values)
@settings(UNHURRIED, max_examples=80)
def test_every_written_manifest_validates_and_loads(value):
    text = to_yaml(value)
    loaded = load([Document("f.yml", text.encode())])
    assert loaded.problems == ()
    (declared,) = (
        *loaded.schedules.values(),
        *loaded.pipelines.values(),
        *loaded.datastores.values(),
    )
    VALIDATORS[type(value)].validate(plain(declared.node))


@given(values | projects(), st.data())
@settings(UNHURRIED, max_examples=120)
def test_what_the_schema_refuses_the_loader_refuses(value, data):
    cls = type(value)
    document = to_data(value) if cls is Project else {"kind": cls.KIND, **to_data(value)}
    document = json.loads(json.dumps(document))
    VALIDATORS[cls].validate(document)
    assert accepts(cls, document)
    path, schema, _ = data.draw(st.sampled_from(list(objects(json_schema(cls), document))))
    changed = copy.deepcopy(document)
    target = at(changed, path)
    kind = data.draw(st.sampled_from(["unknown key", "missing key", "wrong value"]))
    if kind == "unknown key":
        target["no_such_key"] = 1
    elif kind == "missing key" and schema["required"]:
        del target[data.draw(st.sampled_from([key for key in schema["required"] if key != "kind"]))]
    else:
        key = data.draw(
            st.sampled_from(sorted(key for key in schema["properties"] if key != "kind"))
        )
        target[key] = data.draw(st.sampled_from(broken_from(schema["properties"][key])))
    assert not VALIDATORS[cls].is_valid(changed)
    assert not accepts(cls, changed)


@pytest.mark.parametrize("item", ["oops", 24, -1, True, None, 6.5])
def test_items_of_lists_are_bound_the_same_way(item):
    trigger = {"recurrence": {"frequency": "Day", "hours": [6, item]}}
    document = {"kind": "Schedule", "name": "a", "pipeline": "p", "trigger": trigger}
    assert not VALIDATORS[Schedule].is_valid(document)
    assert not accepts(Schedule, document)


def test_an_optional_key_may_stand_empty_and_a_required_one_may_not():
    document = {
        "kind": "Schedule",
        "name": "a",
        "pipeline": "p",
        "trigger": {"cron": {"expression": "0 6 * * *"}},
    }
    empty = document | dict.fromkeys(set(json_schema(Schedule)["properties"]) - set(document))
    VALIDATORS[Schedule].validate(empty)
    assert from_data(Schedule, empty) == from_data(Schedule, document)
    assert not VALIDATORS[Schedule].is_valid(document | {"name": None})
    assert not accepts(Schedule, document | {"name": None})


def test_only_the_four_schemas_have_a_text():
    with pytest.raises(KeyError):
        schema_text("run.schema.json")


REFERENCES = ["${{ variables.a }}", "${{variables.b_2}}"]


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_reference_may_stand_for_any_scalar_of_a_manifest(reference):
    cron = {"expression": reference, "start_time": reference}
    document = {
        "kind": "Schedule",
        "name": f"x-{reference}",
        "pipeline": reference,
        "trigger": {"cron": cron},
    }
    members = json_schema(Schedule)["properties"]
    scalars = [
        key for key, part in members.items() if "string" in part.get("type", ()) and key != "kind"
    ]
    assert {"max_catchup", "overlap", "catchup_window", "continue_on_step_failure"} <= set(scalars)
    VALIDATORS[Schedule].validate(document | dict.fromkeys(scalars, reference))
    fragment = {key: reference for key in scalars if key not in {"name", "renamed_from"}}
    targets = {"t": {"overrides": {"Schedule": {"x": fragment | {"trigger": {"cron": cron}}}}}}
    VALIDATORS[Project].validate(
        {"project": "x", "targets": targets, "defaults": {"Schedule": fragment}}
    )
    assert not VALIDATORS[Schedule].is_valid(document | {"max_catchup": f"a {reference}"})
    assert not VALIDATORS[Project].is_valid({"project": reference})
