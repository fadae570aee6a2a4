"""Durable fires per second with 100,000 schedules registered.

The runner's tick against the least that one would write by hand, and against other programs.

A fire of ours is the whole of it: claim what is due, read the schedule, work out by its calendar
what is due and when it is next, apply its policies, record the decision and a run with everything
frozen, move the timer, commit; a thousand in a transaction that outlives a power cut (SQLite:
WAL, synchronous=FULL; PostgreSQL: fsync, synchronous_commit=on).

The floor does as much as makes a fire: it claims what is due, reads the spec, inserts the decision,
inserts a run with the spec and its policy as they are, moves the timer by a day, and commits, as
often and as durably. No calendar, no policy that decides anything, no other index, no check.

The peers fire as their authors made them (see ``peers/``): all count as fired what is recorded as
such, and none has to start anything. Rounds of ours and of the floor take turns, and each ratio is
the median of the rounds' own.

Usage: python benchmarks/fire.py [schedules] [rounds]
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import psycopg
from peers import schedulers
from peers.crowd import COUNT, Store, crowd, opened, postgres, set_clock, sqlite

from reconciler.clock import DAY, MINUTE, SECOND, FixedClock, parse_instant
from reconciler.runner.book import Book
from reconciler.runner.tick import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH = 1_000
TODAY = "2026-03-02"
NOW = parse_instant(f"{TODAY}T00:00:00Z")


def ours(store: Store, count: int, rounds: int) -> Iterator[float]:
    """Fire a round's share of all schedules each time; gives fires a second."""
    crowd(store, count, lambda n: n % rounds, TODAY)
    clock = FixedClock(NOW)
    workspace = opened(store, clock)
    workspace.ledger.begin_session(host="bench", pid=1, node="bench")
    ticker = Ticker(workspace.ledger, Book())
    for number in range(rounds):
        set_clock(store, clock, NOW + number * MINUTE + SECOND)
        began = perf_counter()
        fired = ticker.tick()
        yield fired / (perf_counter() - began)
        if fired < count // rounds:
            raise RuntimeError(f"only {fired} fired")
    workspace.close()


SPEC = json.dumps(
    {
        "name": "schedule-00000",
        "pipeline": "score",
        "experiment_name": "scoring",
        "trigger": {"recurrence": {"frequency": "Day", "time_of_day": "06:30"}},
        "pipeline_parameters": {"batch_size": 512},
        "tags": {"team": "risk", "tier": "gold"},
    }
)
POLICY = json.dumps({"overlap": "skip", "missed": "last", "retries": [2, 30_000_000]})
TABLES = (
    "CREATE TABLE schedules (id TEXT PRIMARY KEY, spec TEXT, policy TEXT)",
    "CREATE TABLE timers (id TEXT PRIMARY KEY, next_due BIGINT)",
    "CREATE INDEX due ON timers (next_due)",
    """CREATE TABLE fires (schedule_id TEXT, key TEXT, due BIGINT, decided BIGINT, decision TEXT,
    reason TEXT, run_id TEXT, PRIMARY KEY (schedule_id, key))""",
    """CREATE TABLE runs (id TEXT PRIMARY KEY, schedule_id TEXT, spec TEXT, policy TEXT, due BIGINT,
    created BIGINT, state TEXT)""",
)
CLAIM = """
SELECT timers.id, next_due, spec, policy FROM timers JOIN schedules ON schedules.id = timers.id
WHERE next_due <= ? ORDER BY next_due LIMIT ?
"""
FIRE = "INSERT INTO fires VALUES (?, ?, ?, ?, 'launch', 'on time', ?) ON CONFLICT DO NOTHING"
RUN = "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, 'NotStarted')"
MOVE = "UPDATE timers SET next_due = ? WHERE id = ?"


