"""kill -9 of whole processes at any moment of a busy minute, by the clock that everybody has."""

import random

import pytest

from reconciler.clock import SystemClock
from reconciler.reconcile import operate
from reconciler.run import RunState
from tests.crash.world import by_clock, by_data
from tests.processes import RunnerProcess, until

KILLS = 30
SCHEDULES = 150
LONGEST = 1.6  # seconds of a life; a third of that goes by before a runner does anything
FEW = {"pipeline": "twice", "overlap": "queue", "pool": "few"}


def prepare(world):
    """Apply schedules of which two or three come due each second, and one for files."""
    world.apply(
        *(
            by_clock(
                f"clock-{number}",
                world.now,
                3 + number * 60 // SCHEDULES,
                **({"overlap": "allow"} if number % 5 else FEW),
            )
            for number in range(SCHEDULES)
        ),
        by_data(),
        rest="sleep 0.2",
    )
    with world.opened() as workspace:
        workspace.ledger.set_pool("few", 3)


def up_to_now(world):
    """Let the last runner decide all that was due until now; then hold, and see the rest end."""
    world.now = SystemClock().now()
    with world.opened() as workspace:
        ledger, registry = workspace.ledger, workspace.registry

        def clock():
            return [s for s in registry.live().schedules if s.name.startswith("clock")]

        until(
            lambda: (
                ledger.polls("landing", "", 1)[0].polled_at > world.now
                and all(schedule.next_due > world.now for schedule in clock())
            )
        )
        for schedule in clock():
            operate.hold_schedule(registry, schedule.name, who="test", why="counting", until=None)
        until(lambda: not ledger.running_runs() and not ledger.waiting_runs())


@pytest.mark.timeout(240)
def test_a_busy_minute_with_thirty_kills_loses_and_repeats_nothing(world):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    prepare(world)
    world.live(lambda ledger: ledger.watches()[0].state == "ready", speed=1)
    runner = RunnerProcess(world.store.url, world.log)
    for number in range(KILLS):
        (world.landing / f"{number}").write_text(str(number))
        assert runner.wait(chance.uniform(0.2, LONGEST)) is None, world.log.read_text()
        runner.kill()
        runner = RunnerProcess(world.store.url, world.log)
    up_to_now(world)
    assert runner.stop() == 0
    runs = world.check()
    assert {run.state for run in runs} == {RunState.FINISHED}
    assert len(runs) > SCHEDULES // 2
    assert len([run for run in runs if run.facts]) == KILLS
