"""The true reason at each gate, from a real ledger that a real runner wrote."""

from datetime import datetime

import pytest

from reconciler.clock import iso, parse_instant
from reconciler.errors import InvalidValue
from reconciler.live import Hold
from reconciler.reconcile import ask, operate
from reconciler.reconcile.answer import Passage, read_asked
from reconciler.reconcile.backfill import plan_backfill, write_backfill
from reconciler.reconcile.explain import explain
from reconciler.run import Decision, Fire, Gate, RunState
from reconciler.schedule import Missed, Status
from tests.reconcile.running import LONG, until_over, until_running
from tests.runner.test_data import LANDING, SHOW, on_arrival
from tests.site import HELLO, minutely

MINUTE = 60_000_000
FAILING = HELLO.replace("[echo, hello]", "['false']")
NIGHTLY = """
kind: Schedule
name: nightly
pipeline: hello
trigger: {cron: {expression: "30 2 * * *", time_zone: Europe/Paris}}
"""


def ask_about(place, when=None, name="every-minute", zone="UTC"):
    live = place.registry.live()
    here = operate.find_schedule(live, name)
    asked = None if when is None else read_asked(datetime.fromisoformat(when), zone)
    return explain(live, place.ledger, here, asked, place.registry.now())


def passages(found):
    return {one.gate: one.passage.value for one in found.gates}


def decider(found):
    (one,) = [one for one in found.gates if one.passage is Passage.DECIDED]
    return one.gate, one.text


def test_what_ran_on_time_passed_every_gate(place):
    place.apply(a=HELLO, b=minutely())
    place.forward(60)
    place.finish()
    found = ask_about(place, "2026-03-02T12:01")
    assert found.answer == (
        "It ran: the fire of 2026-03-02 12:01 UTC started at 2026-03-02 12:01 UTC, "
        "Finished at 2026-03-02 12:01 UTC."
    )
    assert set(passages(found).values()) == {"passed"}
    assert list(passages(found)) == [
        "status", "hold", "window", "dst", "missed", "overlap", "limit", "start",
    ]  # fmt: skip
    assert found.gates[2].text == "every minute (UTC)"
    assert found.gates[-1].text == "started 0s after it was due"
    (run,) = found.runs
    assert [attempt.step for attempt in found.attempts[run.id]] == ["say"]
    assert (found.before, found.after) == (None, found.due + MINUTE)
    # Within the minute that is asked about, and with an offset.
    assert ask_about(place, "2026-03-02T13:01+01:00").due == found.due
    assert ask_about(place, "2026-03-02T12:01:30").due is None


def test_a_pipeline_without_an_active_version_stops_at_the_status(place):
    place.apply(a=HELLO, b=minutely())
    pipeline = operate.find_pipeline(place.registry.live(), "hello")
    with place.registry.transaction() as tx:
        tx.set_pipeline_status(pipeline.id, pipeline.revision, Status.DISABLED, None)
    place.forward(60)
    place.step()
    found = ask_about(place, "2026-03-02T12:01")
    assert decider(found) == ("status", "skipped: pipeline hello has no Active version")
    assert passages(found)["start"] == "not reached"
    assert found.answer.startswith("It did not run at 2026-03-02 12:01 UTC: skipped: pipeline")
    present = ask_about(place)
    assert present.answer == "It does not fire now: pipeline hello has no Active version."
    assert decider(present) == ("status", "pipeline hello has no Active version")


def test_a_disabled_schedule_stops_at_the_status(place):
    place.apply(a=HELLO, b=minutely())
    place.forward(30)
    place.apply(b=minutely(status="Disabled"))
    place.forward(60)
    place.step()
    assert decider(ask_about(place)) == ("status", "the schedule is Disabled in its manifest")
    found = ask_about(place, "2026-03-02T12:01")
    assert found.answer == (
        "It is not decided yet: it was due at 2026-03-02 12:01 UTC, and "
        "the schedule is Disabled in its manifest."
    )
    assert passages(found)["hold"] == "not reached"


