from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import InvalidValue
from reconciler.manifest.compose import compose
from reconciler.manifest.emit import from_data, mapping_lines, to_data
from reconciler.manifest.load import KINDS, Document, load
from reconciler.manifest.project import Preset, Project, Target, load_project
from reconciler.pipeline import Pipeline
from reconciler.schedule import Schedule, Status
from tests.manifest.strategies import UNHURRIED, parts, schedules, values
from tests.manifest.test_load import PIPELINE, SCHEDULE

PROJECT = """\
project: shop
variables:
  batch_size: {type: integer, default: 256}
  zone: {type: string, default: UTC}
  label: {type: string}
  rate: {type: number, default: 0.5}
  flag: {type: boolean, default: true}
defaults:
  Schedule:
    missed: all
    tags: {team: risk}
    trigger:
      recurrence: {time_zone: "${{ variables.zone }}", interval: 3}
      cron: {time_zone: "${{ variables.zone }}", expression: "0 1 * * *"}
targets:
"""
NIGHTLY = """\
kind: Schedule
name: nightly
pipeline: scoring
trigger:
  recurrence: {frequency: Day, first_run: aligned, interval: 1}
pipeline_parameters: {batch_size: "${{ variables.batch_size }}"}
"""
HOURLY = """\
kind: Schedule
name: hourly
pipeline: scoring
trigger: {cron: {expression: "0 * * * *"}}
"""


def project(targets: str, head: str = PROJECT) -> Project:
    loaded, problems = load_project("reconciler.yml", (head + targets).encode())
    assert [str(problem) for problem in problems] == []
    return loaded


def composed(targets: str, *manifests: str, head: str = PROJECT, target: str = "prod"):
    documents = [Document(f"m{n}.yml", text.encode()) for n, text in enumerate(manifests)]
    return load(documents, compose(project(targets, head), target))


def schedule(targets: str, manifest: str = NIGHTLY, **given):
    loaded = composed(targets, manifest, **given)
    assert [str(problem) for problem in loaded.problems] == []
    (declared,) = loaded.schedules.values()
    return declared


def test_defaults_fill_in_what_a_manifest_leaves_out_and_no_more():
    value = schedule("  prod: {}").value
    assert value.missed == "all"
    assert value.tags == {"team": "risk"}
    assert (value.trigger.interval, value.trigger.time_zone) == (1, "UTC")


def test_a_default_for_a_trigger_counts_only_for_the_manifests_own_kind():
    assert schedule("  prod: {}", HOURLY).value.trigger.expression == "0 * * * *"
    loaded = composed("  prod: {}", HOURLY.replace("trigger:", "trigger: ~ #"))
    assert [str(problem) for problem in loaded.problems] == [
        "m0.yml:4:10: trigger is empty; write exactly one of recurrence, cron and datastore_change under it"
    ]
    head = "project: shop\ndefaults: {Schedule: {trigger: {cron: {time_zone: Asia/Tokyo}}}}\ntargets:\n"
    assert (
        schedule("  prod: {}", head=head, manifest=HOURLY).value.trigger.time_zone == "Asia/Tokyo"
    )
    nightly = NIGHTLY.replace('"${{ variables.batch_size }}"', "1")
    assert schedule("  prod: {}", head=head, manifest=nightly).value.trigger.time_zone == "UTC"


def test_the_preset_paused_disables_every_schedule_and_an_override_wakes_one():
    targets = "  prod: {preset: paused, overrides: {Schedule: {hourly: {status: Active}}}}"
    loaded = composed(targets, NIGHTLY + "status: Active\n", HOURLY)
    assert {name: one.value.status for name, one in loaded.schedules.items()} == {
        "hourly": Status.ACTIVE, "nightly": Status.DISABLED,
    }  # fmt: skip


def test_overrides_win_in_the_order_they_are_written():
    targets = """\
  prod:
    overrides:
      Schedule:
        nightly: {max_catchup: 1, max_active_runs: 1}
        "*": {max_catchup: 2, tags: {tier: gold}}
        night???: {max_catchup: 3}
        nightl?: {max_active_runs: 4}
"""
    value = schedule(targets.replace("night???", "nig*y")).value
    assert (value.max_catchup, value.max_active_runs) == (3, 4)
    assert value.tags == {"team": "risk", "tier": "gold"}
    (problem,) = composed(targets.replace("night???", "night?"), NIGHTLY).problems
    assert str(problem) == (
        "reconciler.yml:21:9: no Schedule 'night?' is declared for target prod; did you mean 'nightly'?"
    )


