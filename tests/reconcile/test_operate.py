"""What operators and the SDK do to single objects, seen from the ledger."""

import pytest

from reconciler.data import DatastoreChange
from reconciler.errors import NotFound, Refused
from reconciler.live import Hold
from reconciler.reconcile import ask, operate
from reconciler.run import Decision, RunState
from reconciler.schedule import Frequency, Missed, Recurrence, Schedule, Status
from tests.reconcile.running import until_running
from tests.site import HELLO, minutely

MINUTE = 60_000_000
PARAMETERS = """
kind: Pipeline
name: hello
parameters: {word: {type: string}, size: {type: integer, default: 1}}
steps: [{name: say, command: [echo, "${{ parameters.word }}"]}]
"""


BY_DATA = """
kind: Schedule
name: by-data
pipeline: hello
trigger: {datastore_change: {datastore: in}}
"""


def clock(name="mine", **fields):
    trigger = Recurrence(frequency=Frequency.MINUTE)
    return Schedule(**{"name": name, "pipeline": "hello", "trigger": trigger, **fields})


@pytest.fixture
def hello(place):
    place.apply(a=HELLO, b=minutely())
    return operate.find_pipeline(place.registry.live(), "hello")


def decisions(place, name="every-minute"):
    return [(fire.decision, fire.count) for fire in reversed(place.fires(name))]


def test_a_held_schedule_does_not_fire_and_its_pause_leaves_one_row(place, hello):
    operate.hold_schedule(place.registry, "every-minute", who="ann", why="audit", until=None)
    place.forward(5 * 60)
    place.finish()
    assert place.fires("every-minute") == []
    operate.release_schedule(place.registry, "every-minute")
    place.forward(60)
    place.finish()
    assert decisions(place) == [(Decision.GAP, 5), (Decision.LAUNCH, 1)]
    gap = place.fires("every-minute")[-1]
    assert gap.reason == "held by ann: audit"


def test_a_hold_expires_by_itself(place, hello):
    until = place.clock.now() + 3 * MINUTE
    operate.hold_schedule(place.registry, "every-minute", who="ann", why="audit", until=until)
    place.forward(4 * 60)
    place.finish()
    assert place.schedule("every-minute").hold is None
    assert (Decision.GAP, 2) in decisions(place)
    assert (Decision.LAUNCH, 1) in decisions(place)


