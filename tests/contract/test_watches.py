"""What every ledger does with watched directories, whatever holds it."""

from __future__ import annotations

from itertools import islice

from reconciler.clock import HOUR, MINUTE
from reconciler.data import Depth, FileChange
from reconciler.schedule import Status
from reconciler.workspace.records import Arrival, LoggedChange, Undecided, Watching, WatchState
from tests.workspace.make import (
    NOW,
    a_run,
    added,
    edit,
    facts,
    files,
    hold,
    on_data,
    page,
    poll,
    record_poll,
    rewrite,
    watched,
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


def test_what_a_schedule_has_yet_to_decide_about_can_be_passed_over(workspace, ledger):
    schedule_id = on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=True)
    with workspace.registry.transaction() as write:
        assert write.behind("landing") == ()
        assert write.pass_over(schedule_id, lambda _: True) is None
    record_poll(workspace, poll(1, 2), [added(name) for name in (b"a", b"b", b"c", b"d")])
    with workspace.registry.transaction() as write:
        assert write.behind("landing") == (schedule_id,)
        passed = write.pass_over(schedule_id, lambda line: line.name in {b"b", b"c"})
        assert passed == Undecided(watch_id=1, first=2, last=3, count=2)
        assert write.behind("landing") == ()
        assert write.pass_over("of nobody", lambda _: True) is None
    with ledger.transaction() as write:
        assert write.arrivals(9) == []


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


# What is watched --------------------------------------------------------------------------------


def test_schedules_share_a_watch_where_all_that_is_looked_at_is_the_same(workspace, ledger):
    same = [on_data(workspace, name) for name in "ab"]
    others = [
        watched(),
        watched(depth=Depth.TREE),
        watched(depth=Depth.FILE),
        watched(done_marker="_SUCCESS"),
        watched("out"),
    ]
    for number, other in enumerate(others[1:]):
        values = {"depth": other.depth, "done_marker": other.done_marker}
        on_data(workspace, f"other-{number}", other.path, **values)
    found = ledger.watches()
    assert [watch.watched for watch in found] == others
    assert found[0].schedule_ids == tuple(sorted(same))
    assert [len(watch.schedule_ids) for watch in found[1:]] == [1, 1, 1, 1]


def test_the_watch_of_a_schedule_is_given_whether_it_is_active_or_not(workspace, ledger):
    active, disabled = on_data(workspace, "active"), on_data(workspace, "disabled", "out")
    with workspace.registry.transaction() as write:
        edit(write, disabled, status=Status.DISABLED)
    assert ledger.watch_of(active) == ledger.watches()[0]
    (found, schedules) = (ledger.watch_of(disabled), ledger.watch_of(disabled).schedule_ids)
    assert (found.watched, schedules, found.existing) == (watched("out"), (), False)
    assert ledger.watch_of("nobody") is ledger.arrival("nobody") is None
    assert ledger.arrival(active) == Arrival(
        schedule_id=active, revision=1, watch_id=1, cursor=0, existing=0
    )


def test_a_watch_can_be_made_due_and_forgets_its_place_with_its_baseline(workspace, ledger):
    on_data(workspace)
    record_poll(workspace, poll(1, 1), place="ext4", baseline=True)
    with workspace.registry.transaction() as write:
        write.look_soon(Watching(watched=watched("elsewhere")))
        assert ledger.due_watches(NOW) == []
        write.look_soon(Watching(watched=watched()))
    assert [watch.id for watch in ledger.due_watches(NOW)] == [1]
    record_poll(workspace, poll(1, 2))
    assert ledger.watches()[0].place == "ext4"
    with workspace.registry.transaction() as write:
        write.rebaseline("landing")
    assert ledger.watches()[0].place == ""


# Files that are there ---------------------------------------------------------------------------


def test_what_is_known_is_logged_for_who_asks_and_passed_by_the_others(workspace, ledger):
    before, behind = on_data(workspace, "before"), on_data(workspace, "behind")
    record_poll(workspace, poll(1, 1), (), [rewrite(page(b"a", b"b"))], baseline=True)
    record_poll(workspace, poll(1, 2), [added(b"b")])
    with ledger.transaction() as write:
        write.move_cursors({before: 1})
    asking = on_data(workspace, "asking", existing=True)
    assert ledger.watches()[0].existing
    assert ledger.watch_of(before).existing
    record_poll(workspace, poll(1, 3, error="gone"))
    assert ledger.arrival(asking).existing == 0
    rewrites = [rewrite(page(b"a", b"c"), replaces=b"a")]
    record_poll(workspace, poll(1, 4), [added(b"c")], rewrites)
    lines = logged(
        (1, 2, "added", b"b"),
        (2, 4, "existing", b"a"),
        (3, 4, "existing", b"b"),
        (4, 4, "added", b"c"),
    )
    with ledger.transaction() as write:
        assert write.changes(1, 0, 9) == lines
        found = {each.schedule_id: (each.cursor, each.existing) for each in write.arrivals(9)}
    assert found == {before: (3, 0), behind: (0, 0), asking: (1, 4)}
    assert not ledger.watches()[0].existing
    record_poll(workspace, poll(1, 5))
    assert ledger.watches()[0].change_seq == 4


def test_a_baseline_is_logged_whole_for_who_asks(workspace, ledger):
    asking, other = on_data(workspace, "asking", existing=True), on_data(workspace, "other")
    names = [b"%05d" % number for number in range(300)]
    record_poll(workspace, poll(1, 1), (), [rewrite(page(*names))], baseline=True)
    with ledger.transaction() as write:
        (arrival,) = write.arrivals(9)
        found = write.changes(1, 0, 999)
    assert (arrival.schedule_id, arrival.cursor, arrival.existing) == (asking, 0, 1)
    assert [(line.seq, line.name) for line in found] == list(enumerate(names, 1))
    assert {line.change for line in found} == {"existing"}
    assert ledger.arrival(other).cursor == 300


