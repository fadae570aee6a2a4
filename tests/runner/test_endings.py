"""What the end of a run brings about, and what is told of one that is late."""

from reconciler.clock import iso
from reconciler.reconcile.ask import run_schedule
from reconciler.run import RunState
from reconciler.trigger.admission import RUNNER
from tests.site import HELLO, minutely

MINUTE = 60_000_000
FAILS = "kind: Pipeline\nname: hello\nsteps: [{name: say, command: ['false']}]\n"
SLEEPS = "kind: Pipeline\nname: hello\nsteps: [{name: say, command: [sleep, '1000']}]\n"


def over(place, count):
    """Pass until so many runs are over."""
    for _ in range(1_000):
        place.step()
        done = [run for run in place.runs() if run.state.over]
        if len(done) >= count:
            return done
        place.daemon.wait(0.2)
    raise AssertionError(place.runs())


def fail(place, times):
    for done in range(1, times + 1):
        place.forward(60)
        over(place, done)


def test_a_failed_run_is_run_anew_as_often_as_its_schedule_says(place):
    place.apply(a=FAILS, b=minutely(retries="{max: 2, backoff: 5m}", deadline="{start: 1h}"))
    place.forward(60)
    (first,) = over(place, 1)
    when = first.ended_at + 5 * MINUTE
    assert first.reason == f"step say: exit code 1; run anew at {iso(when)}, number 2 of 3"
    (second,) = [run for run in place.runs() if run.number == 2]
    assert (second.retry_of, second.not_before) == (first.id, when)
    assert second.occurrence_key == first.occurrence_key
    assert second.reason == f"run {first.id} failed"
    assert (first.start_by is None, second.start_by) == (False, None)
    place.forward(299)
    place.step()
    assert not [run for run in place.runs() if run.state is RunState.RUNNING]
    place.forward(1)
    over(place, 2)
    place.forward(599)
    place.step()
    place.forward(1)
    done = over(place, 3)
    third = max(done, key=lambda run: run.number)
    assert (third.number, third.retry_of) == (3, first.id)
    assert third.reason == "step say: exit code 1"
    keys = {fire.occurrence_key for fire in place.fires("every-minute") if fire.run_id}
    assert keys == {first.occurrence_key}


def test_a_run_that_finishes_or_is_canceled_is_not_run_anew(place):
    place.apply(a=SLEEPS, b=minutely(retries="{max: 2}"))
    place.forward(60)
    place.step()
    (run,) = place.runs()
    with place.ledger.transaction() as tx:
        tx.request_cancel([run.id], "canceled by ann")
    (run,) = place.finish()
    assert (run.state, run.reason) == (RunState.CANCELED, "canceled by ann")
    place.apply(a=HELLO)
    place.forward(60)
    assert [run.number for run in place.finish()] == [1, 1]


def test_after_so_many_failures_in_a_row_the_schedule_is_paused(place, caplog):
    place.apply(a=FAILS, b=minutely(pause_after_failures=3))
    fail(place, 2)
    assert place.schedule("every-minute").hold is None
    fail_again = [run.id for run in place.runs()]
    place.forward(60)
    over(place, 3)
    (last,) = [run for run in place.runs() if run.id not in fail_again]
    hold = place.schedule("every-minute").hold
    assert (hold.who, hold.until, hold.catchup) == (RUNNER, None, "skip")
    assert hold.why == (f"3 runs in a row failed, the last: run {last.id}: step say: exit code 1")
    (alert,) = place.ledger.alerts(place.schedule("every-minute").id)
    assert alert.alarm == "paused"
    assert alert.text == (
        f"schedule every-minute is paused: {hold.why}; `reconciler release every-minute` lets it "
        "go on"
    )
    assert [r.message for r in caplog.records if r.levelname == "ERROR"] == [alert.text]
    place.forward(60)
    place.step()
    assert len(place.runs()) == 3


def test_a_run_that_finishes_begins_the_count_anew_and_one_by_hand_does_not_count(place):
    place.apply(a=FAILS, b=minutely(pause_after_failures=2))
    fail(place, 1)
    place.apply(a=HELLO)
    place.forward(60)
    over(place, 2)
    place.apply(a=FAILS)
    run_schedule(place.registry, place.ledger, "every-minute", {}, "token")
    over(place, 3)
    place.forward(60)
    over(place, 4)
    assert place.schedule("every-minute").hold is None
    place.forward(60)
    over(place, 5)
    assert place.schedule("every-minute").hold is not None


def test_retries_count_as_one_failure_when_the_last_has_failed(place):
    place.apply(a=FAILS, b=minutely(pause_after_failures=1, retries="{max: 1, backoff: 1s}"))
    place.forward(60)
    over(place, 1)
    assert place.schedule("every-minute").hold is None
    place.forward(1)
    over(place, 2)
    assert place.schedule("every-minute").hold.why.startswith("1 run failed, the last: ")


def test_a_run_that_has_not_started_or_ended_in_time_is_told_once_each(place, caplog):
    place.ledger.set_pool("one", 0)
    place.apply(a=SLEEPS, b=minutely(pool="one", deadline="{start: 10m, finish: 1h}"))
    place.forward(60)
    place.step()
    place.forward(600)
    place.step()
    assert place.ledger.alerts() == []
    place.forward(1)
    for _ in range(3):
        place.step()
        place.forward(1)
    (late,) = place.ledger.alerts()
    run = place.runs()[-1]
    assert late.key == f"late_start:{run.id}"
    assert late.text == (
        f"run {run.id} of every-minute, due 2026-03-02T12:01:00Z, has not started by "
        "2026-03-02T12:11:00Z"
    )
    place.ledger.set_pool("one", 1)
    place.step()
    place.restart()
    place.forward(3_600)
    for _ in range(2):
        place.step()
        place.forward(1)
    assert [alert.key for alert in place.ledger.alerts()] == [
        f"late_finish:{run.id}",
        f"late_start:{run.id}",
    ]
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 2


def test_a_run_that_is_made_up_for_too_late_is_told_although_it_starts_at_once(place):
    place.apply(a=HELLO, b=minutely(catchup_window="1h", deadline="{start: 10s}"))
    place.forward(5 * 60 + 30)
    place.finish()
    (late,) = place.ledger.alerts()
    assert late.alarm == "late_start"
