"""Stores that fail, hang or are not what they were: nothing is lost, nothing concluded from it."""

import threading
from itertools import count

import pytest

from reconciler.errors import DatastoreError, SessionLost
from reconciler.runner import observe
from reconciler.runner.observe import LONGEST_SILENCE, MOST_HUNG
from tests.runner.lookout import Odd, lookout


@pytest.fixture
def place(tmp_path):
    with lookout(tmp_path) as made:
        yield made


@pytest.fixture
def odd(place):
    """The datastore, whose oddities may be set; what hangs is let go at the end."""
    made = Odd(place.open("landing"))
    place.open = lambda _: made
    place.restart()
    yield made
    made.hang.set()


def settled(place):
    """Begin to watch a folder of three files, looked at once."""
    watch = place.watch(settle=0)
    for name in "abc":
        place.put(name)
    place.look()
    return watch


def told(place):
    return place.rows()[-1].listed, place.rows()[-1].note


def hung(place):
    return sum(len(sight.hung) for sight in place.observer._sights.values())


def test_a_listing_that_fails_in_the_middle_changes_nothing(place, odd):
    settled(place)
    (place.landing / "in" / "a").unlink()
    place.put("d")
    odd.ending = DatastoreError("the connection was cut; see to the network")
    place.later()
    assert place.rows()[-1].error == "the connection was cut; see to the network"
    assert (place.changes(), place.known()) == ([], [b"a", b"b", b"c"])
    odd.ending = None
    place.later()
    assert place.changes() == ["deleted a", "added d"]


def test_what_a_store_raises_that_nobody_expected_is_a_row_too(place, odd, caplog):
    settled(place)
    odd.ending = ZeroDivisionError("odd")
    place.later()
    assert place.rows()[-1].error == "ZeroDivisionError('odd')"
    assert caplog.records[-1].exc_info
    odd.ending = None
    place.later()
    assert not place.rows()[-1].error


def test_a_baseline_that_fails_is_made_again(place, odd):
    odd.ending = DatastoreError("no")
    place.put("a")
    place.watch()
    place.look()
    assert (place.known(), place.rows()[-1].error) == ([], "no")
    odd.ending = None
    place.later()
    assert place.rows()[-1].note == "baseline: 1 files were there before"


def test_looks_that_hang_neither_spin_the_loop_nor_stop_other_looks(place, odd):
    odd.hang.clear()
    for number in range(6):
        (place.landing / f"hangs{number}").mkdir()
        place.watch(f"h{number}", f"hangs{number}")
    place.begin()
    place.open = type(place).open.__get__(place)
    place.observer._datastore = place.open
    other = place.watch()
    place.until(lambda: place.rows(other.id))
    # A thread that is no daemon would keep the process from its end.
    others = [it for it in threading.enumerate() if it is not threading.main_thread()]
    assert len(others) >= 6
    assert all(thread.daemon for thread in others)
    assert len(place.ledger.due_watches(place.now())) == 6


def test_a_look_is_begun_only_once_however_long_it_takes(place, odd):
    odd.hang.clear()
    place.watch()
    for _ in range(5):
        place.begin()
        place.forward(60)
    assert odd.lists <= 1
    odd.hang.set()
    place.look()
    assert odd.lists == 1


def test_so_many_looks_are_under_way_at_once_and_silent_ones_are_not_counted(
    place, odd, monkeypatch
):
    monkeypatch.setattr(observe, "AT_ONCE", 2)
    odd.hang.clear()
    for number in range(4):
        (place.landing / f"in{number}").mkdir()
        place.watch(f"s{number}", f"in{number}")
    place.begin()
    place.begin()
    looks = [sight for sight in place.observer._sights.values() if sight.looking]
    assert len(looks) == 2
    monkeypatch.setattr(observe, "SILENCE", 0.0)
    place.begin()
    assert sum(sight.looking is not None for sight in place.observer._sights.values()) == 4


def test_a_look_that_takes_longer_than_the_interval_leaves_out_the_ones_between(place, odd):
    settled(place)
    odd.hang.clear()
    place.forward(60)
    place.begin()
    place.forward(5 * 60)
    odd.hang.set()
    place.look()
    assert (len(place.rows()), place.rows()[-1].skipped) == (2, 0)
    assert place.rows()[-1].next_poll > place.now()
    place.later()
    assert place.rows()[-1].skipped == 5
    place.later()
    assert place.rows()[-1].skipped == 0


