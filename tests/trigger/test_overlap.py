"""What a fire does while earlier runs are not over."""

import pytest

from reconciler.run import Decision, Gate
from reconciler.schedule import Overlap
from reconciler.trigger.overlap import choose, startable

LAUNCH, QUEUE, SKIP = Decision.LAUNCH, Decision.QUEUE, Decision.SKIP


@pytest.mark.parametrize("overlap", Overlap)
def test_a_fire_launches_when_nothing_is_unfinished(overlap):
    verdict = choose(overlap, 1, (), ())
    assert (verdict.decision, verdict.gate) == (LAUNCH, Gate.DUE)


@pytest.mark.parametrize(
    ("overlap", "running", "waiting", "decision", "reason"),
    [
        (Overlap.SKIP, ["1f3a"], [], SKIP, "skipped: run 1f3a is still Running (overlap: skip)"),
        (Overlap.SKIP, [], ["1f3a"], SKIP, "skipped: run 1f3a is still NotStarted (overlap: skip)"),
        (Overlap.QUEUE, ["1f3a"], ["2b"], QUEUE, "queued: run 1f3a is still Running (overlap: queue)"),
        (Overlap.QUEUE_ONE, ["1f3a"], [], QUEUE, "queued: run 1f3a is still Running (overlap: queue_one)"),
        (Overlap.QUEUE_ONE, ["1f3a"], ["2b"], SKIP, "skipped: run 2b is waiting already (overlap: queue_one)"),
        (Overlap.ALLOW, ["a"], [], LAUNCH, ""),
        (Overlap.ALLOW, ["a", "b"], ["c"], QUEUE, "queued: 3 runs are not over, 3 may run (max_active_runs)"),
    ],
)  # fmt: skip
def test_the_policy_decides_and_says_why(overlap, running, waiting, decision, reason):
    verdict = choose(overlap, 3, running, waiting)
    assert (verdict.decision, verdict.reason, verdict.cancel) == (decision, reason, False)
    gate = Gate.LIMIT if overlap is Overlap.ALLOW else Gate.OVERLAP
    assert verdict.gate is (gate if reason else Gate.DUE)


def test_cancel_running_replaces_what_is_unfinished():
    verdict = choose(Overlap.CANCEL_RUNNING, 1, ["1f3a"], ["2b"])
    assert (verdict.decision, verdict.gate) == (QUEUE, Gate.OVERLAP)
    assert verdict.cancel
    assert verdict.reason == (
        "queued: run 1f3a is still Running and is canceled (overlap: cancel_running)"
    )


@pytest.mark.parametrize(
    ("overlap", "limit", "running", "waiting", "may_start"),
    [
        (Overlap.ALLOW, 16, 0, 3, 3),
        (Overlap.ALLOW, 16, 14, 5, 2),
        (Overlap.ALLOW, 2, 5, 5, 0),
        (Overlap.QUEUE, 16, 0, 3, 1),
        (Overlap.QUEUE, 16, 1, 3, 0),
        (Overlap.SKIP, 16, 0, 0, 0),
        (Overlap.CANCEL_RUNNING, 16, 0, 1, 1),
    ],
)
def test_waiting_runs_start_as_far_as_the_policy_lets_them(
    overlap, limit, running, waiting, may_start
):
    assert startable(overlap, limit, running, waiting) == may_start
