"""What a poll of a million local files costs, and how soon a new file is noticed.

A poll is one look of the runner's observer into an SQLite ledger: the listing, the comparison with
the snapshot, and the transaction. It is set against the floor, ``os.scandir`` and ``stat`` of the
same folder in one process, both in turn in a process of their own, whose highest resident memory
is told. Times are seconds, the middle of several rounds. What is noticed is timed from the close
of a new file until another connection sees its fire, with a runner as the command line starts it
and a polling interval of five minutes.

Usage: python benchmarks/poll.py [folder]

The folder is only read, so nothing is changed in it; without one a million files are made below
build/, which are kept for the next time.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from peers.crowd import ROOT, STEPS, Store, sqlite
from peers.runner import runner, until

from reconciler.clock import SystemClock
from reconciler.data import Datastore, DatastoreChange
from reconciler.datastore.local import LocalDatastore
from reconciler.manifest.emit import from_data
from reconciler.pipeline import Pipeline
from reconciler.plan.spec import spec_text
from reconciler.runner.book import Book
from reconciler.runner.observe import Observer
from reconciler.schedule import Schedule, Status
from reconciler.workspace.records import Owner, Provenance, Watching
from reconciler.workspace.sql import open_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.data import Watched
    from reconciler.trigger.snapshot import Files
    from reconciler.workspace.records import Poll

FILES, CHANGES = 1_000_000, 1_000
SCHEDULES, SHARED = 1_000, 10_000
ROUNDS, NEW = 5, 10
TURNING = CHANGES // 4
# As often as can be, and what changes counts at once.
OFTEN = DatastoreChange(datastore="landing", polling_interval=0.01, settle=timedelta(0))
OWNER = Owner("bench", "prod")


def workspace(store: Store, folder: Path, trigger: DatastoreChange, *, schedules: int = 1) -> None:
    """Make a workspace whose schedules all watch one folder."""
    made = open_workspace(store.place, SystemClock(), create=True)
    with made.registry.transaction() as write:
        place = Datastore(name="landing", url=folder.resolve().as_uri())
        write.put_datastore(
            owner=OWNER,
            name="landing",
            spec=spec_text(place),
            provenance=Provenance(),
            revision=None,
        )
        spec = spec_text(from_data(Pipeline, STEPS))
        pipeline = write.publish(
            owner=None, name="score", spec=spec, digest="0", code=None, provenance=Provenance()
        )
        for number in range(schedules):
            name = f"arrival-{number}"
            write.create_schedule(
                owner=OWNER,
                name=name,
                spec=spec_text(Schedule(name=name, pipeline="score", trigger=trigger)),
                pipeline_id=pipeline.id,
                status=Status.ACTIVE,
                provenance=Provenance(file="schedules/all.yml", line=1),
                arming=Watching(watched=trigger.watched),
            )
    made.close()


# In a process of its own ------------------------------------------------------------------------


class Counted(LocalDatastore):
    """A folder that counts how often it was listed."""

    listings = 0

    def scan(self, watched: Watched) -> Iterator[Files]:
        """List it, and count that."""
        type(self).listings += 1
        return super().scan(watched)


def looks(place: str, folder: str, rounds: str, change: str) -> None:
    """Look some times, each beside the floor; answer in one line of JSON."""
    made = open_workspace(place, SystemClock(), create=False)
    made.ledger.begin_session(host="bench", pid=os.getpid())
    poked = Event()
    reader = Counted(Path(folder).as_uri())
    observer = Observer(made.ledger, Book(), lambda _: reader, poked.set)
    (watch,) = made.ledger.watches()
    done = []
    for _ in range(int(rounds)):
        if change:
            alter(folder)
        least = floor(folder)
        until(lambda: bool(made.ledger.due_watches(SystemClock().now())), lambda: time.sleep(0.05))
        before, began = made.ledger.polls(watch.id, 1), perf_counter()

        def ended(before: list[Poll] = before) -> bool:
            poked.clear()
            observer.observe(SystemClock().now())
            return made.ledger.polls(watch.id, 1) != before

        until(ended, lambda: poked.wait(0.5))
        poll = made.ledger.polls(watch.id, 1)[0]
        done.append((perf_counter() - began, least, poll.listed, poll.changed, poll.error))
    observer.close()
    made.close()
    answer = {"looks": done, "memory": highest(), "listings": Counted.listings}
    print(json.dumps(answer))


def floor(folder: str) -> float:
    began = perf_counter()
    with os.scandir(folder) as entries:
        for entry in entries:
            entry.stat()
    return perf_counter() - began


def highest() -> float:
    """Give the highest resident memory of this process so far, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def asked(*words: object) -> dict[str, Any]:
    """Ask a process of its own."""
    command = [sys.executable, __file__, "--looks", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    for _, _, _, _, error in answer["looks"]:
        if error:
            raise RuntimeError(error)
    return answer


# The folder -------------------------------------------------------------------------------------


def make(folder: Path) -> None:
    """Make the files, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    with os.scandir(folder) as entries:
        here = {entry.name for entry in entries}
    for name in map(name_of, range(FILES - TURNING)):
        if name not in here:
            (folder / name).touch()
    for _ in range(TURNING - sum(map(turns, here))):
        (folder / turning()).touch()


def name_of(number: int) -> str:
    return f"orders-{number:07}.csv"


def turning() -> str:
    """Name a file that comes and goes, somewhere between the others."""
    return f"orders-{random.randrange(FILES):07}-{uuid4().hex}.csv"


def turns(name: str) -> bool:
    return name.count("-") == 2


def alter(folder: str) -> None:
    """Make a thousand changes all over the folder: files come, as many go, others are written."""
    with os.scandir(folder) as entries:
        gone = [entry.path for entry in entries if turns(entry.name)]
    for path in gone:
        Path(path).unlink()
        Path(folder, turning()).touch()
    for number in random.sample(range(FILES - TURNING), CHANGES - 2 * TURNING):
        Path(folder, name_of(number)).write_text(uuid4().hex)


# What is measured -------------------------------------------------------------------------------


def million(folder: Path, *, own: bool) -> None:
    """Print what polls of the large folder cost."""
    with tempfile.TemporaryDirectory() as place:
        store = sqlite(place)
        workspace(store, folder, OFTEN)
        baseline = asked(store.place, folder, 1, "")
        ((seconds, least, listed, _, _),) = baseline["looks"]
        print(
            f"{'baseline':<12} {seconds:5.2f} s, {seconds / least:.2f} times the floor   "
            f"{baseline['memory']:4.0f} MiB   {listed:,} files",
            flush=True,
        )
        unchanged = asked(store.place, folder, ROUNDS, "")
        still, ratio = middle(unchanged)
        print(
            f"{'unchanged':<12} {still:5.2f} s, {ratio:.2f} times the floor (target: 1.3)   "
            f"{unchanged['memory']:4.0f} MiB (target: 200)",
            flush=True,
        )
        if not own:
            return
        asked(store.place, folder, 1, "change")  # what the folder went through before
        changed = asked(store.place, folder, ROUNDS, "change")
        seconds, ratio_of_changed = middle(changed)
        print(
            f"{changed['looks'][0][3]:,} changes   {seconds:5.2f} s, {ratio_of_changed:.2f} times "
            f"the floor: {ratio_of_changed / ratio - 1:+.1%} (target: +10 %)   "
            f"{changed['memory']:4.0f} MiB",
            flush=True,
        )


def middle(answer: dict[str, Any]) -> tuple[float, float]:
    """Give the middle of the looks' seconds, and of their ratios to the floor."""
    found = answer["looks"]
    return median(one[0] for one in found), median(one[0] / one[1] for one in found)


def shared() -> None:
    """Print what a thousand schedules on one folder cost beside a single one."""
    for schedules in (1, SCHEDULES):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place, "landing")
            folder.mkdir()
            for number in range(SHARED):
                (folder / f"{number}").touch()
            store = sqlite(place)
            workspace(store, folder, OFTEN, schedules=schedules)
            asked(store.place, folder, 1, "")
            answer = asked(store.place, folder, ROUNDS, "")
            seconds, _ = middle(answer)
            print(
                f"{schedules:>5,} schedules on {SHARED:,} files: {seconds * 1000:6.1f} ms a poll, "
                f"{answer['listings'] / ROUNDS:g} listings each (target: 1)",
                flush=True,
            )


