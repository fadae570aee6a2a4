"""A runner in a process of its own, as the command line starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import psutil

from peers.crowd import ROOT, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 120


@contextmanager
def runner(store: Store, folder: str, *, max_steps: int = 16) -> Iterator[psutil.Process]:
    """Start a runner on the workspace; what it keeps beside a database lies in ``folder``."""
    config = Path(folder, "runner.yml")
    config.write_text(f"max_steps: {max_steps}\n")
    with Path(folder, "runner.log").open("wb") as log:
        process = subprocess.Popen(
            [*command("runner", "start"), "--workspace", store.url, "--config", config],
            env=os.environ | {"RECONCILER_HOME": folder},
            stdout=log,
            stderr=log,
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def command(*words: str) -> list[str]:
    """Give the command line of this program."""
    return [sys.executable, "-P", "-m", "reconciler", *words]


def run_by_hand(store: Store, folder: str, schedule: str) -> None:
    """Run a schedule's pipeline once, and wait for its end."""
    subprocess.run(
        [*command("run", schedule, "--wait"), "--workspace", store.url],
        env=os.environ | {"RECONCILER_HOME": folder},
        cwd=ROOT,
        capture_output=True,
        check=True,
    )


def until(condition: Callable[[], bool], step: Callable[[], object]) -> None:
    """Take steps until the condition holds.

    Raises:
        RuntimeError: it does not within two minutes.
    """
    end = perf_counter() + PATIENCE
    while not condition():
        if perf_counter() > end:
            raise RuntimeError("what was waited for did not come about")
        step()


def whole(process: psutil.Process) -> list[psutil.Process]:
    """Give the process and all that it has started."""
    return [process, *process.children(recursive=True)]


def cpu(process: psutil.Process) -> float:
    """Processor seconds of the whole runner so far."""
    times = (one.cpu_times() for one in whole(process))
    return sum(time.user + time.system for time in times)


def memory(process: psutil.Process) -> float:
    """MiB that the whole runner takes, what its processes share counted once."""
    return sum(one.memory_full_info().pss for one in whole(process)) / 2**20
