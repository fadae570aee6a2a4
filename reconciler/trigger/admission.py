"""Why a run that waits does not start yet: the runner starts runs by it, and explains by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.clock import iso
from reconciler.live import Hold
from reconciler.run import Kind
from reconciler.schedule import Overlap
from reconciler.trigger.decide import Policy
from reconciler.trigger.overlap import startable

if TYPE_CHECKING:
    from reconciler.run import Run

# Whose holds those are that the runner sets by itself; no user of a machine is called so.
RUNNER = "the runner"


class Wait(StrEnum):
    """What a run waits for, in the order in which it is asked.

    ``time`` is its ``not_before``; ``hold`` one that the runner itself has set; ``overlap`` and
    ``limit`` (max_active_runs) are its schedule's other runs; ``pool`` a place that runs of several
    schedules share.
    """

    TIME = "time"
    HOLD = "hold"
    OVERLAP = "overlap"
    LIMIT = "limit"
    POOL = "pool"


@dataclass(frozen=True, slots=True)
class Waits:
    """What a run waits for, and the sentence that says so."""

    wait: Wait
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What a waiting run finds of its schedule, which is None for a run without one.

    ``running`` are the ids of the schedule's runs under way, the oldest first; ``ahead`` is that of
    an older one that waits too and could otherwise start, or None.
    """

    policy: Policy
    hold: Hold | None = None
    running: Sequence[str] = ()
    ahead: str | None = None


def asked(run: Run) -> bool:
    """Tell whether somebody asked for the run, by hand or as part of a backfill."""
    return run.occurrence_key.startswith((Kind.MANUAL, Kind.BACKFILL))


def admission(
    run: Run, now: int, others: Others | None, pool: tuple[int, int] | None
) -> Waits | None:
    """Tell what keeps a waiting run from being started at ``now``; None where nothing does.

    ``pool`` is (places, taken) of the run's pool, None where it names none or one that is not
    defined. A run by hand does not wait for others of its schedule: whoever asked has seen them.
    """
    if run.not_before is not None and now < run.not_before:
        why = "spread by jitter" if run.number == 1 else f"run anew, number {run.number}"
        return Waits(Wait.TIME, f"waits until {iso(run.not_before)}: {why}")
    if others is not None and not run.occurrence_key.startswith(Kind.MANUAL):
        found = _behind(run, now, others)
        if found is not None:
            return found
    if run.pool is not None:
        why = no_place(run.pool, pool)
        if why:
            return Waits(Wait.POOL, f"waits: {why}")
    return None


def no_place(name: str, pool: tuple[int, int] | None) -> str:
    """Say why nothing can start in the pool of that name, (places, taken); empty if it can."""
    if pool is None:
        return f"pool '{name}' is not defined; `reconciler pool {name} --slots N` does"
    places, taken = pool
    return f"pool '{name}' is full, {taken} of {places} taken" if taken >= places else ""


def _behind(run: Run, now: int, others: Others) -> Waits | None:
    """Tell what of its own schedule the run waits for."""
    hold, policy = others.hold, others.policy
    if hold is not None and hold.who == RUNNER and hold.active(now) and not asked(run):
        return Waits(Wait.HOLD, f"waits: held by {hold.who}: {hold.why}")
    if policy.overlap is not Overlap.ALLOW and others.ahead is not None:
        text = f"waits: run {others.ahead} goes first (overlap: {policy.overlap})"
        return Waits(Wait.OVERLAP, text)
    count = len(others.running)
    if startable(policy.overlap, policy.max_active_runs, count, 1):
        return None
    if policy.overlap is Overlap.ALLOW:
        limit = policy.max_active_runs
        text = f"waits: {count} runs are under way, {limit} may be (max_active_runs)"
        return Waits(Wait.LIMIT, text)
    text = f"waits: run {others.running[0]} is still Running (overlap: {policy.overlap})"
    return Waits(Wait.OVERLAP, text)
