"""What every ledger does, whatever holds it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.clock import HOUR, MINUTE
from reconciler.errors import NotFound
from reconciler.run import AttemptState, Decision, RunState
from reconciler.schedule import Status
from reconciler.workspace.records import DueTimer, Unfinished
from tests.workspace.make import (
    NOW,
    a_run,
    added,
    attempt,
    clockwork,
    due,
    edit,
    fire,
    hold,
    move,
    on_data,
    on_timer,
    pipeline,
    poll,
    record,
    record_poll,
    run,
    schedule,
)


def fire_and_fail(write, schedule_id):
    write.record_fires([fire(schedule_id, run_id="a")], [run("a", schedule_id)])
    write.move_timers([move(schedule_id, None)])
    raise ZeroDivisionError


def test_due_timers_are_claimed_oldest_first_up_to_the_limit(workspace, ledger):
    second = on_timer(workspace, NOW - 1, "a")
    first = on_timer(workspace, NOW - 2, "b")
    third = on_timer(workspace, NOW, "c")
    on_timer(workspace, NOW + 1, "later")
    on_timer(workspace, None, "never")
    assert due(ledger) == [first, second, third]
    assert due(ledger, limit=2) == [first, second]
    with ledger.transaction() as write:
        assert write.due_timers(NOW - 2, 9) == [
            DueTimer(
                schedule_id=first,
                revision=1,
                next_due=NOW - 2,
                processed_to=NOW - MINUTE,
                initial=False,
            )
        ]


def test_a_moved_timer_keeps_its_place_and_loses_its_initial_mark(workspace, ledger):
    with workspace.registry.transaction() as write:
        schedule_id = schedule(write, arming=clockwork(initial=True))
    with ledger.transaction() as write:
        write.move_timers([move(schedule_id, NOW + HOUR)])
    assert due(ledger) == []
    with ledger.transaction() as write:
        (timer,) = write.due_timers(NOW + HOUR, 9)
    assert (timer.processed_to, timer.initial) == (NOW, False)
    with ledger.transaction() as write:
        write.move_timers([move(schedule_id, None)])
    assert ledger.next_wake() is None


def test_a_held_timer_is_not_claimed_until_the_hold_has_ended(workspace, ledger):
    for_ever, for_an_hour = on_timer(workspace, name="a"), on_timer(workspace, name="b")
    hold(workspace, for_ever)
    hold(workspace, for_an_hour, NOW + HOUR)
    assert due(ledger, NOW + HOUR - 1) == []
    assert due(ledger, NOW + HOUR) == [for_an_hour]


def test_only_a_hold_that_has_ended_is_lifted(workspace, ledger, clock):
    schedule_id = on_timer(workspace)
    hold(workspace, schedule_id, NOW + HOUR)
    for instant, lifted in ((NOW + HOUR - 1, False), (NOW + HOUR, True)):
        clock.instant = instant
        with ledger.transaction() as write:
            write.lift_expired_hold(schedule_id)
            assert (write.schedules([schedule_id])[schedule_id].hold is None) is lifted


def test_the_next_wake_is_the_earliest_thing_that_waits(workspace, ledger):
    assert ledger.next_wake() is None
    later = on_timer(workspace, NOW + 9 * HOUR, "a")
    sooner = on_timer(workspace, NOW + 2 * HOUR, "b")
    assert ledger.next_wake() == NOW + 2 * HOUR
    hold(workspace, sooner, NOW + 3 * HOUR)
    assert ledger.next_wake() == NOW + 3 * HOUR
    hold(workspace, sooner, NOW + HOUR)
    assert ledger.next_wake() == NOW + 2 * HOUR
    hold(workspace, sooner)
    assert ledger.next_wake() == NOW + 9 * HOUR
    hold(workspace, later)
    assert ledger.next_wake() is None


def test_what_is_under_way_keeps_nobody_from_waking_for_what_comes_next(workspace, ledger):
    on_data(workspace)
    on_timer(workspace, NOW + HOUR, "timed")
    assert ledger.next_wake() == NOW
    assert ledger.next_wake(NOW) == NOW + HOUR
    assert ledger.next_wake(NOW + HOUR) is None


def test_polls_and_ends_of_holds_on_data_schedules_wake_too(workspace, ledger):
    schedule_id = on_data(workspace)
    assert ledger.next_wake() == NOW
    record_poll(workspace, poll(1, 1, next_poll=NOW + 5 * HOUR), baseline=True)
    assert ledger.next_wake() == NOW + 5 * HOUR
    hold(workspace, schedule_id, NOW + HOUR)
    assert ledger.next_wake() == NOW + 5 * HOUR
    record_poll(workspace, poll(1, 2, next_poll=NOW + 5 * HOUR), [added(b"a")])
    assert ledger.next_wake() == NOW + HOUR
    with workspace.registry.transaction() as write:
        edit(write, schedule_id, status=Status.DISABLED)
        write.arm(schedule_id, None)
    assert ledger.next_wake() is None


def test_fires_and_runs_are_read_back_as_they_were_recorded(workspace, ledger):
    schedule_id = on_timer(workspace)
    made = run(
        "run-1",
        schedule_id,
        parameters={"a": 1, "b": 0.5, "c": True, "d": "é", "e": "bad\udcff"},
        continue_on_step_failure=True,
        facts={"path": "in/a.csv", "size": 3},
    )
    launch = fire(schedule_id, run_id="run-1", facts={"lateness": 1.5})
    skip = fire(schedule_id, "r:2", due_at=NOW + 1, count=3, reason="held — by Ann")
    assert record(ledger, (launch, made), (skip,)) == [launch, skip]
    assert ledger.fires(schedule_id) == [skip, launch]
    assert ledger.fires(schedule_id, limit=1) == [skip]
    assert ledger.runs() == [made]
    assert ledger.run("run-1") == made


def test_text_that_is_not_unicode_is_still_recorded(ledger):
    record(ledger, (fire("s-1", reason="no folder \udcff"),))
    assert ledger.fires("s-1")[0].reason == "no folder \\udcff"


def test_an_occurrence_is_decided_once(ledger):
    first, second = fire("s-1", run_id="a"), fire("s-1", run_id="b")
    other = fire("s-1", "r:2", run_id="c")
    assert record(ledger, (first, run("a", "s-1"))) == [first]
    assert record(ledger, (second, run("b", "s-1")), (other, run("c", "s-1", "r:2")), (other,)) == [
        other
    ]
    assert {row.run_id for row in ledger.fires("s-1")} == {"a", "c"}
    assert [row.id for row in ledger.runs()] == ["c", "a"]


def test_a_skip_that_was_decided_before_is_not_new(ledger):
    skip = fire("s-1")
    assert record(ledger, (skip,)) == [skip]
    assert record(ledger, (skip,), (replace(skip, decision=Decision.MISS),)) == []
    assert record(ledger) == []


def test_experiments_are_created_with_their_first_run(workspace, ledger):
    a_run(ledger, "a", experiment_name="two")
    a_run(ledger, "b", experiment_name="one")
    a_run(ledger, "c", experiment_name="two")
    assert [each.name for each in workspace.registry.experiments()] == ["one", "two"]


def test_an_experiment_of_a_transaction_that_failed_is_created_by_the_next(workspace, ledger):
    with pytest.raises(ZeroDivisionError), ledger.transaction() as write:
        fire_and_fail(write, "s-1")
    assert workspace.registry.experiments() == ()
    a_run(ledger)
    assert len(workspace.registry.experiments()) == 1


def test_a_transaction_left_by_an_exception_changes_nothing(workspace, ledger):
    schedule_id = on_timer(workspace)
    with pytest.raises(ZeroDivisionError), ledger.transaction() as write:
        fire_and_fail(write, schedule_id)
    assert due(ledger) == [schedule_id]
    assert (ledger.fires(schedule_id), ledger.runs()) == ([], [])


def test_the_first_waiting_runs_of_each_schedule_and_all_canceled_ones_can_be_read(ledger):
    waiting = [("a1", "s"), ("a2", "s"), ("b1", "t"), ("a3", "s"), ("free", None)]
    by_hand = [("m1", "s"), ("m2", "s")]
    runs = [run(name, schedule_id, occurrence_key=f"r:{name}") for name, schedule_id in waiting]
    runs += [run(name, schedule_id, occurrence_key=f"m:{name}") for name, schedule_id in by_hand]
    with ledger.transaction() as write:
        write.insert_runs(runs)
        write.request_cancel(["a3"], "by ann")

    def read(each):
        with ledger.transaction() as write:
            return [one.id for one in write.waiting_runs(NOW, each)]

    assert read(1) == ["a1", "b1", "a3", "free", "m1"]
    assert read(0) == ["a3"]
    assert read(9) == [one.id for one in ledger.waiting_runs()]


def test_runs_start_and_end_once(runner):
    for run_id in ("a", "b", "c"):
        a_run(runner, run_id)
    assert [each.id for each in runner.waiting_runs()] == ["a", "b", "c"]
    with runner.transaction() as write:
        write.start_runs(["a", "b"], NOW + 1)
    assert [each.id for each in runner.waiting_runs()] == ["c"]
    assert [each.id for each in runner.running_runs()] == ["a", "b"]
    with runner.transaction() as write:
        write.start_runs(["a"], NOW + 2)
        write.finish_runs(
            [("a", RunState.FAILED, "step x: exit code 3"), ("c", RunState.CANCELED, "")], NOW + 3
        )
    with runner.transaction() as write:
        write.finish_runs([("a", RunState.FINISHED, "")], NOW + 4)
        write.start_runs(["c"], NOW + 4)
    a, b, c = (runner.run(run_id) for run_id in "abc")
    assert (a.state, a.reason, a.started_at, a.ended_at) == (
        RunState.FAILED,
        "step x: exit code 3",
        NOW + 1,
        NOW + 3,
    )
    assert (b.state, b.started_at, b.ended_at) == (RunState.RUNNING, NOW + 1, None)
    assert (c.state, c.started_at, c.ended_at) == (RunState.CANCELED, None, NOW + 3)


def test_unfinished_runs_are_counted_by_schedule(runner):
    for run_id, schedule_id in (("a", "s-1"), ("b", "s-1"), ("c", "s-1"), ("d", "s-2")):
        a_run(runner, run_id, schedule_id)
    with runner.transaction() as write:
        write.start_runs(["b", "d"], NOW)
        write.finish_runs([("d", RunState.FINISHED, "")], NOW)
        assert write.unfinished(["s-1", "s-2", "s-3"]) == {
            "s-1": Unfinished(running=("b",), waiting=("a", "c"))
        }


def test_runs_of_a_backfill_stand_apart_and_have_a_queue_of_their_own(runner):
    for run_id in ("b1", "b2", "b3"):
        a_run(runner, run_id, "s-1", occurrence_key=f"b:march:{run_id}")
    a_run(runner, "c", "s-1", occurrence_key="r:1")
    with runner.transaction() as write:
        write.start_runs(["b1"], NOW)
        assert write.unfinished(["s-1"]) == {"s-1": Unfinished(waiting=("c",), backfills=("b1",))}
        assert [one.id for one in write.waiting_runs(NOW, 1)] == ["b2", "c"]


def test_attempts_are_replaced_by_what_is_newly_known(runner):
    a_run(runner)
    a_run(runner, "run-2")
    with runner.transaction() as write:
        write.start_runs(["run-1"], NOW)
    first = attempt(state=AttemptState.RUNNING, started_at=NOW)
    ended = attempt(
        state=AttemptState.FAILED, reason="exit code 3", exit_code=3, started_at=NOW, ended_at=NOW
    )
    second = replace(attempt(number=2), created_at=NOW + 1)
    with runner.transaction() as write:
        write.record_attempts([first])
        write.record_attempts([ended, second])
    assert runner.attempts(["run-1", "run-2"]) == {"run-1": [ended, second]}


def test_an_attempt_needs_its_run_under_way(runner):
    a_run(runner, "waiting")
    with runner.transaction() as write:
        assert write.record_attempts([attempt("nobody"), attempt("waiting")]) == set()
        write.start_runs(["waiting"], NOW)
        assert write.record_attempts([attempt("waiting")]) == {attempt("waiting").id}


def test_a_cancel_is_asked_for_once_and_only_of_runs_that_are_not_over(runner):
    a_run(runner, "a")
    a_run(runner, "b")
    with runner.transaction() as write:
        write.finish_runs([("b", RunState.FINISHED, "")], NOW)
        assert write.request_cancel(["a", "b", "c"], "asked by Ann") == ["a"]
        assert write.request_cancel(["a"], "asked by Bob") == ["a"]
    assert runner.run("a").cancel_requested == "asked by Ann"
    assert runner.run("b").cancel_requested is None


def test_runs_are_listed_newest_first_by_schedule_and_state(runner):
    for run_id, schedule_id in (("a", "s-1"), ("b", "s-2"), ("c", "s-1")):
        a_run(runner, run_id, schedule_id)
    with runner.transaction() as write:
        write.start_runs(["a"], NOW)

    def ids(**which):
        return [each.id for each in runner.runs(**which)]

    assert ids() == ["c", "b", "a"]
    assert ids(limit=2) == ["c", "b"]
    assert ids(schedule_id="s-1") == ["c", "a"]
    assert ids(states=[RunState.RUNNING, RunState.FAILED]) == ["a"]
    assert ids(schedule_id="s-2", states=[RunState.RUNNING]) == []


def test_a_run_is_found_by_any_unambiguous_beginning_of_its_id(ledger):
    for run_id in ("abc1", "abc2", "abd", "abdx"):
        a_run(ledger, run_id)
    assert ledger.run("abc2").id == "abc2"
    assert ledger.run("abd").id == "abd"
    for other in ("b", "a\0b", "a\udcffb"):
        with pytest.raises(NotFound, match="no run '"):
            ledger.run(other)
    with pytest.raises(NotFound, match="several runs begin with 'abc': abc1, abc2"):
        ledger.run("abc")
    for number in range(3):
        a_run(ledger, f"abc-{number}")
    with pytest.raises(NotFound, match=r"several .*: .*, \.\.\."):
        ledger.run("a")


def test_a_manual_run_of_a_schedule_has_a_fire_and_is_submitted_once(workspace, ledger):
    schedule_id = on_timer(workspace)
    with workspace.registry.transaction() as write:
        edit(write, schedule_id, 1)
    made = run("run-1", schedule_id, "m:token", facts={"who": "Ann"})
    ledger.submit_run(made)
    ledger.submit_run(replace(made, id="run-2"))
    (row,) = ledger.fires(schedule_id)
    assert (row.occurrence_key, row.decision, row.run_id) == ("m:token", Decision.LAUNCH, "run-1")
    assert (row.revision, row.reason, row.facts) == (2, "asked for by hand", {"who": "Ann"})
    assert ledger.waiting_runs() == [made]


def test_a_manual_run_of_a_pipeline_needs_no_schedule(workspace, ledger):
    made = run("run-1", None, "m:token")
    ledger.submit_run(made)
    ledger.submit_run(made)
    assert ledger.waiting_runs() == [made]
    assert [each.name for each in workspace.registry.experiments()] == ["scoring"]


def test_a_manual_run_of_no_such_schedule_is_not_found(ledger):
    with pytest.raises(NotFound, match="nobody"):
        ledger.submit_run(run("run-1", "nobody"))
    assert ledger.runs() == []


def test_schedules_and_pipelines_are_read_by_id(workspace, ledger):
    with workspace.registry.transaction() as write:
        published = pipeline(write)
        schedule_id = schedule(write, pipeline_id=published.id)
    with ledger.transaction() as write:
        (found,) = workspace.registry.live().schedules
        assert write.schedules([schedule_id, "nobody"]) == {schedule_id: found}
        assert write.pipelines([published.id, "nobody"]) == {published.id: published}


def test_the_newest_version_of_a_name_is_the_newest_active_one(workspace, ledger):
    with workspace.registry.transaction() as write:
        pipeline(write, "a", "d1")
        second, third = pipeline(write, "a", "d2"), pipeline(write, "a", "d3")
        write.set_pipeline_status(third.id, 1, Status.DISABLED, None)
        only = pipeline(write, "b")
        write.set_pipeline_status(only.id, 1, Status.DISABLED, None)
    with ledger.transaction() as write:
        assert write.newest_pipelines(["a", "b", "c"]) == {"a": second}


def test_time_is_that_of_the_clock_given(ledger, clock):
    clock.instant += HOUR
    assert ledger.now() == NOW + HOUR
