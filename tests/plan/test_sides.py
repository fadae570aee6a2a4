from dataclasses import replace

import pytest

from reconciler.data import Datastore
from reconciler.live import Applied, DisabledBy, Hold, Live, Lost
from reconciler.manifest.terms import IgnoreDrift, OnMissing, Terms
from reconciler.plan.change import Action, Cause, Reason, Side, Suppressed
from reconciler.plan.spec import spec_text
from reconciler.schedule import Status
from tests.plan.effect import carried_out
from tests.plan.world import (
    ALL,
    ARRIVAL,
    LANDING,
    NIGHTLY,
    OTHER,
    OWNER,
    PIPELINE,
    applied,
    desired,
    fields,
    planned,
    said,
    short,
    told,
    touched,
    with_pipelines,
    with_schedule,
    with_store,
)

OFF = "status: Disabled\n"
NAMED = NIGHTLY + "experiment_name: scoring\n"
LATE = NAMED.replace("name: nightly", "name: late\nrenamed_from: nightly")
PLAIN = PIPELINE.replace(", default: landing/x.csv", "").replace(
    "  input: {type: datapath}\n", ""
).replace("parameters.input", "parameters.size")  # fmt: skip


def described(text):
    return lambda value: replace(value, description=text)


def one(plan):
    (change,) = plan.changes
    return change


def adopting(*texts, adopt, **more):
    return desired(*texts, adopt=frozenset(adopt), **more)


def terms(**given):
    return {"terms": Terms(**given)}


# Adoption


def test_a_schedule_of_the_sdk_is_taken_over_when_asked_for():
    live = applied(NIGHTLY, live=applied(PLAIN), owner=None)
    plan = planned(adopting(PLAIN, NIGHTLY, adopt=["Schedule.nightly"]), live)
    change = one(plan)
    assert (change.action, change.cause, change.id) == (Action.ADOPT, Cause.ADOPTED, "sdk-nightly")
    assert fields(change) == {"owner": ("nobody", "risk/dev")}
    assert (change.formerly, plan.guards) == ("nobody", ())
    assert plan.summary == "0 to add, 0 to change, 0 to disable, 1 to adopt, 1 unchanged."


def test_an_adoption_brings_the_edits_with_it_and_they_are_git_s():
    live = applied(NIGHTLY, live=applied(PLAIN), owner=OTHER)
    live = touched(live, "nightly", described("theirs"), status=Status.DISABLED)
    wanted = adopting(PLAIN, NIGHTLY, adopt=["Schedule.nightly"])
    change = one(planned(wanted, live))
    assert fields(change) == {
        "owner": ("other/prod", "risk/dev"),
        "status": ("Disabled", "Active"),
        "description": ("theirs", ""),
    }
    assert {field.side for field in change.fields} == {Side.GIT}
    live = with_schedule(live, "nightly", pipeline_id="gone")
    change = one(planned(wanted, live))
    assert fields(change)["pipeline version"] == ("gone", "score@1")


def test_an_object_that_was_not_asked_for_is_not_taken_over():
    live = applied(NIGHTLY, live=applied(PLAIN), owner=None)
    change = one(planned(desired(PLAIN, NIGHTLY), live))
    assert change.action is Action.CREATE
    assert change.notes == (
        (
            "the SDK made a schedule of that name too (id sdk-nightly); "
            "to take it over instead: --adopt Schedule.nightly"
        ),
    )
    live = applied(NIGHTLY, live=applied(PLAIN), owner=OTHER)
    assert one(planned(desired(PLAIN, NIGHTLY), live)).notes == ()


@pytest.mark.parametrize("owner", [OTHER, None])
def test_a_pipeline_and_a_datastore_are_taken_over_when_asked_for(owner):
    live = applied(PIPELINE, LANDING, owner=owner)
    wanted = adopting(PIPELINE, LANDING, adopt=["Pipeline.score", "Datastore.landing"])
    plan = planned(wanted, live)
    assert short(plan) == ["adopt Datastore landing", "adopt Pipeline score"]
    whose = {"owner": (str(owner or "nobody"), "risk/dev")}
    assert [fields(change) for change in plan.changes] == [whose, whose]
    assert plan.guards == ()
    assert planned(desired(PIPELINE, LANDING), carried_out(plan, live)).changes == ()


