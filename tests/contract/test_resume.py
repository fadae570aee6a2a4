"""A schedule by files that goes on where it stood, whatever holds the ledger."""

from reconciler.clock import SECOND
from reconciler.schedule import Status
from tests.workspace.make import (
    NOW,
    added,
    edit,
    on_data,
    poll,
    record_poll,
    watched,
)


def leave(workspace, clock, schedule_id):
    with workspace.registry.transaction() as write:
        edit(write, schedule_id, status=Status.DISABLED)
        write.arm(schedule_id, None)
    clock.instant = NOW + SECOND


def resume(workspace, schedule_id, since=NOW):
    with workspace.registry.transaction() as write:
        edit(write, schedule_id, revision=2)
        return write.resume(schedule_id, watched(), since)


def later(seq, **values):
    return poll(1, seq, polled_at=NOW + SECOND, **values)


def test_what_was_logged_meanwhile_is_read_from_where_the_schedule_stood(workspace, ledger, clock):
    on_data(workspace, "stays")
    here = on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=True)
    record_poll(workspace, poll(1, 2), [added(b"before")])
    leave(workspace, clock, here)
    record_poll(workspace, later(3), [added(b"a")])
    record_poll(workspace, later(4, error="away"))
    record_poll(workspace, later(5), [added(b"b")])
    assert resume(workspace, here) == 3
    place = ledger.arrival(here)
    assert (place.cursor, place.existing) == (1, 0)
    with ledger.transaction() as write:
        assert [line.name for line in write.changes(1, place.cursor, 9)] == [b"a", b"b"]
    assert ledger.due_watches(clock.now())


def test_where_nobody_looked_the_watch_goes_on_from_what_it_knows(workspace, ledger, clock):
    here = on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=True)
    leave(workspace, clock, here)
    assert resume(workspace, here) == 0
    (watch,) = ledger.watches()
    assert (watch.state, watch.poll_seq) == ("ready", 1)


def test_a_watch_that_began_anew_since_or_never_was_tells_nothing(workspace, ledger, clock):
    here = on_data(workspace)
    record_poll(workspace, poll(1, 1), baseline=True)
    leave(workspace, clock, here)
    on_data(workspace, "other")
    assert resume(workspace, here) is None
    record_poll(workspace, later(3), baseline=True)
    with workspace.registry.transaction() as write:
        assert write.resume(here, watched(), NOW) is None
        assert write.resume(here, watched("elsewhere"), NOW) is None
        assert write.resume(here, watched(), NOW - 1) is None
    assert ledger.arrival(here) is None
