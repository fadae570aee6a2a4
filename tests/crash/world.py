"""A project that fires by clock and by data, on one store, and what must hold of it in the end."""

import json
import os
import signal
from collections import Counter
from contextlib import closing, contextmanager
from datetime import timedelta

import psycopg

from reconciler.clock import FixedClock, SystemClock, parse_instant, to_datetime
from reconciler.data import DatastoreChange
from reconciler.plan.spec import spec_value
from reconciler.reconcile.apply import apply_plan
from reconciler.reconcile.read import plan, read, read_project
from reconciler.run import AttemptState, Decision, RunState
from reconciler.schedule import Schedule
from reconciler.settings import open_folder
from reconciler.trigger.compile import compile_trigger
from reconciler.workspace.sql import open_workspace
from tests.crash.files import Rule, known, listing, logged, path_of, replayed
from tests.processes import until

SECOND = 1_000_000
SAID = 'echo "$RECONCILER_RUN_ID/$RECONCILER_STEP/$RECONCILER_ATTEMPT" >> {started}'
PIPELINES = """
kind: Pipeline
name: once
parameters: {{file: {{type: datapath, default: landing/none}}}}
steps: [{{name: only, command: [sh, -c, '{said}; {rest}']}}]
---
kind: Pipeline
name: twice
steps:
  - name: first
    command: [sh, -c, '{said}; test $RECONCILER_ATTEMPT = 2']
    retries: {{max: 1, backoff: 0s}}
  - {{name: second, depends_on: [first], command: [sh, -c, '{said}']}}
"""
LANDING = "kind: Datastore\nname: landing\nurl: file:landing\n"
CLOCK = """
kind: Schedule
name: {name}
pipeline: {pipeline}
missed: all
catchup_window: 30d
max_catchup: 10000
trigger: {{recurrence: {{frequency: Minute, start_time: '{start}'}}}}
{fields}"""
DATA = """
kind: Schedule
name: arrivals
pipeline: once
trigger:
  datastore_change:
    {{datastore: landing, polling_interval: 0.01, settle: 0s, data_path_parameter_name: file}}
{fields}"""
FILES = """
kind: Schedule
name: {name}
pipeline: once
trigger:
  datastore_change:
    {{datastore: landing, path_on_datastore: '{path}', polling_interval: {minutes},
      data_path_parameter_name: file, {trigger}}}
{fields}"""
# Keeps the list of files that a program was given.
KEPT = (
    'case "$RECONCILER_PARAM_file" in'
    ' */files.jsonl) cat "$RECONCILER_PARAM_file" > {lists}/$RECONCILER_RUN_ID;; esac'
)


class Sqlite:
    """A workspace on SQLite, whose clock is that of each process."""

    name, runners = "sqlite", 1

    def __init__(self, folder, _databases):
        self.url = f"sqlite:{folder}/ws.db"
        self._path = str(folder / "ws.db")

    def open(self, instant):
        return open_workspace(self._path, FixedClock(instant), create=True)

    def turn(self, instant, speed):
        """Have all clocks that belong to the store show ``instant`` and go on from there."""


class Postgres:
    """A workspace on PostgreSQL, whose clock is a row."""

    name, runners = "postgres", 2

    def __init__(self, _folder, databases):
        self.url = databases().workspace()
        self._do(
            "CREATE TABLE crash_clock AS SELECT 0::bigint AS instant, 0 AS since, 0 AS speed;"
            " CREATE OR REPLACE FUNCTION reconciler_now() RETURNS bigint LANGUAGE sql VOLATILE AS"
            " 'SELECT (instant + (extract(epoch FROM clock_timestamp()) - since) * 1000000 * speed)"
            "::bigint FROM crash_clock'"
        )

    def open(self, instant):
        return open_workspace(self.url, FixedClock(instant), create=False)

    def turn(self, instant, speed):
        """Have all clocks that belong to the store show ``instant`` and go on from there."""
        self._do(
            f"UPDATE crash_clock SET instant = {instant}, speed = {speed},"
            " since = extract(epoch FROM clock_timestamp())"
        )

    def _do(self, statement):
        with psycopg.connect(self.url, autocommit=True) as raw:
            raw.execute(statement)


STORES = {store.name: store for store in (Sqlite, Postgres)}