def test_a_pipeline_is_taken_over_with_new_content():
    live = applied(PLAIN, owner=OTHER)
    edited = PLAIN.replace("[score]", "[fast]", 1)
    change = one(planned(adopting(edited, adopt=["Pipeline.score"]), live))
    assert change.action is Action.ADOPT
    assert [field.path for field in change.fields] == ["owner", "steps.score.command", "version"]


def test_what_is_to_be_adopted_must_be_there():
    wanted = adopting(PLAIN, NIGHTLY, adopt=["Schedule.nightly", "Datastore.x", "Pipeline.score"])
    plan = planned(wanted, applied(PLAIN))
    assert short(plan) == ["create Schedule nightly"]
    assert told(plan, "adopt") == [
        f"{address} is to be adopted, but nothing of that name is both declared here and "
        "somebody else's; leave it out"
        for address in ("Datastore.x", "Pipeline.score", "Schedule.nightly")
    ]
    assert not any(guard.allowable for guard in plan.guards)


def test_of_several_schedules_of_the_name_none_is_chosen_for_people():
    live = applied(NIGHTLY, live=applied(PLAIN), owner=None)
    live = applied(NIGHTLY, live=live, owner=OTHER)
    plan = planned(adopting(PLAIN, NIGHTLY, adopt=["Schedule.nightly"]), live)
    assert told(plan) == [
        (
            "several schedules are named 'nightly' (other-nightly of other/prod, "
            "sdk-nightly of nobody); disable and rename the others"
        )
    ]


# Renaming


def test_a_renamed_schedule_stays_the_same_object():
    live = applied(PLAIN, NAMED)
    change = one(planned(desired(PLAIN, LATE), live))
    assert (change.action, change.cause, change.name) == (Action.RENAME, Cause.RENAMED, "late")
    assert (change.id, change.formerly) == ("risk-nightly", "nightly")
    assert fields(change) == {"name": ("nightly", "late")}
    assert "renamed_from" not in change.after


def test_a_rename_brings_its_edits_and_takes_back_what_disabled_it():
    live = with_schedule(
        applied(PLAIN, NAMED), "nightly", status=Status.DISABLED, disabled_by=DisabledBy.MISSING
    )
    change = one(planned(desired(PLAIN, LATE.replace("06:30", "07:00")), live))
    assert change.action is Action.RENAME
    assert fields(change) == {
        "name": ("nightly", "late"),
        "status": ("Disabled", "Active"),
        "trigger.recurrence.time_of_day": ("06:30", "07:00"),
    }


def test_a_rename_that_was_applied_says_nothing_any_more():
    live = applied(PLAIN, NAMED)
    live = carried_out(planned(desired(PLAIN, LATE), live), live)
    assert planned(desired(PLAIN, LATE), live).changes == ()


def test_a_rename_to_a_name_that_exists_disables_the_old_one_and_says_why():
    live = applied(PLAIN, NAMED, LATE.replace("\nrenamed_from: nightly", ""))
    change = one(planned(desired(PLAIN, LATE), live))
    assert (change.action, change.name) == (Action.DISABLE, "nightly")
    assert change.notes == ("it cannot be renamed to 'late': that is there already",)


def test_a_rename_of_nothing_creates_and_says_so():
    change = one(planned(desired(PLAIN, LATE), applied(PLAIN)))
    assert change.action is Action.CREATE
    assert change.notes == ("there is no schedule 'nightly' to be renamed",)


def test_a_schedule_that_is_still_declared_cannot_be_renamed():
    (line,) = said(desired(PLAIN, NAMED, LATE), applied(PLAIN, NAMED))
    text = "'nightly' is still declared at 1.yml:3, so nothing can be renamed from it; "
    text += "remove one, or rename in two applies"
    assert line == f"2.yml:4:15: {text}"


def test_a_schedule_is_renamed_to_one_name_only():
    other = LATE.replace("name: late", "name: later")
    (line,) = said(desired(PLAIN, LATE, other), applied(PLAIN, NAMED))
    assert line.endswith("'nightly' is renamed to 'late' at 1.yml:4 already; remove one")


# Lost, drifted, settled


