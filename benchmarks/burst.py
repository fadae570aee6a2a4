"""A thousand of 100,000 schedules due at the same instant, each with a step that runs /bin/true.

The runner is a process as the command line starts it. A fire counts as decided when another
connection sees it, and a program as launched when its start token is on the disk; both are told
from the nominal time on. What launching takes is set against the floor of ``launch.py``, which
starts as many programs with the same durability and does nothing else.

Usage: python benchmarks/burst.py [schedules] [due]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from launch import floor
from peers.crowd import COUNT, Store, crowd, postgres, sqlite
from peers.runner import runner, until

from reconciler.clock import MINUTE, SECOND, SystemClock, iso, parse_instant

AHEAD = 25 * SECOND  # for making the workspace and for the runner to come up


def measure(store: Store, folder: str, count: int, due: int) -> None:
    """Print one store's line."""
    clock = SystemClock()
    today = iso(clock.now())[:10]
    midnight = parse_instant(f"{today}T00:00:00Z")
    minute = (clock.now() + AHEAD - midnight) // MINUTE + 1
    at = midnight + minute * MINUTE
    crowd(store, count, lambda n: minute if n < due else minute + 60 + n % 600, today)
    seen: list[tuple[int, int]] = []

    def look() -> None:
        ((decided,),) = store.execute("SELECT count(*) FROM fires")
        seen.append((clock.now(), decided))
        time.sleep(0.005)

    def over() -> bool:
        running = "SELECT count(*) FROM runs WHERE state = 'Finished'"
        return store.execute(running) == [(due,)]

    with runner(store, folder, max_steps=1_000):
        if clock.now() > at - 5 * SECOND:
            raise RuntimeError("making the workspace took too long")
        time.sleep((at - clock.now()) / SECOND)
        until(lambda: bool(seen) and seen[-1][1] == due, look)
        until(over, lambda: time.sleep(0.5))
    decided = next(now - at for now, many in seen if many >= 0.99 * due) / SECOND
    starts, ends = (
        sorted(path.stat().st_mtime - at / SECOND for path in Path(folder).rglob(name))
        for name in ("token", "exit.json")
    )
    least = floor(f"{folder}/floor", due, 1)
    print(
        f"{store.label:<12} decided p99 {decided:5.2f} s (target: 0.2)   launched p50"
        f" {starts[len(starts) // 2]:5.2f}, p99 {starts[int(0.99 * len(starts))]:5.2f}, all over"
        f" {ends[-1]:5.2f} s: {ends[-1] / least:.2f} times the floor's {least:.2f} (target: 1.3)",
        flush=True,
    )


def main() -> None:
    given = sys.argv[1:]
    count, due = (int(text) for text in given + [str(COUNT), "1000"][len(given) :])
    print(f"{due:,} of {count:,} schedules due at once")
    with postgres() as make:
        for store in (None, make("workspace")):
            with tempfile.TemporaryDirectory() as folder:
                measure(store or sqlite(folder), folder, count, due)


if __name__ == "__main__":
    main()
