"""Which files fire for a schedule that joins, leaves, moves, or sees with other rules: a table.

A real folder and ledger, the real loop, and a clock the test moves. In each row one schedule is
asked about; ``other`` stands on the same watch where the row says so.
"""

import json

import pytest

from reconciler.data import DatastoreChange
from reconciler.errors import Refused
from reconciler.plan.spec import spec_value
from reconciler.reconcile import operate
from reconciler.run import Decision
from reconciler.schedule import Missed, Schedule, Status

PIPELINE = """
kind: Pipeline
name: show
steps: [{name: say, command: ["true"]}]
"""
STORE = "kind: Datastore\nname: landing\nurl: file:{}\n"


def by_data(name, path="in", status="Active", **fields):
    said = {"polling_interval": 1, "settle": "0s", "datastore": "landing", **fields}
    return (
        f"kind: Schedule\nname: {name}\npipeline: show\nstatus: {status}\n"
        f"trigger: {{datastore_change: {json.dumps({'path_on_datastore': path, **said})}}}\n"
    )


class World:
    def __init__(self, place):
        self.place = place
        # How many files are there is not what these are about.
        place.allowed = frozenset({"fires_on_apply"})
        for folder in ("landing/in", "landing/out", "landing/in/sub", "moved/in"):
            (place.project / folder).mkdir(parents=True)
        place.apply(a=PIPELINE, b=STORE.format("landing"))

    def file(self, name, text="data", folder="in", store="landing"):
        (self.place.project / store / folder / name).write_text(text)
        self.look()

    def delete(self, name):
        (self.place.project / "landing/in" / name).unlink()
        self.look()

    def look(self):
        self.place.forward(60)
        self.place.poll()
        self.place.finish()

    def mine(self, **fields):
        self.place.apply(mine=by_data("mine", **fields))
        self.place.poll()

    def other(self, **fields):
        self.place.apply(other=by_data("other", **fields))
        self.place.poll()

    def gone(self, name="mine"):
        self.place.remove(name)
        self.place.apply()

    def own(self):
        """Make the schedule one that no project manages: it can be disabled and recovered."""
        pipeline = operate.find_pipeline(self.place.registry.live(), "show")
        trigger = spec_value(Schedule, self.place.schedule("other").spec).trigger
        assert isinstance(trigger, DatastoreChange)
        schedule = Schedule(name="mine", pipeline="show", trigger=trigger)
        operate.create_schedule(self.place.registry, schedule, pipeline.id)
        self.place.poll()

    def disable(self):
        self.place.forward(1)
        operate.disable_schedule(self.place.registry, "mine", who="ann", why="audit")

    def enable(self, recover=None):
        self.place.forward(1)
        operate.enable_schedule(self.place.registry, "mine", who="ann", recover=recover)
        self.place.poll()
        self.place.finish()

    def hold(self, catchup=None):
        operate.hold_schedule(
            self.place.registry, "mine", who="ann", why="audit", until=None, catchup=catchup
        )

    def release(self):
        self.place.forward(1)
        operate.release_schedule(self.place.registry, "mine")
        self.place.finish()

    def fired(self, name="mine"):
        """Name the files of each run, in the order of the runs; with + for several in one."""
        return [self._files(run) for run in sorted(self.place.runs(name), key=_place)]

    def _files(self, run):
        if "files" not in run.facts:
            return run.facts["path"].removeprefix("in/")
        lines = self.place.ledger.files(run.id).splitlines()
        return "+".join(json.loads(line)["path"].removeprefix("in/") for line in lines)


def _place(run):
    return [int(part) for part in run.occurrence_key.split(":")[1:]]


def joins_before_a_change(w):
    w.other()
    w.mine()
    w.file("a")
    return ["a"]


def joins_after_a_change(w):
    w.other()
    w.file("a")
    w.mine()
    w.file("b")
    return ["b"]


def joins_after_a_change_and_asks_for_what_is_there(w):
    w.other()
    w.file("a")
    w.mine(initial="trigger")
    w.look()
    w.file("b")
    assert w.fired("other") == ["a", "b"]
    return ["a", "b"]


def begins_alone(w):
    w.file("a")
    w.mine()
    w.file("b")
    return ["b"]


def begins_alone_and_asks_for_what_is_there(w):
    w.file("a")
    w.file("b.csv")
    w.file("c.csv")
    w.mine(initial="trigger", include=["*.csv"])
    w.look()
    w.file("d.csv")
    return ["b.csv", "c.csv", "d.csv"]


