from dataclasses import replace

import pytest

from reconciler.live import DisabledBy, Hold, Live
from reconciler.plan.change import Action, Cause
from reconciler.plan.render import plan_text
from reconciler.schedule import Status
from tests.plan.world import (
    ALL,
    ARRIVAL,
    LANDING,
    NIGHTLY,
    OTHER,
    PIPELINE,
    applied,
    desired,
    fields,
    planned,
    short,
    told,
    with_pipelines,
    with_schedule,
)


def test_a_first_plan_creates_everything_in_a_fixed_order():
    plan = planned(desired(*ALL), Live())
    assert short(plan) == [
        "create Datastore landing",
        "create Pipeline score",
        "create Schedule arrival",
        "create Schedule nightly",
    ]
    assert plan.summary == "4 to add, 0 to change, 0 to disable, 0 unchanged."


def test_a_plan_after_an_apply_is_empty():
    plan = planned(desired(*ALL), applied(*ALL))
    assert plan.changes == ()
    assert plan.unchanged == 4


def test_one_edited_field_is_one_field_with_old_and_new():
    edited = NIGHTLY.replace("06:30", "07:45")
    (change,) = planned(desired(PIPELINE, LANDING, edited, ARRIVAL), applied(*ALL)).changes
    assert (change.action, change.cause) == (Action.UPDATE, Cause.EDITED)
    assert fields(change) == {"trigger.recurrence.time_of_day": ("06:30", "07:45")}


def test_a_field_at_its_default_shows_the_default_as_its_old_value():
    edited = NIGHTLY + "overlap: queue\ntags: {team: risk}\n"
    (change,) = planned(desired(PIPELINE, LANDING, edited, ARRIVAL), applied(*ALL)).changes
    assert fields(change) == {"overlap": ("skip", "queue"), "tags.team": (None, "risk")}


PLAIN = PIPELINE.replace(", default: landing/x.csv", "")
PLAIN = PLAIN.replace("  input: {type: datapath}\n", "").replace(
    "parameters.input", "parameters.size"
)


def test_a_list_is_one_field():
    weekly = NIGHTLY.replace("Day,", "Week, week_days: [Monday],")
    edited = NIGHTLY.replace("Day,", "Week, week_days: [Friday, Monday],")
    (change,) = planned(desired(PLAIN, edited), applied(PLAIN, weekly)).changes
    expected = {"trigger.recurrence.week_days": (["Monday"], ["Monday", "Friday"])}
    assert fields(change) == expected


def test_another_kind_of_trigger_is_shown():
    cron = NIGHTLY.replace(
        'recurrence: {frequency: Day, time_of_day: "06:30"}', "cron: {expression: '0 6 * * *'}"
    )
    (change,) = planned(desired(PIPELINE, LANDING, cron, ARRIVAL), applied(*ALL)).changes
    assert set(fields(change)) == {"trigger.cron", "trigger.recurrence"}


def test_a_removed_manifest_disables_and_keeps_the_rest():
    (change,) = planned(desired(PIPELINE, LANDING, ARRIVAL), applied(*ALL)).changes
    assert (change.action, change.name, change.cause) == (Action.DISABLE, "nightly", Cause.MISSING)
    assert fields(change) == {"status": ("Active", "Disabled")}


def test_a_schedule_that_is_disabled_already_is_left_alone_when_its_manifest_goes():
    live = with_schedule(applied(*ALL), "nightly", status=Status.DISABLED)
    assert planned(desired(PIPELINE, LANDING, ARRIVAL), live).changes == ()


def test_a_manifest_put_back_enables():
    live = with_schedule(
        applied(*ALL), "nightly", status=Status.DISABLED, disabled_by=DisabledBy.MISSING
    )
    (change,) = planned(desired(*ALL), live).changes
    assert (change.action, change.cause) == (Action.ENABLE, Cause.RESTORED)
    assert fields(change) == {"status": ("Disabled", "Active")}


def test_a_status_edited_to_disabled_disables_and_back_enables():
    off = NIGHTLY + "status: Disabled\n"
    (change,) = planned(desired(PIPELINE, LANDING, off, ARRIVAL), applied(*ALL)).changes
    assert (change.action, change.cause) == (Action.DISABLE, Cause.EDITED)
    assert fields(change) == {"status": ("Active", "Disabled")}
    (change,) = planned(desired(*ALL), applied(PIPELINE, LANDING, off, ARRIVAL)).changes
    assert change.action is Action.ENABLE


