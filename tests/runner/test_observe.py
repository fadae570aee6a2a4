"""What the observer does and writes down: a real ledger, real folders, a clock the test moves."""

import logging

import pytest

from reconciler.clock import MINUTE, SECOND
from reconciler.runner import look as looking
from reconciler.runner.metrics import Prometheus
from reconciler.runner.observe import DEGRADED, LONGEST_BACKOFF
from reconciler.trigger import snapshot
from reconciler.workspace.records import Alarm, WatchState
from tests.runner.lookout import lookout


@pytest.fixture
def place(tmp_path):
    with lookout(tmp_path) as made:
        yield made


def told(row):
    return row.listed, row.added, row.modified, row.deleted, row.waiting


def test_the_first_look_is_at_once_and_only_learns_what_is_there(place):
    place.put("a")
    place.put("b")
    watch = place.watch()
    assert watch.state is WatchState.BASELINING
    place.look()
    (row,) = place.rows()
    assert (told(row), row.note) == ((2, 0, 0, 0, 0), "baseline: 2 files were there before")
    assert (row.polled_at, row.state) == (place.now(), WatchState.READY)
    assert place.known() == [b"a", b"b"]
    assert place.changes() == []
    (watch,) = place.ledger.watches()
    assert watch.place == place.open("landing").place(watch.watched)


def test_each_look_leaves_a_row_that_counts_what_changed(place):
    place.watch(settle=0)
    for name in ("stays", "changes", "goes"):
        place.put(name)
    place.look()
    place.put("changes", "longer than before")
    (place.landing / "in" / "goes").unlink()
    place.put("comes")
    place.later()
    row = place.rows()[-1]
    assert told(row) == (3, 1, 1, 1, 0)
    assert row.took > 0
    assert place.changes() == ["modified changes", "added comes", "deleted goes"]
    place.later()
    assert told(place.rows()[-1]) == (3, 0, 0, 0, 0)
    assert [row.poll_seq for row in place.rows()] == [1, 2, 3]


def test_it_looks_whatever_holds_the_ledger(tmp_path, workspaces):
    with lookout(tmp_path, workspaces) as place:
        place.watch()
        for number in range(300):
            place.put(f"{number:03}")
        place.look()
        place.put("150", "otherwise")
        place.put("1500")
        (place.landing / "in" / "000").unlink()
        place.later()
        place.later(2)
        assert place.changes() == ["deleted 000", "modified 150", "added 1500"]


def test_only_files_that_have_not_settled_are_looked_at_again(place):
    place.watch()
    for number in range(5):
        place.put(f"old{number}")
    place.look()
    place.put("new")
    place.later()
    assert told(place.rows()[-1]) == (6, 0, 0, 0, 1)
    assert place.rows()[-1].next_poll == place.now() + looking.LOCAL_SETTLE
    place.later(2)
    assert told(place.rows()[-1]) == (1, 1, 0, 0, 0)
    assert place.changes() == ["added new"]
    # And then the looks at everything go on as they were planned.
    assert place.rows()[-1].next_poll == _planned(place)


def _planned(place):
    """The instant at which a look at all files is due next, as the first row has it."""
    first = place.rows()[0].next_poll
    return first + (place.now() - first) // MINUTE * MINUTE + MINUTE


def test_a_file_that_is_still_being_written_waits_until_it_is_left_alone(place):
    place.watch()
    place.look()
    place.forward(60)
    for length in range(4):
        place.put("slow", "x" * length)
        place.look()
        place.forward(1.9)
    place.look()
    assert place.changes() == []
    place.later(2)
    assert place.changes() == ["added slow"]


def test_a_file_that_goes_before_it_settled_was_never_there(place):
    place.watch()
    place.look()
    file = place.put("brief")
    place.later()
    file.unlink()
    place.later(2)
    assert told(place.rows()[-1]) == (1, 0, 0, 0, 0)
    assert place.changes() == []


def test_files_that_settle_at_other_times_are_looked_at_apart(place):
    place.watch(settle=10, interval=1440)
    place.look()
    place.put("first")
    place.later(86_400)
    place.put("second")
    place.forward(6)
    place.watch("late", settle=10, interval=1440)
    place.look()
    assert place.rows()[-1].waiting == 2
    place.later(4)
    assert told(place.rows()[-1])[:2] == (1, 1)
    place.later(6)
    assert place.changes() == ["added first", "added second"]