def test_a_hold_that_is_prolonged_keeps_what_was_held_before(place):
    place.apply(a=HELLO, b=minutely(missed="all", catchup_window="1d"))
    begin = place.clock.now()
    for minutes in (3, 5):
        until = begin + minutes * MINUTE
        operate.hold_schedule(place.registry, "every-minute", who="ann", why="audit", until=until)
        place.forward(2 * 60)
        place.finish()
    place.forward(60)
    place.finish()
    assert decisions(place) == [(Decision.GAP, 4), (Decision.LAUNCH, 1)]


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize(
    ("catchup", "made_up", "passed"),
    [(Missed.SKIP, 0, [4]), (Missed.LAST, 1, [3]), (Missed.ALL, 2, [2])],
)
def test_the_end_of_a_hold_brings_the_chosen_catch_up(place, released, catchup, made_up, passed):
    place.apply(a=HELLO, b=minutely(overlap="queue", missed="skip", max_catchup=2))
    begin = place.clock.now()
    until = None if released else begin + 5 * MINUTE
    operate.hold_schedule(
        place.registry, "every-minute", who="ann", why="audit", until=until, catchup=catchup
    )
    place.forward(5 * 60 - 1)
    place.step()
    assert place.fires("every-minute") == []
    if released:
        operate.release_schedule(place.registry, "every-minute")
    place.forward(1)
    place.finish()
    fires = place.fires("every-minute")
    dues = sorted((f.due_at - begin) // MINUTE for f in fires if f.run_id is not None)
    assert dues == [*range(5 - made_up, 5), 5]
    assert [f.count for f in fires if f.decision is Decision.GAP] == passed
    assert sum(f.reason.startswith("held by ann") for f in fires) == made_up + 1
    assert place.schedule("every-minute").hold is None


def test_a_release_may_choose_another_catch_up(place, hello):
    operate.hold_schedule(place.registry, "every-minute", who="ann", why="audit", until=None)
    place.forward(3 * 60)
    operate.release_schedule(place.registry, "every-minute", Missed.LAST)
    # Nobody ran meanwhile: who holds it again takes over what is not decided yet.
    operate.hold_schedule(place.registry, "every-minute", who="bob", why="more", until=None)
    place.forward(90)
    place.finish()
    operate.release_schedule(place.registry, "every-minute", Missed.LAST)
    place.finish()
    assert decisions(place) == [(Decision.GAP, 3), (Decision.LAUNCH, 1)]
    assert {fire.reason.split(":")[0] for fire in place.fires("every-minute")} == {
        "held by bob until 2026-03-02T12"
    }


def test_what_came_due_after_a_hold_that_is_over_is_not_passed_over_with_it(place):
    place.apply(a=HELLO, b=minutely(missed="last", catchup_window="1d"))
    until = place.clock.now() + 3 * MINUTE
    operate.hold_schedule(place.registry, "every-minute", who="ann", why="audit", until=until)
    place.forward(6 * 60)
    operate.release_schedule(place.registry, "every-minute")
    place.finish()
    assert (Decision.GAP, 2) in decisions(place)
    assert sum(count for _, count in decisions(place)) == 6


def test_files_wait_for_the_end_of_a_hold_where_nobody_says_otherwise(place):
    place.apply(a=HELLO, b="kind: Datastore\nname: in\nurl: file:in\n", c=BY_DATA)
    made = operate.disable_schedule(place.registry, "by-data", who="ann", why="audit")
    assert isinstance(made, Hold)
    assert made.catchup is Missed.ALL
    operate.hold_schedule(place.registry, "by-data", who="ann", why="audit", until=None)
    assert place.schedule("by-data").hold.catchup is Missed.ALL


def test_no_apply_lifts_a_hold(place, hello):
    operate.hold_schedule(place.registry, "every-minute", who="ann", why="audit", until=None)
    place.apply(b=minutely(description="edited"))
    assert place.schedule("every-minute").hold == Hold(
        who="ann", why="audit", since=place.clock.now()
    )


def test_disabling_a_managed_schedule_holds_it_without_end(place, hello):
    made = operate.disable_schedule(place.registry, "every-minute", who="sdk", why="asked")
    assert made == Hold(who="sdk", why="asked", since=place.clock.now())
    assert place.schedule("every-minute").status is Status.ACTIVE
    assert place.apply().changes == ()
    operate.enable_schedule(place.registry, "every-minute")
    assert place.schedule("every-minute").hold is None


def test_enabling_what_git_disabled_points_to_the_manifest(place, hello):
    place.apply(b=minutely(status="Disabled"))
    with pytest.raises(Refused, match="is Disabled in its manifest; declare it Active"):
        operate.enable_schedule(place.registry, "every-minute")
    with pytest.raises(Refused, match="nothing to hold"):
        operate.hold_schedule(place.registry, "every-minute", who="a", why="b", until=None)


def test_a_hold_ends_in_the_future(place, hello):
    with pytest.raises(Refused, match="in the future"):
        operate.hold_schedule(
            place.registry, "every-minute", who="a", why="b", until=place.clock.now()
        )


def test_only_a_held_schedule_is_released(place, hello):
    with pytest.raises(Refused, match="not held"):
        operate.release_schedule(place.registry, "every-minute")


def test_a_schedule_of_no_project_is_created_disabled_enabled_and_updated(place, hello):
    made = operate.create_schedule(place.registry, clock(), hello.id)
    place.forward(30)
    place.finish()
    assert decisions(place, "mine") == [(Decision.LAUNCH, 1)]
    assert operate.disable_schedule(place.registry, made, who="a", why="b") is Status.DISABLED
    place.forward(10 * 60)
    place.finish()
    operate.enable_schedule(place.registry, made)
    place.forward(60)
    place.finish()
    assert decisions(place, "mine") == [
        (Decision.LAUNCH, 1),
        (Decision.GAP, 10),
        (Decision.LAUNCH, 1),
    ]
    operate.update_schedule(place.registry, made, lambda _: clock(description="new"))
    assert '"description":"new"' in place.schedule("mine").spec


def test_a_schedule_may_be_created_disabled(place, hello):
    operate.create_schedule(place.registry, clock(status=Status.DISABLED), hello.id)
    place.forward(600)
    place.finish()
    assert place.fires("mine") == []


def test_a_managed_schedule_is_not_updated_by_hand(place, hello):
    managed = place.schedule("every-minute").id
    with pytest.raises(Refused, match=r"managed by test/dev; edit its manifest"):
        operate.update_schedule(place.registry, managed, lambda _: clock())


def test_names_may_repeat_outside_projects_and_then_an_id_is_asked_for(place, hello):
    first = operate.create_schedule(place.registry, clock(), hello.id)
    second = operate.create_schedule(place.registry, clock(), hello.id)
    with pytest.raises(NotFound, match="2 schedules are named 'mine'; give an id"):
        operate.find_schedule(place.registry.live(), "mine")
    operate.disable_schedule(place.registry, first, who="a", why="b")
    assert operate.find_schedule(place.registry.live(), "mine").id == second
    with pytest.raises(NotFound, match="no schedule 'yours'"):
        operate.find_schedule(place.registry.live(), "yours")


def test_a_schedule_needs_a_pipeline_a_datastore_and_fitting_parameters(place):
    place.apply(a=PARAMETERS)
    hello = operate.find_pipeline(place.registry.live(), "hello")
    with pytest.raises(NotFound, match="no pipeline 'nothing'"):
        operate.create_schedule(place.registry, clock(), "nothing")
    with pytest.raises(NotFound, match="no datastore 'nowhere'"):
        operate.create_schedule(
            place.registry, clock(trigger=DatastoreChange(datastore="nowhere")), hello.id
        )
    with pytest.raises(NotFound, match=r"no parameter 'x' \(known: size, word\)"):
        operate.create_schedule(place.registry, clock(pipeline_parameters={"x": 1}), hello.id)
    with pytest.raises(Refused, match="of type integer, not '1'"):
        operate.create_schedule(place.registry, clock(pipeline_parameters={"size": "1"}), hello.id)


def test_a_pipeline_that_is_used_is_not_disabled(place, hello):
    with pytest.raises(Refused, match="used by active schedules: every-minute; disable them first"):
        operate.disable_pipeline(place.registry, hello.id)
    place.apply(b=minutely(pipeline="hello@latest"))
    with pytest.raises(Refused, match="used by active schedules: every-minute"):
        operate.disable_pipeline(place.registry, hello.id)
    place.apply(b=minutely(status="Disabled"))
    operate.disable_pipeline(place.registry, hello.id)
    (change,) = place.apply().changes
    assert (change.action, change.name) == ("enable", "hello")


def test_a_disabled_pipeline_is_not_scheduled_and_not_run(place, hello):
    place.apply(b=minutely(status="Disabled"))
    with place.registry.transaction() as tx:
        tx.set_pipeline_status(hello.id, hello.revision, Status.DISABLED, None)
    with pytest.raises(Refused, match="is Disabled; publish it again first"):
        operate.create_schedule(place.registry, clock(), hello.id)
    with pytest.raises(Refused, match="is Disabled"):
        ask.run_pipeline(place.registry, place.ledger, hello.id, "e", {}, "t")


def test_an_edited_trigger_leaves_a_row_for_what_nobody_decided(place, hello):
    place.forward(150)
    place.apply(b=minutely().replace("interval: 1", "interval: 5"))
    place.forward(60)
    place.finish()
    ((decision, count),) = decisions(place)
    assert (decision, count) == (Decision.GAP, 2)


def test_an_edit_of_something_else_loses_no_due_fire(place, hello):
    place.forward(60)
    place.apply(b=minutely(description="edited"))
    place.finish()
    assert decisions(place) == [(Decision.LAUNCH, 1)]


def test_a_schedule_that_went_and_came_back_does_not_fire_for_the_time_between(place, hello):
    place.remove("b")
    place.apply()
    place.forward(5 * 60)
    place.finish()
    place.apply(b=minutely())
    place.forward(60)
    place.finish()
    assert decisions(place) == [(Decision.GAP, 5), (Decision.LAUNCH, 1)]


FIRST = minutely().replace(", first_run: aligned", "").replace("Minute", "Hour")


def test_a_first_run_is_not_lost_to_an_edit_before_it(place):
    place.apply(a=HELLO, b=FIRST)
    place.apply(b=FIRST.replace("interval: 1", "interval: 2"))
    (run,) = place.finish()
    assert run.state is RunState.FINISHED
    assert [fire.occurrence_key for fire in place.fires("every-minute")] == ["i:"]


def test_a_first_run_that_was_held_comes_when_the_hold_is_over(place):
    place.apply(a=HELLO, b=FIRST)
    operate.hold_schedule(place.registry, "every-minute", who="ann", why="audit", until=None)
    place.forward(2 * 3_600)
    place.step()
    operate.release_schedule(place.registry, "every-minute")
    (run,) = place.finish()
    assert run.occurrence_key == "i:"
    assert sorted(decisions(place)) == [(Decision.GAP, 2), (Decision.LAUNCH, 1)]


@pytest.mark.parametrize(
    "edit", ["status: Disabled\n", "trigger: {cron: {expression: '0 6 * * *'}}\n"]
)
def test_a_first_run_that_is_edited_away_leaves_its_row(place, edit):
    place.apply(a=HELLO, b=FIRST)
    place.apply(b=FIRST.partition("trigger:")[0] + edit if "trigger" in edit else FIRST + edit)
    place.apply(b=FIRST)
    place.finish()
    assert place.runs() == []
    assert decisions(place) == [(Decision.GAP, 1)]


# Enabling with recovery


def disabled_for(place, minutes, **fields):
    hello = operate.find_pipeline(place.registry.live(), "hello")
    made = operate.create_schedule(place.registry, clock(overlap="queue", **fields), hello.id)
    place.forward(30)
    place.finish()
    operate.disable_schedule(place.registry, made, who="a", why="b")
    place.forward(minutes * 60)
    place.finish()
    return made


@pytest.mark.parametrize(
    ("recover", "runs", "passed"),
    [(None, 0, [4]), (Missed.SKIP, 0, [4]), (Missed.LAST, 1, [3]), (Missed.ALL, 3, [1])],
)
def test_enabling_makes_up_for_what_was_chosen(place, hello, recover, runs, passed):
    made = disabled_for(place, 4, max_catchup=3)
    operate.enable_schedule(place.registry, made, who="ann", recover=recover)
    place.finish()
    fires = [f for f in place.fires("mine") if f.occurrence_key != "i:"]
    assert sum(f.run_id is not None for f in fires) == runs
    assert [f.count for f in fires if f.decision is Decision.GAP] == passed
    assert place.schedule("mine").hold is None
    assert place.schedule("mine").status is Status.ACTIVE
    place.forward(60)
    place.finish()
    assert place.fires("mine")[0].reason == "on time"
    if runs:
        assert all(
            fire.reason.startswith("held by ann until")
            and "the schedule was disabled" in fire.reason
            for fire in fires
        )


@pytest.mark.parametrize("recover", [None, Missed.LAST])
def test_enabling_a_managed_schedule_lifts_its_hold_as_chosen(place, hello, recover):
    operate.disable_schedule(place.registry, "every-minute", who="ann", why="audit")
    place.forward(3 * 60 + 30)
    place.step()
    operate.enable_schedule(place.registry, "every-minute", recover=recover)
    place.finish()
    runs, gap = (1, 2) if recover else (0, 3)
    assert len(place.runs("every-minute")) == runs
    assert (Decision.GAP, gap) in decisions(place)


def test_files_that_nobody_looked_at_are_not_made_up_for(place):
    (place.project / "in").mkdir()
    place.apply(a=HELLO, b="kind: Datastore\nname: in\nurl: file:in\n")
    hello = operate.find_pipeline(place.registry.live(), "hello")
    made = operate.create_schedule(
        place.registry,
        clock(trigger=DatastoreChange(datastore="in"), status=Status.DISABLED),
        hello.id,
    )
    with pytest.raises(Refused, match=r"while schedule .mine. was disabled is not known"):
        operate.enable_schedule(place.registry, made, recover=Missed.ALL)
    operate.enable_schedule(place.registry, made)
    assert place.schedule("mine").status is Status.ACTIVE


# Edits


def test_an_edit_acts_on_later_dues_and_runs_keep_what_they_were_made_of(place):
    slow = PARAMETERS.replace("[echo,", "[sh, -c, 'echo $0; exec sleep 600',")
    spec = {"overlap": "queue", "missed": "all"}
    place.apply(a=slow, b=minutely(pipeline_parameters="{word: old}", **spec))
    place.forward(60)
    (first,) = until_running(place)
    place.forward(60)
    place.step()
    place.apply(
        a=PARAMETERS.replace("[echo,", "[echo, new,"),
        b=minutely(pipeline_parameters="{word: later}", **spec),
    )
    place.forward(60)
    place.step()
    with place.ledger.transaction() as tx:
        tx.request_cancel([first.id], "enough")
    (second,) = until_running(place, after=first)
    with place.ledger.transaction() as tx:
        tx.request_cancel([second.id], "enough")
    first, second, third = sorted(place.finish(), key=lambda run: run.due_at)
    assert [run.parameters["word"] for run in (first, second, third)] == ["old", "old", "later"]
    assert first.pipeline_id == second.pipeline_id != third.pipeline_id
    assert place.log(second, "say") == "old\n"
    assert place.log(third, "say") == "new later\n"
    revisions = [fire.revision for fire in reversed(place.fires("every-minute"))]
    assert revisions == [1, 1, 2]
