"""What a plan costs: one change among very many schedules, and everything read anew.

Run: ``.venv/bin/python benchmarks/plan.py [SCHEDULES]``; 100,000 by default, a tenth of which is
planned in full beside the peers. All is made in a temporary folder. Times are medians of rounds in
which all programs take turns, so that a busy machine slows all alike; the peers take their turn
with the full plan.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from peers import others
from peers.site import ENVIRONMENT, Site

from reconciler.clock import SystemClock
from reconciler.reconcile import read
from reconciler.settings import open_source
from reconciler.workspace.sql import open_reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).resolve().parent
ROUNDS = 7
FULL_ROUNDS = 3
CHANGED = 1_000  # a number of the changed schedule that no other has


class Cost(NamedTuple):
    """What a program took: seconds on the wall and of processors, and MiB at its highest."""

    wall: float
    cpu: float
    mib: float


def cost(program: Sequence[object], more: Mapping[str, str] | None = None) -> Cost:
    """Run a program and all it starts."""
    environment = ENVIRONMENT | dict(more or {})
    began = perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            list(map(str, program)), stdout=said, stderr=said, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        took = perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(said.read().decode()[-2_000:])
    return Cost(took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def middle(costs: Sequence[Cost]) -> Cost:
    """Give the median of each."""
    return Cost(*(statistics.median(part) for part in zip(*costs, strict=True)))


def floor(site: Site) -> list[object]:
    """Give the command of the least that any plan must do."""
    return [sys.executable, HERE / "peers" / "floor.py", site.path, site.database]


def in_turns(site: Site) -> dict[str, Cost]:
    """Measure plans of one change, committed and not, beside the floor."""
    site.edit(CHANGED)
    site.commit()
    took: dict[str, list[Cost]] = defaultdict(list)
    for _ in range(ROUNDS):
        site.refresh()
        took["floor"].append(cost(floor(site)))
        took["committed"].append(cost(site.command("plan")))
        site.edit(CHANGED + 1)
        took["dirty"].append(cost(site.command("plan")))
        site.edit(CHANGED)
    site.refresh()
    return {name: middle(costs) for name, costs in took.items()}


class Counts(NamedTuple):
    """The work of one plan: files read, documents parsed, Git's processes, SQL statements."""

    files: int
    documents: int
    processes: int
    statements: int


def counts(site: Site) -> Counts:
    """Count the work of a plan of one change."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "git.json")
        cost(site.command("plan"), {"GIT_TRACE2_EVENT": str(trace)})
        processes = trace.read_text().count('"event":"start"')
    statements: list[str] = []
    source = open_source(str(site.path))
    project = read.read_project(source)
    reader = open_reader(str(site.database), SystemClock(), statements.append)
    reading = read.read(source, project, "dev", reader, full=False)
    if reading.part is None:
        raise SystemExit("the short cut was not taken")
    files = {one.file for one in reading.desired.schedules.values()}
    return Counts(len(files), len(reading.desired.schedules), processes, len(statements))


def row(label: str, *cells: object) -> None:
    """Print a row of a table."""
    print(f"  {label:<46}" + "".join(f"{cell:>14}" for cell in cells))


def incremental(site: Site, title: str) -> None:
    """Print what a plan of one change costs, in seconds and in work."""
    took = in_turns(site)
    least = took["floor"]
    print(f"\n{title}, one of them changed")
    row("", "seconds", "processor s", "MiB", "of the floor", "processor")
    for label, one in took.items():
        cells = f"{one.wall:.2f}", f"{one.cpu:.2f}", f"{one.mib:.0f}"
        ratios = one.wall / least.wall, one.cpu / least.cpu
        row(label, *cells, *(f"{ratio:.2f} x" for ratio in ratios))
    for label, number in counts(site)._asdict().items():
        row(f"{label} in a plan", number)


def against_peers(site: Site, folder: Path) -> Cost:
    """Print what a full plan costs an object, beside others; gives our cost."""
    schema = HERE.parent / "schemas" / "schedule.schema.json"
    naive = [sys.executable, HERE / "peers" / "naive.py", site.path, site.database, schema]
    programs: dict[str, tuple[Sequence[object], int]] = {
        "plan --full": (site.command("plan", "--full"), site.count),
        "CSafeLoader, jsonschema, SQLAlchemy, DeepDiff": (naive, site.count),
    }
    jobs = max(site.count // 10, 1)  # it asks for each job by itself
    path = others.install()
    if path is not None:
        programs["octodns-sync"] = (others.octodns(path, folder / "zones", site.count), site.count)
        programs["dbt-jobs-as-code plan"] = (others.dbt(path, folder / "jobs", jobs), jobs)
    took: dict[str, list[Cost]] = defaultdict(list)
    with others.dbt_cloud(jobs) as environment:
        for _ in range(FULL_ROUNDS):
            for label, (program, _) in programs.items():
                took[label].append(cost(program, environment))
    ours = middle(took["plan --full"])
    print(f"\n{site.count:,} schedules, all of them read")
    row("", "objects", "ms an object", "processor ms", "MiB", "of ours", "processor")
    for label, (_, count) in programs.items():
        one = middle(took[label])
        wall, cpu = one.wall / count, one.cpu / count
        times = (wall / (ours.wall / site.count), cpu / (ours.cpu / site.count))
        cells = (f"{wall * 1_000:.3f}", f"{cpu * 1_000:.3f}", f"{one.mib:.0f}")
        row(label, f"{count:,}", *cells, *(f"{ratio:.1f} x" for ratio in times))
    if path is None:
        print("  octoDNS and dbt-jobs-as-code could not be installed, so they are not measured")
    return ours


def main() -> None:
    """Measure everything, the small project first."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        small = Site(Path(folder, "small"), count // 10)
        small.begin()
        small.write(many=False)
        small.apply()
        small.edit(CHANGED)
        small.commit()
        tenth = against_peers(small, Path(folder))

        large = Site(Path(folder, "large"), count)
        large.begin()
        large.write(many=False)
        large.apply()
        incremental(large, f"{count:,} schedules, a file each")
        whole = cost(large.command("plan", "--full"))
        print(
            f"\nFull plans: ten times the objects take {whole.wall / tenth.wall:.1f} times as long"
        )
        large.write(many=True)
        large.apply()
        incremental(large, f"{count:,} schedules, 100 in a file")


if __name__ == "__main__":
    main()