def test_what_was_lost_is_made_again_and_said_to_be_lost():
    lost = tuple(
        Lost(owner=owner, kind=kind, name=name)
        for owner in (OWNER, OTHER)
        for kind, name in (("Datastore", "landing"), ("Pipeline", "score"), ("Schedule", "nightly"))
    )
    plan = planned(desired(*ALL), Live(lost=lost))
    causes = {change.name: change.cause for change in plan.changes}
    assert causes.pop("arrival") is Cause.DECLARED
    assert set(causes.values()) == {Cause.LOST}
    theirs = tuple(one for one in lost if one.owner == OTHER)
    assert {c.cause for c in planned(desired(*ALL), Live(lost=theirs)).changes} == {Cause.DECLARED}


def test_what_somebody_touched_is_put_back_and_said_to_have_drifted():
    live = touched(applied(PLAIN, NIGHTLY), "nightly", described("theirs"))
    change = one(planned(desired(PLAIN, NIGHTLY), live))
    assert (change.action, change.cause) == (Action.UPDATE, Cause.DRIFTED)
    (field,) = change.fields
    assert (field.old, field.new, field.applied, field.side) == ("theirs", "", "", Side.LIVE)
    both = desired(PLAIN, NIGHTLY + "description: ours\n")
    change = one(planned(both, live))
    assert (change.cause, change.fields[0].side) == (Cause.EDITED, Side.BOTH)


def test_a_status_that_somebody_set_by_hand_is_drift():
    live = touched(applied(PLAIN, NIGHTLY), "nightly", lambda s: s, status=Status.DISABLED)
    change = one(planned(desired(PLAIN, NIGHTLY), live))
    assert (change.action, change.cause) == (Action.ENABLE, Cause.DRIFTED)
    assert change.fields[0].side is Side.LIVE
    live = touched(applied(PLAIN, NIGHTLY + OFF), "nightly", lambda s: s, status=Status.ACTIVE)
    change = one(planned(desired(PLAIN, NIGHTLY + OFF), live))
    assert (change.action, change.cause) == (Action.DISABLE, Cause.DRIFTED)
    gone = one(planned(desired(PLAIN), live))
    assert (gone.cause, gone.fields[0].side) == (Cause.MISSING, Side.LIVE)


def test_who_bound_a_schedule_to_another_version_is_told():
    edited = PLAIN.replace("[score]", "[fast]", 1)
    live = applied(edited, NIGHTLY, live=applied(PLAIN))
    live = touched(live, "nightly", lambda s: s, pipeline_id="score-1")
    field = one(planned(desired(edited, NIGHTLY), live)).fields[0]
    assert (field.old, field.new, field.applied) == ("score@1", "score@2", "score@2")
    assert field.side is Side.LIVE
    plan = planned(desired(PLAIN.replace("[score]", "[slow]", 1), NIGHTLY), live)
    field = plan.changes[1].fields[0]
    assert (field.new, field.applied, field.side) == ("score@new", "score@2", Side.BOTH)
    live = touched(applied(edited, NIGHTLY, live=applied(PLAIN)), "nightly", described("x"))
    field = planned(desired(PLAIN, NIGHTLY), live).changes[1].fields[1]
    assert (field.path, field.side) == ("pipeline version", Side.GIT)


def test_a_datastore_that_somebody_touched_has_drifted():
    live = applied(LANDING)
    (store,) = live.datastores
    spec = spec_text(Datastore(name="landing", url="file:///theirs"))
    live = with_store(live, "landing", spec=spec, applied=Applied(spec=store.spec))
    change = one(planned(desired(LANDING), live))
    assert (change.action, change.cause) == (Action.UPDATE, Cause.DRIFTED)
    assert change.fields[0].side is Side.LIVE
    settled = planned(desired(LANDING.replace("///landing", "///theirs")), live)
    assert settled.changes == ()
    assert [(s.path, s.reason) for s in settled.suppressed] == [("url", Reason.ALREADY_LIVE)]


def test_what_git_says_now_and_is_live_already_is_no_change_but_told():
    live = touched(applied(PLAIN, NIGHTLY), "nightly", described("both"))
    plan = planned(desired(PLAIN, NIGHTLY + "description: both\n"), live)
    assert plan.changes == ()
    found = Suppressed("Schedule.nightly", "description", Reason.ALREADY_LIVE, "both", "both")
    assert plan.suppressed == (found,)


