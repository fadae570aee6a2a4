"""What every registry does, whatever holds it."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from reconciler.clock import HOUR, MINUTE
from reconciler.errors import NotFound, StalePlan, WorkspaceError
from reconciler.run import Decision
from reconciler.schedule import Status
from reconciler.workspace.records import (
    DisabledBy,
    Hold,
    Live,
    Outcome,
    Owner,
    Watching,
    WatchState,
)
from tests.workspace.make import (
    GIT,
    NOW,
    OWNER,
    added,
    applied,
    clockwork,
    edit,
    fire,
    hold,
    on_data,
    on_timer,
    pipeline,
    poll,
    record_poll,
    schedule,
    tree,
    watched,
)


def only(registry):
    (found,) = registry.live().schedules
    return found


def test_a_new_workspace_is_empty(registry):
    assert registry.live() == Live()
    assert registry.experiments() == ()
    assert registry.applies() == ()


def test_time_is_that_of_the_clock_given_and_stands_still_within_a_transaction(registry, clock):
    with registry.transaction() as write:
        clock.instant += HOUR
        assert write.now() == NOW
    assert registry.now() == NOW + HOUR


def test_a_schedule_is_read_back_as_it_was_created(registry):
    with registry.transaction() as write:
        published = pipeline(write)
        schedule_id = schedule(write, arming=clockwork(NOW + 5), pipeline_id=published.id)
    found = only(registry)
    assert uuid.UUID(schedule_id)
    assert (found.id, found.name, found.spec) == (schedule_id, "s", '{"name":"s"}')
    assert (found.owner, found.provenance, found.pipeline_id) == (OWNER, GIT, published.id)
    assert (found.status, found.disabled_by, found.revision) == (Status.ACTIVE, None, 1)
    assert found.created_at == found.updated_at == NOW
    assert (found.next_due, found.processed_to) == (NOW + 5, NOW - MINUTE)
    assert found.hold is None


def test_everything_registered_is_sorted_by_name(registry):
    with registry.transaction() as write:
        for name in ("b", "a", "C"):
            schedule(write, name)
            pipeline(write, name)
            write.put_datastore(owner=OWNER, name=name, spec="{}", provenance=GIT, revision=None)
        pipeline(write, "a", "d2")
        inside = write.live()
    live = registry.live()
    assert live == inside
    assert [each.name for each in live.schedules] == ["C", "a", "b"]
    assert [(each.name, each.version) for each in live.pipelines] == [
        ("C", 1),
        ("a", 1),
        ("a", 2),
        ("b", 1),
    ]
    assert [each.name for each in live.datastores] == ["C", "a", "b"]


def test_a_project_cannot_have_two_schedules_of_one_name(registry):
    with registry.transaction() as write:
        schedule(write, "s")
    with pytest.raises(StalePlan, match="'s' of shop/prod"), registry.transaction() as write:
        schedule(write, "s")


def test_names_may_repeat_across_owners_and_among_schedules_without_owner(registry):
    with registry.transaction() as write:
        for owner in (OWNER, Owner("shop", "dev"), None, None):
            schedule(write, "s", owner)
    assert len(registry.live().schedules) == 4


def test_an_update_replaces_the_spec_and_keeps_creation_timer_and_hold(registry, workspace, clock):
    schedule_id = on_timer(workspace, NOW + 5)
    hold(workspace, schedule_id)
    clock.instant += HOUR
    with registry.transaction() as write:
        edit(write, schedule_id, 1, Status.DISABLED, DisabledBy.MISSING, spec='{"a":1}')
    found = only(registry)
    assert (found.spec, found.status, found.disabled_by) == (
        '{"a":1}',
        Status.DISABLED,
        DisabledBy.MISSING,
    )
    assert (found.revision, found.created_at, found.updated_at) == (2, NOW, NOW + HOUR)
    assert found.next_due == NOW + 5
    assert found.hold is not None


def test_an_update_may_rename(registry, workspace):
    schedule_id = on_timer(workspace, name="before", owner=None)
    with registry.transaction() as write:
        edit(write, schedule_id, 1, name="after")
        edit(write, schedule_id, 2)
    assert only(registry).name == "after"


def test_a_name_that_the_owner_has_given_by_now_is_stale(registry):
    with registry.transaction() as write:
        schedule(write, "taken")
        schedule_id = schedule(write, "s")
    with pytest.raises(StalePlan, match="'taken' is registered"), registry.transaction() as write:
        edit(write, schedule_id, name="taken")
    assert [each.revision for each in registry.live().schedules] == [1, 1]


def test_a_due_timer_tells_the_schedules_newest_revision(registry, workspace):
    schedule_id = on_timer(workspace)
    with registry.transaction() as write:
        edit(write, schedule_id, 1)
    with workspace.ledger.transaction() as write:
        assert [timer.revision for timer in write.due_timers(NOW, 9)] == [2]


def test_an_update_of_another_revision_is_stale_and_names_both(registry, workspace):
    schedule_id = on_timer(workspace, name="nightly")
    with registry.transaction() as write:
        edit(write, schedule_id, 1)
    with (
        pytest.raises(StalePlan, match=r"schedule 'nightly' was at revision 1 and is at 2"),
        registry.transaction() as write,
    ):
        edit(write, schedule_id, 1)


def test_an_update_of_nothing_is_stale(registry):
    with pytest.raises(StalePlan, match="is gone"), registry.transaction() as write:
        edit(write, "no-such-id", 3)


def test_a_transaction_left_by_an_exception_changes_nothing(registry, workspace):
    def write_all_and_fail(write):
        published = pipeline(write, code=tree(("a.py", 0o100644, b"1")))
        schedule(write, arming=clockwork(), pipeline_id=published.id)
        schedule(write, "t", arming=Watching(watched=watched("")))
        write.ensure_experiment("e")
        write.record_apply(applied())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), registry.transaction() as write:
        write_all_and_fail(write)
    assert registry.live() == Live()
    assert (registry.experiments(), registry.applies()) == ((), ())
    assert workspace.ledger.watches() == []
    assert workspace.ledger.next_wake() is None


def test_a_reader_sees_one_moment_while_another_writes(workspaces, registry):
    other = workspaces.open().registry
    with registry.transaction() as write:
        schedule(write)
        assert other.live() == Live()
    assert len(other.live().schedules) == 1


def test_a_published_version_gets_the_next_number_of_its_name(registry):
    with registry.transaction() as write:
        first, second = pipeline(write, digest="d1"), pipeline(write, digest="d2")
        other = pipeline(write, "q", digest="d1")
    assert (first.version, second.version, other.version) == (1, 2, 1)
    assert uuid.UUID(first.id)
    assert registry.live().pipelines == (first, second, other)
    assert (first.owner, first.provenance, first.created_at) == (OWNER, GIT, NOW)
    assert (first.status, first.revision, first.code_digest) == (Status.ACTIVE, 1, None)


def test_publishing_the_same_content_gives_the_same_version_active_again(registry):
    with registry.transaction() as write:
        first = pipeline(write)
        write.set_pipeline_status(first.id, 1, Status.DISABLED, DisabledBy.OPERATOR)
    (disabled,) = registry.live().pipelines
    assert (disabled.status, disabled.disabled_by) == (Status.DISABLED, DisabledBy.OPERATOR)
    with registry.transaction() as write:
        again = pipeline(write)
        assert pipeline(write) == again
    assert (again.id, again.version, again.revision) == (first.id, 1, 3)
    assert (again.status, again.disabled_by) == (Status.ACTIVE, None)


def test_a_pipelines_status_is_compare_and_set(registry):
    with registry.transaction() as write:
        first = pipeline(write, "train")
        write.set_pipeline_status(first.id, 1, Status.DISABLED, DisabledBy.GIT)
    with pytest.raises(StalePlan, match="pipeline 'train'"), registry.transaction() as write:
        write.set_pipeline_status(first.id, 1, Status.ACTIVE, None)


def test_code_is_read_back_byte_for_byte(registry):
    code = tree(
        ("a.py", 0o100644, b"print()\r\n\0\xff"),
        ("bin/run", 0o100755, b""),
        ("twin.py", 0o100644, b"print()\r\n\0\xff"),
        ("odd\udcff.py", 0o100644, b"1"),
    )
    with registry.transaction() as write:
        assert pipeline(write, code=code).code_digest == "tree-1"
        assert pipeline(write, "q", code=code).code_digest == "tree-1"
    assert registry.code("tree-1") == code


def test_code_that_was_never_published_is_not_found(registry):
    with pytest.raises(NotFound, match="beef"):
        registry.code("beef")


def put(write, revision, spec="{}"):
    write.put_datastore(owner=OWNER, name="landing", spec=spec, provenance=GIT, revision=revision)


def test_a_datastore_is_registered_replaced_and_unregistered(registry, workspace):
    with registry.transaction() as write:
        put(write, None)
    (first,) = registry.live().datastores
    assert (first.name, first.owner, first.provenance) == ("landing", OWNER, GIT)
    assert (first.created_at, first.revision) == (NOW, 1)
    with registry.transaction() as write:
        put(write, 1, '{"url":"file:///x"}')
    (second,) = registry.live().datastores
    assert (second.spec, second.revision) == ('{"url":"file:///x"}', 2)
    assert workspace.ledger.datastores() == {"landing": second}
    with registry.transaction() as write:
        write.remove_datastore("landing", 2)
    assert registry.live() == Live()


def test_writes_of_a_datastore_are_compare_and_set(registry):
    with registry.transaction() as write:
        put(write, None)
    for stale in (
        lambda write: put(write, None),
        lambda write: put(write, 7),
        lambda write: write.remove_datastore("landing", 7),
        lambda write: write.remove_datastore("gone", 1),
    ):
        with (
            pytest.raises(StalePlan, match=r"datastore '(landing|gone)'"),
            registry.transaction() as write,
        ):
            stale(write)
    assert len(registry.live().datastores) == 1


def test_an_initial_timer_is_due_at_once(registry, workspace):
    with registry.transaction() as write:
        later = schedule(write, "later", arming=clockwork(NOW + HOUR, initial=True))
        never = schedule(write, "never", arming=clockwork(None, initial=True))
    with workspace.ledger.transaction() as write:
        due = write.due_timers(NOW, 9)
    assert {timer.schedule_id for timer in due} == {later, never}
    assert all(timer.initial for timer in due)


def test_arming_again_replaces_what_wakes_a_schedule(registry, workspace):
    schedule_id = on_timer(workspace)
    with registry.transaction() as write:
        write.arm(schedule_id, Watching(watched=watched()))
    assert only(registry).next_due is None
    assert [watch.schedule_ids for watch in workspace.ledger.watches()] == [(schedule_id,)]
    with registry.transaction() as write:
        write.arm(schedule_id, clockwork(NOW + 7))
    assert only(registry).next_due == NOW + 7
    assert workspace.ledger.watches() == []
    with registry.transaction() as write:
        write.arm(schedule_id, None)
    assert only(registry).next_due is None
    assert only(registry).processed_to == clockwork(NOW + 7).processed_to
    assert workspace.ledger.next_wake() is None


def test_a_datastore_that_moved_gets_a_new_baseline_at_once(workspace):
    on_data(workspace)
    (watch,) = workspace.ledger.watches()
    assert record_poll(workspace, poll(watch.id, 1), baseline=True)
    with workspace.registry.transaction() as write:
        write.rebaseline("elsewhere")
    assert workspace.ledger.watches()[0].state is WatchState.READY
    with workspace.registry.transaction() as write:
        write.rebaseline("landing")
    (again,) = workspace.ledger.watches()
    assert (again.state, again.next_poll) == (WatchState.BASELINING, NOW)
    # A poll that was under way meanwhile saw the old place.
    assert not record_poll(workspace, poll(watch.id, 2), [added(b"a")])


def test_arming_or_holding_nothing_is_not_found(registry):
    for change in (
        lambda write: write.arm("nobody", None),
        lambda write: write.hold("nobody", None),
    ):
        with pytest.raises(NotFound, match="nobody"), registry.transaction() as write:
            change(write)


def test_a_new_watch_baselines_at_once(workspace):
    schedule_id = on_data(workspace)
    (watch,) = workspace.ledger.watches()
    assert watch.watched == watched()
    assert (watch.state, watch.next_poll) == (WatchState.BASELINING, NOW)
    assert (watch.poll_seq, watch.change_seq, watch.failures) == (0, 0, 0)
    assert watch.schedule_ids == (schedule_id,)


def test_joining_a_live_watch_starts_at_the_end_of_its_log(workspace):
    first = on_data(workspace, "first")
    (watch,) = workspace.ledger.watches()
    assert record_poll(workspace, poll(watch.id, 1), baseline=True)
    assert record_poll(workspace, poll(watch.id, 2), [added(b"a")])
    second = on_data(workspace, "second")
    (watch,) = workspace.ledger.watches()
    assert watch.state is WatchState.READY
    assert watch.next_poll == NOW
    assert watch.schedule_ids == tuple(sorted((first, second)))
    with workspace.ledger.transaction() as write:
        assert [arrival.schedule_id for arrival in write.arrivals(9)] == [first]


def test_joining_a_watch_that_nobody_looked_at_baselines_again(workspace):
    schedule_id = on_data(workspace)
    (watch,) = workspace.ledger.watches()
    assert record_poll(workspace, poll(watch.id, 1), baseline=True)
    with workspace.registry.transaction() as write:
        write.arm(schedule_id, None)
    assert workspace.ledger.watches() == []
    on_data(workspace, "later")
    (again,) = workspace.ledger.watches()
    assert (again.id, again.state) == (watch.id, WatchState.BASELINING)
    # A poll that was under way all the while would log what is no news.
    assert not record_poll(workspace, poll(watch.id, 2), [added(b"a")])


def test_a_watch_of_disabled_schedules_only_is_nobodys(workspace):
    schedule_id = on_data(workspace)
    with workspace.registry.transaction() as write:
        edit(write, schedule_id, 1, Status.DISABLED, DisabledBy.GIT)
    assert workspace.ledger.watches() == []
    assert workspace.ledger.due_watches(NOW) == []


def test_a_hold_is_set_and_lifted_without_a_new_revision(registry, workspace):
    schedule_id = on_timer(workspace)
    for until in (None, NOW + HOUR):
        hold(workspace, schedule_id, until)
        assert only(registry).hold == Hold(who="ann", why="audit", since=NOW, until=until)
    with registry.transaction() as write:
        write.hold(schedule_id, None)
    assert (only(registry).hold, only(registry).revision) == (None, 1)


def test_a_gap_is_a_decision_row_written_once(registry, workspace):
    schedule_id = on_timer(workspace)
    gap = fire(schedule_id, "g:1/2", decision=Decision.GAP, count=12, facts={"from": 1, "to": 2.5})
    with registry.transaction() as write:
        write.record_gap(gap)
        write.record_gap(gap)
    assert workspace.ledger.fires(schedule_id) == [gap]


def test_an_experiment_is_created_on_first_use(registry):
    with registry.transaction() as write:
        second, first = write.ensure_experiment("b"), write.ensure_experiment("a")
        assert write.ensure_experiment("b") == second
    assert registry.experiments() == (first, second)
    assert uuid.UUID(first.id)
    assert first.created_at == NOW


def test_applies_are_listed_newest_first_without_their_plans(registry):
    first = applied(plan='{"plan":1}', actor="ann", plan_digest="d1", approval_digest="a1")
    second = applied(
        commit=None, author=None, applied_at=NOW + 1, outcome=Outcome.FAILED, error="disk full"
    )
    with registry.transaction() as write:
        assert [write.record_apply(record) for record in (first, second)] == [1, 2]
    newest, oldest = registry.applies()
    assert (newest.id, oldest.id) == (2, 1)
    assert replace(newest, id=0, chain="") == replace(second, plan="")
    assert replace(oldest, id=0, chain="") == replace(first, plan="")
    assert registry.applies(limit=1) == (newest,)
    assert registry.apply_record(1) == replace(oldest, plan='{"plan":1}')
    with pytest.raises(NotFound, match="no apply number 3"):
        registry.apply_record(3)


def test_a_workspace_opened_for_reading_only_is_read_and_not_written(workspaces, workspace):
    on_timer(workspace)
    reader = workspaces.open(read_only=True).registry
    assert reader.live() == workspace.registry.live()
    with pytest.raises(WorkspaceError, match="reading only"), reader.transaction():
        pass
