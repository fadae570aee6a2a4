"""kill -9 of whole processes at any moment of a busy minute, by the clock that everybody has."""

import os
import random
import signal
from collections import Counter

import pytest

from reconciler.clock import MINUTE, SystemClock
from reconciler.reconcile import operate
from reconciler.run import AttemptState, RunState
from reconciler.settings import HOME_VARIABLE
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
                ledger.polls(ledger.watches()[0].id, 1)[0].polled_at > world.now
                and all(schedule.next_due > world.now for schedule in clock())
            )
        )
        for schedule in clock():
            operate.hold_schedule(registry, schedule.name, who="test", why="counting", until=None)
        until(lambda: not ledger.running_runs() and not ledger.waiting_runs())


def start(world, home=None, *arguments):
    env = os.environ | {HOME_VARIABLE: str(home or world.folder)}
    return RunnerProcess(world.store.url, world.log, *arguments, env=env)


@pytest.mark.timeout(240)
def test_a_busy_minute_with_thirty_kills_loses_and_repeats_nothing(world):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    prepare(world)
    world.live(lambda ledger: ledger.watches()[0].state == "ready")
    world.store.turn(SystemClock().now(), 1)
    runners = [start(world) for _ in range(world.store.runners)]
    for number in range(KILLS):
        (world.landing / f"{number}").write_text(str(number))
        which = chance.randrange(len(runners))
        assert runners[which].wait(chance.uniform(0.2, LONGEST)) is None, world.log.read_text()
        runners[which].kill()
        runners[which] = start(world)
    up_to_now(world)
    # One that has only just begun has nothing to bring to an end.
    assert {runner.stop() for runner in runners} <= {0, -signal.SIGTERM}
    runs = world.check()
    assert {run.state for run in runs} == {RunState.FINISHED}
    assert len(runs) > SCHEDULES // 2
    assert len([run for run in runs if run.facts]) == KILLS


@pytest.mark.parametrize("world", ["postgres"], indirect=True)
def test_what_a_machine_that_is_gone_left_ends_as_its_schedule_says_and_starts_nowhere_twice(world):
    config = world.folder / "runner.yml"
    config.write_text("patience: 20s\n")
    kinds = ["fail", "relaunch"]
    world.apply(
        *(
            by_clock(f"{kind}-{n}", world.now, 3 * n, overlap="allow", on_unknown=kind)
            for kind in kinds
            for n in range(20)
        ),
        rest="sleep 0.5",
    )
    world.store.turn(world.now, 10)
    homes = [world.folder / "one", world.folder / "two"]
    one, two = (start(world, home, "--config", str(config)) for home in homes)
    with world.opened() as workspace:
        ledger = workspace.ledger

        def under_way():
            tries = ledger.attempts([run.id for run in ledger.running_runs()])
            return {
                (run.on_unknown, "/one/attempts#" in attempt.node)
                for run in ledger.running_runs()
                for attempt in tries.get(run.id, ())
                if attempt.state is AttemptState.RUNNING
            }

        until(lambda: {(kind, True) for kind in kinds} <= under_way())
        one.kill()
        lost = {
            attempt.id: run.on_unknown
            for run in ledger.running_runs()
            for attempt in ledger.attempts([run.id]).get(run.id, ())
            if "/one/attempts#" in attempt.node and not attempt.over
        }
        world.now = ledger.now() + MINUTE
        until(lambda: ledger.now() >= world.now)
        world.forward(0)  # the clock stands
        until(
            lambda: (
                (ledger.next_wake() or 0) > world.now
                and not ledger.waiting_runs()
                and not ledger.running_runs()
            )
        )
        assert two.stop() == 0
        ends = Counter()
        for attempt_id, kind in lost.items():
            run = ledger.run(attempt_id.partition("/")[0])
            tries = [attempt.state for attempt in ledger.attempts([run.id])[run.id]]
            ends[kind, run.state, *tries] += 1
    assert set(ends) == {
        ("fail", RunState.FAILED, AttemptState.UNKNOWN),
        ("relaunch", RunState.FINISHED, AttemptState.UNKNOWN, AttemptState.FINISHED),
    }
    world.check()
