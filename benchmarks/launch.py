"""Launching steps: the local executor against a hand-written floor and against starting Python.

All three run in turn, several rounds over, and each ratio is the median of the rounds' ratios, so
that a busy machine slows both sides of it. The floor forks from a bare interpreter and does, in
the same folders, only what durability asks for: an O_EXCL token synced with its folder,
``/bin/true`` spawned and waited for, an exit file synced, renamed and its folder synced.

Usage: python benchmarks/launch.py [launches] [rounds]
"""

from __future__ import annotations

import os
import select
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from reconciler.executor.base import Exited, Launch
from reconciler.executor.local import LocalExecutor

TRUE = "/bin/true" if Path("/bin/true").exists() else "/usr/bin/true"
FLOOR = """
import gc, os, sys

def place(number):
    return f"run{number // steps}/step{number % steps}/1"

def sync_folder(path):
    folder = os.open(path, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)

def launch(path, program):
    os.makedirs(path)
    token = os.open(path + "/token", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.write(token, b"%d" % os.getpid())
    os.fsync(token)
    sync_folder(path)
    child = os.posix_spawn(program, [program], {})
    status = os.waitpid(child, 0)[1]
    end = os.open(path + "/exit.new", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.write(end, b"%d" % status)
    os.fsync(end)
    os.rename(path + "/exit.new", path + "/exit")
    sync_folder(path)

root, program, count, steps = *sys.argv[1:3], *map(int, sys.argv[3:])
gc.freeze()
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    if os.fork() == 0:
        try:
            launch(f"{root}/{place(number)}", program)
        finally:
            os._exit(0)
for _ in range(count):
    os.wait()
assert all(os.path.exists(f"{root}/{place(number)}/exit") for number in range(count))
print("done")
"""


def ours(root: str, count: int) -> float:
    """Seconds from submitting to the last exit file, with a server already warm."""
    executor = LocalExecutor(root)
    *launches, warm = [
        Launch(id=f"run{n // 10}/step{n % 10}/1", argv=(TRUE,), env={}, cwd="/")
        for n in range(count + 1)
    ]
    executor.submit([warm])
    wait(executor, 1)
    start = perf_counter()
    executor.submit(launches)
    wait(executor, count)
    taken = perf_counter() - start
    ends = executor.look(launch.id for launch in launches).values()
    assert all(isinstance(end, Exited) and end.exit_code == 0 for end in ends), ends
    executor.close()
    return taken


def wait(executor: LocalExecutor, count: int) -> None:
    """Wait for as many wake-ups, one for each exit file that is there."""
    while count > 0:
        select.select([executor.wakeup()], [], [])
        count -= len(os.read(executor.wakeup(), count))


def floor(root: str, count: int, steps: int = 10) -> float:
    """Seconds the bare loop takes for runs of ``steps``, without its interpreter's start."""
    Path(root).mkdir()
    argv = [sys.executable, "-I", "-c", FLOOR, root, TRUE, str(count), str(steps)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        start = perf_counter()
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.read() == b"done\n"
        return perf_counter() - start


def python(count: int) -> float:
    """Seconds for starting Python that often, as many at once as there are processors."""
    start = perf_counter()
    running: list[subprocess.Popen[bytes]] = []
    for _ in range(count):
        if len(running) == os.cpu_count():
            running.pop(0).wait()
        running.append(subprocess.Popen([sys.executable, "-c", "pass"]))
    for process in running:
        process.wait()
    return perf_counter() - start


def main() -> None:
    count, rounds = (int(text) for text in (sys.argv[1:] + ["1000", "5"][len(sys.argv) - 1 :]))
    results = []
    with tempfile.TemporaryDirectory() as folder:  # cleared at the end, so as to slow no round
        for n in range(rounds):
            times = ours(f"{folder}/ours{n}", count), floor(f"{folder}/floor{n}", count)
            results.append((*times, python(count // 5) * 5))
            print("  ".join(f"{count / seconds:6.0f}/s" for seconds in results[-1]), flush=True)
    rates = [
        statistics.median(count / seconds for seconds in column)
        for column in zip(*results, strict=True)
    ]
    print(f"a second: executor {rates[0]:.0f}, floor {rates[1]:.0f}, python -c pass {rates[2]:.0f}")
    to_floor = statistics.median(mine / bare for mine, bare, _ in results)
    to_python = statistics.median(start / mine for mine, _, start in results)
    print(f"time against the floor: {to_floor:.2f} times (target: at most 1.3)")
    print(f"rate against python -c pass: {to_python:.1f} times (target: at least 3)")


if __name__ == "__main__":
    main()