def test_a_hold_is_shown_and_changes_nothing():
    hold = Hold(who="ann", why="audit", since=0)
    live = with_schedule(applied(*ALL), "nightly", hold=hold)
    assert planned(desired(*ALL), live).changes == ()
    (change,) = planned(desired(PIPELINE, LANDING, ARRIVAL), live).changes
    assert change.notes == ("held by ann: audit",)


def test_an_edited_pipeline_is_published_anew_and_its_schedules_move_to_it():
    edited = PIPELINE.replace("[score]", "[score, --fast]", 1)
    plan = planned(desired(edited, LANDING, NIGHTLY, ARRIVAL), applied(*ALL))
    assert short(plan) == [
        "update Pipeline score",
        "update Schedule arrival",
        "update Schedule nightly",
    ]
    pipeline, _, nightly = plan.changes
    assert fields(pipeline) == {
        "steps.score.command": (["score"], ["score", "--fast"]),
        "version": ("score@1", "score@new"),
    }
    assert nightly.cause is Cause.PIPELINE_MOVED
    assert fields(nightly) == {"pipeline version": ("score@1", "score@new")}
    assert (nightly.pipeline_id, nightly.digest) == (None, pipeline.digest)


def test_moved_steps_are_one_change_of_their_order():
    head, first, second = PIPELINE.partition("  - {name: prepare")[0], *PIPELINE.splitlines()[-2:]
    moved = f"{head}{second}\n{first}\n"
    change = planned(desired(moved, LANDING, NIGHTLY, ARRIVAL), applied(*ALL)).changes[0]
    order = (["prepare", "score"], ["score", "prepare"])
    assert fields(change)["steps (order)"] == order


def test_an_added_step_is_no_change_of_order():
    more = PIPELINE + "  - {name: report, command: [report]}\n"
    change = planned(desired(more, LANDING, NIGHTLY, ARRIVAL), applied(*ALL)).changes[0]
    assert set(fields(change)) == {"steps.report", "version"}


def test_changed_code_alone_is_a_new_version():
    code = {"score": "a" * 64}
    plan = planned(desired(*ALL, code={"score": "b" * 64}), applied(*ALL, code=code))
    assert fields(plan.changes[0]) == {
        "code (content)": ("a" * 12, "b" * 12),
        "version": ("score@1", "score@new"),
    }


def test_a_reverted_pipeline_binds_to_its_old_version_again():
    edited = PIPELINE.replace("[score]", "[score, --fast]", 1)
    live = applied(edited, LANDING, NIGHTLY, ARRIVAL, live=Live(pipelines=applied(*ALL).pipelines))
    plan = planned(desired(*ALL), live)
    first, *bound = plan.changes
    assert short(plan)[0] == "update Pipeline score"
    assert fields(first)["version"] == ("score@2", "score@1")
    for change in bound:
        assert fields(change) == {"pipeline version": ("score@2", "score@1")}
        assert change.pipeline_id == "score-1"


def test_a_removed_pipeline_is_disabled_with_its_schedules():
    plan = planned(desired(LANDING), applied(*ALL))
    assert short(plan) == [
        "disable Pipeline score",
        "disable Schedule arrival",
        "disable Schedule nightly",
    ]
    assert plan.guards == ()


def test_a_disabled_pipeline_that_is_removed_is_left_alone():
    live = with_pipelines(applied(PIPELINE), status=Status.DISABLED)
    assert planned(desired(LANDING), live).changes[0].name == "landing"


def test_a_pipeline_put_back_is_active_again():
    live = with_pipelines(applied(PLAIN), status=Status.DISABLED, disabled_by=DisabledBy.MISSING)
    (change,) = planned(desired(PLAIN), live).changes
    assert (change.action, change.cause) == (Action.ENABLE, Cause.RESTORED)
    assert fields(change) == {"status": ("Disabled", "Active")}


def test_a_pipeline_that_an_operator_disabled_is_not_said_to_be_back():
    live = with_pipelines(applied(PLAIN), status=Status.DISABLED, disabled_by=DisabledBy.OPERATOR)
    plan = planned(desired(PLAIN), live)
    (change,) = plan.changes
    assert (change.action, change.cause) == (Action.ENABLE, Cause.DRIFTED)
    assert "~ enable   Pipeline   score, somebody disabled it" in plan_text(plan)


def test_a_pipeline_put_back_with_another_content_is_published_anew():
    live = with_pipelines(applied(PLAIN), status=Status.DISABLED)
    (change,) = planned(desired(PLAIN.replace("[score]", "[fast]", 1)), live).changes
    assert fields(change)["version"] == ("score@1", "score@new")


def test_a_pipeline_that_was_never_ours_stays():
    live = applied(PLAIN, owner=OTHER)
    assert planned(desired(), live).changes == ()


