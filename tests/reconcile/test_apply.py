"""An apply carries out the plan that was shown, whole, or nothing."""

from dataclasses import replace

import pytest

from reconciler.errors import Refused, StalePlan
from reconciler.live import DisabledBy, Owner, Provenance
from reconciler.plan.change import Guard
from reconciler.plan.codec import plan_json
from reconciler.reconcile.apply import How, apply_plan, refuse
from reconciler.reconcile.read import plan, read, read_project
from reconciler.schedule import Status
from reconciler.settings import open_source
from tests.site import HELLO, minutely


def reading(place):
    source = open_source(str(place.project))
    return read(source, read_project(source), "dev", place.registry)


def test_what_was_applied_is_remembered_with_its_plan(place):
    made = place.apply(a=HELLO, b=minutely())
    (record,) = place.registry.applies()
    assert record.owner == Owner("test", "dev")
    assert record.summary == "2 to add, 0 to change, 0 to disable, 0 unchanged."
    assert place.registry.apply_record(record.id).plan == plan_json(made)


def test_progress_is_told_change_by_change(place):
    place.write(a=HELLO, b=minutely())
    ours = reading(place)
    told = []
    apply_plan(plan(ours, "ws", place.clock.now()), ours, place.registry, How(done=told.append))
    assert [change.name for change in told] == ["hello", "every-minute"]


def test_a_workspace_that_moved_makes_the_plan_stale_and_nothing_is_written(place):
    place.apply(a=HELLO, b=minutely())
    place.write(b=minutely(description="mine"))
    ours = reading(place)
    mine = plan(ours, "ws", place.clock.now())
    place.apply(b=minutely(description="theirs"))
    with pytest.raises(StalePlan, match="moved since the plan was made: Schedule 'every-minute'"):
        apply_plan(mine, ours, place.registry)
    assert '"description":"theirs"' in place.schedule("every-minute").spec
    assert len(place.registry.applies()) == 2


def test_a_reference_that_went_away_makes_the_plan_stale(place):
    with place.registry.transaction() as tx:
        tx.put_datastore(
            owner=None,
            name="theirs",
            spec='{"name":"theirs","url":"file:///x"}',
            provenance=Provenance(),
            revision=None,
        )
    place.write(
        a=HELLO,
        b="kind: Schedule\nname: watch\npipeline: hello\n"
        "trigger: {datastore_change: {datastore: theirs}}\n",
    )
    ours = reading(place)
    mine = plan(ours, "ws", place.clock.now())
    with place.registry.transaction() as tx:
        tx.remove_datastore("theirs", 1)
    with pytest.raises(StalePlan, match="datastore 'theirs' is neither declared"):
        apply_plan(mine, ours, place.registry)


def test_everything_a_project_declared_goes_with_it_and_comes_back(place):
    files = {
        "a": HELLO,
        "b": minutely(),
        "c": "kind: Datastore\nname: store\nurl: file:store\n",
    }
    place.apply(**files)
    for name in files:
        place.remove(name)
    place.apply(keep="kind: Datastore\nname: kept\nurl: file:kept\n")
    live = place.registry.live()
    assert [store.name for store in live.datastores] == ["kept"]
    assert [(p.status, p.disabled_by) for p in live.pipelines] == [
        (Status.DISABLED, DisabledBy.MISSING)
    ]
    assert place.schedule("every-minute").disabled_by is DisabledBy.MISSING
    back = place.apply(**files)
    assert [(c.action, c.name) for c in back.changes] == [
        ("create", "store"),
        ("enable", "hello"),
        ("enable", "every-minute"),
    ]
    assert place.apply().changes == ()
    assert len(place.registry.live().pipelines) == 1


def test_a_schedule_declared_disabled_is_registered_and_never_armed(place):
    place.apply(a=HELLO, b=minutely(status="Disabled"))
    here = place.schedule("every-minute")
    assert (here.status, here.next_due) == (Status.DISABLED, None)
    assert place.apply().changes == ()


def test_a_trigger_may_change_its_kind(place):
    store = "kind: Datastore\nname: store\nurl: file:store\n"
    data = (
        "kind: Schedule\nname: every-minute\npipeline: hello\n"
        "trigger: {datastore_change: {datastore: store}}\n"
    )
    place.apply(a=HELLO, b=minutely(), c=store)
    place.apply(b=data)
    assert place.schedule("every-minute").next_due is None
    assert len(place.ledger.watches()) == 1
    place.apply(b=minutely())
    assert place.schedule("every-minute").next_due is not None
    assert place.ledger.watches() == []


def test_uncommitted_files_need_a_word(place):
    place.write(a=HELLO)
    ours = reading(place)
    dirty = replace(plan(ours, "ws", place.clock.now()), dirty=tuple(f"{n}.yml" for n in range(7)))
    with pytest.raises(Refused, match=r"7 uncommitted files .* add --allow-dirty"):
        refuse(dirty)
    refuse(dirty, frozenset({"dirty"}))


def test_a_blocked_plan_is_refused_with_its_reasons(place):
    place.write(a=HELLO)
    ours = reading(place)
    blocking = (Guard("one", "this"), Guard("two", "that", allowable=True))
    blocked = replace(plan(ours, "ws", place.clock.now()), guards=blocking)
    with pytest.raises(Refused, match="this; that"):
        refuse(blocked)
    with pytest.raises(Refused, match=r"^this$"):
        refuse(blocked, frozenset({"one", "two"}))
