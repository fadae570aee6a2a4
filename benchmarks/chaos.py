"""Every due fire is started once, whatever dies: minute schedules on a clock that runs 60 times.

Meanwhile a runner is killed every 3 to 7 seconds and begun again at once, the clock is set forward
and back, and PostgreSQL is stopped as if its power was cut, and its connections are ended. A step
appends its attempt's id to a file with ``/bin/sh``. What is counted:

due         the times by the calendars, from the first to the moment the clock is stopped
missing     those of them whose run never began a step
double      attempts that began more than once, and times with more than one run
lag         real seconds from the moment the clock first showed the time to the shim's own note of
            the start; ``killed`` is about what came due within 2 s of a kill or a restart
idle        the machine's own idle share; a run on a busy machine proves nothing about lag

Three runners on PostgreSQL have a folder each, as on three machines. On SQLite one of three is
active and two stand by. Run it as ``python benchmarks/chaos.py [--quick]``; it needs a real disk.
"""

from __future__ import annotations

import argparse
import importlib
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler import settings
from reconciler.clock import MINUTE, SECOND, SystemClock, to_datetime
from reconciler.plan.spec import spec_value
from reconciler.reconcile.apply import apply_plan
from reconciler.reconcile.read import plan, read, read_project
from reconciler.runner.config import RunnerConfig
from reconciler.schedule import Recurrence, Schedule
from reconciler.trigger.compile import compile_trigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.settings import Workspace

ROOT = Path(__file__).parents[1]
SPEED = 60
FIRES = 10_500  # with each number of runners, on each store
QUICK = 600  # the same: a quarter of a minute
RATE = 40  # fires a second, one of each schedule: two processors bear that on either store
KILL = (3.0, 7.0)  # seconds between events of each kind
STEP = (6.0, 12.0)
CUT = (4.0, 9.0)
RESTART = (10.0, 20.0)
NEAR = 2 * SECOND
LATE = 2 * SECOND
BUSY = 0.1  # of idle time; below that the machine was saturated
PROJECT = """
kind: Pipeline
name: mark
steps:
  - name: only
    command:
      - /bin/sh
      - -c
      - echo "$RECONCILER_RUN_ID/$RECONCILER_STEP/$RECONCILER_ATTEMPT" >> {started}
"""
SCHEDULE = """---
kind: Schedule
name: minute-{number}
pipeline: mark
overlap: allow
max_active_runs: 1000
missed: all
catchup_window: 30d
max_catchup: 10000
trigger: {{recurrence: {{frequency: Minute, start_time: '{start}'}}}}
"""
PACK = struct.Struct("qqq")
CLOCK_TABLE = """
CREATE TABLE chaos_clock (instant bigint, since bigint, speed bigint);
INSERT INTO chaos_clock VALUES (0, 0, 0);
CREATE OR REPLACE FUNCTION reconciler_now() RETURNS bigint LANGUAGE sql VOLATILE AS
'SELECT (instant + (extract(epoch FROM clock_timestamp()) * 1000000 - since) * speed)::bigint
 FROM chaos_clock'
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From the real instant ``since`` on, the clock shows ``instant`` and what follows it."""

    instant: int
    since: int
    speed: int

    def at(self, real: int) -> int:
        """Tell what the clock shows at a real instant."""
        return self.instant + (real - self.since) * self.speed


