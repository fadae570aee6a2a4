"""A runner with 100,000 schedules of which none is due: how soon it is up, and what it costs.

The runner is a process as the command line starts it, with the server that starts its steps, after
one run. Start-up is from the start of the process until its first pass has moved a timer that was
due. The processor time is that of the whole runner over a stretch in which nothing is due, as a
share of one core, beside a bare loop that reads the earliest timer twice a second. The database's
own processes are not counted: they serve others, too.

Usage: python benchmarks/idle.py [schedules] [seconds]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from time import perf_counter
from typing import TYPE_CHECKING

import psutil
from peers.crowd import COUNT, Store, crowd, postgres, sqlite
from peers.runner import cpu, memory, run_by_hand, runner, until

from reconciler.clock import DAY, SystemClock, iso

if TYPE_CHECKING:
    from pathlib import Path

FLOOR = {
    "SQLite": "import sqlite3; connection = sqlite3.connect(PLACE)",
    "PostgreSQL": "import psycopg; connection = psycopg.connect(PLACE, autocommit=True)",
}
LOOP = """
import sys, time
PLACE = sys.argv[1]
{connect}
print("ready", flush=True)
while True:
    connection.execute("SELECT next_due FROM timers ORDER BY next_due LIMIT 1").fetchone()
    time.sleep(0.5)
"""
DUE = "SELECT count(*) FROM timers WHERE next_due = 1"


def measure(store: Store, folder: str | Path, count: int, seconds: float) -> None:
    """Print one store's line."""
    day = iso(SystemClock().now() + 2 * DAY)[:10]
    crowd(store, count, lambda n: n % 1_440, day)
    store.execute(
        "UPDATE timers SET next_due = 1 WHERE schedule_id ="
        " (SELECT id FROM schedules WHERE name = 'schedule-0')"
    )
    began = perf_counter()
    with runner(store, str(folder)) as process:
        until(lambda: store.execute(DUE) == [(0,)], lambda: time.sleep(0.02))
        up = perf_counter() - began
        run_by_hand(store, str(folder), "schedule-1")
        program = [sys.executable, "-c", LOOP.format(connect=FLOOR[store.label]), store.place]
        with subprocess.Popen(program, stdout=subprocess.PIPE) as bare:
            assert bare.stdout
            bare.stdout.readline()
            loop = psutil.Process(bare.pid)
            before, before_bare = cpu(process), cpu(loop)
            time.sleep(seconds)
            spent, least = cpu(process) - before, cpu(loop) - before_bare
            bare.kill()
        print(
            f"{store.label:<12} up after {up:4.1f} s (target: 3)   "
            f"{spent / seconds:6.2%} of a core (target: 2 %; a bare loop {least / seconds:.2%})   "
            f"{memory(process):4.0f} MiB (target: 80)",
            flush=True,
        )


def main() -> None:
    count, seconds = (
        int(text) for text in (sys.argv[1:] + [str(COUNT), "30"][len(sys.argv) - 1 :])
    )
    print(f"{count:,} schedules, none due for {seconds} s")
    with tempfile.TemporaryDirectory() as folder, postgres() as make:
        for store in (sqlite(folder), make("workspace")):
            measure(store, folder, count, seconds)


if __name__ == "__main__":
    main()
