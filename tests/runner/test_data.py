"""Files that arrive: a real folder, a real listing, a clock the test moves."""

import os
import threading

import pytest

from reconciler.clock import MINUTE
from reconciler.reconcile import operate
from reconciler.run import Decision, RunState
from reconciler.schedule import Missed
from tests.site import HELLO, minutely

SHOW = """
kind: Pipeline
name: show
parameters: {file: {type: datapath}}
steps: [{name: say, command: [cat, "${{ parameters.file }}"]}]
"""
LANDING = "kind: Datastore\nname: landing\nurl: file:landing\n"


def on_arrival(name="on-arrival", **fields):
    extra = "".join(f"    {key}: {value}\n" for key, value in fields.items())
    return f"""
kind: Schedule
name: {name}
pipeline: show
trigger:
  datastore_change:
    datastore: landing
    path_on_datastore: in
    polling_interval: 1
    data_path_parameter_name: file
{extra}"""


@pytest.fixture
def landing(place):
    folder = place.project / "landing" / "in"
    folder.mkdir(parents=True)
    return folder


def settle(place):
    """Let a poll come due, see what is new, and look again once it has settled."""
    place.forward(60)
    place.poll()
    place.forward(3)
    place.poll()
    return place.finish()


def contents(place):
    return sorted(place.log(run, "say") for run in place.runs())


