"""Runners that come and go on one ledger: what each takes over, gives up, and stops."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.errors import SessionLost
from reconciler.executor.base import Exited
from reconciler.reconcile import operate
from reconciler.reconcile.ask import run_schedule
from reconciler.run import AttemptState, Decision, RunState
from reconciler.schedule import Missed
from reconciler.workspace.sql.ledger_transaction import SqlLedgerTransaction
from tests.processes import until
from tests.runner.test_data import LANDING, SHOW, on_arrival
from tests.site import HELLO, Site, minutely, site
from tests.workspace.make import Postgres, Sqlite


class Machine(Site):
    """Another machine on the same workspace, whose programs are its own."""

    def __init__(self, first, folder, node):
        self.folder, self.project = folder, first.project
        folder.mkdir(exist_ok=True)
        self.clock, self.secrets, self.limits = first.clock, first.secrets, first.limits
        self.workspaces, self.node = first.workspaces, node
        self.workspace = self.workspaces.open()
        self.registry, self.ledger = self.workspace.registry, self.workspace.ledger
        assert self.ledger.begin_session(host=node, pid=2, node=node)
        self.restart()


def cut_off(place):
    """Take the right to run from a runner that does not notice: it hangs, or its network does."""
    if isinstance(place.workspaces, Postgres):
        place.workspaces.cut(place.ledger)
    else:
        Path(f"{place.workspaces.path}.runner.lock").unlink()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    if request.param == "sqlite":
        workspaces = Sqlite(tmp_path)
    else:
        workspaces = Postgres(request.getfixturevalue("databases"))
    try:
        with site(tmp_path, workspaces=workspaces) as made:
            yield made
    finally:
        workspaces.close()


@pytest.fixture
def second(place, tmp_path):
    """Begin a runner on a node in the place of the first, which is cut off."""
    machines = []

    def begin(node, folder="there"):
        cut_off(place)
        machines.append(Machine(place, tmp_path / folder, node))
        return machines[-1]

    yield begin
    for machine in machines:
        machine.close()


def waits_at_a_gate(place, gate, **fields):
    os.mkfifo(gate)
    command = f"echo started >> {gate}.log; read line < {gate}"
    place.apply(
        a=f"kind: Pipeline\nname: hello\nsteps: [{{name: say, command: [sh, -c, '{command}']}}]\n",
        # Hourly: no later fire comes between.
        b=minutely(**fields).replace("Minute", "Hour"),
    )
    place.forward(3_600)
    return running(place)


def running(place):
    def seen():
        place.step()
        (run,) = place.runs()
        tries = place.ledger.attempts([run.id]).get(run.id, [])
        return tries and tries[-1].state is AttemptState.RUNNING and run

    return until(seen)


def test_a_runner_of_the_same_node_adopts_what_the_one_before_it_started(place, second, tmp_path):
    run = waits_at_a_gate(place, tmp_path / "gate")
    there = second("here", folder=".")
    there.step()
    (tmp_path / "gate").write_text("go\n")
    (run,) = there.finish()
    assert run.state is RunState.FINISHED
    assert (tmp_path / "gate.log").read_text() == "started\n"


def test_what_ran_on_another_node_is_unknown_once_its_runner_is_gone_for_long(
    place, second, tmp_path, caplog
):
    run = waits_at_a_gate(place, tmp_path / "gate")
    there = second("there")
    there.step()
    assert there.runs()[0].state is RunState.RUNNING
    place.forward(60)
    (run,) = [one for one in there.finish() if one.id == run.id]
    assert run.state is RunState.FAILED
    assert run.reason == ("step say: outcome unknown: the runner on here that started it is gone")
    (alert,) = there.ledger.alerts()
    (attempt,) = there.ledger.attempts([run.id])[run.id]
    assert (alert.key, alert.alarm, alert.run_id) == (f"unknown:{attempt.id}", "unknown", run.id)
    assert alert.text.endswith("(on_unknown: fail)")
    assert [r.message for r in caplog.records if r.levelname == "ERROR"] == [alert.text]
    (tmp_path / "gate").write_text("go\n")


def test_a_step_of_an_unknown_outcome_is_started_anew_where_its_schedule_says_so(
    place, second, tmp_path
):
    run = waits_at_a_gate(place, tmp_path / "gate", on_unknown="relaunch")
    there = second("there")
    there.step()
    there.forward(60)

    def again():
        there.step()
        tries = there.ledger.attempts([run.id])[run.id]
        return [attempt.state.value for attempt in tries] == ["Unknown", "Running"]

    until(again)
    tries = there.ledger.attempts([run.id])[run.id]
    assert [attempt.node for attempt in tries] == ["here", "there"]


def test_a_runner_that_comes_back_stops_what_was_given_up_meanwhile(
    place, second, tmp_path, caplog
):
    run = waits_at_a_gate(place, tmp_path / "gate")
    there = second("there")
    there.step()
    there.forward(60)
    there.finish()
    cut_off(there)
    place.daemon._guarded(place.daemon.step)
    assert place.daemon._guarded(place.daemon.step) is not None
    stopped = f"stopping what another runner gave up: {run.id}/say/1"
    assert stopped in [record.message for record in caplog.records]
    name = f"{run.id}/say/1"
    seen = until(lambda: isinstance(found := place.executor.look([name])[name], Exited) and found)
    assert seen.canceled


def test_a_lost_session_is_begun_anew_and_the_runner_goes_on(place, second, caplog):
    place.apply(a=HELLO, b=minutely())
    there = second("there")
    there.step()
    with pytest.raises(SessionLost):
        place.step()
    assert place.daemon._guarded(place.daemon.step) == 0.0
    cut_off(there)
    place.forward(60)

    def finished():
        place.daemon._guarded(place.daemon.step)
        return [run.state for run in place.runs()] == [RunState.FINISHED]

    until(finished)
    assert "a new session has begun" in [record.message for record in caplog.records]


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_two_runners_at_once_share_the_work_and_repeat_none(place, tmp_path):
    names = [f"s{number}" for number in range(10)]
    command = f"echo $RECONCILER_SCHEDULE $RECONCILER_DUE >> {tmp_path}/log"
    pools = "pool: one\n"
    # More places than the first machine has room for: there is work for the other one.
    place.ledger.set_pool("one", 10)
    place.apply(
        a=f"kind: Pipeline\nname: hello\nsteps: [{{name: say, shell: '{command}'}}]\n",
        **{name: minutely(name, overlap="queue") + pools for name in names},
    )
    there = Machine(place, tmp_path / "there", "there")
    try:

        def work(machine):
            def done():
                machine.daemon._guarded(machine.daemon.step)
                runs = machine.ledger.runs(limit=1_000)
                return len(runs) == 30 and all(run.state.over for run in runs)

            until(done)

        for _ in range(3):
            place.forward(60)
            place.step()
            there.step()
        with ThreadPoolExecutor() as threads:
            list(threads.map(work, [place, there]))
        runs = place.runs()
        assert {run.state for run in runs} == {RunState.FINISHED}
        assert sorted((tmp_path / "log").read_text().splitlines()) == sorted(
            f"{name} 2026-03-02T12:0{minute}:00Z" for minute in (1, 2, 3) for name in names
        )
        tries = place.ledger.attempts([run.id for run in runs])
        assert {attempt.node for each in tries.values() for attempt in each} == {"here", "there"}
        assert all(len(each) == 1 for each in tries.values())
    finally:
        there.close()


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_what_others_write_wakes_a_runner_and_the_end_of_its_connection_does_not_keep_it_awake(
    place,
):
    place.apply(a=HELLO, b=minutely())
    while place.daemon._select(place.ledger.listen(), 0):
        pass  # what it wrote itself
    run_schedule(place.registry, place.ledger, "every-minute", {}, "token")
    assert place.daemon._select(place.ledger.listen(), 60)
    cut_off(place)
    assert place.daemon._select(place.ledger.listen(), 60)
    assert place.daemon._ear() is None
    assert not place.daemon._select(None, 0)


def test_a_descriptor_that_breaks_is_no_longer_listened_to(place, monkeypatch):
    end, other = os.pipe()
    os.close(other)
    os.close(end)
    monkeypatch.setattr(place.ledger, "listen", lambda: end)
    place.daemon.wait(60)
    assert place.daemon._ear() is None


def test_one_that_never_stops_telling_does_not_keep_a_runner_from_resting(place, monkeypatch):
    heard, tell = os.pipe()
    os.write(tell, b"again and again")
    monkeypatch.setattr(place.ledger, "listen", lambda: heard)
    try:
        assert place.daemon._select(heard, 60)
        assert 0 < place.daemon._pause() <= 0.05
        place.daemon.poke()
        place.daemon.wait(60)
        assert not place.daemon._select(None, 0)
    finally:
        os.close(heard)
        os.close(tell)


def test_programs_that_end_do_not_keep_a_runner_from_resting(place, monkeypatch):
    end, ended = os.pipe()
    os.write(ended, b"again and again")
    monkeypatch.setattr(place.daemon._executor, "wakeup", lambda: end)
    try:
        place.step()
        assert 0 < place.daemon._rest <= 0.25
        assert not place.daemon._select(None, 0, ends=False)
        place.daemon.wait(60)
        assert place.daemon._rest == 0
    finally:
        os.close(end)
        os.close(ended)


@pytest.fixture
def held_meanwhile(place, monkeypatch):
    """Hold a schedule once, just after a runner has claimed it and before it is read."""

    def arrange(claim, name, **hold):
        plain = getattr(SqlLedgerTransaction, claim)

        def claimed(tx, *given):
            found = plain(tx, *given)
            if found:
                monkeypatch.setattr(SqlLedgerTransaction, claim, plain)
                registry = place.workspaces.open().registry
                operate.hold_schedule(registry, name, who="ann", why="audit", **hold)
            return found

        monkeypatch.setattr(SqlLedgerTransaction, claim, claimed)

    return arrange


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_schedule_that_is_held_while_it_is_claimed_waits_and_fires_again_when_released(
    place, held_meanwhile
):
    place.apply(a=HELLO, b=minutely())
    place.forward(60)
    due = place.schedule("every-minute").next_due
    held_meanwhile("due_timers", "every-minute", until=None)
    place.step()
    assert not place.fires("every-minute")
    assert place.schedule("every-minute").next_due == due
    operate.release_schedule(place.registry, "every-minute", Missed.LAST)
    place.finish()
    assert [fire.decision for fire in place.fires("every-minute")] == [Decision.LAUNCH]


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_files_wait_for_a_hold_that_begins_while_their_schedule_is_claimed(place, held_meanwhile):
    landing = place.project / "landing" / "in"
    landing.mkdir(parents=True)
    place.apply(store=LANDING, pipe=SHOW, sched=on_arrival())
    place.poll()
    (landing / "a.csv").write_text("1")
    place.forward(300)
    until_at = place.clock.now() + 3_600_000_000
    held_meanwhile("arrivals", "on-arrival", until=until_at, catchup=Missed.SKIP)
    place.poll()
    place.forward(300)
    place.poll()
    assert not place.fires("on-arrival")
    assert place.schedule("on-arrival").hold
