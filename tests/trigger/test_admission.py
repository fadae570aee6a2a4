"""Why a waiting run does not start: one reason, the first in the order of the gates."""

from dataclasses import replace

import pytest

from reconciler.clock import MINUTE, SECOND
from reconciler.live import Hold
from reconciler.run import Run, RunState
from reconciler.schedule import Overlap
from reconciler.trigger.admission import RUNNER, Others, Wait, admission, asked
from reconciler.trigger.decide import Policy

NOW = 1_780_000_000 * SECOND
RUN = Run(
    id="run",
    schedule_id="s",
    schedule_name="s",
    occurrence_key="r:2026-05-28T20:26:40Z",
    pipeline_id="p",
    experiment_name="s",
    parameters={},
    continue_on_step_failure=False,
    state=RunState.NOT_STARTED,
    reason="",
    due_at=NOW,
    created_at=NOW,
)
ALONE = Others(policy=Policy(overlap=Overlap.SKIP))
OWN_HOLD = Hold(who=RUNNER, why="it fails", since=NOW)


def test_nothing_keeps_a_run_that_is_alone():
    assert admission(RUN, NOW, ALONE, None) is None
    assert admission(RUN, NOW, None, None) is None


@pytest.mark.parametrize(("number", "why"), [(1, "spread by jitter"), (2, "run anew, number 2")])
def test_a_run_waits_for_its_time(number, why):
    run = replace(RUN, not_before=NOW + MINUTE, number=number)
    waits = admission(run, NOW, ALONE, None)
    assert waits.wait is Wait.TIME
    assert waits.reason == f"waits until 2026-05-28T20:27:40Z: {why}"
    assert admission(run, NOW + MINUTE, ALONE, None) is None


def test_a_hold_of_the_runner_itself_keeps_what_waits_and_nobody_elses_does():
    held = replace(ALONE, hold=OWN_HOLD)
    waits = admission(RUN, NOW, held, None)
    assert (waits.wait, waits.reason) == (Wait.HOLD, "waits: held by the runner: it fails")
    assert admission(RUN, NOW, replace(held, hold=replace(OWN_HOLD, who="ann")), None) is None
    assert admission(RUN, NOW, replace(held, hold=replace(OWN_HOLD, until=NOW)), None) is None


@pytest.mark.parametrize("key", ["m:token", "b:june:2026-06-01T00:00:00Z"])
def test_what_somebody_asked_for_does_not_wait_for_a_hold(key):
    run = replace(RUN, occurrence_key=key)
    assert asked(run)
    assert not asked(RUN)
    assert admission(run, NOW, replace(ALONE, hold=OWN_HOLD), None) is None


def test_a_run_waits_for_the_one_that_is_running():
    waits = admission(RUN, NOW, replace(ALONE, running=["a"]), None)
    assert waits.wait is Wait.OVERLAP
    assert waits.reason == "waits: run a is still Running (overlap: skip)"


def test_a_run_waits_for_the_one_before_it_unless_they_may_overlap():
    waits = admission(RUN, NOW, replace(ALONE, ahead="a"), None)
    assert waits.wait is Wait.OVERLAP
    assert waits.reason == "waits: run a goes first (overlap: skip)"
    together = Others(policy=Policy(overlap=Overlap.ALLOW), ahead="a")
    assert admission(RUN, NOW, together, None) is None


def test_a_run_waits_while_as_many_run_as_may():
    others = Others(policy=Policy(overlap=Overlap.ALLOW, max_active_runs=2), running=["a", "b"])
    waits = admission(RUN, NOW, others, None)
    assert waits.wait is Wait.LIMIT
    assert waits.reason == "waits: 2 runs are under way, 2 may be (max_active_runs)"


def test_a_run_by_hand_waits_for_no_other_of_its_schedule():
    run = replace(RUN, occurrence_key="m:token")
    assert admission(run, NOW, replace(ALONE, running=["a"], ahead="b"), None) is None


def test_a_run_waits_for_a_place_in_its_pool():
    run = replace(RUN, pool="gpu")
    waits = admission(run, NOW, ALONE, (2, 2))
    assert (waits.wait, waits.reason) == (Wait.POOL, "waits: pool 'gpu' is full, 2 of 2 taken")
    waits = admission(run, NOW, ALONE, None)
    assert waits.wait is Wait.POOL
    assert waits.reason == "waits: pool 'gpu' is not defined; `reconciler pool gpu --slots N` does"
    assert admission(run, NOW, ALONE, (2, 1)) is None
