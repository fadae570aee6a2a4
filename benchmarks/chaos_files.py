"""Every change of a file fires once, whatever dies: whole runners over a folder that changes.

A runner is the command line's own, begun anew each time it is killed with SIGKILL: half the time at
a random moment of its life, else by the wrapper that it runs in, right after one of the calls after
which most is at stake (``tests/crash/points.py``). Before each life something happens to the files
of three watched places, seven schedules look at them, and an eighth joins later
(``tests/crash/story.py``). What was done is noted apart from the log. What is counted:

changes     lines of the change logs
missing     occurrences without a decision, and decisions whose run never began its step
double      occurrences with two decisions, and attempts that began more than once
wrong       logs or snapshots that are not what was done to the files

Run it as ``python benchmarks/chaos_files.py [--quick]``; it needs a real disk.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reconciler.clock import SystemClock
from reconciler.settings import HOME_VARIABLE

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
KILLS, QUICK = 1_000, 40
BEGUN = 0.35  # seconds until a runner does anything
LONGEST = 0.9  # seconds that it lives after that, at most
PATIENCE = 120  # seconds; a runner that is to die and lives so long has hung
POINTS = (
    *("POLL_LISTED", "FILES_LOOKED_AT", "POLL_COMMITTING", "POLL_COMMITTED"),
    *("FIRE_COMMITTED", "RUN_CLAIMED", "ATTEMPT_RECORDED", "LAUNCHED_NOT_RECORDED"),
)
POINT_VARIABLE = "CHAOS_POINT"


@dataclass(frozen=True, slots=True)
class Count:
    """What a run came to."""

    kills: int
    named: int
    changes: int
    missing: int
    double: int
    wrong: int
    runs: int
    seconds: float

    @property
    def kept(self) -> bool:
        """Whether nothing was lost or repeated."""
        return self.missing == self.double == self.wrong == 0


class Chaos:
    """One workspace and what befalls its runners."""

    def __init__(self, folder: Path, store: Any) -> None:  # noqa: ANN401  (of the tests)
        self._world_room: Any = importlib.import_module("tests.crash.world")
        self._story: Any = importlib.import_module("tests.crash.story")
        self._files: Any = importlib.import_module("tests.crash.files")
        self._chance = random.Random()
        self._world = self._world_room.World(folder, store, None)
        self._world.rules = dict(self._story.RULES)
        self._places = {
            name: self._story.Place(
                self._world.landing / name, self._chance, marked=name == "marked", **kind
            )
            for name, kind in self._story.PLACES.items()
        }
        self._config = folder / "runner.yml"
        self._config.write_text("max_starts_per_minute: 1000000\n")
        self._kills = self._named = self._wrong = 0
        self._world.apply(*self._story.SCHEDULES)
        store.turn(SystemClock().now(), 1)

    def run(self, kills: int) -> Count:
        """Kill so many runners, see everything to its end, and count."""
        began = time.monotonic()
        flat = self._places["flat"]
        with self._world.opened() as workspace:
            self._ledger, self._registry = workspace.ledger, workspace.registry
            self._quiet()
            joins, bursts = kills // 2, {kills // 4, 3 * kills // 4}
            for number in range(kills):
                if number in bursts:
                    flat.burst()
                if number == joins:
                    self._join()
                place = self._chance.choice([flat, *self._places.values()])
                for _ in range(self._chance.choice([0, 1, 1, 2])):
                    place.disturb()
                if place.journal.marked:
                    place.mark()
                self._life()
                if number % 20 == 19:
                    self._quiet()
            self._places["marked"].mark_all()
            self._quiet()
            return self._count(time.monotonic() - began)

    def _begin(self, point: str = "") -> subprocess.Popen[bytes]:
        command = [sys.executable, __file__, "--runner"] if point else [sys.executable, "-m"]
        command += [] if point else ["reconciler"]
        command += ["runner", "start", "--workspace", self._world.store.url]
        env = {**os.environ, HOME_VARIABLE: str(self._world.folder), POINT_VARIABLE: point}
        with self._world.log.open("ab") as log:
            return subprocess.Popen(
                [*command, "--config", str(self._config)],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _life(self) -> None:
        """Let a runner live until it is killed; something may happen meanwhile."""
        point = self._chance.choice(POINTS) if self._chance.random() < 0.5 else ""
        runner = self._begin(point)
        if self._chance.random() < 0.2:
            time.sleep(BEGUN)
            self._chance.choice(list(self._places.values())).disturb_at_once()
        with suppress(subprocess.TimeoutExpired):
            runner.wait(BEGUN + self._chance.uniform(0, LONGEST) + (LONGEST if point else 0))
            if runner.returncode != -signal.SIGKILL:
                raise SystemExit(self._world.log.read_text()[-2_000:])
            self._named += 1
        runner.kill()
        runner.wait()
        self._kills += 1

    def _watches(self) -> list[tuple[Any, Any]]:
        return [(self._places[watch.watched.path], watch) for watch in self._ledger.watches()]

    def _quiet(self) -> None:
        """Let a runner do all there is to do, and hold the logs against what was done."""
        before = {watch.id: watch.poll_seq for _, watch in self._watches()}
        runner = self._begin()
        try:
            self._until(lambda: self._over(before))
        finally:
            runner.kill()
            runner.wait()
        for place, watch in self._watches():
            try:
                place.journal.hold(self._ledger, watch)
            except AssertionError as error:
                self._wrong += 1
                print(f"wrong: {watch.watched.path}: {error!r}")

    def _over(self, before: dict[int, int]) -> bool:
        watches = self._watches()
        for place, watch in watches:
            polls = self._ledger.polls(watch.id, 1)
            if watch.poll_seq == before[watch.id] or not polls or polls[0].error:
                return False
            if polls[0].waiting and not place.journal.marked:
                return False
        ends = {watch.id: watch.change_seq for _, watch in watches}
        arrivals = [self._ledger.arrival(one.id) for one in self._registry.live().schedules]
        return not (
            any(arrival.cursor < ends[arrival.watch_id] for arrival in arrivals)
            or self._ledger.waiting_runs()
            or self._ledger.running_runs()
        )

    def _join(self) -> None:
        """Have a schedule begin to watch that asks for what is there."""
        (watch,) = [watch for place, watch in self._watches() if place is self._places["flat"]]
        self._world.apply(*self._story.SCHEDULES, self._story.LATE)
        (late,) = [one for one in self._registry.live().schedules if one.name == "late"]
        while not (existing := self._ledger.arrival(late.id).existing):
            self._life()
        self._world.rules["late"] = self._story.late(watch.change_seq, existing)

    @staticmethod
    def _until(over: Any) -> None:  # noqa: ANN401  (a condition)
        end = time.monotonic() + PATIENCE
        while not over():
            if time.monotonic() > end:
                raise SystemExit(f"not over after {PATIENCE} seconds")
            time.sleep(0.05)

    def _count(self, seconds: float) -> Count:
        missing = double = 0
        runs = {run.id: run for run in self._ledger.runs(limit=10**9)}
        begun = self._world.starts()
        for schedule in self._registry.live().schedules:
            watch = self._ledger.watch_of(schedule.id)
            lines = self._files.logged(self._ledger, watch)
            rule = self._world.rules[schedule.name]
            due = Counter(rule.occurrences(watch.id, lines).keys())
            fires = self._ledger.fires(schedule.id, limit=10**9)
            decided = Counter(fire.occurrence_key for fire in fires)
            missing += (due - decided).total()
            double += (decided - due).total()
            missing += sum(not begun[f"{fire.run_id}/only/1"] for fire in fires)
        double += sum(times - 1 for times in begun.values())
        changes = sum(place.journal.lines for place in self._places.values())
        return Count(
            self._kills, self._named, changes, missing, double, self._wrong, len(runs), seconds
        )


def be_runner(arguments: list[str]) -> None:
    """Be the command line, and die at the point that was named."""
    from reconciler import settings

    points: Any = importlib.import_module("tests.crash.points")
    reached = points.POINTS[os.environ[POINT_VARIABLE]]

    def tell(*said: object) -> None:
        if reached(*said):
            os.kill(os.getpid(), signal.SIGKILL)

    plain: Any = settings.open_runner
    executor: Any = settings.open_executor
    store: Any = settings.open_store

    def open_runner(workspace: Any, *given: Any, **named: Any) -> Any:  # noqa: ANN401  (as it is)
        told = replace(workspace, ledger=points.LedgerPort(workspace.ledger, tell))
        return plain(told, *given, **named)

    patched: Any = settings
    patched.open_runner = open_runner
    patched.open_executor = lambda *given: points.ExecutorPort(executor(*given), tell)
    patched.open_store = lambda *given: points.DatastorePort(store(*given), tell)
    from reconciler.cli import main as command_line

    sys.argv = ["reconciler", *arguments]
    command_line()


def main() -> None:
    """Run it, and print the table."""
    if sys.argv[1:2] == ["--runner"]:
        be_runner(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a look of about a minute")
    parser.add_argument("--kills", type=int, default=KILLS)
    given = parser.parse_args()
    kills = QUICK if given.quick else given.kills
    print(HEAD)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        world: Any = importlib.import_module("tests.crash.world")
        count = Chaos(Path(name), world.Sqlite(Path(name), None)).run(kills)
    print(
        f"{'sqlite':<9}{count.kills:>6}{count.named:>7}{count.changes:>9}{count.missing:>9}"
        f"{count.double:>8}{count.wrong:>7}{count.runs:>7}{count.seconds:>9.0f}"
    )
    sys.exit(not count.kept)


HEAD = (
    f"{'store':<9}{'kills':>6}{'named':>7}{'changes':>9}{'missing':>9}"
    f"{'double':>8}{'wrong':>7}{'runs':>7}{'seconds':>9}"
)

if __name__ == "__main__":
    main()