def test_a_hold_stops_what_is_due_and_then_leaves_one_row_for_all(place):
    place.apply(a=HELLO, b=minutely())
    operate.hold_schedule(place.registry, "every-minute", who="ann", why="audit", until=None)
    place.forward(150)
    place.step()
    text = "it is held by ann: audit"
    assert decider(ask_about(place)) == ("hold", text)
    assert ask_about(place).answer == f"It does not fire now: {text}."
    assert ask_about(place, "2026-03-02T12:01").answer.endswith(f"and {text}.")
    operate.release_schedule(place.registry, "every-minute")
    for when in ("2026-03-02T12:01", "2026-03-02T12:02"):
        found = ask_about(place, when)
        assert decider(found) == ("hold", "held by ann: audit")
        assert found.answer == (
            f"It did not run at {when.replace('T', ' ')} UTC: one of 2 fires passed over, "
            "held by ann: audit."
        )


def test_between_two_dues_that_were_passed_over_nothing_was_due(place):
    place.apply(a=HELLO, b=minutely())
    operate.hold_schedule(place.registry, "every-minute", who="ann", why="audit", until=None)
    place.forward(150)
    operate.release_schedule(place.registry, "every-minute")
    found = ask_about(place, "2026-03-02T12:01:30")
    assert found.answer == "It did not run at 2026-03-02 12:01:30 UTC: it was not due then."
    assert found.fires == ()


def test_a_hold_that_ends_before_a_fire_does_not_stop_it(place):
    place.apply(a=HELLO, b=minutely())
    operate.hold_schedule(
        place.registry, "every-minute", who="ann", why="x", until=place.clock.now() + 90 * 1_000_000
    )
    assert ask_about(place, "2026-03-02T12:01").answer.startswith("It will be due at")
    assert "but it is held by ann" in ask_about(place, "2026-03-02T12:01").answer
    assert "nothing stands in its way now" in ask_about(place, "2026-03-02T12:02").answer


def test_what_was_made_up_for_after_a_hold_says_so(place):
    place.apply(a=HELLO, b=minutely())
    operate.hold_schedule(
        place.registry, "every-minute", who="ann", why="audit", until=None, catchup=Missed.LAST
    )
    place.forward(150)
    operate.release_schedule(place.registry, "every-minute")
    place.finish()
    found = ask_about(place, "2026-03-02T12:02")
    assert decider(found)[0] == "hold"
    assert passages(found)["start"] == "passed"
    assert found.answer.startswith("It ran: the fire of 2026-03-02 12:02 UTC (held by ann until")


def test_a_time_that_is_not_due_names_the_nearest_ones(place):
    place.apply(a=HELLO, b=NIGHTLY)
    place.forward(3 * 86_400)
    place.finish()
    found = ask_about(place, "2026-03-04T03:00", "nightly", "Europe/Paris")
    assert found.answer == "It did not run at 2026-03-04 03:00 CET: it was not due then."
    assert (found.before, found.after) == (
        parse_instant("2026-03-04T01:30:00Z"),
        parse_instant("2026-03-05T01:30:00Z"),
    )
    early = ask_about(place, "2026-03-01T02:30", "nightly", "Europe/Paris")
    assert early.answer == (
        "It did not run at 2026-03-01 02:30 CET: the schedule was created later, at "
        "2026-03-02 13:00 CET."
    )
    later = ask_about(place, "2026-03-09T03:00", "nightly", "Europe/Paris")
    assert later.answer == "It will not run at 2026-03-09 03:00 CET: it is not due then."


def test_what_is_edited_later_is_told_by_its_present_spec(place):
    place.apply(a=HELLO, b=minutely())
    place.forward(60)
    place.finish()
    place.forward(10)
    place.apply(b=minutely().replace("interval: 1", "interval: 5"))
    place.forward(600)
    place.finish()
    (note,) = ask_about(place, "2026-03-02T12:01").notes
    assert note.startswith("decided by revision 1 of the schedule, which is at 2 now")
    (note,) = ask_about(place, "2026-03-02T12:00:30").notes
    assert note == (
        "by its present spec: it was edited or enabled later, at 2026-03-02 12:01:10 UTC; "
        "see `reconciler history`"
    )
    place.apply(b=minutely())
    place.forward(60)
    place.finish()
    found = ask_about(place, "2026-03-02T12:03")
    assert (
        "There is no decision about 2026-03-02 12:03 UTC: the schedule was edited or enabled later"
        in found.answer
    )