def noticed() -> None:
    """Print how soon a new file fires."""
    for label, settle in (("settle 2s", None), ("settle 0s", timedelta(0))):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place, "landing")
            folder.mkdir()
            store = sqlite(place)
            workspace(store, folder, DatastoreChange(datastore="landing", settle=settle))
            with runner(store, place):
                until(fires_of(store, "SELECT 1 FROM polls"), lambda: time.sleep(0.1))
                time.sleep(3)  # until events are listened to
                took = [new(store, folder, number) for number in range(NEW)]
            bar = "the default, target: 3" if settle is None else "target: 1"
            print(
                f"a new file, {label}: its fire after {median(took):.2f} s, "
                f"at most {max(took):.2f} ({bar})",
                flush=True,
            )


def new(store: Store, folder: Path, number: int) -> float:
    """Write a file; give the seconds until its fire is seen."""
    (folder / f"{number}.csv").write_text("1\n")
    began = perf_counter()
    fires = f"SELECT 1 FROM fires LIMIT 1 OFFSET {number}"
    until(fires_of(store, fires), lambda: time.sleep(0.005))
    return perf_counter() - began


def fires_of(store: Store, question: str) -> Callable[[], bool]:
    return lambda: bool(store.execute(question))


def main() -> None:
    if sys.argv[1:2] == ["--looks"]:
        looks(*sys.argv[2:])
        return
    own = len(sys.argv) < 2
    folder = ROOT / "build/poll" if own else Path(sys.argv[1])
    if own:
        make(folder)
    million(folder, own=own)
    shared()
    noticed()


if __name__ == "__main__":
    main()
