"""Runners on several machines that come, die, haunt and take over, in any order, on real stores.

Each rule does what a runner does through the ports between two commits; the executors are a set of
start tokens for each machine. Whoever lost its session must change nothing any more.
"""

import itertools
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from reconciler.clock import SECOND
from reconciler.errors import SessionLost
from reconciler.run import Attempt, AttemptState, RunState
from tests.workspace.make import Postgres, Sqlite, fire, on_timer, run

PATIENCE = 60 * SECOND
SLOTS = 2
POOL = "few"


class Runner:
    """A session, and what the model knows of it.

    ``gone`` is the instant at which its lock was freed; ``over`` that another has ended it.
    """

    def __init__(self, ledger, session):
        self.ledger, self.fence, self.node = ledger, session.fence, session.node
        self.gone = None
        self.over = False


class Protocol(RuleBasedStateMachine):
    """``store`` makes workspaces; one of them is only looked through."""

    store = None
    one_at_a_time = True
    runners = Bundle("runners")

    def __init__(self):
        super().__init__()
        self.world = self.store()
        self.clock = self.world.clock
        watcher = self.world.open()
        self.seen = watcher.ledger
        self.schedules = [on_timer(watcher, name=name) for name in ("a", "b")]
        self.seen.set_pool(POOL, SLOTS)
        self.sessions = []
        self.keys = set()  # of what was decided
        self.holder = {}  # run id: fence of who has it Running
        self.tokens = {}  # attempt id: the machines on which user code was started
        self.final = {}

    def teardown(self):
        self.world.close()

    # What runners do --------------------------------------------------------------------------

    @rule(target=runners, node=st.sampled_from(["here", "there"]))
    def begin(self, node):
        ledger = self.world.open().ledger
        session = ledger.begin_session(host=node, pid=1, node=node)
        alive = [other for other in self.sessions if other.gone is None]
        assert (session is None) == (self.one_at_a_time and bool(alive))
        if session is None:
            return multiple()
        assert all(session.fence > other.fence for other in self.sessions)
        if self.one_at_a_time:
            for other in self.sessions:
                other.over = True
        made = Runner(ledger, session)
        self.sessions.append(made)
        return made

    @rule(runner=runners)
    def die(self, runner):
        """Free its lock; it goes on to write, until it learns of it."""
        if runner.gone is None:
            self.world.cut(runner.ledger)
            runner.gone = self.clock.instant

    @rule(runner=consumes(runners))
    def leave(self, runner):
        runner.ledger.end_session()
        runner.gone = self.clock.instant if runner.gone is None else runner.gone
        runner.over = True

    @rule(
        target=runners,
        runner=runners,
        node=st.sampled_from(["here", "there"]),
        seconds=st.sampled_from([0, 61]),
        ends=st.booleans(),
    )
    def relieve(self, runner, node, seconds, ends):
        """One dies in the midst of its work, and sooner or later there is another."""
        if runner.over:
            return multiple()
        self.work(runner)
        self.die(runner)
        made = self.begin(node)
        if not isinstance(made, Runner):
            return multiple()
        self.take_over(made, PATIENCE)
        self.forward(seconds)
        self.take_over(made, PATIENCE)
        self.move_on(made, ends)
        return made

    @rule(seconds=st.sampled_from([1, 30, 61]))
    def forward(self, seconds):
        self.clock.instant += seconds * SECOND

    @rule(runner=runners, patience=st.sampled_from([0, PATIENCE]))
    def take_over(self, runner, patience):
        if self.refused(runner):
            with suppress(SessionLost):
                assert runner.ledger.take_over(patience) == []
            return
        taken = runner.ledger.take_over(patience)
        for other in self.sessions:
            if other is not runner and other.gone is not None and not other.over:
                other.over, other.gone = True, self.clock.instant
        for run_id in taken:
            past = self.session(self.holder[run_id])
            assert past.over
            assert past.node == runner.node or (
                self.clock.instant - past.gone >= patience and not self.inhabited(past.node)
            )
            self.holder[run_id] = runner.fence

    @rule(runner=runners, schedule=st.integers(0, 1), due=st.integers(1, 9), pooled=st.booleans())
    def decide(self, runner, schedule, due, pooled):
        schedule_id = self.schedules[schedule]
        key, run_id = f"r:{due}", f"run-{schedule}-{due}-{runner.fence}"
        pool = POOL if pooled else None
        made = fire(schedule_id, key, run_id), run(run_id, schedule_id, key, pool=pool)
        if self.refused(runner):
            return
        with runner.ledger.transaction() as tx:
            new = tx.record_fires(made[:1], made[1:])
        assert (len(new) == 1) == ((schedule_id, key) not in self.keys)
        self.keys.add((schedule_id, key))

    @rule(runner=runners)
    def work(self, runner):
        for schedule in (0, 1):
            due = 1 + len(self.keys)
            self.decide(runner, schedule, due, pooled=due % 3 > 0)
        self.launch(runner)

    @rule(runner=runners)
    def launch(self, runner):
        """Start what waits, as far as the pool has room, and submit its first attempt."""
        if self.refused(runner):
            return
        now = self.clock.instant
        with runner.ledger.transaction() as tx:
            waiting = tx.waiting_runs(now)
            free = SLOTS - tx.pools([POOL])[POOL].used
            pooled = [run for run in waiting if run.pool == POOL]
            chosen = [run for run in waiting if run not in pooled[max(0, free) :]]
            started = tx.start_runs([run.id for run in chosen], now)
            attempts = [self.attempt(run_id, AttemptState.STARTING) for run_id in started]
            recorded = tx.record_attempts(attempts)
        assert not self.holder.keys() & set(started)
        assert recorded == {attempt.id for attempt in attempts}
        self.holder |= dict.fromkeys(started, runner.fence)
        self.submit(runner, recorded)

    @rule(runner=runners, ends=st.booleans())
    def move_on(self, runner, ends):
        """Learn what became of its runs: submit what was not, end what ended or cannot be known."""
        if self.refused(runner):
            return
        runs = runner.ledger.running_runs()
        tries = runner.ledger.attempts([run.id for run in runs])
        learned, again = [], []
        for attempt in (a for made in tries.values() for a in made if not a.over):
            if attempt.node != runner.node:
                learned.append(self.attempt(attempt.run_id, AttemptState.UNKNOWN))
            elif attempt.id not in self.tokens:
                again.append(attempt)
            elif ends:
                learned.append(self.attempt(attempt.run_id, AttemptState.FINISHED))
        with runner.ledger.transaction() as tx:
            recorded = tx.record_attempts([*learned, *again])
            over = [
                (attempt.run_id, end(attempt), "") for attempt in learned if attempt.id in recorded
            ]
            ended = tx.finish_runs(over, self.clock.instant)
            failed = [run for run in runs if (run.id, RunState.FAILED, "") in over]
            tx.insert_runs([again_of(run) for run in failed if run.number == 1])
        mine = {run_id for run_id, fence in self.holder.items() if fence == runner.fence}
        assert {run.id for run in runs} <= mine
        assert recorded == {attempt.id for attempt in [*learned, *again]}
        assert ended == [run_id for run_id, _, _ in over]
        self.submit(runner, [attempt.id for attempt in again])

    @rule(runner=runners)
    def meddle(self, runner):
        """Write about runs that are another's, or over, or began already: nothing comes of it."""
        if self.refused(runner):
            return
        closed = [id_ for id_, fence in self.holder.items() if fence != runner.fence]
        closed += [id_ for id_ in self.holder if id_ in self.final and id_ not in closed]
        now = self.clock.instant
        with runner.ledger.transaction() as tx:
            assert tx.start_runs(sorted(self.holder), now) == []
            assert tx.finish_runs([(id_, RunState.CANCELED, "no") for id_ in closed], now) == []
            tries = [self.attempt(id_, AttemptState.CANCELED) for id_ in closed]
            assert tx.record_attempts(tries) == set()

    # What must hold ---------------------------------------------------------------------------

    @invariant()
    def all_is_well(self):
        fires = [fire for id_ in self.schedules for fire in self.seen.fires(id_, limit=1_000)]
        runs = {run.id: run for run in self.seen.runs(limit=1_000)}
        assert {(fire.schedule_id, fire.occurrence_key) for fire in fires} == self.keys
        first = {run.id for run in runs.values() if run.retry_of is None}
        assert sorted(fire.run_id for fire in fires) == sorted(first)
        failed = {id_ for id_ in first if runs[id_].state is RunState.FAILED}
        assert sorted(run.retry_of for run in runs.values() if run.id not in first) == sorted(
            failed
        )
        (pool,) = self.seen.pools()
        used = [run for run in runs.values() if run.pool == POOL and run.state is RunState.RUNNING]
        assert pool.used == len(used) <= SLOTS
        now_final = {
            run.id: (run.state, run.reason, run.ended_at) for run in runs.values() if run.state.over
        }
        assert self.final.items() <= now_final.items()
        self.final = now_final
        assert all(len(machines) == 1 for machines in self.tokens.values())

    # Helpers ----------------------------------------------------------------------------------

    def refused(self, runner):
        """Tell whether a runner may not write any more, and see that it cannot."""
        if runner.over:
            with pytest.raises(SessionLost), runner.ledger.transaction():
                pass
        return runner.over

    def submit(self, runner, attempt_ids):
        """Start user code, unless this machine's token says that it was."""
        for attempt_id in attempt_ids:
            self.tokens.setdefault(attempt_id, set()).add(runner.node)

    def session(self, fence):
        (found,) = [session for session in self.sessions if session.fence == fence]
        return found

    def inhabited(self, node):
        return any(session.node == node and not session.over for session in self.sessions)

    def attempt(self, run_id, state):
        return Attempt(
            run_id=run_id, step="s", number=1, state=state, created_at=self.clock.instant
        )


def again_of(failed):
    return replace(
        failed, id=f"{failed.id}-again", state=RunState.NOT_STARTED, number=2, retry_of=failed.id
    )


def end(attempt):
    return RunState.FINISHED if attempt.state is AttemptState.FINISHED else RunState.FAILED


class OneFile(Sqlite):
    """Workspaces on SQLite, whose runner can be parted from its lock."""

    @staticmethod
    def cut(ledger):
        ledger._right.release()


def check(store, *, one_at_a_time, examples):
    class Here(Protocol):
        pass

    Here.store, Here.one_at_a_time = staticmethod(store), one_at_a_time
    made = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # to make a story shorter takes longer than a test may
    )
    run_state_machine_as_test(Here, settings=made)


def test_on_sqlite_no_order_of_things_lets_anything_happen_twice(tmp_path):
    folders = (tmp_path / str(number) for number in itertools.count())

    def store():
        folder = next(folders)
        folder.mkdir()
        return OneFile(folder)

    check(store, one_at_a_time=True, examples=40)


def test_on_postgres_no_order_of_things_lets_anything_happen_twice(databases):
    check(lambda: Postgres(databases), one_at_a_time=False, examples=15)
