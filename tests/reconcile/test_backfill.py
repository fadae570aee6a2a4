"""A backfill makes every occurrence once, whatever interrupts it, and its runs take turns."""

import pytest

from reconciler.clock import parse_instant
from reconciler.errors import NotFound, Refused
from reconciler.reconcile import backfill as module
from reconciler.reconcile.backfill import backfill_runs, plan_backfill, write_backfill
from reconciler.run import Decision, Gate, RunState
from reconciler.schedule import Status
from tests.reconcile.running import LONG, until_running
from tests.runner.test_data import LANDING, SHOW, on_arrival
from tests.site import HELLO, minutely

MINUTE = 60_000_000
NOON = parse_instant("2026-03-02T12:00:00Z")
DUE = """
kind: Pipeline
name: hello
steps: [{name: say, shell: "echo $RECONCILER_DUE"}]
"""
HOURLY = """
kind: Schedule
name: hourly
pipeline: hello
trigger: {cron: {expression: "0 * * * *"}}
"""


def planned(place, name="hourly", token="march", hours=4, end=NOON, **settings):
    start = end - hours * 60 * MINUTE
    return plan_backfill(
        place.registry, place.ledger, name, token, start=start, end=end, **settings
    )


def keys(place, name="hourly"):
    return sorted(fire.occurrence_key for fire in place.fires(name))


def test_every_occurrence_runs_once_and_stands_for_its_own_time(place):
    place.apply(a=DUE, b=HOURLY)
    made = planned(place)
    assert write_backfill(place.ledger, made, "ann") == 5
    runs = sorted(place.finish(), key=lambda run: run.due_at)
    assert [place.log(run, "say").strip() for run in runs] == [
        f"2026-03-02T{hour:02}:00:00Z" for hour in range(8, 13)
    ]
    assert keys(place) == [f"b:march:2026-03-02T{hour:02}:00:00Z" for hour in range(8, 13)]
    (fire, *_) = place.fires("hourly")
    assert (fire.decision, fire.gate, fire.reason) == (
        Decision.QUEUE, Gate.ASKED, "backfill march by ann",
    )  # fmt: skip


def test_the_same_token_again_doubles_nothing_and_another_one_does_it_again(place):
    place.apply(a=HELLO, b=HOURLY)
    write_backfill(place.ledger, planned(place), "ann")
    again = planned(place)
    assert (again.missing, len(again.known)) == ((), 5)
    assert write_backfill(place.ledger, again, "ann") == 0
    wider = planned(place, hours=6)
    assert (len(wider.missing), len(wider.known)) == (2, 5)
    assert write_backfill(place.ledger, wider, "ann") == 2
    assert write_backfill(place.ledger, planned(place, token="april"), "ann") == 5
    assert len(place.finish()) == 12


def test_what_was_interrupted_is_continued(place, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)
    place.apply(a=HELLO, b=HOURLY)
    transactions = iter([True, True])
    real = place.ledger.transaction

    def breaks():
        if next(transactions, None) is None:
            raise KeyboardInterrupt
        return real()

    monkeypatch.setattr(place.ledger, "transaction", breaks)
    with pytest.raises(KeyboardInterrupt):
        write_backfill(place.ledger, planned(place), "ann")
    monkeypatch.setattr(place.ledger, "transaction", real)
    rest = planned(place)
    assert len(rest.known) == 4
    assert write_backfill(place.ledger, rest, "ann") == 1
    assert len(place.finish()) == 5


