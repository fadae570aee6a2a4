"""Runs for times that have passed: every occurrence in a window, under the present spec.

A backfill is named by its token and has no row of its own: its fires, ``b:<token>:<due>``, are all
there is of it. So the same token again is the same backfill. It adds what is missing, after an
interruption too, and doubles nothing. Its runs wait and take their turns, the oldest due first, as
many at a time as the schedule allows; none is ever skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.clock import iso
from reconciler.data import DatastoreChange
from reconciler.errors import Refused
from reconciler.live import PublishedPipeline, RegisteredSchedule
from reconciler.plan.spec import spec_value
from reconciler.reconcile.ask import bound, frozen
from reconciler.reconcile.operate import find_schedule
from reconciler.run import Decision, Fire, Gate, Kind, RunState
from reconciler.schedule import Schedule
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.decide import backfill_key

if TYPE_CHECKING:
    from reconciler.run import Run
    from reconciler.workspace.base import RegistryReader
    from reconciler.workspace.ledger import Ledger

# The most that one backfill makes: a year of hours fits, a year of minutes is a mistake.
MOST = 10_000
# Decisions written in one transaction: few enough that a runner need not wait for them.
BATCH = 500
# Runs that are not over are few, but those of a backfill may be all of them.
_ALL = 1_000_000
# It is a part of every key, between two colons.
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """What a backfill is about.

    ``dues`` are instants, ascending; ``known`` are those that were written before, under the same
    token.
    """

    schedule: RegisteredSchedule
    spec: Schedule
    pipeline: PublishedPipeline
    token: str
    dues: tuple[int, ...]
    known: frozenset[int]

    @property
    def missing(self) -> tuple[int, ...]:
        """The dues that are yet to be written."""
        return tuple(due for due in self.dues if due not in self.known)


def plan_backfill(  # noqa: PLR0913  (what to make, of what, and how much at most)
    registry: RegistryReader,
    ledger: Ledger,
    name: str,
    token: str,
    *,
    start: int,
    end: int | None = None,
    most: int = MOST,
) -> Backfill:
    """Find every occurrence of a schedule from ``start`` to ``end``, both included.

    ``end`` is now by default. Those before the schedule's creation are what would have been due.

    Raises:
        NotFound: no such schedule, or its pipeline is gone.
        Refused: the schedule goes by files, the window is empty, ends in the future or holds more
            than ``most`` occurrences, the token is no name, or its runs would lack a value.
    """
    live, now = registry.live(), registry.now()
    here = find_schedule(live, name)
    spec = spec_value(Schedule, here.spec)
    trigger = spec.trigger
    if isinstance(trigger, DatastoreChange):
        raise Refused(f"schedule '{here.name}' goes by files, not by the clock: no times to fill")
    if _TOKEN.fullmatch(token) is None:
        rule = "letters, digits, - _ and ., at most 64, a letter or digit first"
        raise Refused(f"'{token}' is no name for a backfill; use {rule}")
    end = now if end is None else end
    if end > now:
        text = f"a backfill is for what has passed: {iso(end)} is after now ({iso(now)})"
        raise Refused(f"{text}; leave --to out, or end it earlier")
    if end < start:
        raise Refused(f"the window is empty: {iso(end)} is before {iso(start)}")
    calendar = compile_trigger(trigger, here.created_at, since=start - 1)
    count = calendar.count(start - 1, end)
    if count > most:
        text = f"{count} fires of '{here.name}' were due from {iso(start)} to {iso(end)}"
        raise Refused(f"{text}, more than {most}; fill a shorter window, or give --max {count}")
    pipeline = bound(live, here)
    frozen(here, spec, pipeline, backfill_key(token, start), now, due=start)
    dues = tuple(calendar.between(start - 1, end))
    begun = f"{Kind.BACKFILL}:{token}:"
    fires = ledger.fires_between(here.id, start - 1, end)
    known = frozenset(fire.due_at for fire in fires if fire.occurrence_key.startswith(begun))
    return Backfill(
        schedule=here,
        spec=spec,
        pipeline=pipeline,
        token=token,
        dues=dues,
        known=known.intersection(dues),
    )


def write_backfill(ledger: Ledger, planned: Backfill, who: str) -> int:
    """Write what is missing, ``BATCH`` decisions in a transaction; returns how many were new."""
    missing, written = planned.missing, 0
    for first in range(0, len(missing), BATCH):
        now = ledger.now()
        made = [_occurrence(planned, due, now, who) for due in missing[first : first + BATCH]]
        with ledger.transaction() as tx:
            new = tx.record_fires([fire for fire, _ in made], [run for _, run in made])
        written += len(new)
    return written


def _occurrence(planned: Backfill, due: int, now: int, who: str) -> tuple[Fire, Run]:
    here = planned.schedule
    key = backfill_key(planned.token, due)
    run = frozen(here, planned.spec, planned.pipeline, key, now, due=due)
    fire = Fire(
        schedule_id=here.id,
        occurrence_key=key,
        due_at=due,
        decided_at=now,
        decision=Decision.QUEUE,
        reason=f"backfill {planned.token} by {who}",
        revision=here.revision,
        run_id=run.id,
        gate=Gate.ASKED,
    )
    return fire, run


def backfill_runs(ledger: Ledger, token: str, schedule_id: str | None = None) -> list[Run]:
    """List the unfinished runs of a backfill, of all schedules or of one."""
    states = (RunState.RUNNING, RunState.NOT_STARTED)
    begun = f"{Kind.BACKFILL}:{token}:"
    found = ledger.runs(schedule_id=schedule_id, states=states, limit=_ALL)
    return [run for run in found if run.occurrence_key.startswith(begun)]
