import json
from dataclasses import replace

import pytest
from hypothesis import given

from reconciler.errors import PlanFileError
from reconciler.live import Owner
from reconciler.plan.change import FORMAT, Action, Cause, FieldChange, Files, Guard, Side
from reconciler.plan.ci import github_annotations, gitlab_report
from reconciler.plan.codec import (
    approval_digest,
    approved,
    plan_data,
    plan_digest,
    plan_json,
)
from reconciler.plan.impact import Impact
from reconciler.plan.markdown import plan_markdown
from reconciler.plan.render import plan_text
from reconciler.plan.saved import read_plan
from tests.journeys.golden import assert_golden
from tests.plan.told import DAILY, WHOLE, changed, created, disabled, plan_of, plans, schedule
from tests.strategies import examples


def entry(change):
    return plan_data(plan_of(change))["resource_changes"][0]


def test_a_plan_with_everything_in_it():
    assert_golden("plan-whole.json", plan_json(WHOLE))


@examples(20)
@given(plans)
def test_a_plan_is_read_back_as_it_was_written(plan):
    text = plan_json(plan)
    again = read_plan(text)
    assert again == plan
    assert plan_json(again) == text
    assert plan_digest(again) == plan_digest(plan) == json.loads(text)["plan_digest"]
    assert approval_digest(again) == approval_digest(plan)
    for tell in (plan_text, plan_markdown, github_annotations, gitlab_report):
        assert tell(again) == tell(plan)


@pytest.mark.parametrize("action", Action)
def test_the_actions_are_terraforms_words(action):
    words = {Action.CREATE: "create", Action.REMOVE: "delete"}
    data = entry(changed(action=action))
    assert data["change"]["actions"] == [words.get(action, "update")]
    assert data["action"] == action.value


def test_a_disabled_object_is_shown_as_it_will_be_and_read_back_as_undeclared():
    data = entry(disabled())
    assert data["change"]["after"] == {**data["change"]["before"], "status": "Disabled"}
    assert data["action_reason"] == "disable_because_missing"
    assert not data["declared"]
    assert read_plan(plan_json(plan_of(disabled()))).changes[0].after is None


def test_an_object_that_a_manifest_disables_is_shown_as_declared():
    change = disabled(cause=Cause.EDITED, after=schedule(name="old", status="Disabled"))
    data = entry(change)
    assert data["change"]["after"]["status"] == "Disabled"
    assert data["action_reason"] == "disable_because_edited"
    assert data["declared"]


def test_a_removal_says_why_and_leaves_nothing():
    data = entry(disabled(action=Action.REMOVE))
    assert data["action_reason"] == "delete_because_missing"
    assert data["change"]["after"] is None


def test_a_rename_carries_its_previous_address():
    data = entry(changed(action=Action.RENAME, cause=Cause.RENAMED, formerly="former"))
    assert data["previous_address"] == "Schedule.former"
    assert entry(changed(action=Action.ADOPT, formerly="a/b"))["previous_address"] is None


def test_what_somebody_set_stands_in_resource_drift():
    both = FieldChange("tags.a", "theirs", "ours", "older", Side.BOTH)
    live = FieldChange("tags.b", None, "ours", "ours", Side.LIVE)
    plan = plan_of(
        changed(fields=(FieldChange.by_git("tags.c", 1, 2), both, live)), changed("other")
    )
    (drift,) = plan_data(plan)["resource_drift"]
    assert drift["address"] == "Schedule.nightly"
    assert drift["change"]["actions"] == ["update"]
    assert drift["change"]["before"] == {"tags.a": "older", "tags.b": "ours"}
    assert drift["change"]["after"] == {"tags.a": "theirs", "tags.b": None}
    assert [field["path"] for field in drift["fields"]] == ["tags.a", "tags.b"]


def test_equal_values_give_equal_bytes_whatever_the_order_of_their_keys():
    one, other = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert plan_json(plan_of(changed(fields=(FieldChange.by_git("x", None, one),)))) == plan_json(
        plan_of(changed(fields=(FieldChange.by_git("x", None, other),)))
    )


COVERED = {
    "project": lambda p: replace(p, owner=Owner("else", "prod")),
    "target": lambda p: replace(p, owner=Owner("risk", "dev")),
    "workspace": lambda p: replace(p, workspace="sqlite:other.db"),
    "guards": lambda p: replace(p, guards=(Guard("limit", "text"),)),
    "a change more": lambda p: replace(p, changes=(*p.changes, disabled("zz"))),
    "a change less": lambda p: replace(p, changes=()),
} | {
    name: lambda p, name=name, value=value: replace(
        p, changes=(replace(p.changes[0], **{name: value}),)
    )
    for name, value in {
        "action": Action.ENABLE,
        "name": "other",
        "before": schedule("05:00"),
        "after": schedule("05:00"),
        "digest": "e" * 64,
        "code_digest": "e" * 64,
        "pipeline_id": "score-2",
        "formerly": "former",
        "protected": True,
        "fingerprint": "e" * 64,
    }.items()
}
LEFT_OUT = {
    "commit": lambda p: replace(p, commit=None),
    "dirty": lambda p: replace(p, dirty=("x.yml",)),
    "as_of": lambda p: replace(p, as_of=1),
    "tool": lambda p: replace(p, tool="9"),
    "unchanged": lambda p: replace(p, unchanged=0),
    "held": lambda p: replace(p, held=WHOLE.held),
    "suppressed": lambda p: replace(p, suppressed=WHOLE.suppressed),
} | {
    name: lambda p, name=name, value=value: replace(
        p, changes=(replace(p.changes[0], **{name: value}),)
    )
    for name, value in {
        "cause": Cause.DRIFTED,
        "file": "elsewhere.yml",
        "line": 99,
        "impact": Impact(after=DAILY),
        "files": Files("x", 1),
        "notes": ("x",),
        "fields": (),
        "revision": 99,
    }.items()
}


