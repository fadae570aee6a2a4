"""Single changes, as the plan says, whatever somebody did to the objects they refer to."""

import sqlite3
from contextlib import closing

import pytest

from reconciler.live import DisabledBy
from reconciler.schedule import Status
from reconciler.settings import open_reader
from reconciler.workspace.base import LiveReader, Registry, RegistryReader, RegistryTransaction
from reconciler.workspace.ledger import Ledger, LedgerTransaction
from tests.site import HELLO, minutely

STORE = "kind: Datastore\nname: store\nurl: file:{}\n"
WATCH = """
kind: Schedule
name: watch
pipeline: hello
trigger: {{datastore_change: {{datastore: store, settle: {}}}}}
"""


def sql(place, statement):
    with closing(sqlite3.connect(place.folder / "ws.db")) as raw, raw:
        raw.execute(statement)


def test_a_schedule_is_disabled_although_somebody_deleted_its_pipeline(place):
    place.apply(a=HELLO, b=minutely(), c=HELLO.replace("hello", "other"))
    sql(place, "DELETE FROM pipelines WHERE name = 'hello'")
    place.remove("a")
    place.remove("b")
    place.apply()
    here = place.schedule("every-minute")
    assert (here.status, here.disabled_by) == (Status.DISABLED, DisabledBy.MISSING)
    assert here.pipeline_id is None
    assert place.apply().changes == ()
    place.apply(a=HELLO, b=minutely())
    assert place.schedule("every-minute").pipeline_id is not None


def test_a_datastore_at_another_place_begins_anew_and_one_with_another_text_does_not(place):
    for folder in ("one", "two"):
        (place.project / folder).mkdir()
        (place.project / folder / "old").write_text("x")
    place.apply(a=HELLO, c=STORE.format("one"), d=WATCH.format("0s"))
    place.poll()
    place.apply(c=STORE.format("one") + "description: said\n")
    (watch,) = place.ledger.watches()
    assert watch.state == "ready"
    place.apply(c=STORE.format("two"))
    (watch,) = place.ledger.watches()
    assert watch.state == "baselining"
    place.poll()
    assert place.fires("watch") == []


def test_other_rules_for_the_same_place_make_its_next_look_due(place):
    (place.project / "one").mkdir()
    place.apply(a=HELLO, c=STORE.format("one"), d=WATCH.format("0s"))
    place.poll()
    place.forward(1)
    assert place.ledger.due_watches(place.clock.now()) == []
    place.apply(d=WATCH.format("1s"))
    assert len(place.ledger.due_watches(place.clock.now())) == 1


def test_a_timer_whose_trigger_stays_is_left_alone(place):
    place.apply(a=HELLO, b=minutely())
    place.forward(90)
    due = place.schedule("every-minute").next_due
    place.apply(b=minutely(description="other"))
    assert place.schedule("every-minute").next_due == due
    assert place.fires("every-minute") == []
    place.apply(b=minutely().replace("interval: 1", "interval: 7"))
    (gap,) = place.fires("every-minute")
    assert (gap.decision, gap.count) == ("gap", 1)
    assert "the trigger was edited" in gap.reason


def test_what_a_pause_passed_over_has_its_row(place):
    place.apply(a=HELLO, b=minutely())
    place.forward(90)
    place.apply(b=minutely(status="Disabled"))
    place.forward(600)
    place.apply(b=minutely())
    (gap,) = place.fires("every-minute")
    assert gap.reason == "the schedule was disabled"
    assert gap.count == 11
    place.step()
    assert len(place.fires("every-minute")) == 1


def test_the_one_immediate_run_that_never_came_is_accounted_for(place):
    initial = minutely().replace(", first_run: aligned", "")
    place.apply(a=HELLO, b=initial)
    place.apply(b=initial.replace("pipeline: hello", "pipeline: hello\nstatus: Disabled"))
    (gap,) = place.fires("every-minute")
    assert "disabled before it ran" in gap.reason
    place.apply(b=initial)
    place.step()
    assert len(place.fires("every-minute")) == 1


# A dry run cannot write, by construction

WRITES = {
    name
    for port in (Registry, RegistryTransaction, Ledger, LedgerTransaction)
    for name in vars(port)
    if not name.startswith("_")
} - {name for port in (LiveReader, RegistryReader) for name in vars(port)}


def test_what_a_plan_is_given_has_no_way_to_write(place):
    place.apply(a=HELLO, b=minutely())
    assert {"transaction", "publish", "acquire_lease", "record_apply", "hold"} <= WRITES
    for reader in (
        RegistryReader,
        open_reader(f"sqlite:{place.folder}/ws.db"),
        open_reader(f"sqlite:{place.folder}/none.db"),
    ):
        assert WRITES.isdisjoint(dir(reader)), reader
    assert not (place.folder / "none.db").exists()


def test_the_file_behind_a_reader_refuses_every_write(place):
    place.apply(a=HELLO, b=minutely())
    reader = open_reader(f"sqlite:{place.folder}/ws.db")
    with reader._reading() as raw:
        for statement in ("DELETE FROM schedules", "CREATE TABLE t (x)", "PRAGMA user_version = 9"):
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                raw.execute(statement)
