from dataclasses import replace

import pytest
from hypothesis import given

from reconciler.live import Owner
from reconciler.plan.change import Action, Cause, Change, FieldChange, Guard, Kind
from reconciler.plan.codec import approval_digest
from reconciler.plan.compare import difference
from tests.plan.told import changed, created, disabled, plan_of, plans, schedule, spec
from tests.strategies import examples


def said(was, now):
    (line,) = difference(plan_of(was), plan_of(now))
    return line


def pipeline(**members):
    given = {
        "action": Action.UPDATE,
        "kind": Kind.PIPELINE,
        "name": "scoring",
        "cause": Cause.EDITED,
        "before": spec(name="scoring"),
        "after": spec(name="scoring"),
        "digest": "d" * 64,
        "code_digest": "a" * 64,
        "fingerprint": "f" * 64,
    }
    return Change(**{**given, **members})


def test_plans_that_would_do_the_same_do_not_differ():
    one = plan_of(changed(), created())
    other = replace(one, commit="else", as_of=1, unchanged=3, tool="9")
    assert difference(one, other) == ()


@examples(15)
@given(plans, plans)
def test_plans_differ_exactly_where_their_approvals_do(one, other):
    mixed = replace(one, changes=one.changes[:1], guards=one.guards[:1])
    for present in (one, other, mixed):
        lines = difference(one, present)
        assert (lines == ()) == (approval_digest(one) == approval_digest(present))
        assert all(line.isprintable() for line in lines)


def test_what_is_new_and_what_is_gone_is_told_in_order():
    reviewed = plan_of(pipeline(), changed("a"), created("x"))
    present = plan_of(changed("a"), disabled("nightly"))
    assert difference(reviewed, present) == (
        "Pipeline 'scoring' is no longer updated",
        "Schedule 'nightly' would now be disabled too",
        "Schedule 'x' is no longer created",
    )


@pytest.mark.parametrize("action", Action)
def test_every_action_has_its_word(action):
    (line,) = difference(plan_of(), plan_of(changed(action=action)))
    word = f"{action}ed".replace("ee", "e")
    assert line == f"Schedule 'nightly' would now be {word} too"


def test_a_live_status_that_moved_is_told():
    status = FieldChange.by_git("status", "Disabled", "Active")
    line = said(changed(), changed(action=Action.UPDATE, fields=(status,), fingerprint="e" * 64))
    assert line == "Schedule 'nightly' moved: status Active -> Disabled since the plan was made"


def test_live_fields_that_moved_are_told():
    before = schedule("05:00", name="nightly", description="two words")
    assert said(changed(), changed(before=before)) == (
        "Schedule 'nightly' moved: description (none) -> \"two words\", "
        "trigger.recurrence.time_of_day 02:30 -> 05:00 since the plan was made"
    )


def test_a_move_that_no_field_shows_is_told():
    assert said(changed(), changed(fingerprint="e" * 64)) == (
        "Schedule 'nightly' moved: somebody wrote it since the plan was made"
    )


def test_an_object_that_appeared_or_went_is_told():
    assert said(created("x"), changed("x")) == (
        "Schedule 'x' is there since the plan was made; would now be updated, not created"
    )
    assert said(changed("x"), created("x")) == (
        "Schedule 'x' is gone since the plan was made; would now be created, not updated"
    )


def test_what_git_changed_is_told_by_field():
    assert said(changed(), changed(after=schedule("02:40", name="nightly"))) == (
        "Schedule 'nightly': trigger.recurrence.time_of_day 02:35 -> 02:40"
    )
    assert said(pipeline(), pipeline(code_digest="b" * 64, digest="e" * 64)) == (
        "Pipeline 'scoring': code (content) aaaaaaaaaaaa -> bbbbbbbbbbbb"
    )


def test_both_sides_are_told_in_one_line():
    line = said(
        changed(),
        changed(fingerprint="e" * 64, after=schedule("02:40", name="nightly"), protected=True),
    )
    assert line == (
        "Schedule 'nightly' moved: somebody wrote it since the plan was made; "
        "protected false -> true, trigger.recurrence.time_of_day 02:35 -> 02:40"
    )


def test_another_version_of_a_schedules_pipeline_is_told():
    assert said(changed(), changed(pipeline_id="score-2")) == (
        "Schedule 'nightly': pipeline version score-1 -> score-2"
    )
    versions = [
        changed(fields=(FieldChange.by_git("pipeline version", "score@1", f"score@{n}"),), digest=d)
        for n, d in ((2, "a" * 64), (3, "b" * 64))
    ]
    assert said(*versions) == (
        "Schedule 'nightly': pipeline content aaaaaaaaaaaa -> bbbbbbbbbbbb, "
        "pipeline version score@2 -> score@3"
    )


def test_the_same_version_is_no_difference_where_the_live_schedule_runs_another_one_by_now():
    field = FieldChange.by_git("pipeline version", "score@2", "score@1")
    now = changed(fields=(field,), fingerprint="0" * 64)
    assert said(changed(), now) == (
        "Schedule 'nightly' moved: somebody wrote it since the plan was made"
    )


def test_another_former_name_or_owner_is_told():
    renames = [changed(action=Action.RENAME, formerly=name) for name in ("one", "other name")]
    assert said(*renames) == "Schedule 'nightly': formerly one -> \"other name\""


def test_a_difference_that_no_field_shows_is_told():
    assert said(pipeline(), pipeline(digest="e" * 64)) == (
        "Pipeline 'scoring': what is declared is written otherwise"
    )


def test_another_place_is_told():
    one = plan_of()
    other = replace(one, owner=Owner("fraud", "dev"), workspace="sqlite:other.db")
    assert difference(one, other) == (
        "The project is fraud, not risk",
        "The target is dev, not prod",
        "The workspace is sqlite:other.db, not sqlite:ws.db",
    )


def test_guards_that_came_or_went_are_told():
    reviewed = plan_of(guards=(Guard("disables", "41 of 60"), Guard("empty", "nothing")))
    present = plan_of(guards=(Guard("empty", "none"), Guard("runs_per_day", "287 more")))
    assert difference(reviewed, present) == (
        "Guard disables no longer blocks",
        "Guard runs_per_day blocks now: 287 more",
    )