class World:
    """A project, its workspace and its clock. Runners are born in ``nursery``."""

    def __init__(self, folder, store, nursery):
        self.folder, self.store, self.nursery = folder, store, nursery
        self.project, self.landing = folder / "project", folder / "project" / "landing"
        self.started, self.log = folder / "started", folder / "runner.log"
        self.lists, self.rules = folder / "lists", {}
        self.datastore, self.secrets = LANDING, {}
        self.landing.mkdir(parents=True)
        self.lists.mkdir()
        # What ends is dated by the machine, so the clock is never behind it.
        self.now = SystemClock().now() // SECOND * SECOND + SECOND
        store.turn(self.now, 0)

    def apply(self, *documents, rest=None):
        """Apply the pipelines and these schedules; ``rest`` is what a step does after it began."""
        rest = KEPT.format(lists=self.lists) if rest is None else rest
        said = SAID.format(started=self.started)
        text = PIPELINES.format(said=said, rest=rest)
        (self.project / "reconciler.yml").write_text("project: test\ninclude: ['*.yml']\n")
        (self.project / "all.yml").write_text("\n---\n".join([text, self.datastore, *documents]))
        source = open_folder(str(self.project))
        with self.opened() as workspace:
            reading = read(source, read_project(source), "dev", workspace.registry)
            apply_plan(plan(reading, "ws", self.now), reading, workspace.registry)

    @contextmanager
    def opened(self):
        with closing(self.store.open(self.now)) as workspace:
            yield workspace

    def die(self, meanwhile=lambda: None, **death):
        """Have a runner live until its death; ``meanwhile`` something happens."""
        self._begin(**death)
        meanwhile()
        assert (code := self.nursery.end()) == -signal.SIGKILL, (
            code,
            self.log.read_text()[-3_000:],
        )

    def live(self, over, speed=0):
        """Have a runner live until ``over(ledger)``, and end in order."""
        pid = self._begin(speed=speed)
        try:
            with self.opened() as workspace:
                until(lambda: over(workspace.ledger))
                # One that has not begun yet would not end in order.
                until(lambda: f"runner started, pid {pid}\n" in self.log.read_text())
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            self.nursery.end()
            raise
        os.kill(pid, signal.SIGTERM)
        assert (code := self.nursery.end()) == 0, (code, self.log.read_text()[-3_000:])

    def settle(self):
        """Have a runner live until nothing is left to be done at the present instant."""

        def over(ledger):
            # A poll that is due may bring fires, and a fire a run.
            return not (
                ledger.due_watches(self.now)
                or (ledger.next_wake() or self.now + 1) <= self.now
                or ledger.waiting_runs()
                or ledger.running_runs()
            )

        self.live(lambda ledger: over(ledger) and over(ledger))

    def forward(self, seconds):
        self.now += int(seconds * SECOND)
        self.store.turn(self.now, 0)

    def _begin(self, **order):
        order = {"speed": 0, **order}
        self.store.turn(self.now, order["speed"])
        return self.nursery.begin(
            url=self.store.url,
            home=str(self.folder),
            log=str(self.log),
            instant=self.now,
            secrets=self.secrets,
            **order,
        )

    # What must hold ---------------------------------------------------------------------------

    def check(self):
        """Hold everything up to the present instant, or what was decided last, against the promise.

        Gives all runs.
        """
        with self.opened() as workspace:
            ledger = workspace.ledger
            runs = {run.id: run for run in ledger.runs(limit=10**6)}
            tries = ledger.attempts(runs)
            assert all(run.state.over for run in runs.values())
            assert not ledger.running_runs()
            assert not ledger.waiting_runs()
            assert all(pool.used == 0 for pool in ledger.pools())
            fired = set()
            for schedule in workspace.registry.live().schedules:
                fires = ledger.fires(schedule.id, limit=10**6)
                fired |= self._one_run_each(fires, runs)
                trigger = spec_value(Schedule, schedule.spec).trigger
                if isinstance(trigger, DatastoreChange):
                    self._each_change_once(ledger, schedule, fires, runs)
                else:
                    calendar = compile_trigger(trigger, schedule.created_at)
                    until_ = max(self.now, schedule.processed_to)
                    dues = list(calendar.between(schedule.created_at, until_))
                    decided = [due for fire in fires for due in _stood_for(fire, calendar)]
                    assert sorted(decided) == dues, schedule.name
            assert fired == {run.id for run in runs.values() if run.retry_of is None}
        self._each_attempt_once([attempt for made in tries.values() for attempt in made])
        assert "trying again until it works" not in self.log.read_text()
        return list(runs.values())

    @staticmethod
    def _one_run_each(fires, runs):
        launched = [f for f in fires if f.decision in {Decision.LAUNCH, Decision.QUEUE}]
        assert all(fire.run_id is None for fire in fires if fire not in launched)
        for fire in launched:
            run = runs[fire.run_id]
            assert (run.schedule_id, run.occurrence_key) == (fire.schedule_id, fire.occurrence_key)
        ids = {fire.run_id for fire in launched}
        assert len(ids) == len(launched)
        return ids

    def _each_change_once(self, ledger, schedule, fires, runs):
        """Hold a schedule by data against its watch's log: one decision for each occurrence."""
        watch = ledger.watch_of(schedule.id)
        lines = logged(ledger, watch)
        if not self.rules:  # then there is one schedule, on a directory that was empty at first
            assert replayed({}, lines) == listing(self.landing) == known(ledger, watch)
        rule = self.rules.get(schedule.name, Rule())
        due = rule.occurrences(watch.id, lines)
        keys = Counter(fire.occurrence_key for fire in fires)
        assert keys == Counter(list(due)), (
            schedule.name,
            keys - Counter(list(due)),
            Counter(list(due)) - keys,
        )
        for fire in fires:
            run = runs[fire.run_id]
            told = self._list_of(ledger, run) if rule.per_poll else [run.facts]
            assert [(file["path"], file["change"], file["state"]) for file in told] == [
                (path_of(watch, line.name), line.change, line.facts.decode())
                for line in due[fire.occurrence_key]
            ]

    def _list_of(self, ledger, run):
        """Give the list of files that a run was made for, which is what its program has read."""
        given = [json.loads(line) for line in ledger.files(run.id).splitlines()]
        assert len(given) == run.facts["files"]
        read = (self.lists / run.id).read_text().splitlines()
        assert [{**json.loads(line), "local": ""} for line in read] == [
            {**file, "local": ""} for file in given
        ]
        return given

    def starts(self):
        """Count how often user code of each attempt was started."""
        return Counter(self.started.read_text().split()) if self.started.exists() else Counter()

    def _each_attempt_once(self, attempts):
        starts = self.starts()
        assert not +(starts - Counter({attempt.id for attempt in attempts}))
        for attempt in attempts:
            ran = attempt.state in {AttemptState.FINISHED, AttemptState.FAILED}
            assert starts[attempt.id] == 1 or not ran


