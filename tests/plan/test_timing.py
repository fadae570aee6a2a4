from dataclasses import replace

from reconciler.clock import DAY, HOUR
from reconciler.live import Hold
from reconciler.plan.change import Action
from reconciler.plan.impact import Impact
from reconciler.schedule import Status
from tests.plan.world import (
    ARRIVAL,
    LANDING,
    NIGHTLY,
    OTHER,
    PIPELINE,
    applied,
    desired,
    planned,
    touched,
    with_schedule,
)

NOW = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
HALF_PAST_SIX = NOW + 6 * HOUR + HOUR // 2
HALF_PAST_SEVEN = HALF_PAST_SIX + HOUR
EDITED = NIGHTLY.replace("06:30", "07:30")
INITIAL = NIGHTLY.replace(', time_of_day: "06:30"', "")


def impact(text, before):
    texts = (PIPELINE, LANDING, text) if text else (PIPELINE, LANDING)
    (change,) = planned(desired(*texts), before, as_of=NOW).changes
    return change, change.impact


def live(text, **facts):
    found = applied(PIPELINE, LANDING, text)
    return with_schedule(found, found.schedules[0].name, **facts)


def first(timing):
    return timing and timing.next_fires[0]


def test_what_is_no_schedule_has_no_impact():
    plan = planned(desired(PIPELINE, LANDING), applied())
    assert [change.impact for change in plan.changes] == [None, None]
    assert (plan.fires_on_apply, plan.runs_per_day) == (0, (0, 0))


def test_a_new_schedule_fires_from_now_on():
    _, found = impact(NIGHTLY, applied(PIPELINE, LANDING))
    assert (found.before, first(found.after), found.fires_on_apply) == (None, HALF_PAST_SIX, 1)
    aligned = NIGHTLY.replace('"06:30"', '"06:30", first_run: aligned')
    _, found = impact(aligned, applied(PIPELINE, LANDING))
    assert (first(found.after), found.fires_on_apply) == (HALF_PAST_SIX, 0)


def test_a_new_schedule_without_a_start_runs_at_once_and_counts_from_now():
    _, found = impact(INITIAL, applied(PIPELINE, LANDING))
    assert (found.fires_on_apply, first(found.after)) == (1, NOW + DAY)


def test_an_edit_has_two_sides():
    change, found = impact(EDITED, live(NIGHTLY))
    assert change.action is Action.UPDATE
    assert (first(found.before), first(found.after)) == (HALF_PAST_SIX, HALF_PAST_SEVEN)
    assert found.first_difference == HALF_PAST_SIX


def test_enabling_and_disabling_have_one():
    change, found = impact(NIGHTLY, live(NIGHTLY, status=Status.DISABLED))
    assert change.action is Action.ENABLE
    assert (found.before, first(found.after)) == (None, HALF_PAST_SIX)
    for text in (NIGHTLY + "status: Disabled\n", ""):
        change, found = impact(text, live(NIGHTLY))
        assert change.action is Action.DISABLE
        assert (first(found.before), found.after) == (HALF_PAST_SIX, None)


def test_a_renamed_schedule_keeps_its_place_in_time():
    before = live(INITIAL, created_at=NOW - HOUR)
    text = INITIAL.replace("name: nightly", "name: late\nrenamed_from: nightly")
    change, found = impact(text, before)
    assert change.action is Action.RENAME
    assert first(found.before) == first(found.after) == NOW - HOUR + DAY
    assert found.fires_on_apply == 0


def test_an_adopted_schedule_keeps_its_place_in_time():
    before = applied(INITIAL, live=applied(PIPELINE, LANDING), owner=OTHER)
    before = with_schedule(before, "nightly", created_at=NOW - HOUR)
    wanted = desired(PIPELINE, LANDING, INITIAL, adopt=frozenset({"Schedule.nightly"}))
    (change,) = planned(wanted, before, as_of=NOW).changes
    assert change.action is Action.ADOPT
    assert first(change.impact.before) == first(change.impact.after) == NOW - HOUR + DAY
    assert change.impact.fires_on_apply == 0


def test_what_is_held_fires_when_the_hold_is_over():
    hold = Hold(who="ann", why="audit", since=0, until=NOW + 2 * DAY)
    _, found = impact(EDITED, live(NIGHTLY, hold=hold))
    assert first(found.before) == HALF_PAST_SIX + 2 * DAY
    assert first(found.after) == HALF_PAST_SEVEN + 2 * DAY
    _, found = impact(EDITED, live(NIGHTLY, hold=replace(hold, until=None)))
    assert (found.before, found.after) == (None, None)
    _, found = impact(EDITED, live(NIGHTLY, hold=replace(hold, until=NOW)))
    assert first(found.before) == HALF_PAST_SIX


def test_an_edit_before_the_immediate_run_was_decided_about_runs_at_once():
    edited = INITIAL.replace("frequency: Day", "frequency: Hour")
    assert impact(edited, live(INITIAL, initial=True))[1].fires_on_apply == 1
    assert impact(edited, live(INITIAL))[1].fires_on_apply == 0


def test_what_goes_by_files_has_no_fires_by_the_clock():
    assert impact(ARRIVAL, applied(PIPELINE, LANDING))[1] == Impact()


def test_a_live_trigger_that_cannot_be_worked_out_here_may_still_be_changed():
    def elsewhere(schedule):
        return replace(schedule, trigger=replace(schedule.trigger, time_zone="Mars/Olympus"))

    before = touched(live(NIGHTLY), "nightly", elsewhere)
    _, found = impact(NIGHTLY, before)
    assert (found.before, first(found.after)) == (None, HALF_PAST_SIX)
    _, found = impact("", before)
    assert found == Impact()
