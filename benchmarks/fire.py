"""Durable fires per second through the ledger, against bare SQLite in the same run.

One fire is: claim a due timer, insert its decision, insert its run, move the timer; then a commit
that outlives a power cut (WAL, synchronous=FULL). The floor does the least that such a commit can
do: sqlite3 alone, three narrow tables without any check, ``executemany`` on tuples made before the
clock starts. Making up keys and ids counts on neither side. The ratio is the median of the rounds'
own ratios, because a shared disk is seldom the same for long.

Run it as ``python benchmarks/fire.py [folder]``; the folder must be on a real disk.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.clock import MINUTE, FixedClock
from reconciler.run import Decision, Fire, Run, RunState
from reconciler.schedule import Status
from reconciler.workspace.records import Clockwork, Owner, Provenance, TimerMove
from reconciler.workspace.sql import SqlWorkspace, open_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.workspace.records import DueTimer

SCHEDULES = 10_000
ROUNDS = 5
NOW = 1_780_000_000_000_000
FIRES = {1: 400, 100: 4_000, 1_000: 10_000}


def main() -> None:
    parent = sys.argv[1] if len(sys.argv) > 1 else None
    print(f"{SCHEDULES:,} schedules; fires a second, median of {ROUNDS} rounds, synchronous=FULL")
    print(f"{'batch':>6} {'ledger':>10} {'floor':>10} {'ledger/floor':>13}")
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        ledger, floor = Ledger(folder), Floor(folder)
        for batch, fires in FIRES.items():
            pairs = [
                (rate(ledger.fire, batch, fires), rate(floor.fire, batch, fires))
                for _ in range(ROUNDS)
            ]
            mine, least = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(mine / least for mine, least in pairs)
            print(f"{batch:>6} {mine:>10,.0f} {least:>10,.0f} {ratio:>13.2f}")
        ledger.close()
        floor.close()


def rate(fire: Callable[[int, int], Iterator[None]], batch: int, fires: int) -> float:
    """Fires a second over ``fires`` of them in transactions of ``batch``."""
    steps = fire(batch, fires)
    next(steps)  # all preparation is before the first step
    start = time.perf_counter()
    for _ in steps:
        pass
    return fires / (time.perf_counter() - start)


class Ledger:
    """The product's own way, through its port."""

    def __init__(self, folder: str) -> None:
        self.clock = FixedClock(NOW)
        self.workspace: SqlWorkspace = open_workspace(
            str(Path(folder, "workspace.db")), self.clock, create=True
        )
        with self.workspace.registry.transaction() as write:
            pipeline = write.publish(
                owner=None, name="p", spec="{}", digest="0", code=None, provenance=Provenance()
            )
            for number in range(SCHEDULES):
                write.create_schedule(
                    owner=Owner("bench", "prod"),
                    name=f"s{number}",
                    spec='{"name": "s"}' * 20,
                    pipeline_id=pipeline.id,
                    status=Status.ACTIVE,
                    provenance=Provenance(),
                    arming=Clockwork(next_due=NOW, processed_to=NOW - 1),
                )
        self.pipeline_id = pipeline.id
        self.workspace.ledger.begin_session(host="bench", pid=1, wait=False)

    def fire(self, batch: int, fires: int) -> Iterator[None]:
        """Prepare, then fire one batch a step."""
        ids = iter([uuid.uuid4().hex for _ in range(fires)])
        yield
        for _ in range(fires // batch):
            with self.workspace.ledger.transaction() as write:
                due = write.due_timers(self.clock.now(), batch)
                decided = [self.decide(timer, next(ids)) for timer in due]
                write.record_fires([fire for fire, _ in decided], [run for _, run in decided])
                write.move_timers([move(timer) for timer in due])
            if len(due) < batch:
                raise RuntimeError("the benchmark ran out of due timers")
            self.clock.instant += MINUTE
            yield

    def decide(self, timer: DueTimer, run_id: str) -> tuple[Fire, Run]:
        """Launch what is due."""
        key = f"r:{timer.next_due}"
        fire = Fire(
            schedule_id=timer.schedule_id,
            occurrence_key=key,
            due_at=timer.next_due,
            decided_at=self.clock.now(),
            decision=Decision.LAUNCH,
            reason="due",
            revision=timer.revision,
            run_id=run_id,
        )
        return fire, Run(
            id=run_id,
            schedule_id=timer.schedule_id,
            schedule_name="s",
            occurrence_key=key,
            pipeline_id=self.pipeline_id,
            experiment_name="e",
            parameters={"batch_size": 512, "input_data": "landing/a.csv"},
            continue_on_step_failure=False,
            state=RunState.NOT_STARTED,
            reason="",
            due_at=timer.next_due,
            created_at=self.clock.now(),
        )

    def close(self) -> None:
        """Close the file."""
        self.workspace.close()


def move(timer: DueTimer) -> TimerMove:
    later = timer.next_due + MINUTE
    return TimerMove(schedule_id=timer.schedule_id, next_due=later, processed_to=timer.next_due)


class Floor:
    """The least that a durable fire can cost."""

    def __init__(self, folder: str) -> None:
        self.raw = sqlite3.connect(Path(folder, "floor.db"), isolation_level=None)
        self.raw.executescript(
            """
            PRAGMA journal_mode=WAL;
            PRAGMA synchronous=FULL;
            PRAGMA cache_size=-16384;
            CREATE TABLE timers (id TEXT PRIMARY KEY, next_due INTEGER) WITHOUT ROWID;
            CREATE TABLE fires (id TEXT, key TEXT, PRIMARY KEY (id, key)) WITHOUT ROWID;
            CREATE TABLE runs (id TEXT PRIMARY KEY, schedule TEXT, state TEXT) WITHOUT ROWID;
            """
        )
        self.ids = [str(uuid.uuid4()) for _ in range(SCHEDULES)]
        self.raw.executemany("INSERT INTO timers VALUES (?, ?)", [(i, NOW) for i in self.ids])
        self.fired = 0

    def fire(self, batch: int, fires: int) -> Iterator[None]:
        """Prepare, then fire one batch a step."""
        batches = []
        for _ in range(fires // batch):
            numbers = range(self.fired, self.fired + batch)
            self.fired += batch
            ids = [self.ids[number % SCHEDULES] for number in numbers]
            dues = [NOW + number // SCHEDULES * MINUTE for number in numbers]
            keys = [(i, f"r:{due}") for i, due in zip(ids, dues, strict=True)]
            batches.append(
                (
                    keys,
                    [(uuid.uuid4().hex, i, "NotStarted") for i in ids],
                    [(due + MINUTE, i) for i, due in zip(ids, dues, strict=True)],
                )
            )
        yield
        for keys, runs, moves in batches:
            with closing(self.raw.cursor()) as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                cursor.executemany("INSERT INTO fires VALUES (?, ?)", keys)
                cursor.executemany("INSERT INTO runs VALUES (?, ?, ?)", runs)
                cursor.executemany("UPDATE timers SET next_due = ? WHERE id = ?", moves)
                cursor.execute("COMMIT")
            yield

    def close(self) -> None:
        """Close the file."""
        self.raw.close()


if __name__ == "__main__":
    main()
