"""Events wake looks before their time, at the files they name; the look at all stays the truth."""

import pytest

from reconciler.clock import SystemClock
from reconciler.datastore.events import Waker
from reconciler.errors import SessionLost
from reconciler.run import RunState
from reconciler.runner import observe
from tests.processes import runner, until
from tests.runner.lookout import Odd, lookout
from tests.site import HELLO, site


class Said:
    """Events as a test says them."""

    def __init__(self):
        self.heard, self.watched, self.unwatched, self.closed = {}, {}, [], False

    def watch(self, key, reader, watched):
        self.watched[key] = reader.local_path(b"in")

    def unwatch(self, key):
        self.unwatched.append(key)

    def taken(self):
        heard, self.heard = self.heard, {}
        return heard

    def say(self, *names, key=1):
        self.heard[key] = frozenset(names)

    def close(self):
        self.closed = True


@pytest.fixture
def place(tmp_path):
    with lookout(tmp_path) as made:
        made.events = Said()
        made.restart()
        yield made


@pytest.fixture
def real(tmp_path):
    with lookout(tmp_path) as made:
        made.events = Waker(made.poked.set)
        made.restart()
        yield made


def test_a_file_is_found_at_once_where_it_is_told_of(place):
    place.watch(settle=0)
    place.look()
    place.put("a")
    place.put("nobody tells of this")
    place.events.say(b"a")
    place.look()
    assert place.changes() == ["added a"]
    assert (place.rows()[-1].listed, place.rows()[-1].added) == (1, 1)
    assert place.rows()[-1].next_poll == place.rows()[0].next_poll
    place.later()
    assert place.changes() == ["added a", "added nobody tells of this"]


def test_a_file_that_is_told_of_settles_before_it_counts(place):
    place.watch()
    place.look()
    place.put("a")
    place.events.say(b"a")
    place.look()
    assert place.changes() == []
    assert (place.rows()[-1].waiting, place.rows()[-1].listed) == (1, 1)
    place.later(2)
    assert place.changes() == ["added a"]
    assert place.rows()[-1].listed == 1


def test_while_a_file_is_written_to_not_every_event_leaves_a_row(place):
    place.watch()
    place.look()
    for length in range(20):
        place.put("a", "x" * length)
        place.events.say(b"a")
        place.look()
        place.forward(0.5)
    assert place.changes() == []
    assert len(place.rows()) < 9
    # It settles from the last event on, and not from the last row.
    place.later(1.5)
    assert place.changes() == ["added a"]


def test_an_event_about_nothing_leaves_no_row(place):
    place.watch()
    place.put("a")
    place.look()
    place.events.say(b"a", b"never there")
    place.look()
    assert len(place.rows()) == 1


def test_a_file_that_is_deleted_is_told_of_at_once(place):
    place.watch()
    file = place.put("a")
    place.look()
    file.unlink()
    place.events.say(b"a")
    place.look()
    assert place.changes() == ["deleted a"]


def test_where_events_could_not_name_all_everything_is_looked_at(place):
    place.watch(settle=0)
    place.look()
    place.put("a")
    place.put("b")
    place.events.heard = {1: None}
    place.look()
    assert place.changes() == ["added a", "added b"]


def test_after_a_long_look_that_events_asked_for_it_rests(place, monkeypatch):
    monkeypatch.setattr(observe, "REST", 1_000_000)
    place.watch(settle=0)
    place.look()
    for name in ("a", "b"):
        place.put(name)
        place.events.heard = {1: None}
        place.look()
    assert place.changes() == ["added a"]
    place.later(3_600)
    assert place.changes() == ["added a", "added b"]


def test_a_marker_that_is_told_of_makes_the_files_count_that_wait_for_it(place):
    place.watch(done_marker="{name}.done", settle=0)
    place.look()
    for name in ("a", "b"):
        place.put(name)
        place.events.say(name.encode())
        place.look()
    assert place.rows()[-1].waiting == 2
    place.put("a.done")
    place.events.say(b"a.done")
    place.look()
    assert place.changes() == ["added a", "added a.done"]
    assert place.rows()[-1].waiting == 1


