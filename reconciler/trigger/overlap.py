"""What a fire does while earlier runs of its schedule are not over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.run import Decision, Gate
from reconciler.schedule import Overlap

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with one fire: ``LAUNCH``, ``QUEUE`` or ``SKIP``, and why.

    ``gate`` is what decided: ``DUE`` where nothing stood against the fire, else ``OVERLAP`` or
    ``LIMIT``. With ``cancel`` every earlier unfinished run of the schedule, waiting ones too, is
    to be canceled: the fire replaces them.
    """

    decision: Decision
    reason: str
    cancel: bool = False
    gate: Gate = Gate.DUE


def choose(
    overlap: Overlap, max_active_runs: int, running: Sequence[str], waiting: Sequence[str]
) -> Verdict:
    """Decide about one fire, given the ids of the schedule's unfinished runs, oldest first.

    ``max_active_runs`` counts for ``allow`` only. ``queue_one`` keeps the run that waits already
    and skips the new fire.
    """
    # It is asked for each file of many, and all that wait by then must not be copied each time.
    unfinished = len(running) + len(waiting)
    limit = _limit(overlap, max_active_runs)
    if unfinished < limit:
        return Verdict(Decision.LAUNCH, "")
    if overlap is Overlap.ALLOW:
        text = f"queued: {unfinished} runs are not over, {limit} may run (max_active_runs)"
        return Verdict(Decision.QUEUE, text, gate=Gate.LIMIT)
    rule = f"(overlap: {overlap})"
    state = "Running" if running else "NotStarted"
    busy = f"run {(running or waiting)[0]} is still {state}"
    if overlap is Overlap.SKIP:
        return Verdict(Decision.SKIP, f"skipped: {busy} {rule}", gate=Gate.OVERLAP)
    if overlap is Overlap.CANCEL_RUNNING:
        text = f"queued: {busy} and is canceled {rule}"
        return Verdict(Decision.QUEUE, text, cancel=True, gate=Gate.OVERLAP)
    if overlap is Overlap.QUEUE_ONE and waiting:
        text = f"skipped: run {waiting[0]} is waiting already {rule}"
        return Verdict(Decision.SKIP, text, gate=Gate.OVERLAP)
    return Verdict(Decision.QUEUE, f"queued: {busy} {rule}", gate=Gate.OVERLAP)


def startable(overlap: Overlap, max_active_runs: int, running: int, waiting: int) -> int:
    """Return how many of a schedule's waiting runs may start now, the oldest first."""
    return max(0, min(waiting, _limit(overlap, max_active_runs) - running))


def _limit(overlap: Overlap, max_active_runs: int) -> int:
    return max_active_runs if overlap is Overlap.ALLOW else 1
