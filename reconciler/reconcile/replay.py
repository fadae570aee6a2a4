"""Windows of time replayed: which schedules, since when, under which holds, for how long a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from operator import attrgetter
from statistics import median_low
from typing import TYPE_CHECKING

from reconciler.data import DatastoreChange
from reconciler.errors import InvalidValue, ReconcilerError
from reconciler.plan.spec import spec_value
from reconciler.run import RunState
from reconciler.schedule import Schedule
from reconciler.trigger.simulate import Simulated, Subject, simulate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.live import Live
    from reconciler.run import Run
    from reconciler.trigger.simulate import Downtimes
    from reconciler.workspace.ledger import Ledger

# How many finished runs are looked at to tell how long one takes.
SAMPLE = 50
_SAMPLE_OF_ALL = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a window holds: ``rows`` by the time of their decision, ``left_out`` by schedule.

    ``totals`` counts occurrences by decision, in the rows that are given. With ``more`` there are
    rows beyond the limit.
    """

    rows: tuple[Simulated, ...]
    totals: Mapping[str, int]
    more: bool
    left_out: Mapping[str, str]


def durations(ledger: Ledger, schedule_id: str | None = None) -> dict[str, int]:
    """Tell how long runs took, in microseconds by schedule id: the median of the newest finished.

    Of one schedule, or of all that are among the newest runs.
    """
    limit = _SAMPLE_OF_ALL if schedule_id is None else SAMPLE
    found = ledger.runs(schedule_id=schedule_id, states=[RunState.FINISHED], limit=limit)
    took: dict[str, list[int]] = {}
    for run in found:
        took.setdefault(run.schedule_id or "", []).append(_took(run))
    return {id_: median_low(spans[:SAMPLE]) for id_, spans in took.items()}


def _took(run: Run) -> int:
    if run.started_at is None or run.ended_at is None:
        return 0
    return max(0, run.ended_at - run.started_at)


def live_subjects(live: Live, took: Mapping[str, int]) -> dict[str, Subject]:
    """Give the registered schedules as they are replayed, by id."""
    return {
        here.id: Subject(
            id=here.id,
            schedule=spec_value(Schedule, here.spec),
            created_at=here.created_at,
            hold=here.hold,
            duration=took.get(here.id, 0),
        )
        for here in live.schedules
    }


def declared_subjects(
    schedules: Mapping[str, Schedule], live: Live, project: str, took: Mapping[str, int]
) -> dict[str, Subject]:
    """Give the schedules that a project declares as they are replayed, by name.

    One that the project has applied keeps its creation and its hold.
    """
    known = {
        here.name: here
        for here in live.schedules
        if here.owner is not None and here.owner.project == project
    }
    found = {}
    for name, schedule in schedules.items():
        here = known.get(name)
        found[name] = Subject(
            id=here.id if here else name,
            schedule=schedule,
            created_at=here.created_at if here else 0,
            hold=here.hold if here else None,
            duration=took.get(here.id, 0) if here else 0,
            initial=here is None,
        )
    return found


def replay(
    subjects: Sequence[Subject], *, start: int, end: int, down: Downtimes = (), limit: int
) -> Replayed:
    """Replay schedules from ``start`` to ``end``, both included, as far as ``limit`` rows.

    Each is replayed for itself: they do not compete for pools or for a runner's room. A new one is
    created as the window begins. One that goes by files, or cannot be read, is left out with the
    reason.

    Raises:
        ReconcilerError: the window is empty.
    """
    if end < start:
        raise ReconcilerError("the window is empty: its end is before its start")
    left_out: dict[str, str] = {}

    def one(subject: Subject) -> Iterator[Simulated]:
        name = subject.schedule.name
        if isinstance(subject.schedule.trigger, DatastoreChange):
            left_out[name] = "it goes by files, not by the clock"
            return
        if subject.initial:
            subject = replace(subject, created_at=start)
        try:
            yield from simulate(subject, after=start - 1, until=end, down=down)
        except InvalidValue as error:
            left_out[name] = str(error)

    decided = merge(*map(one, subjects), key=attrgetter("decided_at", "due"))
    rows = tuple(islice(decided, limit + 1))
    more, rows = len(rows) > limit, rows[:limit]
    totals: Counter[str] = Counter()
    for row in rows:
        totals[row.decision.value] += row.count
    return Replayed(rows=rows, totals=dict(sorted(totals.items())), more=more, left_out=left_out)
