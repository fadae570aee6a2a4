"""Which steps start next: those of runs under way, and of waiting runs that may begin.

A run begins on one runner, and only where each of its steps would have room if nothing else ran.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.clock import MINUTE, SECOND
from reconciler.errors import ReconcilerError
from reconciler.fields import duration_text
from reconciler.live import RegisteredSchedule
from reconciler.run import Kind, Run, RunState, progress
from reconciler.runner.endings import End, Ended, end_runs, pause, tell
from reconciler.runner.late import late_start
from reconciler.runner.room import Amounts, Room, needs
from reconciler.trigger.admission import Others, Wait, admission, asked
from reconciler.trigger.decide import Policy
from reconciler.workspace.ledger import LedgerTransaction
from reconciler.workspace.records import Alarm, Alert, Pool, Unfinished

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.pipeline import Pipeline, Step
    from reconciler.run import Progress
    from reconciler.runner.book import Book
    from reconciler.runner.reap import Underway
    from reconciler.workspace.ledger import Ledger

log = logging.getLogger(__name__)

_WINDOW = MINUTE
# Minutes on end of many files that are a mistake more often than a wish.
LASTING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one runner may do.

    ``capacity`` is what its machine has for steps; ``max_starts`` is how many runs of one schedule
    it starts within a minute before it takes that for a mistake; ``patience`` (microseconds) how
    long a run that has no room here waits for another runner before somebody is told.
    """

    capacity: Amounts
    max_starts: int = 300
    patience: int = MINUTE


class Starts:
    """Counts the runs of each schedule that were started within the last minute."""

    def __init__(self) -> None:
        self._times: deque[tuple[int, str]] = deque()
        self._counts: Counter[str] = Counter()

    def add(self, schedule_id: str, now: int) -> None:
        """Count a start."""
        self._times.append((now, schedule_id))
        self._counts[schedule_id] += 1

    def count(self, schedule_id: str, now: int) -> int:
        """Tell how many there were; those before a step back of the clock are forgotten."""
        while self._times and not 0 <= now - self._times[0][0] < _WINDOW:
            _, past = self._times.popleft()
            self._counts[past] -= 1
            if not self._counts[past]:
                del self._counts[past]
        return self._counts.get(schedule_id, 0)


