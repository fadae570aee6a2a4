from dataclasses import replace

import pytest

from reconciler.live import Live
from reconciler.manifest.terms import Limits, OnMissing, Terms
from reconciler.plan.build import build_plan
from reconciler.plan.change import Files, Guard
from reconciler.plan.desired import Kept
from reconciler.plan.guards import at_once
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
    planned,
    told,
    with_pipelines,
    with_schedule,
)

NOW = 1_767_225_600_000_000  # 2026-01-01
NONE = Limits(disables=10**6, fires_on_apply=10**6)


def named(*names, more=""):
    return [NIGHTLY.replace("name: nightly", f"name: {name}") + more for name in names]


def limited(*texts, kept=None, **limits):
    terms = Terms(limits=replace(NONE, **limits))
    return desired(PIPELINE, LANDING, *texts, terms=terms, kept=kept or Kept())


def live(*texts):
    return applied(PIPELINE, LANDING, *texts)


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_as_many_may_be_disabled_as_the_limit_says(limit):
    letters = "abcdefg"[: limit + 1]
    before = live(*named(*letters, "stays"))
    within = planned(limited(*named("stays", letters[-1]), disables=limit), before)
    assert within.guards == ()
    above = planned(limited(*named("stays"), disables=limit), before)
    assert above.guards == (
        Guard(
            "disables",
            f"{limit + 1} schedule{'s' if limit else ''} would be disabled "
            f"({', '.join(letters)}), more than the limit "
            f"of {limit}; raise it in reconciler.yml or add --allow disables",
            allowable=True,
        ),
    )
    assert above.blocking(frozenset({"disables"})) == ()


def test_a_long_list_of_names_is_cut():
    plan = planned(limited(*named("z"), disables=0), live(*named(*"abcdefz")))
    assert "6 schedules would be disabled (a, b, c, d, e, ...)," in told(plan)[0]


def test_a_status_that_git_sets_to_disabled_counts_and_so_does_one_on_the_way_of_a_rename():
    off = named("a", more="status: Disabled\n")
    renamed = named("c", more="renamed_from: b\nstatus: Disabled\n")
    plan = planned(limited(*off, *renamed, disables=1), live(*named("a", "b")))
    assert "2 schedules would be disabled (a, c)" in told(plan)[0]
    assert planned(limited(*off, disables=0), live(*off)).guards == ()


def test_without_limits_nothing_is_limited():
    plan = planned(limited(*named("z")), live(*named(*"abcdefz")))
    assert plan.guards == ()
    assert planned(limited(*named(*"abc")), live()).guards == ()


@pytest.mark.parametrize(("gone", "blocked"), [("a", False), ("ab", True)])
def test_a_part_of_the_active_schedules_may_be_disabled(gone, blocked):
    off = named("off", more="status: Disabled\n")
    before = live(*named(*"abcd"), *off)
    rest = [name for name in "abcd" if name not in gone]
    plan = planned(limited(*named(*rest), *off, disabled_percent=25), before)
    text = (
        "2 of 4 Active schedules would be disabled, 50.0 %, more than the limit of 25 %; "
        "raise it in reconciler.yml or add --allow disabled_percent"
    )
    assert told(plan, "disabled_percent") == ([text] if blocked else [])


def test_what_is_created_or_enabled_is_not_active_yet_and_what_is_not_read_is():
    before = with_schedule(live(*named(*"ab")), "b", status=Status.DISABLED)
    wanted = limited(*named("b", "new"), disabled_percent=50)
    assert "1 of 1 Active" in told(planned(wanted, before))[0]
    kept = Kept(objects=3, active=1)
    wanted = limited(*named("b", "new"), disabled_percent=50, kept=kept)
    assert planned(wanted, before).guards == ()
    theirs = applied(*named("a"), live=before, owner=OTHER)
    assert "1 of 1 Active" in told(planned(replace(wanted, kept=Kept()), theirs))[0]


def test_the_percentage_of_nothing_is_none():
    assert planned(limited(*named("a"), disabled_percent=0), live()).guards == ()