def _stood_for(fire, calendar):
    """Give the dues that a decision is about."""
    if fire.decision is not Decision.GAP:
        return [fire.due_at]
    first, _, last = fire.occurrence_key.removeprefix("g:").partition("/")
    dues = list(calendar.between(parse_instant(first) - 1, parse_instant(last)))
    assert len(dues) == fire.count
    return dues


def by_clock(name, now, second, pipeline="once", **fields):
    """Write a schedule that is due each minute, ``second`` seconds after now."""
    start = to_datetime(now) + timedelta(seconds=second)
    extra = "".join(f"{key}: {value}\n" for key, value in fields.items())
    return CLOCK.format(
        name=name, pipeline=pipeline, start=start.replace(tzinfo=None).isoformat(), fields=extra
    )


def by_files(name, path="", trigger="settle: 0s", minutes=0.01, **fields):
    """Write a schedule that runs ``once`` for files below a path of the datastore."""
    extra = "".join(f"{key}: {value}\n" for key, value in fields.items())
    return FILES.format(name=name, path=path, trigger=trigger, minutes=minutes, fields=extra)


def by_data(**fields):
    """Write the schedule that runs ``once`` for each file that arrives."""
    return DATA.format(fields="".join(f"{key}: {value}\n" for key, value in fields.items()))


def ended(runs):
    return Counter((run.state, run.reason) for run in runs)


__all__ = ["STORES", "RunState", "World", "by_clock", "by_data", "by_files", "ended"]
