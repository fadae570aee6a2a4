"""Which files are there when a plan looks, and which of them would fire."""

from pathlib import Path

import pytest

from reconciler import settings
from reconciler.errors import DatastoreError
from reconciler.live import Live, Owner
from reconciler.plan.change import FIRES_ON_APPLY, Files, Guard
from reconciler.reconcile import files
from reconciler.reconcile.files import with_files
from reconciler.trigger import snapshot
from tests.plan.world import OWNER, applied, desired, planned, with_store

PIPELINE = "kind: Pipeline\nname: p\nsteps: [{name: run, command: [run]}]\n"


def look(store, watched):
    return settings.files_in(store, watched, OWNER)


def watch(name="a", pipeline="p", status="Active", **said):
    said = {"datastore": "landing", "path_on_datastore": "in", **said}
    trigger = ", ".join(f"{key}: {value}" for key, value in said.items())
    head = f"kind: Schedule\nname: {name}\npipeline: {pipeline}\nstatus: {status}\n"
    return f"{head}trigger: {{datastore_change: {{{trigger}}}}}\n"


class Landing:
    """A folder with files, as a datastore."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.write("in/a.csv", "in/b.csv", "in/c.txt", "in/.hidden", "in/sub/d.csv", "out/e.csv")
        self.text = f"kind: Datastore\nname: landing\nurl: file://{folder}\n"

    def write(self, *names):
        for name in names:
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("text")

    def plan(self, *texts, live=None, seeing=look, back=False):
        wanted, live = desired(PIPELINE, self.text, *texts), live or Live()
        plan = planned(wanted, live)
        if back:
            guard = Guard("rollback", "it goes back", allowable=True)
            plan = type(plan)(**{**fields(plan), "guards": (guard,)})
        return with_files(plan, wanted, live, seeing)

    def applied(self, *texts):
        return applied(PIPELINE, self.text, *texts)

    def files(self, *texts, **more):
        """Tell of each schedule that changes which files it has."""
        plan = self.plan(*texts, **more)
        return {c.name: c.files for c in plan.changes if c.files is not None}


def fields(plan):
    return {name: getattr(plan, name) for name in plan.__slots__}


@pytest.fixture
def landing(tmp_path):
    return Landing(tmp_path)


@pytest.mark.parametrize(
    ("said", "place", "count"),
    [
        ({}, "landing/in", 3),
        ({"include": "['*.csv']"}, "landing/in", 2),
        ({"recursive": "true"}, "landing/in", 4),
        ({"file": "b.csv"}, "landing/in/b.csv", 1),
        ({"file": "none.csv"}, "landing/in/none.csv", 0),
        ({"min_size": 5}, "landing/in", 0),
        ({"min_size": 4}, "landing/in", 3),
        ({"path_on_datastore": "''", "recursive": "true"}, "landing", 5),
        ({"done_marker": "b.csv"}, "landing/in", 2),
    ],
)
def test_the_files_that_a_new_schedule_would_find_are_counted(landing, said, place, count):
    assert landing.files(watch(**said)) == {"a": Files(place, count)}


def test_those_fire_where_the_schedule_asks_for_them(landing):
    found = landing.files(
        watch("each", initial="trigger"),
        watch("all", initial="trigger", batch="per_poll"),
        watch("none", initial="trigger", path_on_datastore="in", include="['*.xml']"),
        watch("off", initial="trigger", status="Disabled"),
    )
    assert found == {
        "each": Files("landing/in", 3, initial=True, fires=3),
        "all": Files("landing/in", 3, initial=True, fires=1),
        "none": Files("landing/in", 0, initial=True, fires=0),
    }


@pytest.mark.parametrize(
    ("before", "after", "fires"),
    [
        ({}, {"initial": "trigger"}, None),
        ({"initial": "trigger"}, {"initial": "trigger", "polling_interval": 9}, None),
        ({}, {"initial": "trigger", "include": "['*.csv']"}, 0),
        ({}, {"initial": "trigger", "path_on_datastore": "out"}, 1),
        ({}, {"initial": "trigger", "recursive": "true"}, 4),
        ({"status": "Disabled"}, {"initial": "trigger"}, 0),
        ({"status": "Disabled"}, {"initial": "trigger", "path_on_datastore": "out"}, 0),
        ({}, {"initial": "trigger", "status": "Disabled"}, None),
    ],
)
def test_they_fire_where_an_edit_makes_it_watch_something_else(landing, before, after, fires):
    found = landing.files(watch(**after), live=landing.applied(watch(**before)))
    assert (found["a"].fires if found else None) == fires


def test_what_goes_back_to_how_it_was_fires_nothing(landing):
    live = landing.applied(watch())
    elsewhere = watch(initial="trigger", path_on_datastore="out")
    assert landing.files(elsewhere, live=live)["a"].fires == 1
    assert landing.files(elsewhere, live=live, back=True)["a"].fires == 0


def test_a_clock_schedule_that_turns_to_files_asks_for_them(landing):
    clock = "kind: Schedule\nname: a\npipeline: p\ntrigger: {cron: {expression: '0 6 * * *'}}\n"
    live = landing.applied(clock)
    assert landing.files(watch(initial="trigger"), live=live)["a"].fires == 3


def test_what_cannot_be_seen_is_not_said_to_be_nothing(landing):
    missing = watch(path_on_datastore="elsewhere", initial="trigger")
    assert landing.files(missing) == {
        "a": Files("landing/elsewhere", None, initial=True, fires=None)
    }
    assert landing.files(watch(), seeing=None) == {"a": Files("landing/in", None)}


def test_the_guard_knows_of_the_files(landing):
    text = watch(initial="trigger")
    landing.write(*(f"in/{number}.csv" for number in range(50)))
    plan = landing.plan(text)
    (guard,) = plan.guards
    assert guard.id == FIRES_ON_APPLY
    assert guard.message.startswith("53 runs for files that are there would start at once")
    assert plan.fires_on_apply == 53
    (guard,) = landing.plan(text, seeing=None).guards
    assert "cannot be told from here (landing/in)" in guard.message
    assert landing.plan(watch()).guards == ()


def counting(limit, calls):
    """List a datastore without an end, and note each time that somebody does."""

    def seeing(store, watched):
        calls.append((store.name, watched.path))
        for number in range(10**9):
            names = tuple(b"%012d" % (number * 1_000 + n) for n in range(1_000))
            yield snapshot.Files(names, (b"1 1@1",) * 1_000)
            assert number < limit, "nobody needs to know more"

    return seeing


def test_a_plan_comes_to_an_end_however_much_there_is(landing, monkeypatch):
    monkeypatch.setattr(files, "MOST_OF_ALL", 150_000)
    calls = []
    places = [watch(f"s{n}", path_on_datastore=f"in/{n}", initial="trigger") for n in range(3)]
    found = landing.files(*places, seeing=counting(100, calls))
    assert found == {
        "s0": Files("landing/in/0", 100_000, more=True, initial=True, fires=100_000),
        "s1": Files("landing/in/1", 50_000, more=True, initial=True, fires=50_000),
        "s2": Files("landing/in/2", 0, more=True, initial=True, fires=None),
    }
    assert [path for _, path in calls] == ["in/0", "in/1", "in/2"]


def test_one_place_is_listed_once_however_many_watch_it(landing):
    calls = []

    def seeing(store, watched):
        calls.append(watched.path)
        return look(store, watched)

    many = [watch(f"s{n}", include=f"['{'abc'[n % 3]}*']") for n in range(9)]
    found = landing.files(*many, seeing=seeing)
    assert calls == ["in"]
    assert {one.matching for one in found.values()} == {1}


def refusing(calls):
    def seeing(store, watched):
        calls.append(watched.path)
        raise DatastoreError("nobody answers")
        yield

    return seeing


@pytest.mark.parametrize(("url", "asked"), [("s3://landing", 1), ("file:///landing", 3)])
def test_a_store_that_does_not_answer_is_asked_once(landing, url, asked):
    landing.text = f"kind: Datastore\nname: landing\nurl: {url}\n"
    calls = []
    texts = [watch(f"s{n}", path_on_datastore=f"in/{n}") for n in range(3)]
    found = landing.files(*texts, seeing=refusing(calls))
    assert {one.matching for one in found.values()} == {None}
    assert len(calls) == asked


def test_an_endpoint_that_nobody_applied_is_not_asked(landing):
    here = "kind: Datastore\nname: landing\nurl: s3://landing\n"
    there = f"{here}endpoint: https://store.example.com\n"
    calls = []
    seeing = refusing(calls)
    landing.text = there
    assert landing.files(watch(), seeing=seeing) == {"a": Files("landing/in", None)}
    assert landing.files(watch(), seeing=seeing, live=applied(PIPELINE, here)) is not None
    other = there.replace("store.", "other.")
    assert landing.files(watch(), seeing=seeing, live=applied(PIPELINE, other)) is not None
    assert calls == []
    landing.files(watch(), seeing=seeing, live=applied(PIPELINE, there))
    assert calls == ["in"]


def test_a_datastore_of_others_is_looked_at_and_one_that_makes_no_sense_is_not(landing):
    live = applied(landing.text, owner=Owner("other", "prod"))
    wanted = desired(PIPELINE, watch())
    plan = with_files(planned(wanted, live), wanted, live, look)
    assert [one.files for one in plan.changes if one.files] == [Files("landing/in", 3)]
    broken = with_store(live, "landing", spec="{}")
    plan = with_files(planned(wanted, broken), wanted, broken, look)
    assert [one.files for one in plan.changes if one.files] == [Files("landing/in", None)]


CONFIG = """
secrets:
  ID: {{env: TEST_STORE_ID}}
  KEY: {{env: TEST_STORE_KEY, projects: [{projects}]}}
