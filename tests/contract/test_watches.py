"""What every ledger does with watched directories, whatever holds it."""

from __future__ import annotations

from dataclasses import replace

from reconciler.clock import HOUR, MINUTE
from reconciler.workspace.records import WatchState
from tests.workspace.make import NOW, added, facts, hold, on_data, poll, record_poll


def test_a_first_poll_lays_the_snapshot_down_and_fires_nothing(workspace, ledger):
    schedule_id = on_data(workspace)
    (watch,) = ledger.due_watches(NOW)
    files = [facts(b"a"), facts(b"\xff\n", 2)]
    assert record_poll(workspace, poll(watch.id, 1, listed=2), baseline=files)
    (watch,) = ledger.watches()
    assert (watch.state, watch.poll_seq, watch.next_poll) == (WatchState.READY, 1, NOW + MINUTE)
    assert watch.schedule_ids == (schedule_id,)
    assert ledger.snapshot(watch.id) == {file.name: file for file in files}
    assert ledger.due_watches(NOW) == []
    with ledger.transaction() as write:
        assert write.arrivals(9) == []


def test_facts_of_a_file_may_be_larger_than_an_sql_integer(workspace, ledger):
    on_data(workspace)
    file = replace(facts(b"a"), mtime_ns=2**65, inode=2**64 - 1)
    record_poll(workspace, poll(1, 1), baseline=[file])
    assert ledger.snapshot(1) == {b"a": file}


def test_changes_reach_the_log_the_snapshot_and_the_schedules(workspace, ledger):
    schedule_id = on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=[facts(b"a"), facts(b"b"), facts(b"c")])
    log = [
        added(1, 1, b"new"),
        added(1, 2, b"a", change="modified", size=9),
        added(1, 3, b"b", change="deleted"),
    ]
    assert record_poll(workspace, poll(1, 2), log, rebased=[facts(b"c", 5)])
    assert ledger.snapshot(1) == {
        b"new": facts(b"new"),
        b"a": facts(b"a", 9),
        b"c": facts(b"c", 5),
    }
    with ledger.transaction() as write:
        (arrival,) = write.arrivals(9)
        assert (arrival.schedule_id, arrival.watch_id, arrival.cursor) == (schedule_id, 1, 0)
        assert arrival.revision == 1
        assert write.changes(1, 0, 9) == log
        assert write.changes(1, 1, 1) == log[1:2]
        write.move_cursors({schedule_id: 2})
        assert write.arrivals(9)[0].cursor == 2
        write.move_cursors({schedule_id: 3})
        assert write.arrivals(9) == []


def test_a_held_data_schedule_waits_for_the_end_of_its_hold(workspace, ledger, clock):
    schedule_id = on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=[])
    record_poll(workspace, poll(1, 2), [added(1, 1, b"a")])
    hold(workspace, schedule_id, NOW + HOUR)
    with ledger.transaction() as write:
        assert write.arrivals(9) == []
    clock.instant += HOUR
    with ledger.transaction() as write:
        assert len(write.arrivals(9)) == 1


def test_a_hold_that_is_over_stays_until_what_was_logged_is_decided(workspace, ledger, clock):
    behind, even = on_data(workspace), on_data(workspace, "even")
    record_poll(workspace, poll(1, 1), baseline=[])
    record_poll(workspace, poll(1, 2), [added(1, 1, b"a")])
    for schedule_id in (behind, even):
        hold(workspace, schedule_id, NOW + HOUR)
    clock.instant += HOUR
    with ledger.transaction() as write:
        write.move_cursors({even: 1})
        assert [arrival.schedule_id for arrival in write.arrivals(9)] == [behind]
        found = write.schedules([behind, even])
        assert (found[behind].hold is None, found[even].hold is None) == (False, True)


def test_the_log_tells_what_was_written_before_an_instant(workspace, ledger):
    on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=[])
    record_poll(workspace, poll(1, 2), [added(1, 1, b"a"), added(1, 2, b"b")])
    record_poll(workspace, poll(1, 3, polled_at=NOW + HOUR))
    log = [added(1, 3, b"c", 4)]
    record_poll(workspace, poll(1, 4, polled_at=NOW + 2 * HOUR), log)
    with ledger.transaction() as write:
        found = [write.logged_before(1, NOW + hours * HOUR) for hours in range(4)]
        assert found == [0, 2, 2, 3]
        assert write.logged_before(2, NOW) == 0


def test_a_poll_that_lost_a_race_is_void(workspace, ledger):
    on_data(workspace)
    assert record_poll(workspace, poll(1, 1), baseline=[])
    assert not record_poll(workspace, poll(1, 1), [added(1, 1, b"a")])
    assert ledger.snapshot(1) == {}
    assert len(ledger.polls("landing", "in")) == 1


def test_a_failed_poll_leaves_a_row_and_nothing_else(workspace, ledger):
    on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=[facts(b"a")])
    failed = poll(1, 2, error="permission denied")
    assert record_poll(workspace, failed, baseline=[])
    record_poll(workspace, poll(1, 3, error="again"))
    (watch,) = ledger.watches()
    assert (watch.failures, watch.poll_seq, watch.state) == (2, 3, WatchState.READY)
    assert list(ledger.snapshot(1)) == [b"a"]
    record_poll(workspace, poll(1, 4))
    assert ledger.watches()[0].failures == 0
    assert ledger.polls("landing", "in")[2] == failed


def test_a_new_baseline_keeps_the_log_and_the_cursors(workspace, ledger):
    schedule_id = on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=[])
    record_poll(workspace, poll(1, 2), [added(1, 1, b"a")])
    with ledger.transaction() as write:
        write.move_cursors({schedule_id: 1})
    record_poll(workspace, poll(1, 3, note="remounted"), baseline=[facts(b"z")])
    with ledger.transaction() as write:
        assert write.arrivals(9) == []
    assert list(ledger.snapshot(1)) == [b"z"]


def test_a_watch_that_is_not_ready_gives_no_arrivals(workspace, ledger):
    on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=[])
    record_poll(workspace, poll(1, 2, WatchState.BASELINING), [added(1, 1, b"a")])
    with ledger.transaction() as write:
        assert write.arrivals(9) == []


def test_polls_are_listed_newest_first_by_directory(workspace, ledger):
    on_data(workspace, "a", "in")
    on_data(workspace, "b", "out")
    first = poll(1, 1, listed=4, changed=1, note="baseline")
    second = poll(1, 2)
    for each in (first, second, poll(2, 1)):
        record_poll(workspace, each, baseline=[])
    assert ledger.polls("landing", "in") == [second, first]
    assert ledger.polls("landing", "in", limit=1) == [second]
    assert ledger.polls("landing", "nowhere") == []


def test_a_watch_is_due_again_once_the_clock_is_before_its_last_poll(workspace, runner, clock):
    on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=[])
    runner.poll_again(NOW)
    assert runner.due_watches(NOW) == []
    clock.instant = NOW - 24 * HOUR
    runner.poll_again(clock.instant)
    (watch,) = runner.due_watches(clock.instant)
    assert watch.next_poll == clock.instant