class FileClock:
    """The clock of all runners on SQLite: three numbers in a file."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115  (as long as the process)

    def now(self) -> int:
        """Microseconds since the epoch."""
        self._file.seek(0)
        return Stretch(*PACK.unpack(self._file.read(PACK.size))).at(SystemClock().now())


class Sqlite:
    """A workspace in a file, and its clock in another."""

    name = "sqlite"
    restarts = 0
    cuts = 0

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:{folder / 'ws.db'}"
        self.clock = str(folder / "clock")
        self.show(Stretch(SystemClock().now(), SystemClock().now(), 0))
        self.open(create=True)

    def open(self, *, create: bool = False) -> Workspace:
        """Open the workspace."""
        return settings.open_workspace(self.url, create=create, clock=FileClock(self.clock))

    def show(self, stretch: Stretch) -> None:
        """Set the clock."""
        with Path(self.clock).open("r+b" if Path(self.clock).exists() else "wb") as file:
            file.write(PACK.pack(stretch.instant, stretch.since, stretch.speed))

    def events(self) -> dict[tuple[float, float], Callable[[], None]]:
        """Give what befalls the store itself, and how often."""
        return {}

    def folder(self, base: Path, _: int) -> Path:
        """Give the folder of a runner: they take turns on one machine."""
        return base

    def close(self) -> None:
        """Leave the rest to whoever owns the folder."""


class Postgres:
    """A database on a server of one's own that keeps what it has committed."""

    name = "postgres"

    def __init__(self, folder: Path) -> None:
        sys.path.insert(0, str(ROOT))
        self._tests: Any = importlib.import_module("tests.postgres")
        self._driver: Any = importlib.import_module("psycopg")
        self._server = self._tests.Server(durable=True)
        self.restarts = self.cuts = 0
        self.clock = ""
        self.url: str = self._server.url
        self._state = folder
        self.open(create=True)
        self._do(CLOCK_TABLE)

    def open(self, *, create: bool = False) -> Workspace:
        """Open the workspace."""
        return settings.open_workspace(self.url, create=create)

    def show(self, stretch: Stretch) -> None:
        """Set the clock."""
        numbers = f"{stretch.instant}, {stretch.since}, {stretch.speed}"
        self._do(f"UPDATE chaos_clock SET (instant, since, speed) = ROW ({numbers})")

    def events(self) -> dict[tuple[float, float], Callable[[], None]]:
        """Give what befalls the store itself, and how often."""
        return {CUT: self._cut, RESTART: self._restart}

    def folder(self, base: Path, number: int) -> Path:
        """Give the folder of a runner: each is on a machine of its own."""
        return base / str(number)

    def close(self) -> None:
        """Stop the server."""
        self._server.close()

    def _cut(self) -> None:
        self.cuts += 1
        self._do(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    def _restart(self) -> None:
        self.restarts += 1
        self._server.stop(at_once=True)
        self._server.start()

    def _do(self, statement: str) -> None:
        with self._driver.connect(self.url, autocommit=True) as raw:
            raw.execute(statement)


class Runner:
    """A runner in a process of its own that is begun again each time it is killed."""

    def __init__(self, store: Sqlite | Postgres, folder: Path, log: Path) -> None:
        self._order = [sys.executable, __file__, "--runner", store.url, store.clock, str(folder)]
        self._log = log
        folder.mkdir(exist_ok=True)
        self.begin()

    def begin(self) -> None:
        """Start the process."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._order, stdout=log, stderr=log, cwd=ROOT)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def tend(self) -> None:
        """Begin it again where it ended by itself, as whoever supervises it would."""
        if self.process.poll() is not None:  # it found the database down
            self.begin()

    def stop(self) -> None:
        """End it in order."""
        self.process.terminate()
        self.process.wait()


@dataclass(slots=True)
class Count:
    """What a run came to; lags are in real microseconds."""

    due: int
    missing: int
    double: int
    lags: list[int]
    killed: list[int]
    kills: int
    steps: int
    idle: float
    states: Counter[str]

    @property
    def saturated(self) -> bool:
        """Whether the machine had no time left, so that the lags say nothing."""
        return self.idle < BUSY

    @property
    def kept(self) -> bool:
        """Whether nothing was lost, repeated, or late by more than ``LATE`` after a kill."""
        in_time = self.saturated or _percentile(self.killed, 99) < LATE
        return self.missing == self.double == 0 and in_time


class Chaos:
    """One store, some runners, and what befalls them."""

    def __init__(
        self, store: Sqlite | Postgres, folder: Path, runners: int, schedules: int
    ) -> None:
        self._store, self._folder, self._number = store, folder, runners
        self._schedules = schedules
        self._chance = random.Random()
        self._started = folder / "started"
        self._started.touch()
        now = SystemClock().now()
        self._stretches = [Stretch(now, now, SPEED)]
        self._store.show(self._stretches[0])
        self._runners: list[Runner] = []
        self._troubles: list[int] = []
        self._kills = self._steps = 0

    def run(self, fires: int) -> Count:
        """Go on until so many fires were due; then stop the clock, wait for the rest and count."""
        self._apply()
        log = self._folder / "runner.log"
        self._runners = [
            Runner(self._store, self._store.folder(self._folder, number), log)
            for number in range(self._number)
        ]
        idle = _idle()
        try:
            self._trouble(fires)
            share = _share(idle, _idle())
            self._set(0, speed=0)
            self._settle()
        finally:
            for runner in self._runners:
                runner.stop()
        return self._count(share)

    def _apply(self) -> None:
        project = self._folder / "project"
        project.mkdir()
        (project / "reconciler.yml").write_text("project: chaos\ninclude: ['*.yml']\n")
        begin = to_datetime(self._stretches[0].instant).replace(microsecond=0, tzinfo=None)
        text = PROJECT.format(started=self._started) + "".join(
            SCHEDULE.format(
                number=n,
                start=(begin + timedelta(minutes=1, seconds=n * 60 // self._schedules)).isoformat(),
            )
            for n in range(self._schedules)
        )
        (project / "all.yml").write_text(text)
        source = settings.open_folder(str(project))
        registry = self._store.open().registry
        reading = read(source, read_project(source), "dev", registry)
        apply_plan(plan(reading, "ws", registry.now()), reading, registry)

    def _trouble(self, fires: int) -> None:
        """Let come what comes until so many fires were due."""
        kinds = {KILL: self._kill, STEP: self._step, **self._store.events()}
        after = {between: time.monotonic() + self._chance.uniform(*between) for between in kinds}
        end = self._stretches[0].instant + fires * MINUTE // self._schedules
        while self._stretches[-1].at(SystemClock().now()) < end:
            self._pause()
            for between, befall in kinds.items():
                if time.monotonic() >= after[between]:
                    if befall != self._step:
                        self._troubles.append(SystemClock().now())
                    befall()
                    after[between] = time.monotonic() + self._chance.uniform(*between)

    def _pause(self) -> None:
        time.sleep(0.05)
        for runner in self._runners:
            runner.tend()

    def _kill(self) -> None:
        self._kills += 1
        runner = self._chance.choice(self._runners)
        runner.kill()
        runner.begin()

    def _step(self) -> None:
        self._steps += 1
        self._set(self._chance.choice([-1, 1]) * self._chance.randrange(20, 100) * SECOND)

    def _set(self, by: int, speed: int = SPEED) -> None:
        real = SystemClock().now()
        stretch = Stretch(self._stretches[-1].at(real) + by, real, speed)
        self._store.show(stretch)
        self._stretches.append(stretch)

    def _settle(self) -> None:
        """Wait until all that was due before the clock stopped is over."""
        ledger = self._store.open().ledger
        for _ in range(2_400):
            self._pause()
            wake = ledger.next_wake()
            decided = wake is None or wake > ledger.now()
            if decided and not ledger.waiting_runs() and not ledger.running_runs():
                return
        raise SystemExit(f"not over after two minutes; see {self._folder}")

    def _count(self, idle: float) -> Count:
        workspace = self._store.open()
        ledger, end = workspace.ledger, workspace.ledger.now()
        runs = {run.id: run for run in ledger.runs(limit=10**9)}
        attempts = ledger.attempts(runs)
        begun = Counter(self._started.read_text().split())
        lags, killed, missing, due = [], [], 0, 0
        for schedule in workspace.registry.live().schedules:
            fires = {fire.due_at: fire for fire in ledger.fires(schedule.id, limit=10**9)}
            trigger = spec_value(Schedule, schedule.spec).trigger
            assert isinstance(trigger, Recurrence)
            for at in compile_trigger(trigger, schedule.created_at).between(
                schedule.created_at, max(end, self._latest())
            ):
                due += 1
                run = runs.get(str(fires[at].run_id)) if at in fires else None
                tries = attempts.get(run.id, []) if run else []
                if not any(begun[attempt.id] for attempt in tries):
                    missing += 1
                    continue
                real = self._real(at)
                lag = min(attempt.started_at or 0 for attempt in tries) - real
                lags.append(lag)
                if any(0 <= real - trouble < NEAR for trouble in self._troubles):
                    killed.append(lag)
        times = Counter((run.schedule_id, run.occurrence_key) for run in runs.values())
        double = sum(count - 1 for counts in (begun, times) for count in counts.values())
        return Count(
            due=due,
            missing=missing,
            double=double,
            lags=sorted(lags),
            killed=sorted(killed),
            kills=self._kills,
            steps=self._steps,
            idle=idle,
            states=Counter(run.state.value for run in runs.values()),
        )

    def _latest(self) -> int:
        """Give the highest instant that the clock ever showed."""
        ends = [stretch.at(following.since) for stretch, following in pairwise(self._stretches)]
        return max(ends)

    def _real(self, at: int) -> int:
        """Tell when the clock first showed an instant."""
        for stretch, following in pairwise(self._stretches):
            if at <= stretch.instant:
                return stretch.since
            if at <= stretch.at(following.since):
                return stretch.since + (at - stretch.instant) // SPEED
        raise AssertionError(f"{at} is later than the clock ever showed")


def _idle() -> tuple[int, int]:
    """Read the machine's idle and whole time."""
    times = [int(part) for part in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return times[3] + times[4], sum(times)


def _share(before: tuple[int, int], after: tuple[int, int]) -> float:
    return (after[0] - before[0]) / max(1, after[1] - before[1])


def be_runner(url: str, clock: str, folder: str) -> None:
    """Be a runner until SIGTERM."""
    workspace = settings.open_workspace(url, clock=FileClock(clock) if clock else None)
    config = RunnerConfig(patience=timedelta(minutes=20))  # 20 s: it is begun again long before
    settings.open_runner(replace(workspace, folder=folder), config).run()


def main() -> None:
    """Run every store with one and three runners, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a look of about a minute")
    parser.add_argument("--store", choices=[kind.name for kind in STORES], help="only this one")
    parser.add_argument("--runners", type=int, help="only so many")
    parser.add_argument("--fires", type=int, default=FIRES, help="with each number of runners")
    parser.add_argument("--rate", type=int, default=RATE, help="fires a second")
    parser.add_argument("--runner", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.runner:
        be_runner(*given.runner)
        return
    fires = QUICK if given.quick else given.fires
    counts = []
    print(HEAD)
    for kind in STORES:
        for runners in (1, 3) if given.runners is None else (given.runners,):
            if given.store in {None, kind.name}:
                with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
                    folder = Path(name)
                    with closing(kind(folder)) as store:
                        count = Chaos(store, folder, runners, given.rate).run(fires)
                    counts.append(count)
                    print(row(store, runners, count), flush=True)
    sys.exit(any(not count.kept for count in counts))


HEAD = (
    f"{'store':<9}{'runners':>7}{'due':>8}{'missing':>8}{'double':>7}"
    f"{'lag p50':>9}{'p99':>7}{'max':>7}{'killed p50':>11}{'p99':>7}{'max':>7}"
    f"{'kills':>6}{'steps':>6}{'cuts':>5}{'stops':>6}{'idle':>6}  runs"
)


def row(store: Sqlite | Postgres, runners: int, count: Count) -> str:
    """Write a line of the table; lags in seconds."""
    states = ", ".join(f"{number} {state}" for state, number in sorted(count.states.items()))
    busy = "; invalid: the machine was saturated" if count.saturated else ""
    return (
        f"{store.name:<9}{runners:>7}{count.due:>8}{count.missing:>8}{count.double:>7}"
        f"{_seconds(count.lags, 50):>9}{_seconds(count.lags, 99):>7}{_seconds(count.lags, 100):>7}"
        f"{_seconds(count.killed, 50):>11}{_seconds(count.killed, 99):>7}"
        f"{_seconds(count.killed, 100):>7}"
        f"{count.kills:>6}{count.steps:>6}{store.cuts:>5}{store.restarts:>6}{count.idle:>6.0%}"
        f"  {states}{busy}"
    )


def _seconds(lags: list[int], percent: int) -> str:
    return f"{_percentile(lags, percent) / SECOND:.2f}"


def _percentile(ordered: list[int], percent: int) -> int:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0


STORES = (Sqlite, Postgres)

if __name__ == "__main__":
    main()