def test_a_store_that_does_not_answer_is_given_up_and_what_comes_late_is_not_heard(
    place, odd, monkeypatch
):
    settled(place)
    odd.hang.clear()
    place.put("d")
    place.forward(60)
    place.begin()
    looks = [sight.looking for sight in place.observer._sights.values()]
    monkeypatch.setattr(observe, "LONGEST_SILENCE", 0.0)
    place.begin()
    monkeypatch.setattr(observe, "LONGEST_SILENCE", LONGEST_SILENCE)
    assert place.rows()[-1].error == (
        "nothing was heard for 10 minutes, and the look is given up; "
        "see whether the datastore can be reached from this machine"
    )
    odd.hang.set()
    place.until(lambda: looks[0].done)
    assert (len(place.rows()), place.changes()) == (2, [])
    place.later()
    assert (place.changes(), hung(place)) == (["added d"], 0)


def test_looks_that_hang_for_ever_do_not_pile_up(place, odd, monkeypatch):
    settled(place)
    odd.hang.clear()
    for _ in range(MOST_HUNG):
        place.forward(600)
        place.begin()
        monkeypatch.setattr(observe, "LONGEST_SILENCE", 0.0)
        place.begin()
        monkeypatch.setattr(observe, "LONGEST_SILENCE", LONGEST_SILENCE)
    assert hung(place) == MOST_HUNG
    place.later(600)
    assert place.rows()[-1].error == (
        "3 looks that were given up still hang; see whether the datastore can be reached from this "
        "machine, and restart the runner if they do not end"
    )
    assert hung(place) == MOST_HUNG
    odd.hang.set()
    looks = [look for sight in place.observer._sights.values() for look in sight.hung]
    place.until(lambda: all(look.done for look in looks))
    place.later(600)
    assert not place.rows()[-1].error


def test_a_look_that_ends_after_the_session_was_lost_is_not_written(place, odd):
    settled(place)
    odd.hang.clear()
    place.put("d")
    place.forward(60)
    place.begin()
    (look,) = (sight.looking for sight in place.observer._sights.values())
    place.workspaces.take_over()
    with pytest.raises(SessionLost):
        place.ledger.transaction().__enter__()
    place.observer.forget()
    odd.hang.set()
    place.until_done(look)
    assert (len(place.rows()), place.changes()) == (1, [])


def test_a_look_that_cannot_be_written_is_made_again(place, odd):
    settled(place)
    place.put("d")
    place.forward(60)
    place.begin()
    (look,) = (sight.looking for sight in place.observer._sights.values())
    place.until_done(look)
    place.workspaces.take_over()
    with pytest.raises(SessionLost):
        place.begin()
    place.workspaces._opened[-1].ledger.end_session()
    place.ledger.end_session()
    assert place.ledger.begin_session(host="here", pid=1)
    place.look()
    assert place.changes() == ["added d"]


def test_a_look_at_a_watch_that_began_anew_meanwhile_is_void(place, odd):
    settled(place)
    odd.hang.clear()
    place.put("d")
    place.forward(60)
    place.begin()
    (place.landing / "elsewhere" / "in").mkdir(parents=True)
    place.put("x", path="elsewhere/in")
    place.store(f"file://{place.landing}/elsewhere")
    odd.hang.set()
    place.observer._datastore = type(place).open.__get__(place)
    place.look()
    assert place.changes() == []
    assert place.rows()[-1].note == "baseline: 1 files were there before"
    assert place.known() == [b"x"]


def test_a_look_that_somebody_asks_for_while_another_is_under_way_is_made_after_it(place, odd):
    settled(place)
    place.forward(60)
    odd.hang.clear()
    place.begin()
    place.forward(1)
    place.watch("late", settle=0, interval=0.5, existing=True)
    odd.hang.set()
    place.look()
    # How often it asks for looks, and what settles for it, the one under way could not know.
    assert len(place.rows()) == 3
    assert place.changes() == [f"existing {name}" for name in "abc"]


def test_a_look_that_somebody_asks_for_while_one_fails_is_made_after_it(place, odd):
    settled(place)
    place.forward(60)
    odd.hang.clear()
    odd.ending = DatastoreError("the folder is gone")
    place.begin()
    place.forward(1)
    place.watch("late", settle=0)
    odd.hang.set()
    place.look()
    assert [row.error for row in place.rows()] == ["", *["the folder is gone"] * 2]