def test_a_version_that_was_disabled_by_hand_is_made_active_again():
    edited = PLAIN.replace("[score]", "[fast]", 1)
    live = applied(edited, live=applied(PLAIN))
    first, second = live.pipelines
    live = replace(live, pipelines=(replace(first, status=Status.DISABLED), second))
    (change,) = planned(desired(PLAIN), live).changes
    assert fields(change)["version"] == ("score@2", "score@1")


def test_a_datastore_is_updated_and_removed():
    moved = LANDING.replace("///landing", "///elsewhere")
    (change,) = planned(desired(PIPELINE, moved, NIGHTLY, ARRIVAL), applied(*ALL)).changes
    assert fields(change) == {"url": ("file:///landing", "file:///elsewhere")}
    assert change.notes == ("whoever watches it begins anew: what is there already does not fire",)
    plan = planned(desired(PLAIN, NIGHTLY), applied(*ALL))
    assert "remove Datastore landing" in short(plan)
    assert plan.summary == "0 to add, 2 to change, 1 to disable, 1 to remove, 0 unchanged."


def test_latest_is_bound_late_and_stays_so():
    late = NIGHTLY.replace("pipeline: score", "pipeline: score@latest")
    plan = planned(desired(PIPELINE, LANDING, late), Live())
    nightly = plan.changes[-1]
    assert (nightly.pipeline_id, nightly.digest) == (None, None)
    assert planned(desired(PIPELINE, LANDING, late), applied(PIPELINE, LANDING, late)).changes == ()


def test_a_schedule_moves_to_latest_and_back():
    late = NIGHTLY.replace("pipeline: score", "pipeline: score@latest")
    (change,) = planned(
        desired(PIPELINE, LANDING, late), applied(PIPELINE, LANDING, NIGHTLY)
    ).changes
    assert fields(change) == {
        "pipeline": ("score", "score@latest"),
        "pipeline version": ("score@1", "score@latest"),
    }
    (change,) = planned(
        desired(PIPELINE, LANDING, NIGHTLY), applied(PIPELINE, LANDING, late)
    ).changes
    assert fields(change)["pipeline version"] == ("score@latest", "score@1")


def test_other_owners_objects_never_change():
    live = applied(*ALL, owner=OTHER)
    assert planned(desired(), live).changes == ()


@pytest.mark.parametrize(
    ("owner", "whose"), [(OTHER, "belongs to other/prod"), (None, "was made through the SDK")]
)
def test_a_foreign_object_of_the_same_name_blocks_the_plan(owner, whose):
    live = applied(PIPELINE, LANDING, owner=owner)
    plan = planned(desired(PIPELINE.replace(", default: landing/x.csv", ""), LANDING), live)
    assert [guard.id for guard in plan.guards] == ["foreign_owner"] * 2
    assert all(whose in said and "another name" in said for said in told(plan))


def test_what_others_use_is_not_taken_away():
    ours = applied(PIPELINE, LANDING)
    watch = ARRIVAL.replace("name: arrival", "name: theirs")
    clock = NIGHTLY.replace("name: nightly", "name: clock")
    theirs = applied(watch, clock, live=ours, owner=OTHER)
    plan = planned(desired(), theirs)
    assert told(plan, "still_used") == [
        (
            "datastore 'landing' would be removed, but schedule 'theirs' of other/prod watches it; "
            "disable that first"
        ),
        (
            "pipeline 'score' would be disabled, but schedule 'clock' of other/prod uses it; "
            "disable that first"
        ),
        (
            "pipeline 'score' would be disabled, but schedule 'theirs' of other/prod uses it; "
            "disable that first"
        ),
    ]
    idle = with_schedule(
        with_schedule(theirs, "clock", status=Status.DISABLED), "theirs", status=Status.DISABLED
    )
    assert told(planned(desired(), idle), "still_used") == []


def test_what_others_bind_at_each_fire_is_not_taken_away():
    late = NIGHTLY.replace("pipeline: score", "pipeline: score@latest")
    live = applied(late, live=applied(PIPELINE, LANDING), owner=OTHER)
    (said,) = told(planned(desired(LANDING), live))
    assert said == (
        "pipeline 'score' would be disabled, but schedule 'nightly' of other/prod uses it; "
        "disable that first"
    )
    assert planned(desired(PIPELINE, LANDING), live).guards == ()


def test_a_schedule_made_through_the_sdk_is_named_as_such():
    live = applied(NIGHTLY, live=applied(PIPELINE, LANDING), owner=None)
    assert "nobody (made by SDK)" in told(planned(desired(LANDING), live))[0]
