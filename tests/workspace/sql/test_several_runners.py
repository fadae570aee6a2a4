"""Several runners share one PostgreSQL ledger; whoever is cut off writes nothing any more."""

from __future__ import annotations

import select
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.clock import MINUTE
from reconciler.errors import SessionLost, WorkspaceBusy
from reconciler.run import AttemptState, RunState
from reconciler.workspace.sql.migrate import migrate
from tests.processes import until
from tests.workspace.make import (
    NOW,
    Postgres,
    a_run,
    added,
    attempt,
    child,
    due,
    edit,
    fire,
    move,
    on_data,
    on_timer,
    pipeline,
    poll,
    record_poll,
    run,
)

BE_RUNNER = """
import sys
from reconciler.clock import FixedClock
from reconciler.workspace.sql import open_workspace
ledger = open_workspace(sys.argv[1], FixedClock(0), create=False).ledger
print(ledger.begin_session(host="h", pid=1, node=sys.argv[2]).fence, flush=True)
with ledger.transaction() as write:
    started = write.start_runs([run.id for run in write.waiting_runs(2**62)], 1)
print(len(started), flush=True)
sys.stdin.readline()
"""


def in_thread(work):
    """Begin ``work`` in another thread; gives what waits for its result."""
    pool = ThreadPoolExecutor(1)
    result = pool.submit(work)
    pool.shutdown(wait=False)
    return lambda: result.result(60)


def count_places(ledger):
    with ledger.transaction() as write:
        return write.pools(["gpu"])["gpu"].used


@pytest.fixture
def workspaces(databases):
    factory = Postgres(databases)
    yield factory
    factory.close()


@pytest.fixture
def workspace(workspaces):
    return workspaces.open()


@pytest.fixture
def two(workspaces):
    """The ledgers of two sessions on two nodes."""
    ledgers = workspaces.open().ledger, workspaces.open().ledger
    for name, ledger in zip("ab", ledgers, strict=True):
        assert ledger.begin_session(host="here", pid=1, node=name)
    return ledgers


def test_each_due_timer_is_claimed_by_one_session(workspace, two):
    ids = {on_timer(workspace, name=f"s{number}") for number in range(6)}
    one, other = two
    with one.transaction() as here, other.transaction() as there:
        mine = {timer.schedule_id for timer in here.due_timers(NOW, 4)}
        theirs = {timer.schedule_id for timer in there.due_timers(NOW, 4)}
        here.move_timers([move(schedule_id, None) for schedule_id in mine])
        there.move_timers([move(schedule_id, None) for schedule_id in theirs])
    assert (len(mine), len(theirs), mine | theirs) == (4, 2, ids)
    assert due(one) == []


def test_a_schedule_that_is_being_edited_waits_for_the_edit(workspace, two):
    schedule_id = on_timer(workspace)
    with workspace.registry.transaction() as write:
        edit(write, schedule_id)
        assert due(two[0]) == []
    with two[0].transaction() as write:
        assert [timer.revision for timer in write.due_timers(NOW, 9)] == [2]


def test_each_arrival_is_claimed_by_one_session(workspace, two):
    ids = {on_data(workspace, name=f"s{number}") for number in range(2)}
    record_poll(workspace, poll(1, 1), baseline=True)
    record_poll(workspace, poll(1, 2), [added(b"a")])
    one, other = two
    with one.transaction() as here, other.transaction() as there:
        mine = [arrival.schedule_id for arrival in here.arrivals(1)]
        theirs = [arrival.schedule_id for arrival in there.arrivals(2)]
        here.move_cursors(dict.fromkeys(mine, 1))
        there.move_cursors(dict.fromkeys(theirs, 1))
    assert {*mine, *theirs} == ids
    assert (len(mine), len(theirs)) == (1, 1)


def test_runs_of_a_schedule_are_started_by_one_session_at_a_time(workspace, two):
    one, other = two
    names = {on_timer(workspace, name=name): name for name in "st"}
    by_name = {name: schedule_id for schedule_id, name in names.items()}
    a_run(one, "s1", by_name["s"])
    a_run(one, "t1", by_name["t"])
    with one.transaction() as write:
        write.insert_runs([run("free")])
    with one.transaction() as here:
        assert [found.id for found in here.waiting_runs(NOW)] == ["s1", "t1", "free"]
        with other.transaction() as there:
            assert there.waiting_runs(NOW) == []
        assert here.start_runs(["s1", "free"], NOW) == ["s1", "free"]
    with other.transaction() as there:
        assert [found.id for found in there.waiting_runs(NOW)] == ["t1"]
        assert there.start_runs(["s1", "t1"], NOW) == ["t1"]
    assert [found.id for found in one.running_runs()] == ["s1", "free"]
    assert [found.id for found in other.running_runs()] == ["t1"]