def test_files_that_have_not_settled_are_forgotten_where_a_watch_begins_anew(place):
    place.watch()
    place.look()
    place.put("a")
    place.later()
    place.store(f"file://{place.landing}")
    place.later(2)
    assert place.rows()[-1].note == "baseline: 1 files were there before"
    place.later(60)
    assert place.changes() == []


# Mounts ---------------------------------------------------------------------------------------


def test_nothing_is_concluded_from_a_mount_that_is_gone(place, odd):
    settled(place)
    folder = place.landing / "in"
    folder.rename(place.landing / "mount")
    folder.mkdir()
    odd.where = lambda: "/other (xfs)"
    place.put("somebody wrote here meanwhile")
    before = place.ledger.watches()[0].place
    place.later()
    assert place.rows()[-1].error == (
        "none of the files that were known is left, and it is on /other (xfs) and no longer on "
        f"{before}: is it mounted? Mount it again; if it has moved for good, disable its schedules "
        "and enable them again"
    )
    assert place.changes() == []
    place.put("somebody wrote here meanwhile").unlink()
    folder.rmdir()
    (place.landing / "mount").rename(folder)
    odd.where = None
    place.later()
    assert (place.changes(), told(place)) == ([], (3, ""))


def test_a_place_that_still_has_the_files_is_taken_as_it_is(place, odd):
    settled(place)
    odd.where = lambda: "/new (nfs4)"
    place.put("d")
    place.later()
    assert place.changes() == ["added d"]
    assert told(place) == (4, "now on /new (nfs4)")
    assert place.ledger.watches()[0].place == "/new (nfs4)"
    place.later()
    assert told(place) == (4, "")


def test_a_look_during_which_the_mount_changed_is_void(place, odd):
    settled(place)
    numbers = count()
    odd.where = lambda: f"mount {next(numbers)}"
    place.put("d")
    place.later()
    assert place.rows()[-1].error == "it was mounted anew during the look, which is made again"
    odd.where = None
    place.later()
    assert place.changes() == ["added d"]


def test_files_that_have_not_settled_are_not_gone_because_the_mount_is(place, odd):
    place.watch()
    place.put("a")
    place.look()
    place.put("b")
    place.later()
    folder = place.landing / "in"
    folder.rename(place.landing / "mount")
    folder.mkdir()
    odd.where = lambda: "/other (xfs)"
    place.later(2)
    assert "is it mounted?" in place.rows()[-1].error
    assert place.changes() == []


def test_a_folder_that_was_deleted_and_made_again_has_lost_its_files(place):
    settled(place)
    for name in "abc":
        (place.landing / "in" / name).unlink()
    (place.landing / "in").rmdir()
    place.later()
    assert place.rows()[-1].error.endswith("does not exist; create it")
    place.put("a")
    place.later(120)
    assert place.changes() == ["modified a", "deleted b", "deleted c"]


def test_a_directory_that_was_mounted_anew_gives_no_changes_but_those_there_are(place, odd):
    settled(place)
    odd.inodes = lambda number: 1_000 + number
    place.later()
    assert place.changes() == []
    assert [row.note for row in place.rows()[1:]] == [
        "mounted anew: 3 files differ only in their inode",
        "",
    ]
    place.put("b", "otherwise")
    place.later()
    assert place.changes() == ["modified b"]


def test_a_change_is_found_although_it_came_while_the_directory_was_mounted_anew(place, odd):
    settled(place)
    odd.inodes = lambda number: 1_000 + number
    place.put("b", "otherwise")
    place.later()
    assert place.changes() == ["modified b"]
    assert len(place.rows()) == 3


def test_a_file_system_that_does_not_keep_its_inodes_still_tells_changes(place, odd):
    settled(place)
    numbers = count(1_000)
    odd.inodes = lambda _: next(numbers)
    place.later()
    place.later()
    place.put("b", "otherwise")
    place.put("d")
    (place.landing / "in" / "a").unlink()
    place.later()
    place.later()
    assert place.changes() == ["deleted a", "modified b", "added d"]
    rows = len(place.rows())
    for sight in place.observer._sights.values():
        sight.named = frozenset([b"b", b"c", b"d"])
    place.look()
    assert len(place.rows()) == rows
    note = "its inodes change from look to look: files are told apart without them"
    assert place.rows()[-1].note == note
    assert len(place.rows()) <= 7
