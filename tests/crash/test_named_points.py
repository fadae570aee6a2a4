"""SIGKILL at each point that matters: the next runner loses and repeats nothing."""

import json
import os

import psutil
import pytest

from reconciler.run import AttemptState, RunState
from reconciler.workspace.records import Alarm
from tests.crash.files import logged
from tests.crash.points import POINTS, POLL_POINTS
from tests.crash.world import by_clock, by_data, by_files
from tests.processes import until

FILE_POINTS = {
    *POLL_POINTS,
    *("FIRE_COMMITTED", "RUN_CLAIMED", "ATTEMPT_RECORDED", "LAUNCHED_NOT_RECORDED"),
}
CHANGES = [
    *(("a", "added"), ("bb", "modified"), ("a", "modified")),
    *((None, "deleted"), ("a", "added")),
]
# A file is the same again when it is so to the last bit.
TIMES = {"a": 1_700_000_000_000_000_001, "bb": 1_700_000_000_000_000_002}


def prepared(world, **fields):
    """A schedule that fires once and a directory with a file, baselined and both due."""
    world.apply(
        by_clock("ticking", world.now, 30, pool="few", **fields),
        by_data(pool="few", **fields),
        rest="sleep 0.1",
    )
    with world.opened() as workspace:
        workspace.ledger.set_pool("few", 1)
    world.live(lambda ledger: ledger.watches()[0].state == "ready")
    (world.landing / "new").write_text("new")
    world.forward(60)
    return world


def ended(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_what_was_submitted_and_comes_late_starts_nothing_any_more(world):
    world.apply(by_clock("ticking", world.now, 30))
    world.forward(60)
    world.die(point="LAUNCHED_NOT_RECORDED", freeze=True)
    world.settle()
    (run,) = world.check()
    assert run.state is RunState.FINISHED
    (server,) = json.loads((world.folder / "frozen").read_text())
    process = psutil.Process(server)
    process.resume()
    until(lambda: ended(process))
    assert world.starts() == {f"{run.id}/only/1": 1}


def lost(world, **fields):
    """A run whose only attempt took its token and died, the runner with it."""
    world.apply(by_clock("ticking", world.now, 30, pool="few", **fields))
    with world.opened() as workspace:
        workspace.ledger.set_pool("few", 1)
    world.forward(60)
    world.die(point="TOKEN_TAKEN")


def told(world):
    """Count how often somebody was told of an outcome that cannot be known."""
    with world.opened() as workspace:
        return [alert.alarm for alert in workspace.ledger.alerts()].count(Alarm.UNKNOWN)


def the_run(world):
    """Give the only run, its attempts' states and the places in use."""
    with world.opened() as workspace:
        (run,) = workspace.ledger.runs()
        tries = workspace.ledger.attempts([run.id])[run.id]
        (pool,) = workspace.ledger.pools()
        return run, [attempt.state for attempt in tries], pool.used


@pytest.mark.parametrize("point", sorted(POINTS.keys() - {"TOKEN_TAKEN", "FILES_LOOKED_AT"}))
def test_a_runner_killed_at_any_point_is_followed_by_one_that_loses_and_repeats_nothing(
    world, point
):
    prepared(world)
    world.die(point=point)
    world.settle()
    runs = world.check()
    assert sorted(run.occurrence_key[0] for run in runs) == ["d", "r"]
    assert {run.state for run in runs} == {RunState.FINISHED}
    assert set(world.starts()) == {f"{run.id}/only/1" for run in runs}


def test_what_took_its_token_and_died_fails_unless_the_schedule_says_otherwise(world):
    lost(world)
    world.settle()
    world.check()
    run, tries, _ = the_run(world)
    assert tries == [AttemptState.UNKNOWN]
    assert (run.state, world.starts(), told(world)) == (RunState.FAILED, {}, 1)
    assert run.reason.startswith("step only: outcome unknown")


def test_what_took_its_token_and_died_is_another_attempt_where_the_schedule_asks_for_it(world):
    lost(world, on_unknown="relaunch")
    world.settle()
    world.check()
    run, tries, _ = the_run(world)
    assert tries == [AttemptState.UNKNOWN, AttemptState.FINISHED]
    assert run.state is RunState.FINISHED
    assert (world.starts(), told(world)) == ({f"{run.id}/only/2": 1}, 1)


def test_what_took_its_token_and_died_waits_for_somebody_where_the_schedule_says_so(world):
    lost(world, on_unknown="wait")
    world.live(lambda _: the_run(world)[1] == [AttemptState.UNKNOWN])
    run, _, used = the_run(world)
    assert (run.state, used) == (RunState.RUNNING, 1)
    with world.opened() as workspace, workspace.ledger.transaction() as tx:
        assert tx.request_cancel([run.id], "looked at it") == [run.id]
    world.settle()
    world.check()
    run, _, used = the_run(world)
    assert (run.state, run.reason, used) == (RunState.CANCELED, "looked at it", 0)
    assert (world.starts(), told(world)) == ({}, 1)


def seen(world, ledger, before):
    """Tell whether a poll after ``before`` saw all that is there."""
    (watch,) = ledger.watches()
    last = ledger.polls(watch.id, 1)[0]
    return watch.poll_seq > before and not last.waiting and not last.error


@pytest.mark.parametrize("point", sorted(FILE_POINTS))
def test_from_a_to_b_to_a_and_deleted_and_uploaded_again_fire_each_time_wherever_runners_die(
    world, point
):
    # Where files need not settle, or all are looked at before they have, none is looked at by name.
    looked = point == "FILES_LOOKED_AT"
    asked = {"trigger": "settle: 1s", "minutes": 0.5} if looked else {}
    world.apply(by_files("arrivals", **asked))
    world.live(lambda ledger: ledger.watches()[0].state == "ready")
    file = world.landing / "file"
    told = []
    with world.opened() as workspace:
        for content, change in CHANGES:
            if content is None:
                file.unlink()
            else:
                file.write_text(content)
                os.utime(file, ns=(TIMES[content], TIMES[content]))
            told.append(change)
            before = workspace.ledger.watches()[0].poll_seq
            world.forward(1)
            # What is gone counts at once, and makes no run here.
            if change != "deleted" or (point in POLL_POINTS and not looked):
                world.die(point=point, speed=20)
            world.forward(1)
            if not seen(world, workspace.ledger, before):
                world.live(lambda ledger, before=before: seen(world, ledger, before), speed=20)
        world.settle()
        (watch,) = workspace.ledger.watches()
        assert [line.change for line in logged(workspace.ledger, watch)] == told
    runs = world.check()
    assert len(runs) == told.count("added") + told.count("modified")
    assert set(world.starts()) == {f"{run.id}/only/1" for run in runs}