def test_what_is_told_of_while_a_look_is_under_way_is_looked_at_after_it(place):
    odd = Odd(place.open("landing"))
    place.open = lambda _: odd
    place.restart()
    place.watch(settle=0)
    place.look()
    odd.hang.clear()
    place.forward(60)
    place.begin()
    place.put("a")
    place.events.say(b"a")
    place.begin()
    assert len(place.rows()) == 1
    odd.ending = ZeroDivisionError()
    odd.hang.set()
    place.look()
    odd.ending = None
    place.later(60)
    assert place.changes() == ["added a"]


def test_events_do_not_make_a_watch_that_fails_be_looked_at_sooner(place):
    place.watch()
    place.look()
    (place.landing / "in").rmdir()
    place.later()
    rows = len(place.rows())
    for _ in range(5):
        place.events.say(b"a")
        place.look()
    assert len(place.rows()) == rows


def test_events_about_a_mount_that_is_gone_delete_nothing(place):
    odd = Odd(place.open("landing"))
    place.open = lambda _: odd
    place.restart()
    place.watch(settle=0)
    place.put("a").rename(place.landing / "in" / "b")
    place.look()
    (place.landing / "in" / "b").unlink()
    odd.where = lambda: "/other (xfs)"
    place.events.say(b"b")
    place.look()
    assert "is it mounted?" in place.rows()[-1].error
    assert place.changes() == []


def test_what_events_told_is_not_lost_where_it_cannot_be_written(place):
    place.watch(settle=0)
    place.look()
    place.put("a")
    place.events.say(b"a")
    place.begin()
    (sight,) = place.observer._sights.values()
    place.until_done(sight.looking)
    place.workspaces.take_over()
    with pytest.raises(SessionLost):
        place.begin()
    place.workspaces._opened[-1].ledger.end_session()
    place.ledger.end_session()
    assert place.ledger.begin_session(host="here", pid=1)
    place.look()
    assert place.changes() == ["added a"]


def test_a_watch_that_nobody_needs_is_listened_to_no_more(place):
    watch = place.watch()
    place.look()
    assert place.events.watched == {1: f"{place.landing}/in"}
    place.disable(watch)
    place.later()
    assert place.events.unwatched == [1]
    place.events.say(b"a")
    place.begin()
    assert place.events.unwatched == [1, 1]


def test_a_session_that_is_over_listens_to_nothing(place):
    place.watch()
    place.look()
    place.observer.forget()
    assert place.events.unwatched == [1]
    place.observer.close()
    assert place.events.closed


@pytest.mark.parametrize("recursive", [False, True])
def test_the_system_tells_of_a_file_without_any_time_going_by(real, recursive):
    real.watch(settle=0, recursive=recursive)
    real.look()
    real.put("a")
    real.until(lambda: real.changes() == ["added a"])
    real.put("a", "more than before")
    real.until(lambda: real.changes() == ["added a", "modified a"])
    (real.landing / "in" / "a").unlink()
    real.until(lambda: real.changes() == ["added a", "modified a", "deleted a"])


def test_a_folder_that_was_made_anew_is_listened_to_again(real):
    real.watch(settle=0)
    real.look()
    (real.landing / "in").rmdir()
    real.later()
    assert real.rows()[-1].error
    (real.landing / "in").mkdir()
    real.later(600)
    real.put("a")
    real.until(lambda: real.changes() == ["added a"])


def test_a_thousand_files_that_come_together_are_each_found_once(real):
    real.watch(settle=0)
    real.look()
    for number in range(1_000):
        real.put(f"{number:04}")
    real.until(lambda: len(real.changes()) >= 1_000)
    assert sorted(real.changes()) == [f"added {number:04}" for number in range(1_000)]


def test_a_runner_fires_for_a_file_long_before_it_would_look(tmp_path):
    (tmp_path / "landing").mkdir()
    with site(tmp_path) as place:
        place.clock.instant = SystemClock().now()
        place.apply(
            p=HELLO,
            d=f"kind: Datastore\nname: landing\nurl: file://{tmp_path}/landing\n",
            s="kind: Schedule\nname: arrival\npipeline: hello\n"
            "trigger: {datastore_change: {datastore: landing, polling_interval: 1440}}\n",
        )
        place.ledger.end_session()
        with runner(tmp_path / "ws.db", tmp_path / "log") as process:
            until(lambda: [watch.poll_seq for watch in place.ledger.watches()] >= [1])
            (tmp_path / "landing" / "a").write_text("text")
            (run,) = until(lambda: [run for run in place.runs() if run.state.over])
            assert (run.state, run.facts["path"]) == (RunState.FINISHED, "a")
            assert process.stop() == 0