def test_the_places_of_a_pool_are_counted_by_one_session_at_a_time(workspaces, two):
    one, other = two
    one.set_pool("gpu", 1)
    with one.transaction() as write:
        write.insert_runs([run("a", pool="gpu"), run("b", pool="gpu")])
    with one.transaction() as here:
        assert here.pools(["gpu", "none"])["gpu"].used == 0
        here.start_runs(["a"], NOW)
        counted = in_thread(lambda: count_places(other))
        until(workspaces.waiting)
    assert counted() == 1


def test_a_watch_stays_with_the_session_that_claimed_it_while_that_lives(
    workspaces, workspace, two
):
    one, other = two
    on_data(workspace)
    assert [watch.id for watch in one.due_watches(NOW)] == [1]
    assert other.due_watches(NOW) == []
    assert [watch.id for watch in one.due_watches(NOW)] == [1]
    workspaces.cut(one)
    other.take_over(0)
    assert [watch.id for watch in other.due_watches(NOW)] == [1]
    assert other.due_watches(NOW - 1) == []


def test_a_session_that_was_ended_moves_nothing_and_can_begin_anew(workspaces, workspace, two):
    one, other = two
    schedule_id = on_timer(workspace)
    a_run(one, "mine", schedule_id)
    with one.transaction() as write:
        write.start_runs(["mine"], NOW)
        write.record_attempts([attempt("mine")])
    workspaces.cut(one)
    assert other.take_over(MINUTE) == []
    for change in (
        lambda write: write.record_attempts([attempt("mine", state=AttemptState.RUNNING)]),
        lambda write: write.finish_runs([("mine", RunState.FINISHED, "")], NOW),
        lambda write: write.record_fires([fire(schedule_id)], []),
        lambda write: write.move_timers([move(schedule_id, None)]),
    ):
        with pytest.raises(SessionLost), one.transaction() as write:
            change(write)
    assert one.run("mine").state is RunState.RUNNING
    assert due(other) == [schedule_id]
    one.end_session()
    assert one.begin_session(host="here", pid=1, node="a")
    assert one.take_over(MINUTE) == ["mine"]
    with one.transaction() as write:
        assert write.finish_runs([("mine", RunState.FINISHED, "")], NOW) == ["mine"]


def test_a_session_learns_that_its_connection_was_cut(workspaces, workspace, two):
    one, _other = two
    workspaces.cut(one)
    assert select.select([one.listen()], [], [], 60)[0]
    one.heard()
    assert one.listen() is None
    with pytest.raises(SessionLost), one.transaction():
        pass


def test_whoever_takes_over_lets_what_is_being_written_end_and_does_not_wait_for_it(
    workspaces, workspace, two
):
    one, other = two
    a_run(one, "mine")
    with one.transaction() as write:
        write.start_runs(["mine"], NOW)
        workspaces.cut(one)
        assert other.take_over(0) == []
    assert one.run("mine").state is RunState.RUNNING
    assert other.take_over(0) == ["mine"]


def test_runs_of_another_node_are_left_to_it_for_a_while(workspaces, two):
    one, other = two
    a_run(one, "mine")
    with one.transaction() as write:
        write.start_runs(["mine"], NOW)
    one.end_session()
    assert other.take_over(MINUTE) == []
    workspaces.clock.instant += MINUTE
    assert other.take_over(MINUTE) == ["mine"]


def test_a_killed_runners_session_is_free_at_once(workspaces, workspace):
    ledger = workspaces.open().ledger
    ledger.begin_session(host="here", pid=1, node="n")
    a_run(ledger, "theirs")
    with child(BE_RUNNER, workspaces.path, "n") as process:
        assert int(process.stdout.readline()) > 1
        assert process.stdout.readline() == "1\n"
        assert ledger.take_over(0) == []
        process.kill()
    assert until(lambda: ledger.take_over(0)) == ["theirs"]


def test_others_are_told_of_what_cannot_wait(workspaces, workspace, two):
    one, _other = two

    def told(tell):
        tell()
        assert select.select([one.listen()], [], [], 60)[0]
        one.heard()
        return not select.select([one.listen()], [], [], 0)[0]

    def apply():
        with workspace.registry.transaction() as write:
            pipeline(write)

    def cancel():
        with workspace.ledger.transaction() as write:
            write.request_cancel(["run-1"], "by ann")

    assert told(apply)
    assert told(lambda: workspace.ledger.submit_run(run()))
    assert told(cancel)


def test_nothing_is_migrated_under_a_session(workspaces, two):
    with pytest.raises(WorkspaceBusy, match="stop it"):
        migrate(workspaces.path)
    for ledger in two:
        ledger.end_session()
    assert migrate(workspaces.path)


def test_writers_of_the_registry_follow_each_other(workspaces, workspace):
    """The second one sees what the first one wrote, though it began before that was committed."""

    def publish():
        with workspace.registry.transaction() as write:
            return pipeline(write, digest="d2").version

    with workspace.registry.transaction() as write:
        assert pipeline(write, digest="d1").version == 1
        published = in_thread(publish)
        until(workspaces.waiting)
    assert published() == 2
