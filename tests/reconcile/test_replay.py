"""A replay of a window is what a runner's ticker, on a real ledger, decided in it."""

import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import SECOND, FixedClock, parse_instant
from reconciler.data import DatastoreChange
from reconciler.errors import ReconcilerError
from reconciler.live import Hold, Live, Provenance
from reconciler.pipeline import Pipeline, Step
from reconciler.plan.spec import spec_text
from reconciler.reconcile import operate
from reconciler.reconcile.replay import declared_subjects, durations, live_subjects, replay
from reconciler.run import RunState
from reconciler.runner.book import Book
from reconciler.runner.tick import Ticker
from reconciler.schedule import Cron, FirstRun, Frequency, Missed, Overlap, Recurrence, Schedule
from reconciler.trigger.decide import Policy
from reconciler.trigger.overlap import startable
from reconciler.trigger.simulate import Subject, simulate
from reconciler.workspace.sql import open_workspace
from tests.site import HELLO, minutely
from tests.strategies import examples

NOON = parse_instant("2026-03-02T12:00:00Z")
MINUTE = 60 * SECOND
# What happens in the property happens at multiples of this.
BEAT = 30 * SECOND
WINDOW = 12 * MINUTE
PIPELINE = Pipeline(name="hello", steps=(Step(name="say", command=("true",)),))

