import uuid
from datetime import timedelta

import pytest

from reconciler.clock import SECOND
from reconciler.pipeline import Pipeline, Step
from reconciler.retries import Retries
from reconciler.run import Attempt, AttemptState, Progress, Run, RunState, progress, run_id

NOW = 1_000 * SECOND
F, X, R, C, U = (
    AttemptState.FINISHED,
    AttemptState.FAILED,
    AttemptState.RUNNING,
    AttemptState.CANCELED,
    AttemptState.UNKNOWN,
)


def pipeline(*, retries=None):
    """prepare -> train -> score, and report beside them."""
    names = {"prepare": (), "train": ("prepare",), "score": ("train",), "report": ()}
    steps = tuple(
        Step(name=name, command=("true",), depends_on=needs, retries=retries)
        for name, needs in names.items()
    )
    return Pipeline(name="p", steps=steps)


def run(**fields):
    return Run(
        **{
            "id": "r",
            "schedule_id": None,
            "schedule_name": "",
            "occurrence_key": "m:1",
            "pipeline_id": "p",
            "experiment_name": "e",
            "parameters": {},
            "continue_on_step_failure": False,
            "state": RunState.RUNNING,
            "reason": "",
            "due_at": 0,
            "created_at": 0,
            **fields,
        }
    )


def tries(**states):
    return [
        Attempt(
            run_id="r",
            step=step,
            number=number,
            state=state,
            reason=f"{state}",
            ended_at=NOW - SECOND,
        )
        for step, given in states.items()
        for number, state in enumerate(given, 1)
    ]


def after(attempts, *, retries=None, **fields):
    return progress(run(**fields), pipeline(retries=retries), attempts, NOW)


CASES = {
    "nothing began, so what depends on nothing starts": (
        {},
        {},
        Progress(start=(("prepare", 1), ("report", 1))),
    ),
    "a finished step frees the next": (
        {"prepare": [F], "report": [R]},
        {},
        Progress(start=(("train", 1),)),
    ),
    "a running step is waited for": ({"prepare": [R], "report": [F]}, {}, Progress()),
    "all finished is the end": (
        {"prepare": [F], "train": [F], "score": [F], "report": [F]},
        {},
        Progress(outcome=RunState.FINISHED),
    ),
    "a failure with nothing running is the end": (
        {"prepare": [X], "report": [F]},
        {},
        Progress(outcome=RunState.FAILED, reason="step prepare: Failed"),
    ),
    "an unknown outcome fails the run": (
        {"prepare": [U], "report": [F]},
        {},
        Progress(outcome=RunState.FAILED, reason="step prepare: Unknown"),
    ),
    "a failure with continue lets independent steps go on": (
        {"prepare": [X], "report": [R]},
        {"continue_on_step_failure": True},
        Progress(),
    ),
    "and starts those that have not begun": (
        {"prepare": [X]},
        {"continue_on_step_failure": True},
        Progress(start=(("report", 1),)),
    ),
    "and then fails, with what depends on it left out": (
        {"prepare": [X], "report": [F]},
        {"continue_on_step_failure": True},
        Progress(outcome=RunState.FAILED, reason="step prepare: Failed"),
    ),
    "a cancel before the first step ends it": (
        {},
        {"cancel_requested": "by ann"},
        Progress(outcome=RunState.CANCELED, reason="by ann"),
    ),
    "a cancel after the last step changes nothing": (
        {"prepare": [F], "train": [F], "score": [F], "report": [F]},
        {"cancel_requested": "by ann"},
        Progress(outcome=RunState.FINISHED),
    ),
    "a step canceled as a consequence is not named as the cause": (
        {"prepare": [C], "report": [X]},
        {},
        Progress(outcome=RunState.FAILED, reason="step report: Failed"),
    ),
    "steps that were only canceled are named all the same": (
        {"prepare": [C], "report": [F]},
        {},
        Progress(outcome=RunState.FAILED, reason="step prepare: Canceled"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_moves_on(case):
    states, fields, expected = CASES[case]
    assert after(tries(**states), **fields) == expected


def test_a_failure_stops_the_steps_still_running():
    attempts = tries(prepare=[X], report=[R])
    assert after(attempts) == Progress(cancel=(attempts[1],))


def test_a_cancel_stops_the_steps_still_running():
    attempts = tries(prepare=[R])
    assert after(attempts, cancel_requested="by ann") == Progress(cancel=(attempts[0],))


def test_a_failed_step_is_retried_once_its_wait_is_over():
    soon = Retries(max=1, backoff=timedelta(seconds=1))
    assert after(tries(prepare=[X], report=[F]), retries=soon) == Progress(start=(("prepare", 2),))


def test_a_retry_that_is_not_due_wakes_the_runner_later():
    later = Retries(max=1, backoff=timedelta(seconds=10))
    assert after(tries(prepare=[X], report=[F]), retries=later) == Progress(
        wake_at=NOW + 9 * SECOND
    )


def test_retries_end():
    once = Retries(max=1, backoff=timedelta(seconds=1))
    expected = Progress(outcome=RunState.FAILED, reason="step prepare: Failed")
    assert after(tries(prepare=[X, X], report=[F]), retries=once) == expected


def test_an_unknown_outcome_is_never_retried():
    once = Retries(max=1, backoff=timedelta(seconds=1))
    assert after(tries(prepare=[U], report=[F]), retries=once).outcome is RunState.FAILED


def test_an_attempt_is_known_to_the_engine_by_run_step_and_number():
    (attempt,) = tries(prepare=[F])
    assert attempt.id == "r/prepare/1"
    assert attempt.over


def test_only_final_states_are_over():
    assert [state for state in RunState if not state.over] == [
        RunState.NOT_STARTED,
        RunState.RUNNING,
    ]


def test_the_same_occurrence_is_the_same_run_until_a_restore():
    schedule = "6b1f7b0e-3c5e-4c1f-9c7e-0d3b6a0f1a11"
    assert run_id(schedule, "r:1") == run_id(schedule, "r:1", 0)
    for key in ("r:1", "i:", "m:ü"):
        assert run_id(schedule, key) == str(uuid.uuid5(uuid.UUID(schedule), key))
    assert len({run_id(schedule, "r:1", epoch) for epoch in (0, 1, 2)}) == 3
    assert run_id(schedule, "r:1") != run_id(schedule, "r:2")
