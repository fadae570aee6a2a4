"""What every ledger does with watched directories, whatever holds it."""

from __future__ import annotations

from reconciler.clock import HOUR, MINUTE
from reconciler.data import FileChange
from reconciler.workspace.records import Arrival, LoggedChange, WatchState
from tests.workspace.make import (
    NOW,
    added,
    facts,
    files,
    hold,
    on_data,
    page,
    poll,
    record_poll,
    rewrite,
)


def logged(*lines, watch_id=1):
    """Lines of the change log as (seq, poll_seq, change) and a file of one byte."""
    return [
        LoggedChange(
            watch_id=watch_id, seq=seq, poll_seq=poll_seq, change=change, name=name, facts=facts()
        )
        for seq, poll_seq, change, name in lines
    ]


def test_a_first_poll_lays_the_snapshot_down_and_fires_nothing(workspace, ledger):
    schedule_id = on_data(workspace)
    (watch,) = ledger.due_watches(NOW)
    assert (watch.state, watch.place) == (WatchState.BASELINING, "")
    known = page(b"a", b"\xff\n")
    first = poll(watch.id, 1, listed=2)
    assert record_poll(workspace, first, (), [rewrite(known)], place="ext4", baseline=True)
    (watch,) = ledger.watches()
    assert (watch.state, watch.poll_seq, watch.next_poll) == (WatchState.READY, 1, NOW + MINUTE)
    assert (watch.place, watch.schedule_ids) == ("ext4", (schedule_id,))
    assert list(ledger.snapshot(watch.id)) == [known]
    assert ledger.due_watches(NOW) == []
    with ledger.transaction() as write:
        assert write.arrivals(9) == []


def test_changes_reach_the_log_the_snapshot_and_the_schedules(workspace, ledger):
    schedule_id = on_data(workspace)
    record_poll(workspace, poll(1, 1), (), [rewrite(page(b"a", b"b"), page(b"m"))], baseline=True)
    log = [
        added(b"new"),
        added(b"a", FileChange.MODIFIED, size=9),
        added(b"b", FileChange.DELETED),
    ]
    assert record_poll(workspace, poll(1, 2), log, [rewrite(page(b"c"), replaces=b"a")])
    assert list(ledger.snapshot(1)) == [page(b"c"), page(b"m")]
    with ledger.transaction() as write:
        (arrival,) = write.arrivals(9)
        assert arrival == Arrival(schedule_id=schedule_id, revision=1, watch_id=1, cursor=0)
        found = write.changes(1, 0, 9)
        assert [(line.seq, line.poll_seq, line.name, line.change) for line in found] == [
            (1, 2, b"new", "added"),
            (2, 2, b"a", "modified"),
            (3, 2, b"b", "deleted"),
        ]
        assert found[1].facts == facts(9)
        assert write.changes(1, 1, 1) == found[1:2]
        write.move_cursors({schedule_id: 2})
        assert write.arrivals(9)[0].cursor == 2
        write.move_cursors({schedule_id: 3})
        assert write.arrivals(9) == []


def test_a_held_data_schedule_waits_for_the_end_of_its_hold(workspace, ledger, clock):
    schedule_id = on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=True)
    record_poll(workspace, poll(1, 2), [added(b"a")])
    hold(workspace, schedule_id, NOW + HOUR)
    with ledger.transaction() as write:
        assert write.arrivals(9) == []
    clock.instant += HOUR
    with ledger.transaction() as write:
        assert len(write.arrivals(9)) == 1


def test_a_hold_that_is_over_stays_until_what_was_logged_is_decided(workspace, ledger, clock):
    behind, even = on_data(workspace), on_data(workspace, "even")
    record_poll(workspace, poll(1, 1), baseline=True)
    record_poll(workspace, poll(1, 2), [added(b"a")])
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
    record_poll(workspace, poll(1, 1), baseline=True)
    record_poll(workspace, poll(1, 2), [added(b"a"), added(b"b")])
    record_poll(workspace, poll(1, 3, polled_at=NOW + HOUR))
    log = [added(b"c")]
    record_poll(workspace, poll(1, 4, polled_at=NOW + 2 * HOUR), log)
    with ledger.transaction() as write:
        found = [write.logged_before(1, NOW + hours * HOUR) for hours in range(4)]
        assert found == [0, 2, 2, 3]
        assert write.logged_before(2, NOW) == 0


def test_a_poll_that_lost_a_race_is_void(workspace, ledger):
    on_data(workspace)
    assert record_poll(workspace, poll(1, 1), baseline=True)
    assert not record_poll(workspace, poll(1, 1), [added(b"a")])
    assert list(ledger.snapshot(1)) == []
    assert len(ledger.polls(1)) == 1


def test_a_failed_poll_leaves_a_row_and_nothing_else(workspace, ledger):
    on_data(workspace)
    record_poll(workspace, poll(1, 1), (), [rewrite(page(b"a"))], place="ext4", baseline=True)
    failed = poll(1, 2, error="permission denied")
    assert record_poll(
        workspace, failed, [added(b"b")], [rewrite(page(b"b"))], place="nfs", baseline=True
    )
    record_poll(workspace, poll(1, 3, error="again"))
    (watch,) = ledger.watches()
    assert (watch.failures, watch.poll_seq, watch.state) == (2, 3, WatchState.READY)
    assert (watch.place, watch.change_seq) == ("ext4", 0)
    assert list(files(ledger)) == [b"a"]
    record_poll(workspace, poll(1, 4))
    assert ledger.watches()[0].failures == 0
    assert ledger.polls(1)[2] == failed


def test_a_new_baseline_keeps_the_log_and_the_cursors(workspace, ledger):
    schedule_id = on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=True)
    record_poll(workspace, poll(1, 2), [added(b"a")])
    with ledger.transaction() as write:
        write.move_cursors({schedule_id: 1})
    record_poll(workspace, poll(1, 3, note="remounted"), (), [rewrite(page(b"z"))], baseline=True)
    with ledger.transaction() as write:
        assert write.arrivals(9) == []
    assert list(files(ledger)) == [b"z"]


def test_a_watch_that_is_not_ready_gives_no_arrivals(workspace, ledger):
    on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=True)
    record_poll(workspace, poll(1, 2, WatchState.BASELINING), [added(b"a")])
    with ledger.transaction() as write:
        assert write.arrivals(9) == []


def test_polls_are_listed_newest_first_by_watch(workspace, ledger):
    on_data(workspace, "a", "in")
    on_data(workspace, "b", "out")
    counted = {"added": 1, "modified": 2, "deleted": 3, "waiting": 4, "took": 5, "skipped": 6}
    first = poll(1, 1, listed=4, note="baseline", **counted)
    second = poll(1, 2)
    for each in (first, second, poll(2, 1)):
        record_poll(workspace, each, baseline=True)
    assert ledger.polls(1) == [second, first]
    assert ledger.polls(1, limit=1) == [second]
    assert ledger.polls(3) == []
    assert (ledger.first_poll(1), ledger.first_poll(3)) == (first, None)


def test_a_watch_is_due_again_once_the_clock_is_before_its_last_poll(workspace, runner, clock):
    on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=True)
    runner.poll_again(NOW)
    assert runner.due_watches(NOW) == []
    clock.instant = NOW - 24 * HOUR
    runner.poll_again(clock.instant)
    (watch,) = runner.due_watches(clock.instant)
    assert watch.next_poll == clock.instant