def test_a_decision_that_is_no_longer_there_is_not_made_up(place):
    place.apply(a=HELLO, b=minutely())
    place.forward(60)
    place.finish()
    with place.workspace._database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM fires")
    assert ask_about(place, "2026-03-02T12:01").answer == (
        "It was due at 2026-03-02 12:01 UTC, and what was decided about it is not in the ledger "
        "any more: whether it ran is not known."
    )


def spring(place):
    place.clock.instant = parse_instant("2026-03-28T12:00:00Z")


def test_a_time_that_did_not_exist_ran_later(place):
    spring(place)
    place.apply(a=HELLO, b=NIGHTLY)
    place.clock.instant = parse_instant("2026-03-29T01:30:00Z")
    place.finish()
    found = ask_about(place, "2026-03-29T02:30", "nightly", "Europe/Paris")
    assert found.answer == (
        "It did not run at 02:30 on 2026-03-29 because that time did not exist in Europe/Paris "
        "that day. It ran: the fire of 2026-03-29 03:30 CEST started at 2026-03-29 03:30 CEST, "
        "Finished at 2026-03-29 03:30 CEST."
    )
    assert decider(found) == ("dst", "02:30 does not exist that day")


@pytest.mark.parametrize(("gap", "ran"), [("end", "03:00"), ("skip", None)])
def test_what_becomes_of_a_skipped_time_is_the_schedules_choice(place, gap, ran):
    spring(place)
    place.apply(a=HELLO, b=NIGHTLY.replace("Paris}", f"Paris, dst: {{gap: {gap}}}}}"))
    place.clock.instant = parse_instant("2026-03-29T01:00:00Z")
    place.finish()
    place.clock.instant = parse_instant("2026-03-29T04:00:00Z")
    place.finish()
    found = ask_about(place, "2026-03-29T02:30", "nightly", "Europe/Paris")
    assert "that time did not exist in Europe/Paris that day" in found.answer
    if ran:
        assert f"It ran: the fire of 2026-03-29 {ran} CEST" in found.answer
    else:
        assert found.answer.endswith("it was not due then.")


def test_a_time_that_came_twice_is_said_to_have_done_so(place):
    place.clock.instant = parse_instant("2026-10-24T12:00:00Z")
    place.apply(a=HELLO, b=NIGHTLY)
    place.clock.instant = parse_instant("2026-10-25T00:30:00Z")
    place.finish()
    found = ask_about(place, "2026-10-25T02:30", "nightly", "Europe/Paris")
    assert found.answer.startswith(
        "02:30 on 2026-10-25 came twice in Europe/Paris; this is about 2026-10-25 02:30 CEST. It ran"
    )
    assert decider(found) == ("dst", "the first of two 02:30 that day")


def test_a_missed_fire_says_how_late_and_by_which_rule(place):
    place.apply(a=HELLO, b=minutely(missed="skip"))
    place.forward(200)
    place.finish()
    found = ask_about(place, "2026-03-02T12:01")
    assert decider(found) == ("missed", "missed: 2m20s late (missed: skip)")
    assert passages(found)["overlap"] == "not reached"


def test_what_is_not_decided_yet_says_since_when_nobody_looked(place):
    place.apply(a=HELLO, b=minutely())
    place.forward(90)
    assert ask_about(place, "2026-03-02T12:01").answer == (
        "It is not decided yet: it was due at 2026-03-02 12:01 UTC, and no runner has looked at "
        "it since 2026-03-02 12:00 UTC."
    )
    assert ask_about(place).answer == (
        "It has been due since 2026-03-02 12:01 UTC, for a runner to decide."
    )


