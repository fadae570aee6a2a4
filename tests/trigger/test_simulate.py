"""A replay decides what a runner would, event by event."""

from datetime import datetime, timedelta

import pytest

from reconciler.clock import HOUR, MINUTE, SECOND
from reconciler.errors import InvalidValue
from reconciler.live import Hold
from reconciler.run import Decision, Gate
from reconciler.schedule import Cron, Dst, Frequency, Missed, Overlap, Recurrence, Schedule, WallGap
from reconciler.trigger.simulate import Subject, simulate
from tests.trigger.times import at, utc

START = at("2026-03-02 12:00")
LAUNCH, QUEUE, SKIP, MISS, GAP = Decision


def subject(minutes=1, duration=0, hold=None, initial=False, **fields):
    often = Recurrence(frequency=Frequency.MINUTE, interval=minutes)
    said = {"name": "s", "pipeline": "p", "trigger": often, **fields}
    return Subject(
        id="some-id", schedule=Schedule(**said), created_at=START, hold=hold,
        duration=duration, initial=initial,
    )  # fmt: skip


def replay(made, minutes=5, down=()):
    stretches = [(START + a * MINUTE, START + b * MINUTE) for a, b in down]
    return list(simulate(made, after=START, until=START + minutes * MINUTE, down=stretches))


def minute(instant):
    return None if instant is None else (instant - START) / MINUTE


def rows(found):
    return [(minute(one.due), one.decision, one.gate) for one in found]


def test_what_is_on_time_is_launched_at_its_time():
    found = replay(subject(2))
    assert rows(found) == [(2, LAUNCH, Gate.DUE), (4, LAUNCH, Gate.DUE)]
    assert [(one.decided_at, one.starts_at, one.ends_at) for one in found] == [
        (one.due,) * 3 for one in found
    ]
    assert {one.name for one in found} == {"s"}
    assert found[0].key == "r:2026-03-02T12:02:00Z"


def test_a_run_that_lasts_keeps_the_next_from_firing():
    found = replay(subject(duration=90 * SECOND))
    assert rows(found) == [
        (1, LAUNCH, Gate.DUE), (2, SKIP, Gate.OVERLAP), (3, LAUNCH, Gate.DUE),
        (4, SKIP, Gate.OVERLAP), (5, LAUNCH, Gate.DUE),
    ]  # fmt: skip
    assert found[1].reason == (
        "skipped: run due 2026-03-02T12:01:00Z is still Running (overlap: skip)"
    )
    assert minute(found[-1].ends_at) == 6.5


def test_what_waits_starts_when_there_is_a_place():
    found = replay(subject(duration=90 * SECOND, overlap=Overlap.QUEUE), 3)
    assert [(one.decision, minute(one.starts_at)) for one in found] == [
        (LAUNCH, 1), (QUEUE, 2.5), (QUEUE, None),
    ]  # fmt: skip


def test_as_many_run_at_once_as_may():
    made = subject(duration=10 * MINUTE, overlap=Overlap.ALLOW, max_active_runs=2)
    assert rows(replay(made, 3))[-1] == (3, QUEUE, Gate.LIMIT)


def test_a_newer_fire_replaces_what_runs():
    found = replay(subject(2, duration=3 * MINUTE, overlap=Overlap.CANCEL_RUNNING), 4)
    assert [(one.canceled, minute(one.starts_at), minute(one.ends_at)) for one in found] == [
        (True, 2, 4), (False, 4, 7),
    ]  # fmt: skip


def test_a_run_that_was_replaced_while_it_waited_never_ended():
    made = subject(2, overlap=Overlap.CANCEL_RUNNING, jitter=timedelta(minutes=2))
    early = at("2026-03-02 12:04") - START
    found = list(simulate(made, after=START, until=START + early))
    assert found[0].starts_at is not None
    assert all(one.starts_at is None for one in found if one.canceled)


def test_what_came_due_while_no_runner_ran_is_decided_by_the_missed_policy():
    found = replay(subject(missed=Missed.ALL, overlap=Overlap.ALLOW), 5, down=[(0.5, 3.5)])
    assert rows(found) == [
        (1, LAUNCH, Gate.MISSED), (2, LAUNCH, Gate.MISSED), (3, LAUNCH, Gate.DUE),
        (4, LAUNCH, Gate.DUE), (5, LAUNCH, Gate.DUE),
    ]  # fmt: skip
    assert [minute(one.decided_at) for one in found] == [3.5, 3.5, 3.5, 4, 5]
    skipped = replay(subject(missed=Missed.SKIP), 5, down=[(0.5, 3.5)])
    assert rows(skipped)[:2] == [(1, MISS, Gate.MISSED), (2, MISS, Gate.MISSED)]


def test_downtimes_that_touch_are_one():
    found = replay(subject(2), 5, down=[(3, 4.75), (1, 3)])
    assert {minute(one.decided_at) for one in found} == {4.75}


def test_a_hold_keeps_from_firing_and_leaves_its_row():
    hold = Hold(who="ann", why="audit", since=START + 90 * SECOND, until=START + 4 * MINUTE)
    found = replay(subject(hold=hold), 5)
    assert rows(found) == [
        (1, LAUNCH, Gate.DUE), (2, GAP, Gate.HOLD), (4, LAUNCH, Gate.DUE), (5, LAUNCH, Gate.DUE),
    ]  # fmt: skip
    assert found[1].count == 2
    endless = Hold(who="ann", why="audit", since=START)
    assert replay(subject(hold=endless)) == []


def test_a_new_schedule_runs_once_at_once():
    found = replay(subject(2, initial=True), 2)
    assert [(one.key, one.gate) for one in found] == [
        ("i:", Gate.FIRST), ("r:2026-03-02T12:02:00Z", Gate.DUE),
    ]  # fmt: skip
    assert minute(found[0].starts_at) == 0


def test_jitter_delays_the_start_and_not_the_name():
    found = replay(subject(5, jitter=timedelta(minutes=4)), 10)
    assert [minute(one.due) for one in found] == [5, 10]
    delays = [one.starts_at - one.due for one in found if one.starts_at is not None]
    assert delays
    assert all(0 < delay < 4 * MINUTE for delay in delays)


def test_the_days_on_which_clocks_change_follow_the_rule():
    nightly = Cron(expression="30 2 * * *", time_zone="Europe/Paris")
    begin = at("2026-03-28 12:00")

    def dues(trigger):
        made = Subject(
            id="x", schedule=Schedule(name="s", pipeline="p", trigger=trigger), created_at=0
        )
        return [utc(one.due) for one in simulate(made, after=begin, until=begin + 48 * HOUR)]

    assert dues(nightly) == ["2026-03-29 01:30", "2026-03-30 00:30"]
    skipping = Cron(expression="30 2 * * *", time_zone="Europe/Paris", dst=Dst(gap=WallGap.SKIP))
    assert dues(skipping) == ["2026-03-30 00:30"]


def test_what_is_over_decides_nothing_more():
    over = Recurrence(
        frequency=Frequency.MINUTE,
        start_time=datetime(2026, 3, 2, 12, 0),  # noqa: DTZ001  (a wall clock has no zone)
        end_time=datetime(2026, 3, 2, 12, 2),  # noqa: DTZ001  (the same)
    )
    assert len(replay(subject(trigger=over))) == 2


def test_an_unknown_zone_is_told():
    with pytest.raises(InvalidValue, match="Nowhere"):
        replay(subject(trigger=Cron(expression="* * * * *", time_zone="Nowhere/Land")))