def test_a_glob_of_very_many_stars_is_compared_at_once():
    stars = "*a" * 100
    targets = f'  prod: {{overrides: {{Schedule: {{"{stars}b": {{missed: all}}}}}}}}\n'
    (problem,) = composed(targets, NIGHTLY.replace("nightly", "a" * 255, 1)).problems
    assert str(problem).startswith("reconciler.yml:16:33: no Schedule '*a*a")


def test_null_removes_a_key_wherever_it_was_given_and_lists_are_replaced():
    targets = """\
  prod:
    overrides:
      Schedule:
        nightly:
          missed: null
          tags: {team: ~, none: null, tier: gold}
          experiment_name: ~
          trigger: {recurrence: {interval: ~, week_days: [Friday], frequency: Week, end_time: null}}
"""
    manifest = NIGHTLY.replace("interval: 1", "interval: 2, week_days: [Monday, Sunday]")
    value = schedule(targets, manifest.replace("Day,", "Week,")).value
    assert (value.missed, value.tags, value.trigger.interval) == ("last", {"tier": "gold"}, 1)
    assert value.trigger.week_days == ("Friday",)


def test_null_in_a_manifest_removes_a_default():
    value = schedule("  prod: {}", NIGHTLY + "missed:\ntags: {team: null}\n").value
    assert (value.missed, value.tags) == ("last", {})
    loaded = composed("  prod: {}", NIGHTLY + "tags: {other: null}\n")
    assert "'other' in tags is empty" in str(loaded.problems[0])


def test_another_kind_of_trigger_replaces_the_whole_trigger():
    cron = "  prod: {overrides: {Schedule: {nightly: {trigger: {cron: {expression: 0 6 * * *}}}}}}"
    trigger = schedule(cron).value.trigger
    assert (trigger.TAG, trigger.time_zone) == ("cron", "UTC")
    both = cron.replace("{cron:", "{recurrence: {interval: 2}, cron:")
    assert schedule(both).value.trigger.interval == 2


def test_an_override_gives_what_the_manifest_leaves_out():
    manifest = NIGHTLY.replace("pipeline: scoring\n", "").partition("trigger:")[0]
    target = "  prod: {overrides: {Schedule: {nightly: {pipeline: p, trigger: {cron: {expression: 0 6 * * *}}}}}}"
    value = schedule(target, manifest).value
    assert (value.pipeline, value.trigger.expression) == ("p", "0 6 * * *")


def test_a_variable_alone_is_typed_and_within_text_it_is_written():
    manifest = NIGHTLY.partition("pipeline_parameters")[0] + """\
description: '${{ variables.label }} x${{variables.batch_size}} ${{ variables.rate }} ${{ variables.flag }} ${{ parameters.x }}'
pipeline_parameters:
  whole: ${{ variables.batch_size }}
  number: "${{ variables.rate }}"
  flag: ${{variables.flag}}
  text: ${{ variables.label }}
  written: ${{ variables.batch_size }}0
  escaped: "\\x24{{ variables.batch_size }}"
  block: |
    ${{ variables.batch_size }}
"""  # fmt: skip
    target = '  prod: {variables: {label: "null", batch_size: 7}}'
    value = schedule(target, manifest).value
    assert value.description == "null x7 0.5 true ${{ parameters.x }}"
    assert value.pipeline_parameters == {
        "whole": 7, "number": 0.5, "flag": True, "text": "null", "written": "70", "escaped": 7, "block": "7\n",
    }  # fmt: skip