def test_the_load_may_change_by_so_many_runs_a_day():
    hourly = 'trigger: {cron: {expression: "0 * * * *"}}'
    daily = 'trigger: {recurrence: {frequency: Day, time_of_day: "06:30"}}'
    (text,) = named("a")
    before = live(text)
    wanted = limited(text.replace(daily, hourly), runs_per_day=23)
    assert planned(wanted, before, as_of=NOW).guards == ()
    wanted = limited(text.replace(daily, hourly), runs_per_day=22.9)
    assert told(planned(wanted, before, as_of=NOW)) == [
        (
            "the changes take 1 runs a day to 24 (+23), more than the limit of 22.9; "
            "raise it in reconciler.yml or add --allow runs_per_day"
        )
    ]
    fewer = limited(text, runs_per_day=22)
    plan = planned(fewer, live(text.replace(daily, hourly)), as_of=NOW)
    assert told(plan)[0].startswith("the changes take 24 runs a day to 1 (-23), more than")


def test_sums_of_fractions_make_no_difference_of_their_own():
    weekly = [
        text.replace("Day,", "Week, interval: 3, week_days: [Monday],")
        for text in named(*"abcdefg")
    ]
    for many in range(1, 8):
        plan = planned(limited(*weekly[:many], runs_per_day=many / 21), live(), as_of=NOW)
        assert plan.runs_per_day[1] == pytest.approx(many / 21)
        assert told(plan, "runs_per_day") == []


def test_large_numbers_are_written_out():
    busy = 'trigger: {cron: {expression: "* * * * *"}}'
    daily = 'trigger: {recurrence: {frequency: Day, time_of_day: "06:30"}}'
    many = [text.replace(daily, busy) for text in named(*(f"s{n}" for n in range(1000)))]
    (text,) = told(planned(limited(*many, runs_per_day=0), live(), as_of=NOW))
    assert text.startswith("the changes take 0 runs a day to 1,440,000 (+1,440,000), more than")


def test_so_many_may_run_at_once():
    daily = 'time_of_day: "06:30"'
    at_once = [text.replace(daily, "interval: 1") for text in named("a", "b")]
    wanted = limited(*at_once, fires_on_apply=2)
    assert planned(wanted, live(), as_of=NOW).guards == ()
    wanted = limited(*at_once, fires_on_apply=1)
    assert told(planned(wanted, live(), as_of=NOW)) == [
        (
            "2 schedules would run at once, more than the limit of 1; give them first_run: aligned, "
            "raise it in reconciler.yml or add --allow fires_on_apply"
        )
    ]


def test_nothing_declared_takes_nothing_away_unasked():
    plan = planned(desired(), applied(*ALL))
    assert told(plan, "empty") == [
        (
            "nothing is declared any more, and all 4 objects would be taken away; "
            "put the manifests back or add --allow empty"
        )
    ]
    assert plan.blocking(frozenset({"empty"})) == ()
    assert planned(desired(), Live()).guards == ()
    assert told(planned(desired(LANDING), applied(*ALL)), "empty") == []
    kept = desired(kept=Kept(objects=1))
    assert told(planned(kept, applied(*ALL)), "empty") == []


def test_what_is_protected_is_neither_disabled_nor_removed():
    before = applied(*ALL)
    before = replace(
        with_pipelines(before, protected=True),
        schedules=tuple(replace(s, protected=True) for s in before.schedules),
        datastores=tuple(replace(s, protected=True) for s in before.datastores),
    )
    way = "take it out of `protected` in reconciler.yml and apply that first"
    plan = planned(desired(), before)
    assert told(plan, "protected") == [
        f"Datastore 'landing' is protected and would be removed; {way}",
        f"Pipeline 'score' is protected and would be disabled; {way}",
        f"Schedule 'arrival' is protected and would be disabled; {way}",
        f"Schedule 'nightly' is protected and would be disabled; {way}",
    ]
    assert len(plan.blocking(frozenset({"protected", "empty"}))) == 4
    off = NIGHTLY + "status: Disabled\n"
    plan = planned(desired(PIPELINE, LANDING, off, ARRIVAL), before)
    assert told(plan, "protected") == [
        f"Schedule 'nightly' is protected and would be disabled; {way}"
    ]
    away = off.replace("name: nightly", "name: late\nrenamed_from: nightly")
    plan = planned(desired(PIPELINE, LANDING, away, ARRIVAL), before)
    assert told(plan, "protected") == [f"Schedule 'late' is protected and would be disabled; {way}"]
    kept = desired(terms=Terms(on_missing=OnMissing.KEEP))
    assert planned(kept, before).guards == ()