@pytest.mark.parametrize(("overlap", "most"), [("skip", 1), ("queue", 1), ("allow", 2)])
def test_the_runs_take_turns_and_none_is_skipped(place, overlap, most):
    place.apply(a=HELLO, b=HOURLY + f"overlap: {overlap}\nmax_active_runs: 2\n")
    write_backfill(place.ledger, planned(place), "ann")
    peak = 0
    for _ in range(1_000):
        place.step()
        peak = max(peak, len(place.ledger.running_runs()))
        if all(run.state.over for run in place.runs()):
            break
        place.daemon.wait(0.05)
    assert [run.state for run in place.runs()] == [RunState.FINISHED] * 5
    assert peak <= most


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel_running"])
def test_a_backfill_neither_holds_up_its_schedule_nor_runs_beside_it(place, overlap):
    place.apply(a=LONG, b=HOURLY + f"overlap: {overlap}\n")
    write_backfill(place.ledger, planned(place, hours=2), "ann")
    running = until_running(place)
    place.forward(3_600)
    place.step()
    (fire,) = [fire for fire in place.fires("hourly") if fire.occurrence_key.startswith("r:")]
    assert (fire.decision, fire.reason) == (Decision.LAUNCH, "on time")
    assert place.ledger.running_runs() == running
    with place.ledger.transaction() as tx:
        tx.request_cancel([running[0].id], "enough")
    assert [run.id for run in until_running(place, after=running[0])] == [fire.run_id]


def test_the_oldest_due_goes_first(place):
    place.apply(a=HELLO, b=HOURLY)
    write_backfill(place.ledger, planned(place), "ann")
    runs = sorted(place.finish(), key=lambda run: run.due_at)
    started = [place.ledger.attempts([run.id])[run.id][0].started_at for run in runs]
    assert started == sorted(started)


def test_a_backfill_alerts_about_no_deadline_and_keeps_the_other_policies(place):
    place.apply(a=HELLO, b=HOURLY + "deadline: {start: 1m}\npool: gpu\n")
    write_backfill(place.ledger, planned(place), "ann")
    place.step()
    assert {(run.start_by, run.pool) for run in place.runs()} == {(None, "gpu")}
    assert [alert for alert in place.ledger.alerts() if alert.alarm == "late_start"] == []


def test_the_runs_of_a_backfill_that_are_not_over_can_be_told(place):
    place.apply(a=HELLO, b=HOURLY)
    write_backfill(place.ledger, planned(place), "ann")
    assert len(backfill_runs(place.ledger, "march")) == 5
    assert len(backfill_runs(place.ledger, "march", place.schedule("hourly").id)) == 5
    assert backfill_runs(place.ledger, "mar") == []
    place.finish()
    assert backfill_runs(place.ledger, "march") == []


def test_what_makes_no_sense_is_refused_with_numbers_and_the_way_out(place):
    (place.project / "landing" / "in").mkdir(parents=True)
    place.apply(a=HELLO, b=minutely(), c=SHOW, d=LANDING, e=on_arrival(), f=HOURLY)
    with pytest.raises(
        Refused,
        match=r"^14401 fires of 'every-minute' were due from .* to .*, more than 10000; "
        r"fill a shorter window, or give --max 14401$",
    ):
        planned(place, "every-minute", hours=240)
    with pytest.raises(Refused, match=r"^5 fires of 'hourly'.*more than 4;"):
        planned(place, most=4)
    with pytest.raises(Refused, match=r"for what has passed: .* is after now .* leave --to out"):
        planned(place, end=NOON + 1)
    with pytest.raises(Refused, match="window is empty"):
        planned(place, hours=-1, end=NOON - 120 * MINUTE)
    with pytest.raises(Refused, match="goes by files, not by the clock"):
        planned(place, "on-arrival")
    with pytest.raises(Refused, match="'a:b' is no name for a backfill; use letters"):
        planned(place, token="a:b")
    with pytest.raises(NotFound, match="no schedule 'nothing'"):
        planned(place, "nothing")
    pipeline = next(p for p in place.registry.live().pipelines if p.name == "hello")
    with place.registry.transaction() as tx:
        tx.set_pipeline_status(pipeline.id, pipeline.revision, Status.DISABLED, None)
    with pytest.raises(Refused, match="pipeline 'hello@1' is Disabled"):
        planned(place)


def test_without_an_end_it_goes_to_now(place):
    place.apply(a=HELLO, b=HOURLY)
    made = plan_backfill(place.registry, place.ledger, "hourly", "t", start=NOON - 60 * MINUTE)
    assert made.dues == (NOON - 60 * MINUTE, NOON)
