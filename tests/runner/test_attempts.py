"""Attempts whose evidence is lost, late or in the way: started once, reported, never stuck."""

import os
import shutil

from reconciler.run import AttemptState, RunState
from tests.processes import until
from tests.site import HELLO, minutely, site


def attempt(place, run, number=1):
    return place.ledger.attempts([run.id])[run.id][number - 1]


def test_an_attempt_whose_evidence_is_gone_is_unknown_and_not_started_again(place, tmp_path):
    os.mkfifo(tmp_path / "gate")
    command = f"echo started >> {tmp_path}/started; cat {tmp_path}/gate"
    place.apply(
        a=f"kind: Pipeline\nname: hello\nsteps: [{{name: say, command: [sh, -c, '{command}']}}]\n",
        b=minutely(),
    )
    place.forward(60)

    def running():
        place.step()
        return attempt(place, place.runs()[0]).state is AttemptState.RUNNING

    until(running)
    until((tmp_path / "started").exists)
    shutil.rmtree(tmp_path / "attempts")
    place.restart()
    (run,) = place.finish()
    assert run.state is RunState.FAILED
    assert run.reason == "step say: outcome unknown: it ran, and its evidence is gone"
    (tmp_path / "gate").write_text("end")
    assert (tmp_path / "started").read_text() == "started\n"


def test_an_attempt_that_could_not_start_for_want_of_room_starts_once_there_is(place, tmp_path):
    place.apply(a=HELLO, b=minutely())
    place.forward(60)
    place.daemon._ticker.tick()
    (run,) = place.runs()
    in_the_way = tmp_path / "attempts" / run.id / "say" / "1" / "out.log"
    in_the_way.mkdir(parents=True)
    place.step()
    until(lambda: "IsADirectoryError" in (tmp_path / "attempts" / "executor.log").read_text())
    in_the_way.rmdir()
    place.step()
    assert attempt(place, run).state is AttemptState.STARTING
    place.forward(10)
    (run,) = place.finish()
    assert (run.state, place.log(run, "say")) == (RunState.FINISHED, "hello\n")


def test_a_run_that_waits_for_its_retry_takes_no_room_from_another(tmp_path):
    with site(tmp_path, max_steps=1) as place:
        place.apply(
            a="""
            kind: Pipeline
            name: bad
            steps: [{name: say, command: ["false"], retries: {max: 9, backoff: 1h}}]
            """,
            b=minutely("tries-again", "bad"),
        )
        place.forward(60)

        def failed():
            place.step()
            return attempt(place, place.runs()[0]).state is AttemptState.FAILED

        until(failed)
        place.apply(c=HELLO, d=minutely())
        place.forward(60)

        def finished():
            place.step()
            return [run.state for run in place.runs("every-minute")] == [RunState.FINISHED]

        until(finished)
        (waiting,) = place.runs("tries-again")
        assert waiting.state is RunState.RUNNING


def test_what_is_remembered_of_attempts_is_forgotten_with_them(place):
    place.apply(
        a="kind: Pipeline\nname: hello\nsteps: [{name: say, command: [sleep, '1000']}]\n",
        b=minutely(),
    )
    place.forward(60)
    place.step()
    (run,) = place.runs()
    with place.ledger.transaction() as tx:
        tx.request_cancel([run.id], "canceled by ann")
    place.finish()
    place.apply(a=HELLO)
    place.forward(60)
    place.finish()
    place.step()
    launcher = place.daemon._launcher
    assert len(launcher._submitted) <= 1
    assert launcher._canceled == set()