# ignore_drift


def ignoring(*paths, objects="*.*"):
    return terms(ignore_drift=(IgnoreDrift(objects=objects, fields=paths),))


def test_what_is_left_to_others_is_no_change_but_told():
    live = touched(applied(PLAIN, NIGHTLY), "nightly", described("theirs"))
    plan = planned(desired(PLAIN, NIGHTLY, **ignoring("description")), live)
    assert plan.changes == ()
    found = Suppressed("Schedule.nightly", "description", Reason.IGNORED, "theirs", "")
    assert plan.suppressed == (found,)
    other = ignoring("description", objects="Schedule.other")
    assert one(planned(desired(PLAIN, NIGHTLY, **other), live)).cause is Cause.DRIFTED


def test_what_is_left_to_others_stays_while_the_rest_changes():
    live = touched(applied(PLAIN, NIGHTLY), "nightly", described("theirs"))
    edited = NIGHTLY + "description: ours\nmax_catchup: 7\n"
    change = one(planned(desired(PLAIN, edited, **ignoring("description")), live))
    assert fields(change) == {"max_catchup": (100, 7)}
    assert '"description":"theirs"' in change.after


def test_a_status_may_be_left_to_others_unless_its_manifest_was_missing():
    live = with_schedule(applied(PLAIN, NIGHTLY), "nightly", status=Status.DISABLED)
    wanted = desired(PLAIN, NIGHTLY, **ignoring("status"))
    assert planned(wanted, live).changes == ()
    back = with_schedule(live, "nightly", disabled_by=DisabledBy.MISSING)
    assert one(planned(wanted, back)).cause is Cause.RESTORED


def test_a_pipeline_may_be_left_to_others_while_it_is_there():
    other = PLAIN.replace("name: score", "name: theirs", 1)
    live = applied(PLAIN, other, NIGHTLY)

    def move(schedule):
        return replace(schedule, pipeline="theirs")

    live = touched(live, "nightly", move, pipeline_id="theirs-1")
    assert planned(desired(PLAIN, other, NIGHTLY, **ignoring("pipeline")), live).changes == ()
    plan = planned(desired(PLAIN, NIGHTLY, **ignoring("pipeline")), live)
    assert told(plan, "ignore_drift") == [
        (
            "Schedule.nightly cannot keep what ignore_drift leaves to others: pipeline 'theirs' is "
            "not there any more; change the rule in reconciler.yml"
        )
    ]
    rule = IgnoreDrift(objects="*.*", fields=("pipeline",))
    keeping = Terms(ignore_drift=(rule,), on_missing=OnMissing.KEEP)
    assert planned(desired(PLAIN, NIGHTLY, terms=keeping), live).guards == ()
    unknown = touched(live, "nightly", lambda s: replace(s, pipeline="nowhere"))
    plan = planned(desired(PLAIN, other, NIGHTLY, terms=keeping), unknown)
    assert [guard.id for guard in plan.guards] == ["ignore_drift"]


def test_a_datastore_s_fields_may_be_left_to_others():
    live = applied(LANDING)
    spec = spec_text(Datastore(name="landing", url="file:///landing", description="theirs"))
    live = with_store(live, "landing", spec=spec)
    assert planned(desired(LANDING, **ignoring("description")), live).changes == ()
    moved = LANDING.replace("///landing", "///moved")
    change = one(planned(desired(moved, **ignoring("description")), live))
    assert fields(change) == {"url": ("file:///landing", "file:///moved")}


def test_a_field_of_another_trigger_cannot_be_left_to_others():
    cron = NIGHTLY.replace(
        'recurrence: {frequency: Day, time_of_day: "06:30"}', "cron: {expression: '0 6 * * *'}"
    )
    rule = ignoring("trigger.recurrence.time_of_day")
    plan = planned(desired(PLAIN, cron, **rule), applied(PLAIN, NIGHTLY))
    (text,) = told(plan, "ignore_drift")
    assert text.startswith("Schedule.nightly cannot keep what ignore_drift leaves to others: ")
    assert text.endswith("; change the rule in reconciler.yml")
    assert plan.count(Action.UPDATE) == 1
    assert not plan.guards[0].allowable