def test_a_run_under_way_stops_the_next_fire_at_the_overlap(place):
    place.apply(a=LONG, b=minutely())
    place.forward(60)
    (run,) = until_running(place)
    place.forward(60)
    place.step()
    found = ask_about(place, "2026-03-02T12:02")
    assert decider(found) == (
        "overlap", f"skipped: run {run.id} is still Running (overlap: skip)",
    )  # fmt: skip
    assert found.answer == (
        f"It did not run at 2026-03-02 12:02 UTC: skipped: run {run.id} is still Running "
        "(overlap: skip)."
    )
    first = ask_about(place, "2026-03-02T12:01")
    assert first.answer == (
        "It is running: the fire of 2026-03-02 12:01 UTC started at 2026-03-02 12:01 UTC."
    )
    present = ask_about(place)
    assert [r.id for r in present.running] == [run.id]
    (overlap,) = [one.text for one in present.gates if one.gate == "overlap"]
    assert overlap == "1 run is not over; a fire now would be skipped (overlap: skip)"
    assert present.answer == (f"It is due next at 2026-03-02 12:03 UTC; as it is now, {overlap}.")
    assert ask_about(place, "2026-03-02T12:03").answer == (
        f"It will be due at 2026-03-02 12:03 UTC; as it is now, {overlap}."
    )
    with place.ledger.transaction() as tx:
        tx.request_cancel([run.id], "enough")
    place.finish()
    stopped = ask_about(place, "2026-03-02T12:01").answer
    assert stopped.startswith("It ran until it was stopped:")
    assert stopped.endswith(", enough.")


def test_what_is_queued_behind_the_limit_says_for_what_it_waits(place):
    place.apply(a=LONG, b=minutely(overlap="allow", max_active_runs="1"))
    place.forward(60)
    until_running(place)
    place.forward(60)
    place.step()
    found = ask_about(place, "2026-03-02T12:02")
    decided = [(one.gate, one.text) for one in found.gates if one.passage is Passage.DECIDED]
    assert decided == [
        ("limit", "queued: 1 runs are not over, 1 may run (max_active_runs)"),
        ("start", "waits: 1 runs are under way, 1 may be (max_active_runs)"),
    ]
    assert found.answer.startswith("It has not started yet: the fire of 2026-03-02 12:02 UTC was")
    present = ask_about(place)
    assert [one.reason for one in present.waiting] == [decided[1][1]]
    assert "1 run waits; the first waits: 1 runs are under way" in present.answer


@pytest.mark.parametrize(
    ("overlap", "text"),
    [
        ("queue", "wait for its turn (overlap: queue)"),
        ("queue_one", "wait for its turn (overlap: queue_one)"),
        ("cancel_running", "cancel what is not over (overlap: cancel_running)"),
        ("allow", "wait (max_active_runs: 1)"),
    ],
)
def test_what_the_next_fire_would_meet_is_told_beforehand(place, overlap, text):
    place.apply(a=LONG, b=minutely(overlap=overlap, max_active_runs="1"))
    place.forward(60)
    until_running(place)
    text = f"1 run is not over; a fire now would {text}"
    assert ask_about(place).answer.endswith(f"; as it is now, {text}.")


def test_a_pool_that_is_not_defined_is_told_before_anything_waits_for_it(place):
    place.apply(a=HELLO, b=minutely(pool="gpu"))
    text = "pool 'gpu' is not defined; `reconciler pool gpu --slots N` does"
    assert decider(ask_about(place)) == ("start", text)
    assert ask_about(place).answer == (
        f"It is due next at 2026-03-02 12:01 UTC; as it is now, its run would not start: {text}."
    )
    place.ledger.set_pool("gpu", 1)
    assert ask_about(place).answer.startswith("Nothing stands in its way:")


def test_a_full_pool_keeps_a_run_waiting(place):
    place.ledger.set_pool("gpu", 0)
    place.apply(a=HELLO, b=minutely(pool="gpu"))
    place.forward(60)
    place.step()
    found = ask_about(place, "2026-03-02T12:01")
    assert decider(found) == ("start", "waits: pool 'gpu' is full, 0 of 0 taken")
    (run,) = found.runs
    with place.ledger.transaction() as tx:
        tx.request_cancel([run.id], "no")
    assert decider(ask_about(place, "2026-03-02T12:01")) == ("start", "is to be stopped: no")
    place.finish()
    done = ask_about(place, "2026-03-02T12:01")
    assert done.answer.startswith("It did not start: the fire of 2026-03-02 12:01 UTC was Canceled")
    assert decider(done) == ("start", "no")