def asks_for_what_is_there_all_at_once(w):
    w.file("a")
    w.file("b")
    w.mine(initial="trigger", batch="per_poll")
    w.look()
    w.file("c")
    return ["a+b", "c"]


def asks_later_for_what_was_there(w):
    w.file("a")
    w.mine()
    w.mine(initial="trigger")
    w.look()
    return []


def leaves_and_comes_back(w):
    w.mine()
    w.file("a")
    w.gone()
    w.file("b")
    w.mine()
    w.file("c")
    return ["a", "c"]


def leaves_and_comes_back_while_another_stays(w):
    w.other()
    w.mine(initial="trigger")
    w.file("a")
    w.gone()
    w.file("b")
    w.mine(initial="trigger")
    w.file("c")
    assert w.fired("other") == ["a", "b", "c"]
    return ["a", "c"]


def moves_to_another_path(w):
    w.mine(path="out")
    w.file("a")
    w.mine(path="in")
    w.file("b")
    return ["b"]


def moves_to_another_path_and_asks_for_what_is_there(w):
    w.mine(path="out", initial="trigger")
    w.file("a")
    w.mine(path="in", initial="trigger")
    w.look()
    w.file("b")
    return ["a", "b"]


def looks_deeper(w):
    w.mine()
    w.file("a", folder="in/sub")
    w.mine(recursive=True)
    w.file("b", folder="in/sub")
    w.file("c")
    return ["sub/b", "c"]


def looks_at_one_file(w):
    w.mine(file="one")
    w.file("other")
    w.file("one")
    w.file("one", "more")
    return ["one", "one"]


def includes_more(w):
    w.mine(include=["*.csv"])
    w.file("a.txt")
    w.file("a.csv")
    w.mine(include=["*.csv", "*.txt"])
    w.look()
    w.file("b.txt")
    w.file("a.txt", "changed")
    return ["a.csv", "b.txt", "a.txt"]


def looks_more_often(w):
    w.mine(polling_interval=1440)
    w.place.forward(60)
    w.mine(polling_interval=1)
    w.file("a")
    return ["a"]


def waits_for_less_time(w):
    w.mine(settle="1h")
    w.file("a")
    w.look()
    assert w.fired() == []
    w.mine(settle="0s")
    w.look()
    return ["a"]


def begins_to_ask_for_a_marker(w):
    w.mine()
    w.file("a")
    w.mine(done_marker="{name}.done")
    w.look()
    w.file("b")
    w.look()
    w.file("b.done")
    w.look()
    return ["a", "b"]


def asks_for_larger_files(w):
    w.mine(min_size=5)
    w.file("a", "tiny")
    w.file("b", "large enough")
    w.mine(min_size=0)
    w.look()
    w.file("c", "")
    return ["b", "c"]


def is_told_of_deletions(w):
    w.mine(changes=["deleted"])
    w.file("a")
    w.delete("a")
    (fire,) = w.place.fires("mine")
    assert (fire.reason, fire.facts["change"]) == ("a was deleted", "deleted")
    return ["a"]


def takes_all_of_a_poll_from_now_on(w):
    w.mine()
    w.file("a")
    w.mine(batch="per_poll")
    (w.place.project / "landing/in/b").write_text("data")
    w.file("c")
    return ["a", "b+c"]


def is_disabled_for_a_while(w):
    w.mine()
    w.file("a")
    w.mine(status="Disabled")
    w.file("b")
    w.mine(initial="trigger")
    w.file("c")
    return ["a", "c"]


def is_on_a_datastore_that_moves(w):
    w.mine(initial="trigger")
    w.file("a")
    w.place.apply(b=STORE.format("moved"))
    w.file("b", store="moved")
    w.file("c", store="moved")
    return ["a", "c"]


def sees_other_files_than_another(w):
    w.other(include=["*.txt"])
    w.mine(include=["*.csv"])
    w.file("a.csv")
    w.file("a.txt")
    assert w.fired("other") == ["a.txt"]
    return ["a.csv"]


def held(catchup, expected, **fields):
    def row(w):
        w.mine(**fields)
        w.hold(catchup)
        w.file("a")
        (w.place.project / "landing/in/b").write_text("data")
        w.file("c")
        assert w.fired() == []
        w.release()
        w.file("d")
        return expected

    return row


def recovered(recover, expected, *, alone=False):
    def row(w):
        w.other()
        w.own()
        w.file("a")
        if alone:
            w.gone("other")
        w.disable()
        w.file("b")
        w.file("c")
        w.enable(recover)
        w.look()
        w.file("d")
        return expected

    return row


