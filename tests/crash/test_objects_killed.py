"""The same on a real object store: objects are put, put again and deleted while runners die."""

import random

import pytest

from reconciler.data import Watched
from reconciler.run import RunState
from tests.crash.files import Journal, Rule
from tests.crash.points import POLL_POINTS
from tests.crash.world import STORES, World, by_files

LIVES = 60  # on each store
POINTS = [*POLL_POINTS, "FIRE_COMMITTED", "ATTEMPT_RECORDED", "LAUNCHED_NOT_RECORDED"]
CALLS = 120
WATCHED = Watched(datastore="landing", path="in")
A, B = b"a", b"another"


def declared(store, known):
    """Write the manifest of the datastore; ``known`` are its credentials' names."""
    said = {
        **{name: getattr(store, name) for name in ("account", "endpoint", "region")},
        "credentials": {name: f"${{{{ secret.{name.upper()} }}}}" for name in known},
    }
    lines = [f"{name}: {value}" for name, value in said.items() if value]
    return "\n".join(["kind: Datastore", "name: landing", f"url: {store.url}", *lines, ""])


class Objects:
    """A container that a world watches, and what was done to it."""

    def __init__(self, container, folder):
        self.container, self.reader = container, container.open()
        self.secrets = {}
        for name, value in container.server.credentials.items():
            self.secrets[name.upper()] = str(folder / name)
            (folder / name).write_text(value)
        for number in range(3):
            container.put(f"in/before-{number}", A)
        self.journal = Journal(self.listing)

    def manifest(self):
        return declared(self.container.datastore(), self.container.server.credentials)

    def listing(self):
        found = {}
        for files in self.reader.scan(WATCHED):
            found |= zip(files.names, files.facts, strict=True)
        return found

    def put(self, name, content):
        self.container.put(f"in/{name}", content)
        self.journal.note()

    def remove(self, name):
        self.container.remove(f"in/{name}")
        self.journal.note()


@pytest.fixture(params=["azurite", "seaweedfs"])
def objects(request, tmp_path):
    return Objects(request.getfixturevalue(request.param).container(), tmp_path)


@pytest.fixture
def world(tmp_path, nursery, objects):
    made = World(tmp_path, STORES["sqlite"](tmp_path, None), nursery)
    made.secrets, made.datastore = objects.secrets, objects.manifest()
    made.rules = {"each": Rule(), "poll": Rule(per_poll=True)}
    return made


def seen(ledger, before):
    """Tell whether a poll after ``before`` saw all that is there."""
    (watch,) = ledger.watches()
    return watch.poll_seq > before and not ledger.polls(watch.id, 1)[0].error


def test_runners_killed_at_random_decide_once_about_each_change_of_an_object(world, objects):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    world.apply(by_files("each", "in"), by_files("poll", "in", "settle: 0s, batch: per_poll"))
    world.live(lambda ledger: ledger.watches()[0].state == "ready")
    with world.opened() as workspace:
        ledger = workspace.ledger

        def hold(before):
            if seen(ledger, before):
                objects.journal.hold(ledger, ledger.watches()[0])

        for _ in range(LIVES):
            name = f"{chance.randrange(6)}"
            if name.encode() in objects.journal.present and chance.random() < 0.3:
                objects.remove(name)
            else:
                objects.put(name, chance.choice([A, B]))
            before = ledger.watches()[0].poll_seq
            world.forward(chance.choice([0, 1, 1, 1]))
            point = {"point": chance.choice(POINTS)} if chance.random() < 0.5 else {}
            world.die(**point, calls=chance.randrange(1, CALLS), speed=chance.choice([0, 20]))
            hold(before)
        before = ledger.watches()[0].poll_seq
        world.forward(1)
        world.live(lambda _: seen(ledger, before), speed=20)
        hold(before)
        print(objects.journal.held, objects.journal.lines)
        assert objects.journal.lines > LIVES // 3
    world.settle()
    runs = world.check()
    assert {run.state for run in runs} == {RunState.FINISHED}
    assert set(world.starts()) == {f"{run.id}/only/1" for run in runs}


def test_from_a_to_b_to_a_and_deleted_and_uploaded_again_fire_each_time(world, objects):
    world.rules = {"each": Rule()}
    world.apply(by_files("each", "in"))
    world.live(lambda ledger: ledger.watches()[0].state == "ready")
    with world.opened() as workspace:
        ledger = workspace.ledger
        for number, content in enumerate((A, B, A, None, A), 1):
            objects.remove("x") if content is None else objects.put("x", content)
            before = ledger.watches()[0].poll_seq
            for point in ("POLL_LISTED", "POLL_COMMITTING", "POLL_COMMITTED"):
                world.forward(1)
                world.die(point=point, speed=20)
            assert seen(ledger, before)
            objects.journal.hold(ledger, ledger.watches()[0])
            assert objects.journal.lines == number
    world.settle()
    runs = world.check()
    assert len(runs) == 4