def test_a_run_that_nothing_keeps_waits_for_room(place):
    place.apply(a=HELLO, b=minutely())
    place.forward(60)
    place.daemon._ticker.tick()
    assert decider(ask_about(place, "2026-03-02T12:01")) == (
        "start", "waits for a runner with room for its steps",
    )  # fmt: skip


def test_jitter_keeps_a_run_waiting_for_its_time(place):
    place.apply(a=HELLO, b=minutely(jitter="40s"))
    place.forward(60)
    place.step()
    gate, text = decider(ask_about(place, "2026-03-02T12:01"))
    assert gate == "start"
    assert text.startswith("waits until 2026-03-02T12:01:")
    assert text.endswith("spread by jitter")


def test_a_schedule_that_failed_too_often_is_held_by_the_runner(place):
    place.apply(a=FAILING, b=minutely(pause_after_failures="1"))
    place.forward(60)
    place.finish()
    place.forward(60)
    place.step()
    found = ask_about(place, "2026-03-02T12:01")
    assert found.answer.startswith("It ran and failed: the fire of 2026-03-02 12:01 UTC started")
    assert found.answer.endswith("step say: exit code 1.")
    present = ask_about(place)
    gate, text = decider(present)
    assert gate == "hold"
    assert text.startswith("it is held by the runner: 1 run failed")
    assert [alert.alarm.value for alert in present.alerts] == ["paused"]


def test_a_run_anew_is_told_with_the_first(place):
    place.apply(a=FAILING, b=minutely(retries="{max: 1, backoff: 10s}"))
    place.forward(60)
    until_over(place)
    place.forward(10)
    until_over(place)
    found = ask_about(place, "2026-03-02T12:01")
    assert [run.number for run in found.runs] == [1, 2]
    assert ", at try 2, Failed at" in found.answer


def test_what_was_asked_for_passed_no_gate_but_the_asking(place):
    place.apply(a=HELLO, b=minutely())
    ask.run_schedule(place.registry, place.ledger, "every-minute", {}, "t1")
    place.forward(30)
    place.finish()
    found = ask_about(place, "2026-03-02T12:00")
    assert passages(found) == {"asked": "decided", "start": "passed"}
    assert "(asked for by hand)" in found.answer


def test_the_run_of_a_backfill_is_told_beside_the_decision_of_then(place):
    place.apply(a=HELLO, b=minutely(missed="skip"))
    place.forward(200)
    place.finish()
    start = parse_instant("2026-03-02T12:01:00Z")
    planned = plan_backfill(
        place.registry, place.ledger, "every-minute", "march", start=start, end=start
    )
    write_backfill(place.ledger, planned, "ann")
    place.finish()
    found = ask_about(place, "2026-03-02T12:01")
    assert decider(found)[0] == "missed"
    assert found.notes == ("also: b:march:2026-03-02T12:01:00Z, queue, backfill march by ann",)
    before = plan_backfill(
        place.registry, place.ledger, "every-minute", "old", start=start - 5 * MINUTE, end=start
    )
    write_backfill(place.ledger, before, "ann")
    place.finish()
    assert "It ran: the fire of 2026-03-02 11:57 UTC (backfill old by ann) started" in (
        ask_about(place, "2026-03-02T11:57").answer
    )


def test_the_one_immediate_run_is_the_windows_doing(place):
    place.apply(a=HELLO, b=minutely().replace(", first_run: aligned", ""))
    place.finish()
    found = ask_about(place, "2026-03-02T12:00")
    assert decider(found) == ("window", "first run on creation")


def test_a_schedule_that_is_over_says_so(place):
    over = NIGHTLY.replace("Paris}", 'Paris, end_time: "2026-03-03T00:00:00"}')
    place.apply(a=HELLO, b=over.replace("30 2", "*/5 *"))
    place.forward(86_400)
    place.finish()
    found = ask_about(place, None, "nightly")
    assert decider(found) == ("window", "it is completed: it will never be due again")