ROWS = {
    **{
        row.__name__.replace("_", " "): row
        for row in (
            joins_before_a_change,
            joins_after_a_change,
            joins_after_a_change_and_asks_for_what_is_there,
            begins_alone,
            begins_alone_and_asks_for_what_is_there,
            asks_for_what_is_there_all_at_once,
            asks_later_for_what_was_there,
            leaves_and_comes_back,
            leaves_and_comes_back_while_another_stays,
            moves_to_another_path,
            moves_to_another_path_and_asks_for_what_is_there,
            looks_deeper,
            looks_at_one_file,
            includes_more,
            looks_more_often,
            waits_for_less_time,
            begins_to_ask_for_a_marker,
            asks_for_larger_files,
            is_told_of_deletions,
            takes_all_of_a_poll_from_now_on,
            is_disabled_for_a_while,
            is_on_a_datastore_that_moves,
            sees_other_files_than_another,
        )
    },
    "is held and catches up with nothing": held(Missed.SKIP, ["d"]),
    "is held and catches up with the newest": held(Missed.LAST, ["c", "d"]),
    "is held and catches up with all": held(Missed.ALL, ["a", "b", "c", "d"]),
    "is held and catches up as is usual": held(None, ["a", "b", "c", "d"]),
    "is held, by poll, and catches up with nothing": held(Missed.SKIP, ["d"], batch="per_poll"),
    "is held, by poll, and catches up with the newest": held(
        Missed.LAST, ["b+c", "d"], batch="per_poll"
    ),
    "is held, by poll, and catches up with all": held(
        Missed.ALL, ["a", "b+c", "d"], batch="per_poll"
    ),
    "is enabled, others looked": recovered(None, ["a", "d"]),
    "is enabled and recovers none, others looked": recovered(Missed.SKIP, ["a", "d"]),
    "is enabled and recovers the newest, others looked": recovered(Missed.LAST, ["a", "c", "d"]),
    "is enabled and recovers all, others looked": recovered(Missed.ALL, ["a", "b", "c", "d"]),
    "is enabled, nobody looked": recovered(None, ["a", "d"], alone=True),
    "is enabled and recovers all, nobody looked": recovered(
        Missed.ALL, ["a", "b", "c", "d"], alone=True
    ),
}


@pytest.fixture
def world(place):
    return World(place)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_of_a_schedule_that(world, row):
    expected = row(world)
    assert world.fired() == expected


def test_the_newest_of_files_that_nobody_looked_at_is_not_known(world):
    world.other()
    world.own()
    world.gone("other")
    world.disable()
    world.file("a")
    with pytest.raises(Refused, match="the newest is not known; use --recover all"):
        world.enable(Missed.LAST)
    assert world.place.schedule("mine").status is Status.DISABLED


def test_a_watch_that_began_anew_knows_nothing_of_before(world):
    world.other()
    world.own()
    world.gone("other")
    world.disable()
    world.file("a")
    world.other()
    with pytest.raises(Refused, match="is not known any more; enable it without --recover"):
        world.enable(Missed.ALL)
    world.enable()
    world.file("b")
    assert world.fired() == ["b"]


def test_a_schedule_that_is_renamed_goes_on_where_it_is(world):
    world.mine(initial="trigger")
    world.file("a")
    text = by_data("renamed", initial="trigger")
    world.place.apply(mine=text.replace("pipe", "renamed_from: mine\npipe", 1))
    world.file("b")
    assert world.fired("renamed") == ["a", "b"]


def gaps(world):
    fires = world.place.fires("mine")
    return [(fire.count, fire.reason) for fire in fires if fire.decision is Decision.GAP]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ({"status": "Disabled"}, "the schedule was disabled before they fired"),
        ({"path": "out"}, "the trigger was edited before it fired"),
    ],
)
def test_files_that_were_found_and_will_never_be_decided_about_have_a_row(world, edit, reason):
    world.mine(include=["*.csv"])
    world.hold()
    for name in ("a.csv", "b.txt", "c.csv"):
        world.file(name)
    world.mine(include=["*.csv"], **edit)
    assert gaps(world) == [(2, reason)]
    if "status" not in edit:
        world.release()
    assert world.fired() == []


def test_files_that_were_found_before_their_datastore_moved_are_not_looked_for_where_it_is_now(
    world,
):
    world.mine()
    world.hold()
    world.file("a")
    world.file("b")
    world.place.apply(b=STORE.format("moved"))
    assert gaps(world) == [(2, "datastore 'landing' was moved before they fired")]
    world.file("c", store="moved")
    world.release()
    world.file("d", store="moved")
    assert world.fired() == ["d"]