class Minutes:
    """Counts the runs that files of each schedule made, by the minute in which they were made.

    Many files at once are nothing to worry about, for only so many of their runs are under way.
    A schedule that feeds itself is told by files that come minute after minute.
    """

    def __init__(self) -> None:
        self._counts: dict[str, Counter[int]] = {}

    def add(self, schedule_id: str, made_at: int) -> None:
        """Count a run that was started."""
        counts = self._counts.setdefault(schedule_id, Counter())
        counts[made_at // MINUTE] += 1
        if len(counts) > 2 * LASTING:
            del counts[min(counts)]

    def last(self, schedule_id: str, made_at: int, limit: int) -> bool:
        """Tell whether ``limit`` were made in each of the minutes up to this one."""
        counts, minute = self._counts.get(schedule_id, Counter()), made_at // MINUTE
        return all(counts[minute - ago] >= limit for ago in range(LASTING))

    def forget(self, schedule_id: str) -> None:
        """Begin to count anew."""
        self._counts.pop(schedule_id, None)


@dataclass(slots=True)
class _Desk:
    """What one transaction knows while it goes through the waiting runs."""

    tx: LedgerTransaction
    now: int
    schedules: Mapping[str, RegisteredSchedule]
    unfinished: Mapping[str, Unfinished]
    pools: dict[str, Pool]
    told: dict[str, Alert]
    begun: list[Run] = field(default_factory=list)
    running: dict[str, list[str]] = field(default_factory=dict)
    ahead: dict[str, str] = field(default_factory=dict)
    started: Counter[str] = field(default_factory=Counter)
    too_many: set[str] = field(default_factory=set)
    late: list[Alert] = field(default_factory=list)
    paused: list[Alert] = field(default_factory=list)

    def running_of(self, schedule_id: str) -> list[str]:
        known = self.running.get(schedule_id)
        if known is None:
            found = self.unfinished.get(schedule_id, Unfinished())
            known = [*found.running, *found.backfills]
            self.running[schedule_id] = known
        return known

    def begin(self, run: Run) -> None:
        self.begun.append(run)
        if run.schedule_id is not None:
            self.running_of(run.schedule_id).append(run.id)
            self.started[run.schedule_id] += not asked(run)
        if run.pool is not None:
            pool = self.pools[run.pool]
            self.pools[run.pool] = replace(pool, used=pool.used + 1)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What starts now: (run id, step, attempt number), and the runs among them that just began."""

    starts: list[tuple[str, str, int]]
    begun: list[Run] = field(default_factory=list)


class Admitter:
    """Hands out the runner's room, the oldest run first."""

    def __init__(self, ledger: Ledger, book: Book, limits: Limits, node: str) -> None:
        self._ledger = ledger
        self._book = book
        self._limits = limits
        self._node = node
        self._starts = Starts()
        self._minutes = Minutes()
        self._told: set[str] = set()
        # Waiting runs that this runner has no use for: it has to look beyond them.
        self._passed = 0

    def admit(self, underway: Underway, moves: Mapping[str, Progress], now: int) -> Admitted:
        """Choose the steps that start now; runs that begin with them are Running after it."""
        room = Room(self._limits.capacity, self._taken(underway))
        told: dict[str, Alert] = {}
        if not self._ledger.waits(now):
            self._passed = 0
            starts = list(self._own(underway.runs, moves, room, now, told))
            if told:
                with self._ledger.transaction() as tx:
                    fresh = tx.alert(list(told.values()))
                self._told |= told.keys()
                tell(fresh)
            return Admitted(starts)
        ended = Ended()
        with self._ledger.transaction() as tx:
            waiting = tx.waiting_runs(now, room.places + self._passed)
            stopped = [run for run in waiting if run.cancel_requested is not None]
            if stopped:
                ends = [End(run, RunState.CANCELED, run.cancel_requested or "") for run in stopped]
                ended = end_runs(tx, self._book, ends, now)
            waiting = [run for run in waiting if run.cancel_requested is None]
            desk = self._desk(tx, waiting, now, told)
            queue = sorted([*underway.runs, *waiting], key=_turn)
            starts = []
            if room.places:
                self._passed = 0
            for run in queue:
                if run.state is RunState.RUNNING:
                    starts += self._own([run], moves, room, now, told)
                elif room.places:
                    starts += self._begin(desk, run, room)
            moved = set(tx.start_runs([run.id for run in desk.begun], now))
            alerts = [*desk.late, *told.values()]
            fresh = desk.paused + (tx.alert(alerts) if alerts else [])
        self._told |= told.keys()
        ended.tell()
        tell(fresh)
        begun = [
            replace(run, state=RunState.RUNNING, started_at=now)
            for run in desk.begun
            if run.id in moved
        ]
        for run in begun:
            self._count(run, now)
        known = {run.id for run in (*underway.runs, *begun)}
        return Admitted([start for start in starts if start[0] in known], begun)

    def _count(self, run: Run, now: int) -> None:
        """Count a run that was started, against the schedules that start too many."""
        if run.schedule_id is None or asked(run):
            return
        if _of_files(run):
            self._minutes.add(run.schedule_id, run.created_at)
        else:
            self._starts.add(run.schedule_id, now)

    def _taken(self, underway: Underway) -> Iterator[Amounts]:
        """Give what each attempt under way takes."""
        for run in underway.runs:
            live = [a for a in underway.attempts.get(run.id, ()) if not a.over]
            steps: dict[str, Amounts] = {}
            if live:
                try:
                    pipeline = self._book.pipeline(run.pipeline_id)
                    steps = {step.name: needs(step) for step in pipeline.steps}
                except ReconcilerError:  # told where it cannot move
                    pass
            for attempt in live:
                yield steps.get(attempt.step, Amounts(places=1))

    def _own(
        self,
        runs: Iterable[Run],
        moves: Mapping[str, Progress],
        room: Room,
        now: int,
        told: dict[str, Alert],
    ) -> Iterator[tuple[str, str, int]]:
        """Give those steps of runs under way that there is room for.

        One that never has room here, because its run began on a larger machine, is ``told``.
        """
        for run in runs:
            if run.id in moves and moves[run.id].start:
                pipeline = self._book.pipeline(run.pipeline_id)
                steps = {step.name: step for step in pipeline.steps}
                for name, number in moves[run.id].start:
                    if room.take(needs(steps[name])):
                        yield run.id, name, number
                    elif not needs(steps[name]).within(room.capacity):
                        what, text = self._too_large(run, steps[name], room)
                        self._tell(told, now, run, what, text)

    def _desk(
        self, tx: LedgerTransaction, waiting: list[Run], now: int, told: dict[str, Alert]
    ) -> _Desk:
        unknown = self._book.unknown(run.pipeline_id for run in waiting)
        if unknown:
            self._book.learn(tx.pipelines(unknown))
        ids = {run.schedule_id for run in waiting if run.schedule_id is not None}
        names = {run.pool for run in waiting if run.pool is not None}
        pools = dict(tx.pools(sorted(names))) if names else {}
        self._told -= {f"pool:{name}" for name in pools}
        return _Desk(
            tx=tx,
            now=now,
            schedules=tx.schedules(ids) if ids else {},
            unfinished=tx.unfinished(ids) if ids else {},
            pools=pools,
            told=told,
        )

    def _begin(self, desk: _Desk, run: Run, room: Room) -> list[tuple[str, str, int]]:
        """Begin a waiting run if it may; returns the steps it starts with."""
        try:
            pipeline = self._book.pipeline(run.pipeline_id)
            others = self._others(desk, run)
        except ReconcilerError as error:
            self._passed += 1
            if run.id not in self._told:
                self._told.add(run.id)
                log.error("run %s cannot move: %s", run.id, error)
            return []
        pool = desk.pools.get(run.pool or "")
        waits = admission(run, desk.now, others, None if pool is None else (pool.slots, pool.used))
        if waits is not None:
            if waits.wait is Wait.POOL and pool is None:
                self._tell(desk.told, desk.now, run, f"pool:{run.pool}", waits.reason)
            self._passed += waits.wait in {Wait.POOL, Wait.HOLD}
            return []
        if self._too_many(desk, run) or not self._holds(desk, run, pipeline, room):
            return []
        first = progress(run, pipeline, [], desk.now).start
        steps = {step.name: step for step in pipeline.steps}
        starts = [(run.id, name, n) for name, n in first if room.take(needs(steps[name]))]
        if starts:
            desk.begin(run)
            late = late_start(run, desk.now)
            if late is not None:
                desk.late.append(late)
        elif run.schedule_id is not None and not run.occurrence_key.startswith(Kind.MANUAL):
            desk.ahead.setdefault(run.schedule_id, run.id)
        return starts

    def _others(self, desk: _Desk, run: Run) -> Others | None:
        """Give what the run finds of its schedule.

        Raises:
            InvalidValue: this version of the program cannot read the schedule.
        """
        if run.schedule_id is None or run.occurrence_key.startswith(Kind.MANUAL):
            return None
        here = desk.schedules[run.schedule_id]
        return Others(
            policy=Policy.of(self._book.schedule(here)),
            hold=here.hold,
            running=desk.running_of(run.schedule_id),
            ahead=desk.ahead.get(run.schedule_id),
        )

    def _too_many(self, desk: _Desk, run: Run) -> bool:
        """Pause a schedule whose runs start too often; tells whether this one waits for that."""
        if run.schedule_id is None or asked(run):
            return False
        now, limit, id_ = desk.now, self._limits.max_starts, run.schedule_id
        if _of_files(run):
            too_many = self._minutes.last(id_, run.created_at, limit)
            many = f"{limit} of its runs and more were made in each of {LASTING} minutes on end"
            hint = "; does a step of it write files where it watches?"
        else:
            too_many = self._starts.count(id_, now) + desk.started[id_] >= limit
            many, hint = f"{limit} of its runs were started within a minute", ""
        if too_many and id_ not in desk.too_many:
            desk.too_many.add(id_)
            self._minutes.forget(id_)
            here = desk.schedules[id_]
            spec = self._book.schedule(here)
            why = f"{many} (max_starts_per_minute){hint}"
            key = f"{Alarm.BREAKER}:{id_}:{now}"
            desk.paused += pause(desk.tx, (here, spec), why, Alarm.BREAKER, key, now)
        return too_many or id_ in desk.too_many

    def _holds(self, desk: _Desk, run: Run, pipeline: Pipeline, room: Room) -> bool:
        """Tell whether this runner could hold each step of the run; if not, say so in time."""
        large = [step for step in pipeline.steps if not needs(step).within(room.capacity)]
        if not large:
            return True
        self._passed += 1
        since = max(run.created_at, run.not_before or 0)
        if desk.now - since >= self._limits.patience:
            spent = duration_text(timedelta(seconds=(desk.now - since) // SECOND))
            what, text = self._too_large(run, large[0], room)
            text = f"{text}; no other has taken it for {spent}"
            self._tell(desk.told, desk.now, run, what, text)
        return False

    def _too_large(self, run: Run, step: Step, room: Room) -> tuple[str, str]:
        where = f" on {self._node}" if self._node else ""
        text = f"waits: step {step.name} needs {needs(step)}, and the runner{where} has"
        return f"room:{run.pipeline_id}:{self._node}", f"{text} {room.capacity}"

    def _tell(self, told: dict[str, Alert], now: int, run: Run, what: str, text: str) -> None:
        """Alert once about what keeps runs waiting that nobody will change by itself."""
        if what not in self._told:
            name = run.schedule_name or "a pipeline"
            told[what] = Alert(
                key=f"{Alarm.WAITING}:{what}:{run.id}",
                alarm=Alarm.WAITING,
                at=now,
                text=f"run {run.id} of {name} {text}",
                schedule_id=run.schedule_id,
                run_id=run.id,
            )


def _of_files(run: Run) -> bool:
    return run.occurrence_key.startswith((Kind.DATA, Kind.POLL))


def _turn(run: Run) -> tuple[bool, int, int]:
    """Order runs by age; those of a backfill that wait come last, however long they have waited."""
    backfill = run.state is RunState.NOT_STARTED and run.occurrence_key.startswith(Kind.BACKFILL)
    return backfill, run.created_at, run.due_at