"""


@pytest.mark.parametrize(
    ("projects", "count"), [("risk/dev", 2), ("other/prod", None)], ids=["ours", "not ours"]
)
def test_what_opens_a_store_is_what_this_machine_knows_for_the_owner(
    seaweedfs, landing, monkeypatch, projects, count
):
    container = seaweedfs.container()
    container.put("in/a.csv")
    container.put("in/b.csv")
    container.put("in/sub/c.csv")
    store = container.datastore()
    landing.text = (
        f"kind: Datastore\nname: landing\nurl: {store.url}\nendpoint: {store.endpoint}\n"
        "region: us-east-1\ncredentials:\n  access_key_id: ${{ secret.ID }}\n"
        "  secret_access_key: ${{ secret.KEY }}\n"
    )
    live = landing.applied()
    monkeypatch.setenv("HOME", str(landing.folder))
    monkeypatch.delenv("RECONCILER_RUNNER_CONFIG", raising=False)
    assert landing.files(watch(), live=live) == {"a": Files("landing/in", None)}
    config = landing.folder / "runner.yml"
    config.write_text(CONFIG.format(projects=projects))
    monkeypatch.setenv("RECONCILER_RUNNER_CONFIG", str(config))
    monkeypatch.setenv("TEST_STORE_ID", seaweedfs.credentials["access_key_id"])
    monkeypatch.setenv("TEST_STORE_KEY", seaweedfs.credentials["secret_access_key"])
    assert landing.files(watch(), live=live) == {"a": Files("landing/in", count)}
    monkeypatch.setenv("RECONCILER_RUNNER_CONFIG", str(landing.folder / "none.yml"))
    assert landing.files(watch(), live=live) == {"a": Files("landing/in", None)}
