"""Tell about runs that have not started or ended by their deadline, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.clock import SECOND, iso
from reconciler.run import RunState
from reconciler.runner.endings import tell
from reconciler.workspace.records import Alarm, Alert

if TYPE_CHECKING:
    from reconciler.run import Run
    from reconciler.workspace.ledger import Ledger

_OFTEN = SECOND


def late_start(run: Run, now: int) -> Alert | None:
    """Give the alert about a run that has not been started by ``start_by``; None before it."""
    return _late(run, Alarm.LATE_START, "started", run.start_by, now)


def late_finish(run: Run, now: int) -> Alert | None:
    """Give the alert about a run that is not over by ``finish_by``; None before it."""
    return _late(run, Alarm.LATE_FINISH, "ended", run.finish_by, now)


def _late(run: Run, alarm: Alarm, verb: str, by: int | None, now: int) -> Alert | None:
    if by is None or now <= by:
        return None
    # A run that is run anew is late for the same occurrence.
    first = run.retry_of or run.id
    name = run.schedule_name or "a pipeline"
    text = f"run {run.id} of {name}, due {iso(run.due_at)}, has not {verb} by {iso(by)}"
    return Alert(
        key=f"{alarm}:{first}",
        alarm=alarm,
        at=now,
        text=text,
        schedule_id=run.schedule_id,
        run_id=run.id,
    )


class Deadlines:
    """Looks for late runs, once a second."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._looked: int | None = None
        self._told: set[str] = set()

    def look(self, now: int) -> None:
        """Record and log what is late and was not told yet."""
        if self._looked is not None and 0 <= now - self._looked < _OFTEN:
            return
        self._looked = now
        late: dict[str, Alert] = {}
        for run in self._ledger.overdue(now):
            waiting = run.state is RunState.NOT_STARTED
            for alert in (late_start(run, now) if waiting else None, late_finish(run, now)):
                if alert is not None:
                    late[alert.key] = alert
        new = [alert for key, alert in late.items() if key not in self._told]
        if new:
            with self._ledger.transaction() as tx:
                fresh = tx.alert(new)
            tell(fresh)
        self._told = set(late)
