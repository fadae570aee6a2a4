"""A thousand kills over files that change at random: every change has one decision and one run."""

import random

import pytest

from reconciler.run import Decision, RunState
from tests.crash.points import POLL_POINTS
from tests.crash.story import LATE, PLACES, RULES, SCHEDULES, Place, late

LIVES = {"sqlite": 760, "postgres": 240}
PARTS = 4
CALLS = 150  # about as many as a life that sees a change to its runs has
DEEP = [
    *(*POLL_POINTS, "FIRE_COMMITTED", "RUN_CLAIMED"),
    *("ATTEMPT_RECORDED", "LAUNCHED_NOT_RECORDED", "RECORDED"),
]


def death(chance):
    """Choose any call, or the next of those after which most is at stake."""
    if chance.random() < 0.5:
        return {"calls": chance.randrange(1, CALLS)}
    return {"point": chance.choice(DEEP), "calls": 2 * CALLS}


class Story:
    """Places and a world that watches them; a workspace of its own looks at what was written."""

    def __init__(self, world, workspace, chance):
        self.world, self.chance = world, chance
        self.ledger, self.registry = workspace.ledger, workspace.registry
        self.places = {
            name: Place(world.landing / name, chance, marked=name == "marked", **kind)
            for name, kind in PLACES.items()
        }
        world.rules = dict(RULES)
        world.apply(*SCHEDULES)
        self.polled(lambda place, watch: watch.state == "ready")

    def watches(self):
        """Give each place with its watch."""
        return [(self.places[watch.watched.path], watch) for watch in self.ledger.watches()]

    def dies(self, meanwhile=None):
        """Let a runner live until its death; where it saw all that was done, hold it to that.

        What is done ``meanwhile`` it may have seen or not.
        """
        before = {watch.id: watch.poll_seq for _, watch in self.watches()}
        self.world.forward(self.chance.choice([0, 1, 1, 2, 5, -30]))
        self.world.die(
            **({} if meanwhile is None else {"meanwhile": meanwhile}),
            **death(self.chance),
            speed=self.chance.choice([0, 60]),
        )
        if meanwhile is None:
            for place, watch in self.watches():
                if self.seen(place, watch, before[watch.id]):
                    place.journal.hold(self.ledger, watch)

    def seen(self, place, watch, before):
        """Tell whether all that is there was seen, and counts, in polls after ``before``.

        The first look of a life is at all files.
        """
        if watch.poll_seq == before:
            return False
        last = self.ledger.polls(watch.id, 1)[0]
        waits = last.waiting and not place.journal.marked
        return not (last.error or waits or last.note.startswith("mounted anew"))

    def polled(self, over=None):
        """Let a runner live until it has seen all that is there, and hold it to that."""
        before = {watch.id: watch.poll_seq for _, watch in self.watches()}
        self.world.forward(1)
        self.world.live(
            lambda _: all(
                self.seen(place, watch, before[watch.id]) and (over is None or over(place, watch))
                for place, watch in self.watches()
            ),
            speed=20,
        )
        for place, watch in self.watches():
            place.journal.hold(self.ledger, watch)

    def join(self):
        """Have a schedule begin to watch that asks for what is there."""
        watch = next(watch for place, watch in self.watches() if place is self.places["flat"])
        self.world.apply(*SCHEDULES, LATE)
        (schedule,) = [s for s in self.registry.live().schedules if s.name == "late"]
        place = self.places["flat"]
        while not (existing := self.ledger.arrival(schedule.id).existing):
            place.disturb()
            self.dies()
        self.world.rules["late"] = late(watch.change_seq, existing)

    def anything(self):
        """Let something happen, and a runner die."""
        place = self.chance.choice([self.places["flat"], *self.places.values()])
        kind = self.chance.random()
        if kind < 0.1:
            self.dies(meanwhile=place.disturb_at_once)
        elif kind < 0.13:
            put_back = place.hide()
            self.dies()
            put_back()
        elif kind < 0.16:
            self.polled()
        else:
            for _ in range(self.chance.choice([0, 1, 1, 1, 2, 3])):
                place.disturb()
            if place.journal.marked:
                place.mark()
            self.dies()

    def mount_anew(self):
        self.polled()
        self.places["flat"].mount_anew()
        self.dies()
        self.polled()

    def end(self):
        """See everything to its end."""
        self.places["marked"].mark_all()
        self.polled()

        def over():
            arrivals = [self.ledger.arrival(s.id) for s in self.registry.live().schedules]
            ends = {watch.id: watch.change_seq for _, watch in self.watches()}
            return not (
                any(arrival.cursor < ends[arrival.watch_id] for arrival in arrivals)
                or self.ledger.waiting_runs()
                or self.ledger.running_runs()
            )

        self.world.live(lambda _: over())


@pytest.mark.parametrize("part", range(PARTS))
def test_runners_killed_at_random_decide_once_about_each_change_of_a_file(world, part):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    lives = LIVES[world.store.name] // PARTS
    with world.opened() as workspace:
        story = Story(world, workspace, chance)
        burst, gone, joined, anew = sorted(chance.sample(range(lives), 4))
        for life in range(lives):
            if life in {burst, gone}:
                story.places["flat"].burst()
            if life == joined:
                story.join()
            if life == anew:
                story.mount_anew()
            story.anything()
        story.end()
        journals = {name: place.journal for name, place in story.places.items()}
        print({name: (journal.held, journal.lines) for name, journal in journals.items()})
        assert sum(journal.lines for journal in journals.values()) > lives // 2
        fires = [
            fire
            for schedule in workspace.registry.live().schedules
            for fire in workspace.ledger.fires(schedule.id, limit=10**6)
        ]
    runs = world.check()
    # Only runners died, so everything that began was seen to its end.
    assert {run.state for run in runs} == {RunState.FINISHED}
    assert {fire.decision for fire in fires} <= {Decision.LAUNCH, Decision.QUEUE}
    assert set(world.starts()) == {f"{run.id}/only/1" for run in runs}