def test_a_new_file_gives_one_run_that_receives_its_path(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    (landing / "x.csv").write_text("data")
    (run,) = settle(place)
    assert run.state is RunState.FINISHED
    assert run.parameters == {"file": "landing/in/x.csv"}
    assert place.log(run, "say") == "data"
    facts = {key: run.facts[key] for key in ("datastore", "path", "change", "size")}
    assert facts == {"datastore": "landing", "path": "in/x.csv", "change": "added", "size": 4}
    assert len(settle(place)) == 1


def test_what_was_there_before_the_schedule_gives_none(place, landing):
    (landing / "old.csv").write_text("old")
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    assert settle(place) == []


def test_a_file_in_a_subfolder_gives_none(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    (landing / "sub").mkdir()
    (landing / "sub" / "x.csv").write_text("data")
    assert settle(place) == []


def test_a_changed_file_gives_one_more_and_so_does_changing_it_back(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    for number, text in enumerate(("A", "B", "A"), 1):
        (landing / "x.csv").write_text(text)
        assert len(settle(place)) == number
    assert contents(place) == ["A", "A", "B"]


def test_a_file_copied_slowly_gives_one_run_with_all_of_it(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    place.forward(60)
    with (landing / "slow.csv").open("w") as file:
        for part in ("one ", "two ", "three"):
            file.write(part)
            file.flush()
            place.poll()
            place.forward(1.5)
    place.poll()
    assert place.runs() == []
    place.forward(3)
    place.poll()
    (run,) = place.finish()
    assert place.log(run, "say") == "one two three"


def test_ignored_names_never_fire(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival(include="['*.csv']"))
    place.poll()
    for name in (".hidden.csv", "x.tmp", "x.part", "x.txt"):
        (landing / name).write_text("no")
    assert settle(place) == []


@pytest.mark.parametrize(
    "name", [b"two\nlines", b"$(touch pwned)", b"'quo\"ted'", b"-rf", b"\xff\xfe", "ünï".encode()]
)
def test_a_hostile_name_is_delivered_exactly(place, landing, name):
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    (landing / os.fsdecode(name)).write_text("mine")
    (run,) = settle(place)
    assert (run.state, place.log(run, "say")) == (RunState.FINISHED, "mine")


def test_two_schedules_share_one_listing_and_each_fires(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival(), d=on_arrival("also"))
    place.poll()
    (landing / "x.csv").write_text("data")
    runs = settle(place)
    assert sorted(run.schedule_name for run in runs) == ["also", "on-arrival"]
    assert len(place.ledger.watches()) == 1


def test_a_schedule_that_joins_later_sees_only_what_comes_later(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    (landing / "x.csv").write_text("data")
    settle(place)
    place.apply(d=on_arrival("late"))
    settle(place)
    assert place.runs("late") == []
    (landing / "y.csv").write_text("data")
    settle(place)
    assert len(place.runs("late")) == 1


def test_more_files_than_may_run_at_once_wait_and_none_is_dropped(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival() + "max_active_runs: 2\n")
    place.poll()
    for number in range(7):
        (landing / f"{number}.csv").write_text(str(number))
    runs = settle(place)
    assert contents(place) == [str(number) for number in range(7)]
    assert {run.state for run in runs} == {RunState.FINISHED}
    decisions = [fire.decision for fire in place.fires("on-arrival")]
    assert (decisions.count(Decision.LAUNCH), decisions.count(Decision.QUEUE)) == (2, 5)


def test_of_files_that_arrive_together_the_newest_replaces_the_others_where_that_is_asked_for(
    place, landing
):
    place.apply(a=SHOW, b=LANDING, c=on_arrival() + "overlap: cancel_running\n")
    place.poll()
    for name in ("a", "b", "c"):
        (landing / f"{name}.csv").write_text(name)
    (run,) = settle(place)
    assert place.log(run, "say") == "c"
    fires = place.fires("on-arrival")
    assert sorted(fire.decision for fire in fires) == ["launch", "skip", "skip"]
    reasons = {fire.reason for fire in fires if fire.decision is Decision.SKIP}
    assert reasons == {"skipped: c.csv replaces it (overlap: cancel_running)"}


def test_a_file_that_landed_while_no_runner_ran_is_found_by_the_next(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    (landing / "x.csv").write_text("data")
    place.restart()
    assert len(settle(place)) == 1


def test_a_schedule_disabled_and_enabled_again_does_not_see_what_came_meanwhile(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    place.apply(c=on_arrival() + "status: Disabled\n")
    (landing / "x.csv").write_text("data")
    settle(place)
    place.apply(c=on_arrival())
    place.poll()
    assert settle(place) == []
    (landing / "y.csv").write_text("data")
    assert len(settle(place)) == 1


def test_a_datastore_that_moves_begins_anew(place, landing):
    (landing / "x.csv").write_text("data")
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    other = place.project / "other" / "in"
    other.mkdir(parents=True)
    (other / "y.csv").write_text("was there")
    place.apply(b=LANDING.replace("file:landing", "file:other"))
    assert settle(place) == []
    (other / "z.csv").write_text("new")
    assert len(settle(place)) == 1


def test_a_hold_ends_by_itself_and_what_came_meanwhile_fires(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    until = place.clock.now() + 10 * 60_000_000
    operate.hold_schedule(place.registry, "on-arrival", who="ann", why="audit", until=until)
    (landing / "x.csv").write_text("data")
    assert settle(place) == []
    place.forward(10 * 60)
    place.step()
    assert place.schedule("on-arrival").hold is None
    assert len(place.finish()) == 1
    (fire,) = place.fires("on-arrival")
    assert fire.reason == (
        "held by ann until 2026-03-02T12:10:00Z: audit; made up (catchup: all); x.csv was added"
    )


def arrive(place, landing, *names):
    """Let files arrive, a poll for each."""
    for name in names:
        (landing / name).write_text(name)
        settle(place)


def told(place):
    return [(f.decision, f.count, f.reason) for f in reversed(place.fires("on-arrival"))]


@pytest.fixture
def held(place, landing):
    """A data schedule held for an hour, in which four files came and one that is filtered out."""
    place.apply(a=SHOW, b=LANDING, c=on_arrival(ignore="['*.no']"))
    place.poll()

    def hold(catchup):
        until = place.clock.now() + 3_600_000_000
        operate.hold_schedule(
            place.registry, "on-arrival", who="ann", why="audit", until=until, catchup=catchup
        )
        arrive(place, landing, "a", "b", "c", "d", "e.no")
        assert place.fires("on-arrival") == []
        place.clock.instant = until

    return hold


WHY = "held by ann until 2026-03-02T13:00:00Z: audit"


def test_files_that_came_during_a_hold_are_passed_over_in_one_row_with_skip(place, held):
    held(Missed.SKIP)
    assert place.finish() == []
    assert told(place) == [(Decision.GAP, 4, WHY)]
    assert place.fires("on-arrival")[0].occurrence_key == "g:1:1/4"
    assert place.schedule("on-arrival").hold is None


def test_the_newest_file_of_a_hold_runs_with_last(place, held):
    held(Missed.LAST)
    place.finish()
    assert contents(place) == ["d"]
    assert sorted(told(place)) == [
        (Decision.GAP, 3, f"{WHY}; a newer file stands for them (catchup: last)"),
        (Decision.LAUNCH, 1, f"{WHY}; made up (catchup: last); d was added"),
    ]
    assert place.schedule("on-arrival").hold is None


def test_every_file_of_a_hold_runs_with_all_a_page_at_a_time(place, held, monkeypatch):
    monkeypatch.setattr("reconciler.runner.held.PAGE", 2)
    held(Missed.ALL)
    place.finish()
    assert contents(place) == ["a", "b", "c", "d"]
    assert {reason for _, _, reason in told(place)} == {
        f"{WHY}; made up (catchup: all); {name} was added" for name in "abcd"
    }
    assert place.schedule("on-arrival").hold is None


@pytest.mark.parametrize("catchup", Missed)
def test_a_file_that_is_seen_after_the_hold_is_not_of_the_hold(place, held, landing, catchup):
    held(catchup)
    (landing / "late").write_text("late")
    # Looked at before anything is decided: the look and the end of the hold come together.
    place.daemon._ticker.tick, tick = lambda _: 0, place.daemon._ticker.tick
    settle(place)
    place.daemon._ticker.tick = tick
    place.finish()
    assert (Decision.LAUNCH, 1, "late was added") in told(place)
    made_up = {Missed.SKIP: [], Missed.LAST: ["d"], Missed.ALL: ["a", "b", "c", "d"]}[catchup]
    assert contents(place) == [*made_up, "late"]
    assert place.schedule("on-arrival").hold is None


def test_a_hold_during_which_nothing_came_leaves_no_row(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    operate.hold_schedule(
        place.registry, "on-arrival", who="ann", why="audit", until=None, catchup=Missed.SKIP
    )
    place.forward(60)
    operate.release_schedule(place.registry, "on-arrival")
    place.poll()
    assert place.schedule("on-arrival").hold is None
    arrive(place, landing, "x")
    assert [reason for _, _, reason in told(place)] == ["x was added"]


def test_a_release_says_what_becomes_of_the_files(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    operate.hold_schedule(place.registry, "on-arrival", who="ann", why="audit", until=None)
    arrive(place, landing, "a", "b")
    place.forward(1)
    operate.release_schedule(place.registry, "on-arrival", Missed.LAST)
    place.finish()
    assert contents(place) == ["b"]


def test_files_held_back_meet_the_overlap_policy(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival() + "overlap: queue\n")
    place.poll()
    operate.hold_schedule(place.registry, "on-arrival", who="ann", why="audit", until=None)
    arrive(place, landing, "a", "b")
    operate.release_schedule(place.registry, "on-arrival")
    place.finish()
    assert contents(place) == ["a", "b"]
    assert sorted(decision for decision, _, _ in told(place)) == [Decision.LAUNCH, Decision.QUEUE]


def test_a_listing_under_way_keeps_the_runner_from_no_schedule_by_the_clock(place, landing):
    go_on, real = threading.Event(), place.datastore
    place.datastore = lambda name: real(name) if go_on.wait(60) else None
    place.restart()
    place.apply(a=SHOW, b=LANDING, c=on_arrival(), d=HELLO, e=minutely())
    try:
        assert place.step() == place.clock.now() + MINUTE
    finally:
        go_on.set()
