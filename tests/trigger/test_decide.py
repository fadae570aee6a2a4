"""Everything that came due gets one decision, with its reason."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import HOUR, MINUTE, SECOND
from reconciler.data import DatastoreChange
from reconciler.live import Hold
from reconciler.run import Decision, Gate
from reconciler.schedule import Cron, Missed, Overlap, Schedule
from reconciler.trigger import decide as keys
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.decide import GRACE, Policy, Timer, decide
from tests.strategies import examples
from tests.trigger.times import at, utc, wall

DAILY = compile_trigger(Cron(expression="0 12 * * *"), 0)
HOURLY = compile_trigger(Cron(expression="0 * * * *"), 0)
EVERY_MINUTE = compile_trigger(Cron(expression="* * * * *"), 0)
NOON = at("2026-06-01 12:00")
ALLOW = Policy(overlap=Overlap.ALLOW)
LAUNCH, QUEUE, SKIP, MISS = Decision.LAUNCH, Decision.QUEUE, Decision.SKIP, Decision.MISS


def policy(**fields):
    return Policy(**{"overlap": Overlap.ALLOW} | fields)


def rows(outcome):
    return [(utc(one.due)[11:], one.decision) for one in outcome.decided]


def gates(outcome):
    return [one.gate for one in outcome.decided]


def hold(since, until, catchup=Missed.SKIP):
    return Hold(who="ada", why="audit", since=since, until=until, catchup=catchup)


# On time


def test_a_due_fire_launches_and_the_timer_moves_on():
    outcome = decide(Timer(processed_to=NOON - SECOND), DAILY, ALLOW, NOON)
    assert rows(outcome) == [("12:00", LAUNCH)]
    assert outcome.decided[0].reason == "on time"
    assert outcome.processed_to == NOON
    assert utc(outcome.next_due) == "2026-06-02 12:00"
    assert not outcome.completed


def test_nothing_due_is_nothing_decided():
    outcome = decide(Timer(processed_to=NOON), DAILY, ALLOW, NOON + HOUR)
    assert (outcome.decided, outcome.gaps) == ((), ())
    assert outcome.processed_to == NOON + HOUR


def test_a_restart_over_noon_does_not_lose_the_noon_run_even_with_missed_skip():
    strict = policy(missed=Missed.SKIP)
    for late in (5 * SECOND, GRACE):
        outcome = decide(Timer(processed_to=NOON - SECOND), DAILY, strict, NOON + late)
        assert rows(outcome) == [("12:00", LAUNCH)]
    outcome = decide(Timer(processed_to=NOON - SECOND), DAILY, strict, NOON + GRACE + 1)
    assert rows(outcome) == [("12:00", MISS)]
    assert outcome.decided[0].reason == "missed: 1m late (missed: skip)"


def test_each_of_several_fires_on_time_launches():
    outcome = decide(Timer(processed_to=NOON - SECOND), EVERY_MINUTE, ALLOW, NOON + GRACE)
    assert rows(outcome) == [("12:00", LAUNCH), ("12:01", LAUNCH)]


def test_a_fire_is_decided_once_however_often_and_when_the_runner_looks():
    timer, decided = Timer(processed_to=NOON - HOUR), []
    for now in (NOON - 1, NOON, NOON, NOON + 1, NOON + 61 * SECOND, NOON + 2 * HOUR):
        outcome = decide(timer, DAILY, ALLOW, now)
        decided += outcome.decided
        timer = Timer(processed_to=outcome.processed_to)
    assert len(decided) == 1


def test_the_last_fire_completes_the_schedule():
    once = compile_trigger(Cron(expression="0 12 * * *", end_time=wall("2026-06-01 12:00")), 0)
    outcome = decide(Timer(processed_to=NOON - 1), once, ALLOW, NOON)
    assert rows(outcome) == [("12:00", LAUNCH)]
    assert outcome.completed
    assert outcome.next_due is None


def test_the_very_last_fire_is_made_up_for_within_the_hour():
    once = compile_trigger(Cron(expression="0 12 * * *", end_time=wall("2026-06-01 12:00")), 0)
    assert rows(decide(Timer(processed_to=NOON - 1), once, ALLOW, NOON + HOUR)) == [
        ("12:00", LAUNCH)
    ]


# Missed


def test_an_outage_makes_up_for_the_last_fire_only():
    outcome = decide(Timer(processed_to=NOON - 1), HOURLY, ALLOW, NOON + 2 * HOUR + 30 * MINUTE)
    assert rows(outcome) == [("12:00", MISS), ("13:00", MISS), ("14:00", LAUNCH)]
    assert [one.reason for one in outcome.decided] == [
        "missed: 2h30m late, and a newer fire stands for it (missed: last)",
        "missed: 1h30m late, and a newer fire stands for it (missed: last)",
        "made up 30m late (missed: last)",
    ]


def test_a_fire_on_time_stands_for_the_missed_ones():
    outcome = decide(Timer(processed_to=NOON - 1), HOURLY, ALLOW, NOON + HOUR + SECOND)
    assert rows(outcome) == [("12:00", MISS), ("13:00", LAUNCH)]


def test_beyond_the_catch_up_window_nothing_is_made_up_for():
    within = decide(Timer(processed_to=NOON - 1), DAILY, ALLOW, NOON + HOUR)
    assert rows(within) == [("12:00", LAUNCH)]
    beyond = decide(Timer(processed_to=NOON - 1), DAILY, ALLOW, NOON + HOUR + 1)
    assert rows(beyond) == [("12:00", MISS)]
    assert beyond.decided[0].reason == (
        "missed: 1h late, beyond the catch-up window of 1h (missed: last)"
    )
    wide = policy(catchup_window=6 * HOUR)
    assert rows(decide(Timer(processed_to=NOON - 1), DAILY, wide, NOON + 6 * HOUR)) == [
        ("12:00", LAUNCH)
    ]


def test_all_makes_up_for_everything_in_the_window():
    every = policy(missed=Missed.ALL, catchup_window=3 * HOUR)
    outcome = decide(Timer(processed_to=NOON - 1), HOURLY, every, NOON + 4 * HOUR + 5 * MINUTE)
    assert rows(outcome) == [
        ("12:00", MISS),
        ("13:00", MISS),
        ("14:00", LAUNCH),
        ("15:00", LAUNCH),
        ("16:00", LAUNCH),
    ]


def test_all_without_a_window_reaches_back_an_hour_whatever_the_period():
    every = policy(missed=Missed.ALL)
    outcome = decide(Timer(processed_to=NOON), EVERY_MINUTE, every, NOON + 10 * MINUTE)
    assert {decision for _, decision in rows(outcome)} == {LAUNCH}
    assert len(outcome.decided) == 10


def test_more_missed_fires_than_max_catchup_become_one_gap():
    few = policy(missed=Missed.ALL, catchup_window=24 * HOUR, max_catchup=2)
    outcome = decide(Timer(processed_to=NOON - 1), HOURLY, few, NOON + 5 * HOUR + 5 * MINUTE)
    assert rows(outcome) == [("16:00", LAUNCH), ("17:00", LAUNCH)]
    (gap,) = outcome.gaps
    assert (utc(gap.first), utc(gap.last), gap.count) == (
        "2026-06-01 12:00",
        "2026-06-01 15:00",
        4,
    )
    assert gap.reason == "missed: 4 fires older than the 2 that are looked at (max_catchup)"


def test_a_year_of_minutes_is_a_gap_and_at_most_max_catchup_rows():
    year = 365 * 24 * 60
    outcome = decide(Timer(processed_to=NOON), EVERY_MINUTE, ALLOW, NOON + year * MINUTE)
    assert sum(one.decision is LAUNCH for one in outcome.decided) == 2
    assert len(outcome.decided) == 102
    assert sum(gap.count for gap in outcome.gaps) == year - 102


def test_ten_years_of_minutes_are_counted_and_not_walked_through():
    asked = []

    def counting(instant):
        asked.append(instant)
        return EVERY_MINUTE.next_after(instant)

    minutes = 3652 * 24 * 60
    calendar = replace(EVERY_MINUTE, next_after=counting)
    outcome = decide(Timer(processed_to=NOON), calendar, ALLOW, NOON + minutes * MINUTE)
    (gap,) = outcome.gaps
    assert gap.count == minutes - 102
    assert (gap.first, gap.last) == (NOON + MINUTE, NOON + gap.count * MINUTE)
    assert gap.last + MINUTE == outcome.decided[0].due
    assert len(asked) < 1_000


def test_a_gap_may_reach_over_a_hold():
    timer = Timer(processed_to=NOON - 1, hold=hold(NOON + 150 * MINUTE, NOON + 270 * MINUTE))
    few = policy(max_catchup=3)
    outcome = decide(timer, HOURLY, few, NOON + 6 * HOUR + 30 * MINUTE)
    assert rows(outcome) == [("14:00", MISS), ("17:00", MISS), ("18:00", LAUNCH)]
    missed, held = outcome.gaps
    assert (utc(missed.first)[11:], utc(missed.last)[11:], missed.count) == ("12:00", "13:00", 2)
    assert (utc(held.first)[11:], utc(held.last)[11:], held.count) == ("15:00", "16:00", 2)
    assert (missed.gate, held.gate) == (Gate.MISSED, Gate.HOLD)


# Holds


def test_nothing_is_decided_while_the_schedule_is_held():
    endless = Timer(processed_to=NOON - 1, hold=hold(NOON - HOUR, None))
    outcome = decide(endless, DAILY, ALLOW, NOON + HOUR)
    assert (outcome.decided, outcome.gaps, outcome.processed_to) == ((), (), NOON - 1)
    assert outcome.next_due is None
    assert not outcome.completed
    until = Timer(processed_to=NOON - 1, hold=hold(NOON - HOUR, NOON + HOUR))
    assert decide(until, DAILY, ALLOW, NOON).next_due == NOON + HOUR


def test_what_a_hold_covered_becomes_one_gap_that_names_who_and_why():
    held = hold(NOON - MINUTE, NOON + 3 * HOUR)
    timer = Timer(processed_to=NOON - 2 * MINUTE, hold=held)
    outcome = decide(timer, HOURLY, ALLOW, NOON + 3 * HOUR + SECOND)
    (gap,) = outcome.gaps
    assert (utc(gap.first)[11:], utc(gap.last)[11:], gap.count) == ("12:00", "14:00", 3)
    assert gap.reason == "held by ada until 2026-06-01T15:00:00Z: audit"
    # The hold ends at 15:00, and so the fire of 15:00 is free again.
    assert rows(outcome) == [("15:00", LAUNCH)]
    assert outcome.lift_hold


def test_what_was_due_before_the_hold_is_missed_and_after_it_too():
    timer = Timer(processed_to=NOON - 1, hold=hold(NOON + MINUTE, NOON + 90 * MINUTE))
    outcome = decide(timer, HOURLY, ALLOW, NOON + 150 * MINUTE)
    assert rows(outcome) == [("12:00", MISS), ("14:00", LAUNCH)]
    assert [gap.count for gap in outcome.gaps] == [1]


def test_a_hold_that_covered_nothing_is_lifted_without_a_gap():
    timer = Timer(processed_to=NOON, hold=hold(NOON - 2 * HOUR, NOON - HOUR))
    outcome = decide(timer, DAILY, ALLOW, NOON + HOUR)
    assert (outcome.decided, outcome.gaps, outcome.lift_hold) == ((), (), True)


def over(catchup, **fields):
    """Decide at 16:30 about a timer that was held from 12:00 to 15:00."""
    timer = Timer(processed_to=NOON - 1, hold=hold(NOON, NOON + 3 * HOUR, catchup))
    return decide(timer, HOURLY, policy(**fields), NOON + 4 * HOUR + 30 * MINUTE)


def test_the_last_that_came_due_during_a_hold_is_made_up_for_however_long_ago():
    outcome = over(Missed.LAST, catchup_window=HOUR, missed=Missed.SKIP)
    assert rows(outcome) == [("14:00", LAUNCH), ("15:00", MISS), ("16:00", MISS)]
    assert outcome.decided[0].reason == (
        "held by ada until 2026-06-01T15:00:00Z: audit; made up 2h30m late (catchup: last)"
    )
    (gap,) = outcome.gaps
    assert (utc(gap.first)[11:], utc(gap.last)[11:], gap.count) == ("12:00", "13:00", 2)
    assert gap.reason == (
        "held by ada until 2026-06-01T15:00:00Z: audit; a newer fire stands for them (catchup: last)"
    )
    assert outcome.lift_hold


def test_all_that_came_due_during_a_hold_run_in_order_up_to_max_catchup():
    outcome = over(Missed.ALL, missed=Missed.SKIP)
    assert rows(outcome)[:3] == [("12:00", LAUNCH), ("13:00", LAUNCH), ("14:00", LAUNCH)]
    assert outcome.gaps == ()
    few = over(Missed.ALL, missed=Missed.SKIP, max_catchup=2)
    assert rows(few)[:2] == [("13:00", LAUNCH), ("14:00", LAUNCH)]
    (gap,) = few.gaps
    assert (utc(gap.first)[11:], gap.count) == ("12:00", 1)
    assert gap.reason == (
        "held by ada until 2026-06-01T15:00:00Z: audit; "
        "1 fires older than the 2 that are made up for (max_catchup)"
    )


def test_what_a_hold_lets_through_meets_the_overlap_policy():
    assert rows(over(Missed.ALL, overlap=Overlap.SKIP))[:3] == [
        ("12:00", LAUNCH),
        ("13:00", SKIP),
        ("14:00", SKIP),
    ]
    newest = over(Missed.ALL, overlap=Overlap.CANCEL_RUNNING)
    assert [decision for _, decision in rows(newest)] == [SKIP, SKIP, SKIP, MISS, LAUNCH]


def test_a_fire_missed_before_a_hold_is_not_made_up_for_beside_a_newer_one():
    timer = Timer(processed_to=NOON - 1, hold=hold(NOON + MINUTE, NOON + 70 * MINUTE, Missed.LAST))
    wide = policy(catchup_window=6 * HOUR)
    outcome = decide(timer, HOURLY, wide, NOON + 71 * MINUTE)
    assert rows(outcome) == [("12:00", MISS), ("13:00", LAUNCH)]


def test_a_hold_without_an_end_is_said_without_one():
    assert keys.held_by(hold(NOON, None)) == "held by ada: audit"


# Clock


def test_a_clock_that_went_back_decides_nothing_and_keeps_the_mark():
    outcome = decide(Timer(processed_to=NOON), HOURLY, ALLOW, NOON - 2 * HOUR)
    assert (outcome.decided, outcome.gaps, outcome.processed_to) == ((), (), NOON)
    assert outcome.next_due == NOON + HOUR


# Overlap


@pytest.mark.parametrize(
    ("overlap", "timer", "decision", "cancel"),
    [
        (Overlap.SKIP, {}, LAUNCH, False),
        (Overlap.SKIP, {"running": ("1f3a",)}, SKIP, False),
        (Overlap.QUEUE, {"running": ("1f3a",)}, QUEUE, False),
        (Overlap.QUEUE_ONE, {"running": ("1f3a",), "waiting": ("2b",)}, SKIP, False),
        (Overlap.CANCEL_RUNNING, {"running": ("1f3a",)}, QUEUE, True),
        (Overlap.CANCEL_RUNNING, {}, LAUNCH, False),
    ],
)
def test_the_overlap_policy_has_the_last_word(overlap, timer, decision, cancel):
    outcome = decide(Timer(processed_to=NOON - 1, **timer), DAILY, policy(overlap=overlap), NOON)
    assert rows(outcome) == [("12:00", decision)]
    assert outcome.cancel_running is cancel


def test_fires_of_one_pass_see_each_other():
    timer = Timer(processed_to=NOON - 1)
    expected = {
        Overlap.SKIP: [LAUNCH, SKIP],
        Overlap.QUEUE: [LAUNCH, QUEUE],
        Overlap.QUEUE_ONE: [LAUNCH, QUEUE],
        Overlap.CANCEL_RUNNING: [SKIP, LAUNCH],
        Overlap.ALLOW: [LAUNCH, LAUNCH],
    }
    for overlap, decisions in expected.items():
        outcome = decide(timer, EVERY_MINUTE, policy(overlap=overlap), NOON + MINUTE)
        assert [one.decision for one in outcome.decided] == decisions
    outcome = decide(timer, EVERY_MINUTE, policy(overlap=Overlap.SKIP), NOON + MINUTE)
    assert outcome.decided[1].reason == (
        "skipped: run due 2026-06-01T12:00:00Z is still Running (overlap: skip)"
    )
    outcome = decide(timer, EVERY_MINUTE, policy(overlap=Overlap.CANCEL_RUNNING), NOON + MINUTE)
    assert outcome.decided[0].reason == (
        "skipped: the fire due 2026-06-01T12:01:00Z replaces it (overlap: cancel_running)"
    )


def test_a_made_up_fire_that_waits_gives_both_reasons():
    timer = Timer(processed_to=NOON - 1, running=("1f3a",))
    outcome = decide(timer, DAILY, policy(overlap=Overlap.QUEUE), NOON + 5 * MINUTE)
    assert outcome.decided[0].reason == (
        "made up 5m late (missed: last); queued: run 1f3a is still Running (overlap: queue)"
    )


def test_all_runs_of_a_catch_up_respect_max_active_runs():
    every = policy(missed=Missed.ALL, catchup_window=24 * HOUR, max_active_runs=2)
    outcome = decide(Timer(processed_to=NOON - 1), HOURLY, every, NOON + 3 * HOUR)
    assert [one.decision for one in outcome.decided] == [LAUNCH, LAUNCH, QUEUE, QUEUE]


# Gates


def test_the_gate_says_what_decided():
    outage = decide(Timer(processed_to=NOON - 1), HOURLY, ALLOW, NOON + 150 * MINUTE)
    assert rows(outage) == [("12:00", MISS), ("13:00", MISS), ("14:00", LAUNCH)]
    assert gates(outage) == [Gate.MISSED] * 3
    assert gates(decide(Timer(processed_to=NOON - 1), HOURLY, ALLOW, NOON)) == [Gate.DUE]
    skip = decide(
        Timer(processed_to=NOON - 1), HOURLY, policy(missed=Missed.SKIP), NOON + 5 * MINUTE
    )
    assert gates(skip) == [Gate.MISSED]
    beyond = decide(Timer(processed_to=NOON - 1), DAILY, ALLOW, NOON + 5 * HOUR)
    assert gates(beyond) == [Gate.MISSED]


def test_what_a_hold_passed_over_or_its_catch_up_made_up_has_the_hold_as_its_gate():
    outcome = over(Missed.LAST, missed=Missed.SKIP)
    assert rows(outcome) == [("14:00", LAUNCH), ("15:00", MISS), ("16:00", MISS)]
    assert gates(outcome) == [Gate.HOLD, Gate.MISSED, Gate.MISSED]
    assert [gap.gate for gap in outcome.gaps] == [Gate.HOLD]


def test_an_overlap_rule_that_touched_a_fire_is_its_gate():
    busy = Timer(processed_to=NOON - 1, running=("1f3a",))
    for overlap in set(Overlap) - {Overlap.ALLOW}:
        outcome = decide(busy, DAILY, policy(overlap=overlap), NOON + 5 * MINUTE)
        assert gates(outcome) == [Gate.OVERLAP]
    replaced = decide(
        Timer(processed_to=NOON - 1), EVERY_MINUTE, policy(overlap=Overlap.CANCEL_RUNNING),
        NOON + MINUTE,
    )  # fmt: skip
    assert rows(replaced) == [("12:00", SKIP), ("12:01", LAUNCH)]
    assert gates(replaced) == [Gate.OVERLAP, Gate.DUE]
    assert gates(decide(busy, DAILY, policy(max_active_runs=1), NOON)) == [Gate.LIMIT]


# Properties


@examples(300)
@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=6),
    st.sampled_from(Missed),
    st.sampled_from(Overlap),
    st.integers(1, 5),
    st.none() | st.tuples(st.integers(0, 300), st.integers(0, 300), st.sampled_from(Missed)),
)
def test_every_due_is_accounted_for_exactly_once(steps, missed, overlap, most, held):
    """However the passes fall, decisions and gaps together count each due once, in order."""
    calendar = compile_trigger(Cron(expression="*/7 * * * *"), 0)
    rule = policy(missed=missed, overlap=overlap, max_catchup=most)
    pause = None
    if held is not None:
        since, span, catchup = held
        pause = hold(NOON + since * MINUTE, NOON + (since + span) * MINUTE, catchup)
    timer = Timer(processed_to=NOON, hold=pause)
    now, seen, counted = NOON, [], 0
    for step in steps:
        now += step * MINUTE
        outcome = decide(timer, calendar, rule, now)
        seen += [one.due for one in outcome.decided]
        counted += len(outcome.decided) + sum(gap.count for gap in outcome.gaps)
        seen_gaps = [(gap.first, gap.last) for gap in outcome.gaps]
        assert seen_gaps == sorted(seen_gaps)
        timer = Timer(
            processed_to=outcome.processed_to, hold=None if outcome.lift_hold else timer.hold
        )
        if outcome.next_due is not None:
            assert outcome.next_due > outcome.processed_to
    assert seen == sorted(set(seen))
    assert counted == calendar.count(NOON, timer.processed_to)


@examples(300)
@given(
    st.tuples(st.integers(-60, 300), st.integers(1, 300), st.sampled_from(Missed)),
    st.integers(0, 600),
    st.sampled_from(Missed),
    st.integers(0, 3),
    st.integers(1, 30),
)
def test_a_hold_decides_about_its_own_dues_and_no_others(held, after, missed, window, most):
    """Those of the hold follow its catch-up; the others are as if they alone had come due."""
    calendar = compile_trigger(Cron(expression="*/7 * * * *"), 0)
    rule = policy(
        missed=missed, catchup_window=window * HOUR, max_catchup=most, max_active_runs=1_000
    )
    since, span, catchup = held
    pause = hold(NOON + since * MINUTE, NOON + (since + span) * MINUTE, catchup)
    now = max(NOON, pause.until + after * MINUTE)
    outcome = decide(Timer(processed_to=NOON, hold=pause), calendar, rule, now)
    due = [d for d in calendar.between(NOON, now) if pause.since <= d < pause.until]
    kept = {Missed.SKIP: 0, Missed.LAST: 1, Missed.ALL: most}[catchup]
    made_up = [one for one in outcome.decided if "(catchup: " in one.reason]
    assert [one.due for one in made_up] == due[max(0, len(due) - kept) :]
    assert all(one.decision is LAUNCH for one in made_up)
    older = due[: max(0, len(due) - kept)]
    gaps = [(g.first, g.last, g.count) for g in outcome.gaps if g.reason.startswith("held by")]
    assert gaps == ([(older[0], older[-1], len(older))] if older else [])
    for one in outcome.decided:
        if one not in made_up:
            assert not pause.since <= one.due < pause.until


# Policy and keys


def test_a_policy_is_taken_out_of_a_schedule():
    schedule = Schedule(
        name="s",
        pipeline="p",
        trigger=Cron(expression="* * * * *"),
        missed=Missed.ALL,
        catchup_window=timedelta(minutes=5),
        max_catchup=7,
        max_active_runs=3,
    )
    assert Policy.of(schedule) == Policy(
        overlap=Overlap.SKIP,
        max_active_runs=3,
        missed=Missed.ALL,
        catchup_window=5 * MINUTE,
        max_catchup=7,
    )
    data = Schedule(name="s", pipeline="p", trigger=DatastoreChange(datastore="landing"))
    assert Policy.of(data) == Policy(overlap=Overlap.ALLOW)


def test_occurrence_keys_carry_the_nominal_time_and_no_revision():
    due = at("2026-03-08 07:30")
    assert keys.due_key(due) == "r:2026-03-08T07:30:00Z"
    assert keys.initial_key() == "i:"
    assert keys.data_key(4, 17) == "d:4:17"
    assert keys.data_gap_key(4, 17, 19) == "g:4:17/19"
    assert keys.manual_key("abc") == "m:abc"
    assert keys.backfill_key("2f", due) == "b:2f:2026-03-08T07:30:00Z"
    assert keys.gap_key(due, due + HOUR) == "g:2026-03-08T07:30:00Z/2026-03-08T08:30:00Z"