def test_an_unknown_zone_is_told_and_nothing_is_guessed(place):
    place.apply(a=HELLO, b=NIGHTLY)
    with place.workspace._database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE schedules SET spec = replace(spec, 'Europe/Paris', 'Europe/Atlantis')"
        )
    found = ask_about(place, None, "nightly")
    gate, text = decider(found)
    assert (gate, text[:15]) == ("window", "it is degraded:")
    assert "Europe/Atlantis" in text
    with pytest.raises(InvalidValue):
        read_asked(datetime(2026, 3, 2), "Europe/Atlantis")  # noqa: DTZ001  (a wall clock)
    past = ask_about(place, "2026-03-02T11:00", "nightly")
    assert "created later" in past.answer
    place.forward(86_400)
    assert "degraded" in ask_about(place, "2026-03-03T02:00", "nightly").answer


def test_a_schedule_by_files_tells_of_its_looks(place):
    folder = place.project / "landing" / "in"
    folder.mkdir(parents=True)
    place.apply(a=SHOW, b=LANDING, c=on_arrival(settle="0s"))
    early = ask_about(place, "2026-03-02T12:00", "on-arrival")
    assert early.answer == (
        "It did not fire at 2026-03-02 12:00 UTC: no runner has looked at its directory yet."
    )
    place.poll()
    (folder / "x.csv").write_text("data")
    place.forward(60)
    place.poll()
    place.finish()
    place.forward(120)
    found = ask_about(place, "2026-03-02T12:02", "on-arrival")
    assert found.answer == (
        "It did not fire at 2026-03-02 12:02 UTC: the last look at its directory, at "
        "2026-03-02 12:01 UTC, found 1 changed of 1 files."
    )
    assert found.watch.state == "ready"
    assert [poll.changed for poll in found.polls] == [1, 0]
    fired = ask_about(place, "2026-03-02T12:01", "on-arrival")
    assert fired.answer.startswith("It ran: the fire of 2026-03-02 12:01 UTC started")
    assert fired.fires[0].facts["path"] == "in/x.csv"
    present = ask_about(place, None, "on-arrival")
    assert present.answer == "Nothing stands in its way: it fires when the next file comes."
    assert (
        "depends on the files that come"
        in ask_about(place, "2026-04-02T12:02", "on-arrival").answer
    )
    assert "created later" in ask_about(place, "2026-03-01T12:02", "on-arrival").answer
    assert [run.state for run in fired.runs] == [RunState.FINISHED]


def test_a_hold_of_now_is_the_one_of_now(place):
    place.apply(a=HELLO, b=minutely())
    here = place.schedule("every-minute")
    with place.registry.transaction() as tx:
        tx.hold(here.id, Hold(who="a", why="b", since=place.clock.now()))
    assert decider(ask_about(place))[0] == "hold"


def test_a_schedule_that_was_declared_disabled_says_so(place):
    place.apply(a=HELLO, b=minutely(status="Disabled"))
    assert ask_about(place).answer == (
        "It does not fire now: the schedule is Disabled in its manifest."
    )


def test_a_time_that_clock_changes_leave_out_is_not_taken_for_another(place):
    nightly = NIGHTLY.replace("Paris}", "Paris, dst: {gap: skip}}")
    place.apply(a=HELLO, b=nightly)
    found = ask_about(place, "2026-03-29T02:30", "nightly", "Europe/Paris")
    assert found.answer.startswith(
        "It will not run at 02:30 on 2026-03-29 because that time did not exist in Europe/Paris "
        "that day, and dst.gap: skip leaves such times out."
    )


def test_what_may_have_run_before_a_restore_is_not_said_not_to_have_run(place):
    place.apply(a=HELLO, b=minutely())
    place.forward(60)
    due = place.clock.now()
    with place.registry.transaction() as tx:
        gap = Fire(
            schedule_id=place.schedule("every-minute").id,
            occurrence_key=f"g:{iso(due)}",
            due_at=due,
            decided_at=due,
            decision=Decision.GAP,
            reason="restored from a backup",
            revision=1,
            gate=Gate.RESTORE,
        )
        tx.record_gap(gap)
    assert ask_about(place, "2026-03-02T12:01").answer == (
        "Nobody knows whether it ran at 2026-03-02 12:01 UTC: the one fire passed over, "
        "restored from a backup."
    )