def test_what_others_protect_is_theirs():
    theirs = applied(NIGHTLY, live=live(NIGHTLY), owner=OTHER)
    theirs = replace(
        theirs, schedules=tuple(replace(s, protected=s.owner == OTHER) for s in theirs.schedules)
    )
    assert told(planned(limited(), theirs), "protected") == []


def test_a_foreign_pipeline_that_is_not_read_is_foreign_all_the_same():
    theirs = applied(PIPELINE, LANDING, owner=OTHER)
    kept = Kept(pipelines={"score": "d" * 64}, objects=1)
    (text,) = told(planned(desired(kept=kept), theirs))
    assert text == (
        "Pipeline 'score' belongs to other/prod; give yours another name, or take it over: "
        "--adopt Pipeline.score"
    )


def test_what_is_kept_although_its_manifest_is_gone_may_be_used_by_others():
    theirs = applied(NIGHTLY, live=live(), owner=OTHER)
    assert planned(desired(terms=Terms(on_missing=OnMissing.KEEP)), theirs).guards == ()
    gone = planned(desired(LANDING), theirs)
    assert told(gone, "still_used")
    elsewhere = (
        PIPELINE.replace("name: score", "name: theirs", 1),
        NIGHTLY.replace("pipeline: score", "pipeline: theirs"),
    )
    assert told(planned(desired(LANDING), applied(*elsewhere, live=live(), owner=OTHER))) == []
    disabled = with_pipelines(theirs, status=Status.DISABLED)
    assert told(planned(desired(LANDING), disabled), "still_used") == []


def test_guards_of_the_source_stand_beside_the_plan_s_own():
    own = Guard("dirty", "1 uncommitted file", allowable=True)
    plan = build_plan(desired(), applied(LANDING), further=[own])
    assert [guard.id for guard in plan.guards] == ["dirty", "empty"]
    assert plan.blocking(frozenset({"dirty", "empty"})) == ()


def starting(*files, limit, by_clock=0):
    """Plan so many schedules without a start, and some that ask for files that are there."""
    hourly = "trigger: {recurrence: {frequency: Hour}}"
    daily = 'trigger: {recurrence: {frequency: Day, time_of_day: "06:30"}}'
    clocks = [one.replace(daily, hourly) for one in named("a", "b", "c")[:by_clock]]
    arrivals = [ARRIVAL.replace("arrival", f"arrival{n}") for n in range(len(files))]
    wanted = limited(*clocks, *arrivals, fires_on_apply=limit)
    plan = build_plan(wanted, Live())
    known = dict(zip([f"arrival{n}" for n in range(len(files))], files, strict=True))
    changes = tuple(replace(one, files=known.get(one.name)) for one in plan.changes)
    return [one.message for one in at_once(replace(plan, changes=changes), wanted.terms.limits)]


def asking(matching, fires, *, more=False, place="landing/in"):
    return Files(place, matching, more, initial=True, fires=fires)


OR = "raise it in reconciler.yml or add --allow fires_on_apply"


def test_runs_for_files_that_are_there_count_as_what_runs_at_once():
    assert starting(asking(5, 5), limit=5) == []
    assert starting(asking(5, 5), limit=4) == [
        (
            "5 runs for files that are there would start at once, more than the limit of 4; "
            f"leave out initial: trigger, {OR}"
        )
    ]
    assert starting(asking(5, 1), limit=0) == [
        (
            "1 run for files that are there would start at once, more than the limit of 0; "
            f"leave out initial: trigger, {OR}"
        )
    ]
    assert starting(asking(3, 3), asking(9, 9, more=True), limit=4, by_clock=2) == [
        (
            "2 schedules and more than 12 runs for files that are there would start at once, "
            f"more than the limit of 4; leave out initial: trigger, {OR}"
        )
    ]
    assert starting(Files("landing/in", 9), limit=0) == []
    assert starting(limit=0, by_clock=1) == [
        f"1 schedule would run at once, more than the limit of 0; give it first_run: aligned, {OR}"
    ]


def test_what_nobody_can_tell_is_no_reason_to_go_on():
    unseen = [asking(None, None, place=f"landing/{n}\n") for n in range(6)]
    assert starting(*unseen, unseen[0], limit=9) == [
        (
            "how many files would start runs at once cannot be told from here (landing/0\\n, "
            "landing/1\\n, landing/2\\n, landing/3\\n, landing/4\\n, ...); "
            "plan where they can be seen or add --allow fires_on_apply"
        )
    ]