def test_the_value_of_a_variable_is_never_read_as_yaml():
    hostile = '"}\\n  trigger: {cron: {expression: x}} # ~"'
    value = schedule(
        f"  prod: {{variables: {{label: {hostile}}}}}",
        NIGHTLY + "description: a ${{ variables.label }}\n",
    ).value
    assert value.description == "a }\n  trigger: {cron: {expression: x}} # ~"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{ secret.${{ variables.label }} }}", "TOKEN"),
        ("$${{ variables.label }}", "{{ secret.TOKEN }}"),
        ("${{ secret${{ variables.label }}", ".TOKEN }}"),
        ("${{ parameters.a }} $${{ variables.label }}{{ parameters.b }}", ""),
    ],
)
def test_no_reference_is_made_up_from_variables(text, value):
    step = f"kind: Pipeline\nname: p\nsteps: [{{name: a, command: [x], env: {{A: '{text}'}}}}]\n"
    (problem,) = composed(f"  prod: {{variables: {{label: '{value}'}}}}", step).problems
    assert str(problem).endswith("variables cannot make up another reference; write it out")


def test_variables_stand_in_names_lists_defaults_and_overrides_of_every_kind():
    target = """\
  prod:
    variables: {label: prod}
    overrides:
      Pipeline:
        scoring-prod:
          parameters: {size: {default: "${{ variables.batch_size }}"}, gone: ~}
          steps: [{name: a, command: ["${{ variables.label }}", "${{ parameters.size }}"], env: {T: "${{ secret.T }}"}}]
"""
    pipeline = """\
kind: Pipeline
name: scoring-${{ variables.label }}
parameters: {size: {type: integer, default: 1}, gone: {type: string}}
steps: [{name: a, command: [x]}, {name: b, command: [y]}]
"""
    loaded = composed(target, pipeline)
    assert loaded.problems == ()
    value = loaded.pipelines["scoring-prod"].value
    assert [step.command for step in value.steps] == [("prod", "${{ parameters.size }}")]
    assert {name: one.default for name, one in value.parameters.items()} == {"size": 256}


def test_without_a_composition_references_stay_as_they_are_written():
    (declared,) = load([Document("m.yml", NIGHTLY.encode())]).schedules.values()
    assert declared.value.pipeline_parameters == {"batch_size": "${{ variables.batch_size }}"}
    assert declared.layers == ()


def test_broken_documents_silence_what_is_said_of_overrides_without_an_object():
    target = "  prod: {overrides: {Schedule: {nobody: {missed: all}}}}"
    assert "no Schedule 'nobody'" in str(composed(target, NIGHTLY).problems[0])
    (problem,) = composed(target, NIGHTLY + "tag: {}\n").problems
    assert "unknown key 'tag'" in str(problem)


def test_documents_that_are_no_manifests_are_told_as_ever():
    target = "  prod: {preset: paused, overrides: {Schedule: {'*': {missed: all}}}}"
    loaded = composed(
        target, NIGHTLY, "[x]\n", "kind: Job\n", "kind: Schedule\n", "kind: Schedule\nname: [x]\n"
    )
    assert {problem.file for problem in loaded.problems} == {"m1.yml", "m2.yml", "m3.yml", "m4.yml"}
    assert list(loaded.schedules) == ["nightly"]


def test_a_problem_of_the_project_file_is_told_once_however_many_objects_have_it():
    head = "project: shop\ndefaults:\n  Schedule:\n    trigger: {cron: {time_zone: Mars/X}}\ntargets:\n"
    manifests = [HOURLY.replace("hourly", f"hourly{n:04}") for n in range(1200)]
    (problem,) = composed("  prod: {}", *manifests, head=head).problems
    assert str(problem).startswith("reconciler.yml:4:33: Time zone is not")
    assert str(problem).endswith("(for Schedule 'hourly0000' and 1,199 more)")


def test_places_are_those_of_the_file_that_gives_the_value():
    declared = schedule("  prod: {overrides: {Schedule: {nightly: {description: x}}}}")
    assert declared.at("description") == ("reconciler.yml", 16, 56)
    assert declared.at("tags", "team") == ("reconciler.yml", 11, 18)
    assert declared.at("pipeline_parameters", "batch_size") == ("reconciler.yml", 3, 40)
    assert declared.at("trigger", "recurrence") == ("m0.yml", 5, 15)
    assert declared.problem("so", "missed").file == "reconciler.yml"
    assert (declared.line, declared.column, declared.at("pipeline")) == (1, 1, ("m0.yml", 3, 11))