def test_the_most_patient_schedule_says_when_a_file_has_settled(place):
    place.watch(settle=0)
    place.watch("patient", settle=30)
    place.look()
    place.put("a")
    place.later()
    assert place.rows()[-1].waiting == 1
    place.later(29)
    assert place.changes() == []
    place.later(1)
    assert place.changes() == ["added a"]


def test_a_runner_that_comes_after_one_that_died_finds_unsettled_files_soon(place):
    place.watch()
    place.look()
    place.put("a")
    place.later()
    place.restart()
    (watch,) = place.ledger.watches()
    assert watch.next_poll == place.now() + 2 * SECOND
    place.later(2)
    place.later(2)
    assert place.changes() == ["added a"]


def test_more_changes_than_one_look_takes_are_taken_by_the_next_at_once(place, monkeypatch):
    monkeypatch.setattr(snapshot, "MOST_CHANGES", 4)
    monkeypatch.setattr(snapshot, "_WINDOW", 4)
    place.watch(settle=0)
    place.look()
    for number in range(10):
        place.put(f"{number}")
    place.later()
    assert place.changes() == [f"added {number}" for number in range(10)]
    assert [row.added for row in place.rows()] == [0, 4, 4, 2]
    assert len({row.polled_at for row in place.rows()[1:]}) == 1


def test_where_more_changed_but_nothing_has_settled_it_does_not_look_in_circles(place, monkeypatch):
    monkeypatch.setattr(snapshot, "MOST_CHANGES", 4)
    monkeypatch.setattr(snapshot, "_WINDOW", 4)
    place.watch()
    place.look()
    for number in range(10):
        place.put(f"{number}")
    place.later()
    assert len(place.rows()) == 2
    for _ in range(3):
        place.later(2)
    assert place.changes() == [f"added {number}" for number in range(10)]


def test_polls_of_one_interval_are_spread_and_each_keeps_its_phase(place):
    for number in range(20):
        (place.landing / f"in{number}").mkdir()
        place.watch(f"s{number}", f"in{number}", interval=5)
    place.look()
    phases = {watch.next_poll % (5 * MINUTE) for watch in place.ledger.watches()}
    assert len(phases) == 20
    assert max(phases) - min(phases) > 2 * MINUTE
    place.later(301)
    place.later(299.5)
    assert {watch.next_poll % (5 * MINUTE) for watch in place.ledger.watches()} == phases
    assert all(
        place.now() < it.next_poll <= place.now() + 5 * MINUTE for it in place.ledger.watches()
    )


def test_the_most_impatient_schedule_says_how_often_is_looked(place):
    place.watch(interval=60)
    place.watch("impatient", interval=0.5)
    place.look()
    assert len(place.rows()) == 1
    place.later(30)
    assert len(place.rows()) == 2


def test_a_schedule_that_asks_for_more_looks_gets_them_from_then_on(place):
    place.watch(interval=1440)
    place.look()
    place.watch("impatient", interval=1)
    place.look()
    assert len(place.rows()) == 2
    assert place.rows()[-1].next_poll <= place.now() + MINUTE


def test_a_schedule_that_asks_for_existing_files_gets_all_that_are_known(place):
    place.watch()
    place.put("a")
    place.look()
    place.put("b")
    place.forward(5)
    place.watch("late", existing=True)
    place.look()
    place.later(2)
    assert place.changes() == ["existing a", "added b"]


def test_one_directory_is_listed_once_for_all_schedules_on_it(place):
    for number in range(30):
        place.watch(f"s{number}")
    place.look()
    place.later()
    assert len(place.rows()) == 2
    assert len(place.ledger.watches()) == 1


def test_a_watch_that_nobody_is_on_is_looked_at_no_more_and_forgotten(place):
    watch = place.watch()
    place.look()
    place.disable(watch)
    place.later()
    assert len(place.rows()) == 1
    assert not place.observer._sights


@pytest.mark.parametrize("restarted", [False, True])
def test_it_looks_although_the_clock_was_in_the_future(place, restarted):
    place.watch(settle=0)
    place.forward(366 * 86_400)
    place.look()
    place.forward(-366 * 86_400)
    if restarted:
        place.restart()
    place.put("a")
    place.look()
    assert place.changes() == ["added a"]


