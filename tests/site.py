"""A project, a workspace and a runner of its own, all real, on a clock that a test moves."""

import contextlib
import select
import textwrap
from pathlib import Path

from reconciler.clock import FixedClock, parse_instant
from reconciler.data import Datastore
from reconciler.datastore.local import LocalDatastore
from reconciler.executor.local import LocalExecutor
from reconciler.plan.spec import spec_value
from reconciler.reconcile.apply import apply_plan, refuse
from reconciler.reconcile.read import plan, read, read_project
from reconciler.run import RunState
from reconciler.runner.admit import Limits
from reconciler.runner.compose import Composer
from reconciler.runner.daemon import Daemon
from reconciler.runner.metrics import NOBODY
from reconciler.runner.room import Amounts
from reconciler.runner.secrets import Secrets
from reconciler.runner.workdir import Workdirs
from reconciler.settings import open_source, open_store
from reconciler.workspace.sql import open_workspace
from tests.crash.points import ExecutorPort, LedgerPort

START = "2026-03-02T12:00:00Z"
HELLO = """
kind: Pipeline
name: hello
steps:
  - {name: say, command: [echo, hello]}
"""


def minutely(name="every-minute", pipeline="hello", **fields):
    extra = "".join(f"{key}: {value}\n" for key, value in fields.items())
    return f"""
kind: Schedule
name: {name}
pipeline: {pipeline}
trigger: {{recurrence: {{frequency: Minute, interval: 1, first_run: aligned}}}}
{extra}"""


class Site:
    metrics = NOBODY
    # Ids of guards that an apply is to pass over.
    allowed = frozenset()

    def __init__(
        self,
        folder,
        *,
        secrets=None,
        max_steps=8,
        capacity=None,
        max_starts=300,
        node="here",
        workspaces=None,
    ):
        self.folder = Path(folder)
        self.project = self.folder / "project"
        self.project.mkdir()
        (self.project / "reconciler.yml").write_text("project: test\ninclude: ['*.yml']\n")
        # Where workspaces come from (see tests.workspace.make), else a file of its own.
        self.workspaces = workspaces
        self.clock = workspaces.clock if workspaces else FixedClock(parse_instant(START))
        self.clock.instant = parse_instant(START)
        self.secrets = Secrets(secrets or {})
        self.limits = Limits(
            capacity=capacity or Amounts(max_steps, 4_000, 4 << 30, 0), max_starts=max_starts
        )
        self.node = node
        self.workspace = (
            workspaces.open()
            if workspaces
            else open_workspace(str(self.folder / "ws.db"), self.clock, create=True)
        )
        self.registry, self.ledger = self.workspace.registry, self.workspace.ledger
        self.ledger.begin_session(host="here", pid=1, node=self.node)
        self.restart()

    def restart(self, tell=None):
        """Begin again with nothing in memory, as a new process does.

        ``tell`` is told of all that is done through its ports; see ``tests.crash.points``.
        """
        if hasattr(self, "executor"):
            self.daemon.close()
            self.executor.close()
        self.executor = LocalExecutor(str(self.folder / "attempts"))
        workdirs = Workdirs(str(self.folder), self.registry.code)
        composer = Composer(workdirs, self.secrets, self.ledger, open_store)
        self.daemon = Daemon(
            ledger=LedgerPort(self.ledger, tell) if tell else self.ledger,
            executor=ExecutorPort(self.executor, tell) if tell else self.executor,
            composer=composer,
            datastore=self.datastore,
            limits=self.limits,
            drain=0,
            node=self.node,
            metrics=self.metrics,
        )

    def close(self):
        running = [run for run in self.runs() if not run.state.over]
        for tries in self.ledger.attempts([run.id for run in running]).values():
            self.executor.cancel([attempt.id for attempt in tries if not attempt.over])
        self.daemon.close()
        self.executor.close()
        self.workspace.close()

    def datastore(self, name):
        return LocalDatastore(spec_value(Datastore, self.ledger.datastores()[name].spec).url)

    def write(self, **files):
        for name, text in files.items():
            (self.project / f"{name}.yml").write_text(textwrap.dedent(text))

    def remove(self, name):
        (self.project / f"{name}.yml").unlink()

    def apply(self, **files):
        self.write(**files)
        source = open_source(str(self.project))
        reading = read(source, read_project(source), "dev", self.registry)
        made = plan(reading, "ws", self.clock.now())
        refuse(made, self.allowed)
        apply_plan(made, reading, self.registry)
        return made

    def forward(self, seconds):
        self.clock.instant += int(seconds * 1_000_000)

    def step(self):
        return self.daemon.step()

    def finish(self):
        """Pass until every run is over, waiting for programs to end and never for the clock."""
        for _ in range(1_000):
            self.step()
            runs = self.runs()
            if all(run.state.over for run in runs):
                return runs
            if any(run.state is RunState.RUNNING for run in runs):
                select.select([self.executor.wakeup()], [], [], 0.2)
                self.executor.drain_wakeups()
        raise AssertionError(f"not over after 1,000 passes: {self.runs()}")

    def schedule(self, name):
        (found,) = [s for s in self.registry.live().schedules if s.name == name]
        return found

    def runs(self, name=None):
        schedule_id = None if name is None else self.schedule(name).id
        return self.ledger.runs(schedule_id=schedule_id, limit=10_000)

    def fires(self, name):
        return self.ledger.fires(self.schedule(name).id, limit=10_000)

    def log(self, run, step, attempt=1):
        return Path(self.executor.log_path(f"{run.id}/{step}/{attempt}")).read_text()

    def poll(self):
        """Pass until the listings that are due now are committed."""
        for _ in range(1_000):
            self.step()
            if not self.ledger.due_watches(self.clock.now()):
                break
            self.daemon.wait(1.0)
        self.step()


@contextlib.contextmanager
def site(folder, **settings):
    made = Site(folder, **settings)
    try:
        yield made
    finally:
        made.close()