@pytest.mark.parametrize("what", COVERED)
def test_an_approval_covers(what):
    plan = plan_of(changed())
    assert approval_digest(COVERED[what](plan)) != approval_digest(plan)


@pytest.mark.parametrize("what", LEFT_OUT)
def test_an_approval_leaves_out_but_the_plans_digest_covers(what):
    plan = plan_of(changed())
    other = LEFT_OUT[what](plan)
    assert approval_digest(other) == approval_digest(plan)
    assert plan_digest(other) != plan_digest(plan)


def test_a_guards_numbers_are_not_part_of_an_approval():
    plans = [plan_of(guards=(Guard("limit", text, allowable=True),)) for text in ("41", "42")]
    assert len({approval_digest(plan) for plan in plans}) == 1


def test_every_field_of_a_change_is_either_approved_or_left_out():
    names = set(approved(created()))
    assert names == {"kind", *(set(COVERED) & names)}
    assert names | set(LEFT_OUT) >= set(changed().__slots__) - {"id"}


WAY_OUT = "make a new one: reconciler plan --out FILE"


@pytest.mark.parametrize("text", ["", "Plan: 1 to add", "[" * 100_000, "9" * 5_000])
def test_what_is_not_json_is_refused(text):
    with pytest.raises(PlanFileError) as caught:
        read_plan(text, "plan.json")
    assert caught.value.exit_code == 1
    assert str(caught.value) == f"plan.json is not JSON, perhaps it was cut off: {WAY_OUT}"


def test_a_truncated_plan_is_refused_wherever_it_ends():
    text = plan_json(plan_of(changed())).rstrip()
    for end in range(0, len(text), 97):
        with pytest.raises(PlanFileError, match="is not JSON, perhaps it was cut off"):
            read_plan(text[:end])


@pytest.mark.parametrize("text", ["3", "null", "[]", "{}", '{"format_version": 2}'])
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(PlanFileError, match=r"plan\.json is not a plan of reconciler: make a new"):
        read_plan(text, "plan.json")


@pytest.mark.parametrize("version", ["1.0", "3.0", "20.1"])
def test_another_format_is_refused(version):
    text = plan_json(plan_of()).replace(f'"{FORMAT}"', f'"{version}"')
    with pytest.raises(PlanFileError) as caught:
        read_plan(text, "plan.json")
    assert str(caught.value) == (
        f"plan.json has format '{version}', this version reads 2.x: {WAY_OUT}"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("02:35", "02:36"),
        ('"action": "update"', '"action": "create"'),
        ("prod", "dev"),
        ("sha256:", "sha256:0"),
    ],
)
def test_a_plan_that_was_changed_is_refused(old, new):
    text = plan_json(plan_of(changed()))
    with pytest.raises(PlanFileError) as caught:
        read_plan(text.replace(old, new), "plan.json")
    assert str(caught.value) == f"plan.json was changed after it was made: {WAY_OUT}"


def test_a_plan_without_its_digest_is_refused():
    data = plan_data(plan_of(changed()))
    del data["plan_digest"]
    with pytest.raises(PlanFileError, match="was changed after it was made"):
        read_plan(json.dumps(data))


def test_a_forged_plan_that_lacks_something_is_refused(monkeypatch):
    for module in ("codec", "saved"):
        monkeypatch.setattr(f"reconciler.plan.{module}.json_digest", lambda data: "same")
    data = plan_data(plan_of(changed()))
    for key in data.keys() - {"format_version", "plan_digest"}:
        kept = {k: v for k, v in data.items() if k != key}
        if key in {"resource_drift", "errored", "approval_digest", "warnings"}:
            assert read_plan(json.dumps(kept)) == plan_of(changed())
            continue
        with pytest.raises(PlanFileError, match="the plan lacks a part of a plan: make a new one"):
            read_plan(json.dumps(kept))


def test_a_later_minor_format_may_say_more(monkeypatch):
    plan = plan_of(changed())
    data = {**plan_data(plan), "format_version": "2.7", "news": 1}
    monkeypatch.setattr("reconciler.plan.saved.json_digest", lambda _: data["plan_digest"])
    assert read_plan(json.dumps(data)) == plan


def test_a_plan_that_was_recorded_before_there_were_warnings_is_read(monkeypatch):
    plan = plan_of(changed(files=Files("landing/in", 412)))
    data = json.loads(plan_json(plan))
    del data["warnings"]
    data["resource_changes"][0]["files"] = {"place": "landing/in", "matching": 412}
    monkeypatch.setattr("reconciler.plan.saved.json_digest", lambda _: data["plan_digest"])
    assert read_plan(json.dumps({**data, "format_version": "2.0"})) == plan


def test_the_guard_on_what_runs_at_once_is_approved_but_where_it_hangs_on_files_that_are_seen():
    guard = Guard("fires_on_apply", "too much", allowable=True)
    clock = plan_of(created())
    assert approval_digest(clock) != approval_digest(replace(clock, guards=(guard,)))
    counts = (
        Files("landing/in", 1, initial=True, fires=1),
        Files("landing/in", None, initial=True, fires=None),
    )
    digests = {
        approval_digest(plan_of(created(files=files), guards=guards))
        for files in counts
        for guards in ((), (guard,))
    }
    assert len(digests) == 1


def test_a_plan_of_another_version_is_read_and_says_so():
    assert read_plan(plan_json(plan_of(tool="0.0.1"))).tool == "0.0.1"