def test_a_file_that_was_unsettled_when_the_clock_went_back_settles_all_the_same(place):
    place.watch()
    place.look()
    place.put("a")
    place.later()
    place.forward(-3600)
    place.look()
    place.later(2)
    assert place.changes() == ["added a"]


# Trouble --------------------------------------------------------------------------------------


def test_a_directory_that_cannot_be_listed_leaves_rows_that_say_what_to_do(place, caplog):
    place.watch()
    place.put("a")
    place.look()
    (place.landing / "in").rename(place.landing / "away")
    for _ in range(2):
        place.later(600)
    rows = place.rows()
    assert [bool(row.error) for row in rows] == [False, True, True]
    assert rows[-1].error == f"folder '{place.landing}/in' does not exist; create it"
    assert place.known() == [b"a"]
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    (place.landing / "away").rename(place.landing / "in")
    place.later(600)
    assert told(place.rows()[-1]) == (1, 0, 0, 0, 0)
    assert place.changes() == []


def test_looks_that_fail_come_later_and_later_and_no_later_than_that(place):
    place.watch()
    place.look()
    (place.landing / "in").rmdir()
    waits = []
    for _ in range(6):
        place.later(600)
        waits.append(place.rows()[-1].next_poll - place.now())
    assert waits == [MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE, LONGEST_BACKOFF, LONGEST_BACKOFF]


def test_a_watch_that_keeps_failing_is_degraded_and_each_schedule_told_once(place, caplog):
    caplog.set_level(logging.INFO)
    place.metrics = Prometheus()
    place.restart()
    place.watch()
    place.watch("other")
    place.look()

    def degraded():
        return place.metrics.registry.get_sample_value("reconciler_watches_degraded")

    for streak in (1, 2):
        (place.landing / "in").rmdir()
        for failures in range(1, DEGRADED + 3):
            place.later(600)
            alerts = place.ledger.alerts()
            assert len(alerts) == 2 * streak - 2 * (failures < DEGRADED)
            assert degraded() == (failures >= DEGRADED)
        assert {alert.alarm for alert in alerts} == {Alarm.DEGRADED}
        (place.landing / "in").mkdir()
        place.later(600)
        assert degraded() == 0
    said = f"schedule arrival is degraded and does not fire: the last 3 looks at landing/in failed: folder '{place.landing}/in' does not exist; create it"
    assert said in {alert.text for alert in alerts}
    assert {alert.schedule_id for alert in alerts} == set(place.ledger.watches()[0].schedule_ids)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(lines) == 4
    assert "watch landing/in is looked at again, 5 looks had failed" in caplog.text


def test_a_schedule_that_joins_a_degraded_watch_is_told_too(place):
    place.watch()
    place.look()
    (place.landing / "in").rmdir()
    for _ in range(DEGRADED):
        place.later(600)
    late = place.watch("late")
    place.look()
    assert {alert.schedule_id for alert in place.ledger.alerts()} == set(late.schedule_ids)
    assert len(place.ledger.alerts()) == 2


def test_what_it_does_is_counted(place):
    place.metrics = Prometheus()
    place.restart()
    place.watch(settle=0)
    place.put("a")
    place.look()
    place.put("b")
    place.put("a", "otherwise")
    place.later()
    (place.landing / "in").rename(place.landing / "away")
    place.later()

    def counted(name, **labels):
        return place.metrics.registry.get_sample_value(f"reconciler_{name}", labels)

    assert counted("polls_total", outcome="ok") == 2
    assert counted("polls_total", outcome="error") == 1
    assert counted("poll_seconds_count") == 3
    assert counted("files_listed_total") == 3
    assert counted("file_changes_total", change="added") == 1
    assert counted("file_changes_total", change="modified") == 1
    assert counted("file_changes_total", change="deleted") == 0
    assert counted("polls_skipped_total") == 0


def test_one_file_is_watched_alone(place):
    watch = place.watch(file="prices.csv", settle=0)
    place.look()
    place.put("other")
    place.put("prices.csv")
    place.later()
    assert place.changes(watch.id) == ["added prices.csv"]
    assert place.rows(watch.id)[-1].listed == 1


def test_what_a_baseline_cannot_keep_in_memory_waits_in_a_file(place, monkeypatch):
    monkeypatch.setattr(looking, "_SPOOLED", 100)
    place.watch()
    for number in range(400):
        place.put(f"{number:03}")
    place.look()
    assert place.known() == [b"%03d" % number for number in range(400)]
