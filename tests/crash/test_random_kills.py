"""A thousand kills at random calls of the runner's ports: nothing is lost and nothing repeated."""

import random

import pytest

from reconciler.run import Decision, RunState
from tests.crash.points import POINTS, SHIM_POINTS
from tests.crash.world import by_clock, by_data

LIVES = {"sqlite": 760, "postgres": 240}
PARTS = 4
CALLS = 80  # about as many as three passes that find something to do
DEEP = sorted(POINTS.keys() - SHIM_POINTS)


def disturb(world, chance):
    """Change something in the watched directory."""
    name = world.landing / f"{chance.randrange(50)}"
    if name.exists() and chance.random() < 0.3:
        name.unlink()
    else:
        name.write_text("x" * chance.randrange(1_000))


def death(chance):
    """Choose any call, or the next of those after which most is at stake."""
    if chance.random() < 0.5:
        return {"calls": chance.randrange(1, CALLS)}
    return {"point": chance.choice(DEEP), "calls": 2 * CALLS}


@pytest.mark.parametrize("part", range(PARTS))
def test_runners_killed_at_random_lose_and_repeat_nothing(world, part):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    world.apply(
        by_clock("all", world.now, 5, overlap="allow"),
        by_clock("few", world.now, 15, overlap="allow", pool="few"),
        by_clock("one", world.now, 25, overlap="skip", pool="few"),
        by_clock("row", world.now, 35, overlap="queue"),
        by_clock("two", world.now, 45, pipeline="twice", overlap="allow", pool="few"),
        by_data(max_active_runs=2),
    )
    with world.opened() as workspace:
        workspace.ledger.set_pool("few", 2)
    world.live(lambda ledger: ledger.watches()[0].state == "ready")
    lives = LIVES[world.store.name] // PARTS
    for _ in range(lives):
        if chance.random() < 0.5:
            disturb(world, chance)
        # The clock is also set back now and then.
        world.forward(chance.choice([0, 1, 10, 20, 40, 60, -30]))
        world.die(**death(chance), speed=chance.choice([0, 60]))
    world.forward(150)
    world.settle()
    runs = world.check()
    assert len(runs) > lives
    # Only runners died, so everything that began was seen to its end.
    assert {run.state for run in runs} == {RunState.FINISHED}
    with world.opened() as workspace:
        skipped = [s for s in workspace.registry.live().schedules if s.name != "one"]
        for schedule in skipped:
            fires = workspace.ledger.fires(schedule.id, limit=10**6)
            assert {fire.decision for fire in fires} <= {Decision.LAUNCH, Decision.QUEUE}