ORIGINS = """\
  prod:
    variables: {batch_size: 64, label: p}
    preset: paused
    overrides:
      Schedule:
        "*": {max_catchup: 5, tags: {team: null}}
        nightly:
          description: of ${{ variables.label }} in ${{ variables.zone }}
          max_catchup: 6
          trigger: {recurrence: {interval: "${{ variables.batch_size }}"}}
"""


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("name", "m0.yml:2"),
        ("missed", "reconciler.yml:10 (project default)"),
        ("status", "reconciler.yml:18 (preset paused of target prod, over m0.yml:8)"),
        ("max_catchup", "reconciler.yml:24 (override of target prod, over reconciler.yml:21)"),
        ("description", "reconciler.yml:23 (override of target prod with variable label of target prod, variable zone, over m0.yml:7)"),
        ("trigger.recurrence.interval", "reconciler.yml:17 (variable batch_size of target prod, used at reconciler.yml:25, over m0.yml:5)"),
        ("trigger.recurrence.time_zone", "reconciler.yml:4 (variable zone, used at reconciler.yml:13)"),
        ("trigger.recurrence.first_run", "m0.yml:5"),
        ("trigger.recurrence", "m0.yml:5"),
        ("pipeline_parameters.batch_size", "reconciler.yml:17 (variable batch_size of target prod, used at m0.yml:6)"),
        ("tags.team", "reconciler.yml:21 (override of target prod removes it, over reconciler.yml:11)"),
        ("experiment_name", "None"),
        ("catchup_window", "None"),
    ],
)  # fmt: skip
def test_every_value_says_where_it_comes_from(path, told):
    manifest = (
        NIGHTLY + "description: for ${{ variables.label }}\nstatus: Active\ncatchup_window: ~\n"
    )
    declared = schedule(ORIGINS, manifest)
    assert str(declared.origin(*path.split("."))) == told


def test_a_manifest_that_removes_a_default_says_so():
    declared = schedule("  prod: {}", NIGHTLY + "missed: ~\n")
    assert (
        str(declared.origin("missed")) == "m0.yml:7 (manifest removes it, over reconciler.yml:10)"
    )
    declared = schedule(
        "  prod: {variables: {label: x}}", NIGHTLY + "description: a ${{ variables.label }}\n"
    )
    assert str(declared.origin("description")) == "m0.yml:7 (with variable label of target prod)"


def test_without_a_composition_everything_comes_from_the_manifest():
    nightly = load([Document("f.yml", SCHEDULE)]).schedules["nightly"]
    assert str(nightly.origin("pipeline")) == "f.yml:3"
    assert nightly.origin("missed") is None
    pipeline = load([Document("p.yml", PIPELINE)]).pipelines["batch-scoring"]
    assert str(pipeline.origin("steps", 0, "command")) == "p.yml:3"


def test_a_project_made_in_python_composes_too():
    made = Project(project="shop", targets={"dev": Target(preset=Preset.PAUSED)})
    declared = load([Document("f.yml", SCHEDULE)], compose(made, "dev")).schedules["nightly"]
    assert declared.value.status is Status.DISABLED


PARTS = parts(schedules())


# An independent oracle: the same merging on plain dicts, by hand.


def patch(base, over):
    """Merge as RFC 7396 tells it in pseudocode."""
    if not isinstance(over, dict):
        return over
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patch(result.get(key), value)
    return result


def by_hand(default, manifest, *overrides, paused):
    base = dict(default)
    (tag,) = manifest["trigger"]
    part = base.pop("trigger", {}).get(tag)
    merged = patch(patch({}, base if part is None else base | {"trigger": {tag: part}}), manifest)
    if paused:
        merged["status"] = "Disabled"
    for override in overrides:
        trigger = override.get("trigger")
        merged = patch(merged, {key: one for key, one in override.items() if key != "trigger"})
        (tag,) = list(merged["trigger"])[:1]
        if trigger and tag in trigger:
            merged = patch(merged, {"trigger": {tag: trigger[tag]}})
        elif trigger:
            merged["trigger"] = patch({}, trigger)
    return merged


def as_yaml(data):
    return ("\n".join(mapping_lines(data, "")) + "\n").encode()