def test_a_rule_about_what_is_not_there_leaves_nothing():
    live = touched(applied(PLAIN, NIGHTLY), "nightly", described("theirs"))
    plan = planned(desired(PLAIN, NIGHTLY, **ignoring("tags.none")), live)
    assert fields(one(plan)) == {"description": ("theirs", "")}
    assert plan.suppressed == ()


# on_missing


def test_what_is_gone_may_be_kept_and_is_told():
    plan = planned(desired(PLAIN, **terms(on_missing=OnMissing.KEEP)), applied(PLAIN, *ALL[1:]))
    assert (plan.changes, plan.guards, plan.unchanged) == ((), (), 4)
    assert plan.suppressed == tuple(
        Suppressed(address, "manifest", Reason.KEPT, file, None)
        for address, file in (
            ("Datastore.landing", "1.yml"),
            ("Schedule.arrival", "3.yml"),
            ("Schedule.nightly", "2.yml"),
        )
    )
    plan = planned(desired(LANDING, NIGHTLY, **terms(on_missing=OnMissing.KEEP)), applied(*ALL))
    assert [kept.address for kept in plan.suppressed] == ["Pipeline.score", "Schedule.arrival"]


def test_what_is_gone_may_block_the_plan():
    plan = planned(desired(**terms(on_missing=OnMissing.FAIL)), applied(*ALL[:3]))
    assert told(plan, "missing") == [
        (
            "the manifest of Datastore 'landing' is gone and on_missing is fail; put it back, "
            "or set another on_missing"
        ),
        (
            "the manifest of Pipeline 'score' is gone and on_missing is fail; put it back, "
            "or set another on_missing"
        ),
        (
            "the manifest of Schedule 'nightly' is gone and on_missing is fail; put it back, "
            "or declare it Disabled"
        ),
    ]
    assert len(plan.changes) == 3


# Protection


def test_protection_is_a_fact_of_the_live_object_that_a_plan_sets_and_lifts():
    guarded = terms(protected=("Schedule.night*", "Pipeline.*", "Datastore.*"))
    live = applied(*ALL)
    plan = planned(desired(*ALL, **guarded), live)
    assert short(plan) == [
        "update Datastore landing",
        "update Pipeline score",
        "update Schedule nightly",
    ]
    assert {change.protected for change in plan.changes} == {True}
    assert [fields(change) for change in plan.changes] == [{"protected": (False, True)}] * 3
    live = carried_out(plan, live)
    assert planned(desired(*ALL, **guarded), live).changes == ()
    plan = planned(desired(*ALL), live)
    assert [fields(change) for change in plan.changes] == [{"protected": (True, False)}] * 3
    assert plan.guards == ()


# Holds


def test_a_hold_in_force_is_told_and_one_that_is_over_is_not():
    hold = Hold(who="ann", why="audit", since=0, until=10)
    live = with_schedule(applied(*ALL), "nightly", hold=hold)
    live = with_schedule(live, "arrival", hold=replace(hold, until=None))
    plan = planned(desired(*ALL), live, as_of=9)
    assert [held.name for held in plan.held] == ["arrival", "nightly"]
    assert plan.changes == ()
    edited = NIGHTLY + "max_catchup: 7\n"
    wanted = desired(PIPELINE, LANDING, edited, ARRIVAL)
    assert one(planned(wanted, live, as_of=9)).notes == ("held by ann: audit",)
    assert one(planned(wanted, live, as_of=10)).notes == ()
    assert [held.name for held in planned(desired(*ALL), live, as_of=10).held] == ["arrival"]
    theirs = with_schedule(applied(*ALL, owner=OTHER), "nightly", hold=hold)
    assert planned(desired(), theirs).held == ()


def test_a_manifest_that_comes_back_disabled_changes_nothing():
    live = with_schedule(
        applied(PLAIN, NIGHTLY), "nightly", status=Status.DISABLED, disabled_by=DisabledBy.MISSING
    )
    assert planned(desired(PLAIN, NIGHTLY + OFF), live).changes == ()


def test_a_pipeline_that_somebody_disabled_may_be_gone_already():
    live = with_pipelines(applied(PLAIN, NIGHTLY), status=Status.DISABLED)
    assert short(planned(desired(), live)) == ["disable Schedule nightly"]
