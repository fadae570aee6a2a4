"""The line that a schedule's unfinished runs stand in, and what each of them waits for."""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import TYPE_CHECKING

from reconciler.errors import NotFound
from reconciler.run import Kind, RunState
from reconciler.schedule import Overlap
from reconciler.trigger.admission import Others, admission, no_place
from reconciler.trigger.decide import Policy

if TYPE_CHECKING:
    from reconciler.live import RegisteredSchedule
    from reconciler.run import Fire, Run
    from reconciler.schedule import Schedule
    from reconciler.workspace.ledger import Ledger

# Unfinished runs that are looked at to tell what each waits for.
MANY = 10_000
_ROOM = "waits for a runner with room for its steps"


class Line:
    """Reads a schedule's unfinished runs once, and only when it is asked about them."""

    def __init__(
        self, ledger: Ledger, here: RegisteredSchedule, schedule: Schedule, now: int
    ) -> None:
        self.ledger, self.schedule, self.now = ledger, schedule, now
        self.id, self.hold = here.id, here.hold

    def ahead_of_next(self) -> str:
        """Say how the runs that are not over would count for the next fire."""
        policy = Policy.of(self.schedule)
        count = sum(not run.occurrence_key.startswith(Kind.BACKFILL) for run in self.unfinished)
        limit = policy.max_active_runs if policy.overlap is Overlap.ALLOW else 1
        if count < limit:
            return ""
        many = "1 run is" if count == 1 else f"{count} runs are"
        waiting = any(run.state is RunState.NOT_STARTED for run in self.unfinished)
        would = {
            Overlap.SKIP: "be skipped",
            Overlap.QUEUE: "wait for its turn",
            Overlap.QUEUE_ONE: "be skipped" if waiting else "wait for its turn",
            Overlap.CANCEL_RUNNING: "cancel what is not over",
            Overlap.ALLOW: f"wait (max_active_runs: {limit})",
        }[policy.overlap]
        rule = "" if policy.overlap is Overlap.ALLOW else f" (overlap: {policy.overlap})"
        return f"{many} not over; a fire now would {would}{rule}"

    def no_place(self) -> str:
        """Say why the pool would not let a run start now; empty where it would."""
        name = self.schedule.pool
        if name is None:
            return ""
        return no_place(name, self.pools.get(name))

    @cached_property
    def pools(self) -> dict[str, tuple[int, int]]:
        """Of each pool the places, and how many of them are taken."""
        return {pool.name: (pool.slots, pool.used) for pool in self.ledger.pools()}

    @cached_property
    def unfinished(self) -> list[Run]:
        """The schedule's runs that are not over, in the order in which they have their turns."""
        states = (RunState.NOT_STARTED, RunState.RUNNING)
        found = self.ledger.runs(schedule_id=self.id, states=states, limit=MANY)

        def turn(run: Run) -> tuple[bool, int, int]:
            return run.occurrence_key.startswith(Kind.BACKFILL), run.created_at, run.due_at

        return sorted(found, key=turn)

    @cached_property
    def reasons(self) -> dict[str, str]:
        """What each waiting run waits for, by its id, as the runner asks it."""
        policy, hold = Policy.of(self.schedule), self.hold
        running = [run.id for run in self.unfinished if run.state is RunState.RUNNING]
        found, ahead = {}, None
        for run in self.unfinished:
            if run.state is RunState.RUNNING:
                continue
            others = Others(policy=policy, hold=hold, running=running, ahead=ahead)
            waits = admission(run, self.now, others, self.pools.get(run.pool or ""))
            found[run.id] = _ROOM if waits is None else waits.reason
            if waits is None and not run.occurrence_key.startswith(Kind.MANUAL):
                ahead = ahead or run.id
        return found

    def runs(self, fire: Fire) -> list[Run]:
        """Give a fire's run, and those that ran it anew; nothing where they are not kept."""
        found: list[Run] = []
        run_id = fire.run_id
        try:
            while run_id is not None:
                found.append(self.ledger.run(run_id))
                run_id = str(uuid.uuid5(uuid.UUID(found[0].id), str(len(found) + 1)))
        except NotFound:
            pass
        return found

    def waits(self, run: Run) -> str:
        """Say what a run that has not started waits for."""
        if run.cancel_requested is not None:
            return f"is to be stopped: {run.cancel_requested}"
        return self.reasons.get(run.id, _ROOM)