beats = st.integers(0, WINDOW // BEAT)
triggers = st.one_of(
    st.builds(
        Recurrence,
        frequency=st.just(Frequency.MINUTE),
        interval=st.integers(1, 4),
        first_run=st.sampled_from(FirstRun),
    ),
    st.sampled_from(["*/2 * * * *", "3-6 * * * *"]).map(lambda text: Cron(expression=text)),
)
schedules = st.builds(
    Schedule,
    name=st.just("s"),
    pipeline=st.just("hello"),
    trigger=triggers,
    overlap=st.sampled_from(Overlap),
    missed=st.sampled_from(Missed),
    max_active_runs=st.integers(1, 3),
    max_catchup=st.integers(1, 3),
)
stretches = st.tuples(beats, beats).filter(lambda pair: pair[0] < pair[1])


class Machine:
    """A ledger with a ticker, whose runs last as long as they are told."""

    def __init__(self, folder, cases):
        self.clock = FixedClock(NOON)
        self.workspace = open_workspace(f"{folder}/ws.db", self.clock, create=True)
        self.ledger = self.workspace.ledger
        self.ledger.begin_session(host="here", pid=1)
        registry = self.workspace.registry
        with registry.transaction() as tx:
            spec, digest = spec_text(PIPELINE), "some-digest"
            made = tx.publish(
                owner=None, name="hello", spec=spec, digest=digest, code=None,
                provenance=Provenance(),
            )  # fmt: skip
        self.cases = {
            operate.create_schedule(registry, schedule, made.id): (schedule, lasts)
            for schedule, lasts in cases
        }
        self.ticker = Ticker(self.ledger, Book())

    def beat(self):
        now = self.clock.now()
        self._move(now, begin=False)
        self.ticker.tick()
        while self._move(now):
            pass

    def _move(self, now, *, begin=True):
        """End and start runs as the launcher does, without programs."""
        moved = 0
        with self.ledger.transaction() as tx:
            running = {id_: [] for id_ in self.cases}
            for run in self.ledger.running_runs():
                over = run.started_at + self.cases[run.schedule_id][1] <= now
                if over or run.cancel_requested:
                    state = RunState.CANCELED if run.cancel_requested else RunState.FINISHED
                    moved += len(tx.finish_runs([(run.id, state, "")], now))
                else:
                    running[run.schedule_id].append(run)
            waiting = {id_: [] for id_ in self.cases}
            for run in tx.waiting_runs(now):
                if run.cancel_requested:
                    moved += len(tx.finish_runs([(run.id, RunState.CANCELED, "")], now))
                else:
                    waiting[run.schedule_id].append(run)
            for id_, (schedule, _) in self.cases.items():
                policy, queue = Policy.of(schedule), waiting[id_]
                counts = len(running[id_]), len(queue)
                places = startable(policy.overlap, policy.max_active_runs, *counts) * begin
                moved += len(tx.start_runs([run.id for run in queue[:places]], now))
        return moved

    def decided(self, schedule_id):
        runs = {run.id: run for run in self.ledger.runs(schedule_id=schedule_id, limit=1_000)}
        return sorted(
            (
                fire.occurrence_key, fire.due_at, fire.decided_at, fire.decision, fire.gate,
                fire.count, runs[fire.run_id].started_at if fire.run_id else None,
            )
            for fire in self.ledger.fires(schedule_id, 1_000)
        )  # fmt: skip


@examples(12)
@given(
    cases=st.lists(st.tuples(schedules, beats.map(lambda n: n * BEAT)), min_size=1, max_size=4),
    down=st.lists(stretches, max_size=2),
)
def test_a_replay_is_what_a_ticker_decided(cases, down):
    down = [(NOON + begin * BEAT, NOON + over * BEAT) for begin, over in down]
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(folder, cases)
        for now in range(NOON, NOON + WINDOW + 1, BEAT):
            machine.clock.instant = now
            if not any(begin <= now < over for begin, over in down):
                machine.beat()
        for id_, (schedule, lasts) in machine.cases.items():
            subject = Subject(
                id=id_, schedule=schedule, created_at=NOON, duration=lasts, initial=True
            )
            found = simulate(subject, after=NOON, until=NOON + WINDOW, down=down)
            assert machine.decided(id_) == sorted(
                (one.key, one.due, one.decided_at, one.decision, one.gate, one.count, one.starts_at)
                for one in found
            )
        machine.workspace.close()


def subject(name, trigger=None, **fields):
    often = Recurrence(frequency=Frequency.MINUTE)
    schedule = Schedule(name=name, pipeline="p", trigger=trigger or often)
    return Subject(**{"id": name, "schedule": schedule, "created_at": NOON} | fields)


def window(subjects, minutes=2, limit=100):
    return replay(subjects, start=NOON, end=NOON + minutes * MINUTE, limit=limit)


def test_schedules_are_replayed_beside_each_other_in_the_order_of_time():
    found = window([subject("a"), subject("b")], minutes=1)
    assert [(row.name, (row.due - NOON) // MINUTE) for row in found.rows] == [
        ("a", 0), ("b", 0), ("a", 1), ("b", 1),
    ]  # fmt: skip
    assert (found.totals, found.more, found.left_out) == ({"launch": 4}, False, {})


def test_both_ends_of_the_window_are_in_it():
    hourly = Cron(expression="0 * * * *")
    found = window([subject("a", hourly)], minutes=60)
    assert [row.due for row in found.rows] == [NOON, NOON + 60 * MINUTE]
    with pytest.raises(ReconcilerError, match="the window is empty"):
        window([subject("a")], minutes=-1)


def test_a_long_answer_is_cut_off_at_the_earliest_rows():
    found = window([subject("a"), subject("b")], minutes=100_000, limit=3)
    assert [(row.name, (row.due - NOON) // MINUTE) for row in found.rows] == [
        ("a", 0), ("b", 0), ("a", 1),
    ]  # fmt: skip
    assert found.more


def test_what_cannot_be_replayed_is_left_out_with_the_reason():
    by_files = subject("files", DatastoreChange(datastore="in"))
    lost = subject("lost", Cron(expression="* * * * *", time_zone="Nowhere/Land"))
    found = window([by_files, lost, subject("a")])
    assert {row.name for row in found.rows} == {"a"}
    assert found.left_out["files"] == "it goes by files, not by the clock"
    assert "Nowhere/Land" in found.left_out["lost"]


def test_a_new_schedule_is_created_as_the_window_begins():
    found = window([subject("a", created_at=0, initial=True)])
    assert [(row.key, row.due - NOON) for row in found.rows][:2] == [
        ("i:", 0), ("r:2026-03-02T12:01:00Z", MINUTE),
    ]  # fmt: skip


def test_past_runs_tell_how_long_one_takes(place):
    place.apply(a=HELLO, b=minutely(), c=minutely("other"))
    here = place.schedule("every-minute")
    for seconds in (1, 5, 30):
        place.forward(60)
        place.daemon._ticker.tick()
        with place.ledger.transaction() as tx:
            ids = [run.id for run in tx.waiting_runs(place.clock.now())]
            tx.start_runs(ids, place.clock.now())
            ends = [(id_, RunState.FINISHED, "") for id_ in ids]
            tx.finish_runs(ends, place.clock.now() + seconds * SECOND)
    assert durations(place.ledger, here.id) == {here.id: 5 * SECOND}
    other = place.schedule("other")
    assert durations(place.ledger) == {here.id: 5 * SECOND, other.id: 5 * SECOND}


def test_what_is_live_is_replayed_with_its_hold_and_its_creation(place):
    place.apply(a=HELLO, b=minutely())
    operate.hold_schedule(place.registry, "every-minute", who="ann", why="x", until=None)
    live = place.registry.live()
    (here,) = live.schedules
    (found,) = live_subjects(live, {here.id: 7}).values()
    assert (found.id, found.created_at, found.duration) == (here.id, here.created_at, 7)
    assert (found.hold, found.initial) == (
        Hold(who="ann", why="x", since=place.clock.now()), False,
    )  # fmt: skip
    declared = {name: Schedule(name=name, pipeline="p", trigger=Recurrence(frequency=Frequency.HOUR))
                for name in ("every-minute", "new")}  # fmt: skip
    known, new = declared_subjects(declared, live, "test", {here.id: 7}).values()
    assert (known.id, known.created_at, known.hold, known.initial) == (
        here.id, here.created_at, found.hold, False,
    )  # fmt: skip
    assert known.schedule.trigger.frequency is Frequency.HOUR
    assert (new.id, new.initial, new.duration) == ("new", True, 0)
    (theirs,) = declared_subjects({"every-minute": known.schedule}, live, "shop", {}).values()
    assert theirs.initial
    assert live_subjects(Live(), {}) == {}