def test_who_asks_where_nothing_is_was_answered(workspace, ledger):
    asking = on_data(workspace, existing=True)
    record_poll(workspace, poll(1, 1), baseline=True)
    assert ledger.arrival(asking).existing == 1
    record_poll(workspace, poll(1, 2), [added(b"a")], [rewrite(page(b"a"))])
    with ledger.transaction() as write:
        assert write.changes(1, 0, 9) == logged((1, 2, "added", b"a"))


def test_nobody_is_answered_while_disabled(workspace, ledger):
    on_data(workspace, "active")
    disabled = on_data(workspace, "disabled", existing=True)
    with workspace.registry.transaction() as write:
        edit(write, disabled, status=Status.DISABLED)
    assert not ledger.watches()[0].existing
    record_poll(workspace, poll(1, 1), (), [rewrite(page(b"a"))], baseline=True)
    assert ledger.arrival(disabled).existing == 0
    assert ledger.watches()[0].change_seq == 0


# The snapshot -----------------------------------------------------------------------------------


def many(workspace, count=300):
    """Lay down pages of two files each; gives them."""
    on_data(workspace)
    made = [page(b"%05d-a" % number, b"%05d-b" % number) for number in range(count)]
    record_poll(workspace, poll(1, 1), (), [rewrite(*made)], baseline=True)
    return made


def test_a_snapshot_is_read_page_by_page_while_others_are_written(workspace, ledger):
    made = many(workspace)
    on_data(workspace, "other", "out")
    snapshot = ledger.snapshot(1)
    assert list(islice(snapshot, 200)) == made[:200]
    record_poll(workspace, poll(2, 1), (), [rewrite(page(b"0"))], baseline=True)
    assert list(snapshot) == made[200:]
    assert list(ledger.snapshot(2)) == [page(b"0")]


def test_a_page_is_replaced_by_any_number_of_pages(workspace, ledger):
    made = many(workspace, 4)
    rewrites = (
        rewrite(page(b"00000"), page(b"00000-a"), replaces=b"00000-a"),
        rewrite(replaces=b"00001-a"),
        rewrite(page(b"00002-b"), replaces=b"00002-a"),
        rewrite(page(b"9")),
    )
    record_poll(workspace, poll(1, 2), (), iter(rewrites))
    assert list(ledger.snapshot(1)) == [
        page(b"00000"), page(b"00000-a"), page(b"00002-b"), made[3], page(b"9"),
    ]  # fmt: skip


def test_the_pages_that_hold_names_are_found(workspace, ledger):
    assert ledger.pages(1, [b"a"]) == []
    made = many(workspace)
    assert ledger.pages(1, []) == []
    assert ledger.pages(1, [b"00007-b", b"00003-aa", b"00007-a", b""]) == [
        made[0], made[3], made[7],
    ]  # fmt: skip
    assert ledger.pages(1, [b"9"]) == [made[-1]]
    assert ledger.pages(2, [b"9"]) == []
    names = [b"%05d-%d" % (number, each) for number in range(100, 130) for each in range(50)]
    assert ledger.pages(1, names) == made[99:129]
    assert ledger.pages(2, names) == []


def test_names_longer_than_an_index_takes_are_found_and_in_order(workspace, ledger):
    """A database that is asked to order them by their beginnings has no order of its own."""
    on_data(workspace)
    long = b"x" * 2_500
    names = [b"a", long[:2_000], *(long + b"%02d" % number for number in range(40)), b"y"]
    made = [page(name, name + b"+") for name in names]
    record_poll(workspace, poll(1, 1), (), [rewrite(*reversed(made))], baseline=True)
    assert list(ledger.snapshot(1)) == made
    for place, name in enumerate(names):
        assert ledger.pages(1, [name]) == ledger.pages(1, [name + b"/"]) == [made[place]]
    assert ledger.pages(1, [long]) == [made[1]]
    record_poll(workspace, poll(1, 2), (), [rewrite(replaces=names[5])])
    assert list(ledger.snapshot(1)) == [*made[:5], *made[6:]]


# The log, and what is kept for runs -------------------------------------------------------------


def test_the_log_is_read_newest_first_by_name_and_by_poll(workspace, ledger):
    on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=True)
    for number, names in enumerate(((b"a", b"b"), (b"\xff",), (b"a",)), 2):
        record_poll(workspace, poll(1, number), [added(name) for name in names])
    lines = logged(
        (4, 4, "added", b"a"),
        (3, 3, "added", b"\xff"),
        (2, 2, "added", b"b"),
        (1, 2, "added", b"a"),
    )
    assert ledger.log(1, limit=9) == lines
    assert ledger.log(1, limit=2) == lines[:2]
    assert ledger.log(1, name=b"a", limit=9) == [lines[0], lines[3]]
    assert ledger.log(1, name=b"\xff", limit=9) == [lines[1]]
    assert ledger.log(1, polls=[2, 3], limit=9) == lines[1:]
    assert ledger.log(1, name=b"a", polls=[2], limit=9) == [lines[3]]
    assert ledger.log(2, limit=9) == []


def test_the_files_of_a_run_are_kept_with_it_and_those_of_no_run_are_not(ledger):
    a_run(ledger, "run-1")
    content = b'{"name": "a"}\n' * 1_000
    for again in (content, b"other"):
        with ledger.transaction() as write:
            write.keep_files({"run-1": again, "nobody": b"x"})
    assert ledger.files("run-1") == content
    assert ledger.files("nobody") is None