def floor(store: Store, count: int, rounds: int) -> Iterator[float]:
    """Fire as much in a bare loop; gives fires a second."""
    if store.postgres:
        connection: Any = psycopg.connect(store.place, autocommit=True)
        mark, begin, claim = "%s", "BEGIN", f"{CLAIM} FOR UPDATE OF timers SKIP LOCKED"
    else:
        connection = sqlite3.connect(store.place, isolation_level=None)
        mark, begin, claim = "?", "BEGIN IMMEDIATE", CLAIM
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-16384"):
            connection.execute(f"PRAGMA {pragma}")
    for table in TABLES:
        connection.execute(table)
    connection.close()
    ids = [f"{n:036}" for n in range(count)]
    store.insert("schedules", ["id", "spec", "policy"], ((id_, SPEC, POLICY) for id_ in ids))
    dues = ((id_, NOW + n % rounds * MINUTE) for n, id_ in enumerate(ids))
    store.insert("timers", ["id", "next_due"], dues)
    connection = _again(store)
    if store.postgres:
        connection.execute("VACUUM ANALYZE")
    claim, fire, run, move = (text.replace("?", mark) for text in (claim, FIRE, RUN, MOVE))
    with closing(connection), closing(connection.cursor()) as cursor:
        for number in range(rounds):
            now = NOW + number * MINUTE + SECOND
            fired = 0
            began = perf_counter()
            while True:
                cursor.execute(begin)
                due = cursor.execute(claim, (now, BATCH)).fetchall()
                keys = [(id_, f"r:{at}", f"{id_}/{at}") for id_, at, _, _ in due]
                fires = [
                    (id_, key, row[1], now, run_id)
                    for (id_, key, run_id), row in zip(keys, due, strict=True)
                ]
                runs = [
                    (run_id, id_, spec, policy, at, now)
                    for (_, _, run_id), (id_, at, spec, policy) in zip(keys, due, strict=True)
                ]
                cursor.executemany(fire, fires)
                cursor.executemany(run, runs)
                cursor.executemany(move, [(at + DAY, id_) for id_, at, _, _ in due])
                cursor.execute("COMMIT")
                fired += len(due)
                if len(due) < BATCH:
                    break
            yield fired / (perf_counter() - began)


def _again(store: Store) -> Any:  # noqa: ANN401  (either driver's)
    if store.postgres:
        return psycopg.connect(store.place, autocommit=True)
    connection = sqlite3.connect(store.place, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA cache_size=-16384")
    return connection


def peers(folder: str, make: Callable[[str], Store], count: int) -> Iterator[tuple[str, float]]:
    """Measure the other programs that can be had; gives fires a second of each."""
    three = schedulers.install("peers-3", schedulers.THREE)
    four = schedulers.install("peers-4", schedulers.FOUR)
    if three is not None:
        path = str(Path(folder, "apscheduler.db"))
        rate = schedulers.rate(three, "apscheduler3.py", path, count, 1_000)
        yield "APScheduler 3.11 on SQLite", rate
    if four is not None:
        rate = schedulers.rate(four, "apscheduler4.py", make("apscheduler").url, count, 2_000)
        yield "APScheduler 4.0a6 on PostgreSQL", rate
    if three is not None:
        url = make("procrastinate").url
        rate = schedulers.rate(three, "procrastinates.py", url, count, 1_000)
        yield "Procrastinate 3.10 on PostgreSQL", rate
        path = str(Path(folder, "temporal.db"))
        rate = schedulers.rate(three, "temporals.py", path, 200, 200)
        yield "Temporal 1.32, development server, 200 registered", rate


def main() -> None:
    given = sys.argv[1:]
    count, rounds = (int(text) for text in given + [str(COUNT), "10"][len(given) :])
    print(f"{count:,} schedules, {count // rounds:,} of them due at once; fires a second")
    rates = {}
    with tempfile.TemporaryDirectory() as folder, postgres() as make:
        for mine, bare in (
            (sqlite(folder), sqlite(folder, "floor")),
            (make("workspace"), make("floor")),
        ):
            pairs = list(zip(ours(mine, count, rounds), floor(bare, count, rounds), strict=True))
            rates[mine.label], least = (statistics.median(c) for c in zip(*pairs, strict=True))
            share = statistics.median(one / other for one, other in pairs)
            print(
                f"{mine.label:<12} tick {rates[mine.label]:>9,.0f}   floor {least:>9,.0f}"
                f"   {share:.2f} of it (target: at least 0.33)",
                flush=True,
            )
        for label, rate in peers(folder, make, count):
            times = "   ".join(f"{label} {mine / rate:,.0f} x" for label, mine in rates.items())
            print(f"{label:<50} {rate:>7,.0f}   {times}", flush=True)


if __name__ == "__main__":
    main()