def told(value):
    """Write a value down to its types, whatever the order of its mappings."""
    return json.dumps(to_data(value), sort_keys=True)


def outcome(make):
    try:
        return told(make())
    except InvalidValue:
        return "invalid"


@given(schedules(), PARTS, st.lists(PARTS, max_size=3), st.booleans())
@settings(UNHURRIED, max_examples=80)
def test_composing_is_building_the_data_merged_by_hand(value, default, overrides, paused):
    manifest = to_data(value)
    globs = [value.name, "*", f"{value.name[:1]}*"]
    target = {"overrides": {"Schedule": dict(zip(globs, overrides, strict=False))}}
    target |= {"preset": "paused"} if paused else {}
    text = {"project": "p", "defaults": {"Schedule": default}, "targets": {"t": target}}
    made, problems = load_project("reconciler.yml", as_yaml(text))
    assert problems == ()
    document = Document("m.yml", as_yaml({"kind": "Schedule", **manifest}))
    loaded = load([document], compose(made, "t"))
    merged = by_hand(default, manifest, *overrides, paused=paused)
    wanted = outcome(lambda: from_data(Schedule, merged))
    values = [one.value for one in loaded.schedules.values()]
    # What triggers know beyond their fields, from_data leaves to others.
    if values or wanted == "invalid":
        assert [told(one) for one in values] == ([] if wanted == "invalid" else [wanted])
    assert bool(loaded.problems) is not bool(values)
    for one in loaded.schedules.values():
        for path in leaves(merged):
            assert one.origin(*path).file in {"m.yml", "reconciler.yml"}


def leaves(data, path=()):
    if not isinstance(data, dict):
        yield path
        return
    for key, value in data.items():
        yield from leaves(value, (*path, key))


TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def take_out(draw, data, variables):
    """Put references in the place of some scalars, whole or as a part of a text."""
    if isinstance(data, dict):
        return {key: take_out(draw, value, variables) for key, value in data.items()}
    if isinstance(data, list):
        return [take_out(draw, value, variables) for value in data]
    if data is None or not draw(st.booleans()) or (isinstance(data, str) and "${{" in data):
        return data
    name = f"v{len(variables)}"
    cut = draw(st.integers(0, len(data))) if isinstance(data, str) else 0
    whole = data[:cut] if isinstance(data, str) and cut else data
    variables[name] = {"type": TYPES[type(data)], "value": whole}
    return f"${{{{ variables.{name} }}}}" + (data[cut:] if whole is not data and cut else "")


@given(values, st.data(), st.booleans())
@settings(UNHURRIED, max_examples=100)
def test_values_taken_out_into_variables_come_back_down_to_their_types(value, data, set_by_target):
    variables = {}
    document = copy.deepcopy(to_data(value))
    written = {"kind": value.KIND, **take_out(data.draw, document, variables)}
    declared = {
        name: {"type": one["type"]} | ({} if set_by_target else {"default": one["value"]})
        for name, one in variables.items()
    }
    given_by = {name: one["value"] for name, one in variables.items()} if set_by_target else {}
    text = {"project": "p", "variables": declared, "targets": {"t": {"variables": given_by}}}
    made, problems = load_project("reconciler.yml", as_yaml(text))
    assert problems == ()
    loaded = load([Document("m.yml", as_yaml(written))], compose(made, "t"))
    assert loaded.problems == ()
    (one,) = (*loaded.schedules.values(), *loaded.pipelines.values(), *loaded.datastores.values())
    wanted = from_data(KINDS[value.KIND], document)
    assert repr(one.value).replace(", fold=1)", ")") == repr(wanted).replace(", fold=1)", ")")


def test_fragments_are_equal_by_what_they_say():
    a, b = (
        project(f"  prod: {{overrides: {{Pipeline: {{p: {text}}}}}}}")
        for text in ("{code: x}", "{code: 'x'}")
    )
    c = project("  prod: {overrides: {Pipeline: {p: {code: 'y'}}}}")
    assert a == b != c
    one, other = (part.targets["prod"].overrides.Pipeline["p"] for part in (a, b))
    assert hash(one) == hash(other)
    assert one != {"code": "x"}
    assert to_data(a) == to_data(b)
    assert Pipeline.KIND in KINDS
