"""Runners that die: each a fork of one warm process that has everything imported and nothing open.

Run as ``python -m tests.crash.nursery`` it reads orders from standard input, a line of JSON each,
and answers each with the pid of a new runner and, when that is over, with how it ended.
"""

import faulthandler
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import psutil

from reconciler import settings
from reconciler.runner.config import RunnerConfig
from reconciler.runner.secrets import Secret
from tests.crash.points import POINTS, SHIM_POINTS, DatastorePort, ExecutorPort, LedgerPort

ROOT = Path(__file__).parents[2]
LONGEST = 60  # seconds; a runner that was to die and lives so long has hung


class Nursery:
    """The warm process, as seen by a test."""

    def __init__(self):
        self._living = None
        # It would be traced for nothing: who is killed tells no coverage.
        env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def begin(self, **order):
        """Start a runner; give its pid."""
        self._process.stdin.write(json.dumps(order) + "\n")
        self._living = int(self._process.stdout.readline())
        return self._living

    def end(self):
        """Wait until the runner is over; give its exit code."""
        code = int(self._process.stdout.readline())
        self._living = None
        return code

    def close(self):
        # A test that failed meanwhile has left its runner alone.
        if self._living is not None:
            os.kill(self._living, signal.SIGKILL)
        self._process.communicate()


class ScaledClock:
    """A clock that begins at ``instant`` and runs ``speed`` times as fast as time does."""

    def __init__(self, instant, speed):
        self._instant, self._speed = instant, speed
        self._begun = time.monotonic_ns()

    def now(self):
        return self._instant + (time.monotonic_ns() - self._begun) * self._speed // 1_000


def open_runner(url, clock, tell, restless=None, secrets=()):
    """Put a runner together as the product does, with ports that tell."""
    workspace = settings.open_workspace(url, clock=clock)
    plain_executor, plain_store = settings.open_executor, settings.open_store
    settings.open_executor = lambda *given: ExecutorPort(plain_executor(*given), tell, restless)
    settings.open_store = lambda *given: DatastorePort(plain_store(*given), tell)
    workspace = replace(workspace, ledger=LedgerPort(workspace.ledger, tell))
    known = {name: Secret(file=file) for name, file in dict(secrets).items()}
    # By a clock that seldom goes on, many starts fall into one minute.
    config = RunnerConfig(secrets=known, max_starts_per_minute=10**6)
    return settings.open_runner(workspace, config)


def live(*, url, home, log, instant, speed, point=None, calls=None, freeze=False, secrets=()):
    """Be a runner until the ``point`` or so many ``calls``, whatever comes first, or SIGTERM.

    With ``freeze`` what it has started is stopped when it dies, its pids in the file ``frozen``.
    ``secrets`` are files by the name of the secret that is in each.
    """
    os.dup2(os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY), 2)
    logging.basicConfig(level=logging.INFO, format="%(process)d %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    os.environ[settings.HOME_VARIABLE] = home
    if point in SHIM_POINTS:
        os.environ["RECONCILER_KILL_AT"] = point
    restless = None
    counted = itertools.count(1)

    def tell(*said):
        if (point and POINTS[point](*said)) or (calls and next(counted) >= calls):
            if freeze:
                pids = [child.pid for child in psutil.Process().children()]
                for pid in pids:
                    os.kill(pid, signal.SIGSTOP)
                Path(home, "frozen").write_text(json.dumps(pids))
            os.kill(os.getpid(), signal.SIGKILL)

    if point or calls:
        restless, news = os.pipe()
        os.write(news, b"!")
        faulthandler.register(signal.SIGALRM, chain=True)  # where it hangs is in its log
        signal.alarm(LONGEST)
    open_runner(url, ScaledClock(instant, speed), tell, restless, secrets).run()


def main():
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                live(**json.loads(line))
            except BaseException:  # noqa: BLE001  (nothing is above this frame)
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def warm_up():
    """Import what a runner does, so that no child has to."""
    import reconciler.datastore.local
    import reconciler.datastore.objects
    import reconciler.executor.local
    import reconciler.manifest.emit
    import reconciler.runner.compose
    import reconciler.runner.daemon
    import reconciler.runner.secrets
    import reconciler.runner.workdir
    import reconciler.workspace.sql.ledger
    import reconciler.workspace.sql.open
    import reconciler.workspace.sql.registry  # noqa: F401  (to have it)


if __name__ == "__main__":
    warm_up()
    main()
