"""kill -9 at any moment: each due fire is decided once, each attempt starts user code at most once."""

import random
from collections import Counter
from datetime import timedelta

import pytest

from reconciler.clock import SystemClock, to_datetime
from reconciler.plan.spec import spec_value
from reconciler.reconcile import operate
from reconciler.reconcile.apply import apply_plan
from reconciler.reconcile.read import plan, read, read_project
from reconciler.run import RunState
from reconciler.schedule import Schedule
from reconciler.settings import open_source
from reconciler.trigger.compile import compile_trigger
from reconciler.workspace.sql import open_workspace
from tests.processes import RunnerProcess, until

SCHEDULES = 60
KILLS = 10


def project(folder, started):
    """Sixty schedules, one due each second of every minute, and one for files that arrive."""
    (folder / "landing").mkdir(parents=True)
    (folder / "reconciler.yml").write_text("project: busy\ninclude: ['*.yml']\n")
    (folder / "pipelines.yml").write_text(
        f"""
kind: Pipeline
name: mark
parameters: {{file: {{type: datapath, default: landing/none}}}}
steps:
  - name: first
    command: [sh, -c, 'echo "$RECONCILER_RUN_ID first" >> {started}; sleep 0.2']
  - name: second
    depends_on: [first]
    command: [sh, -c, 'echo "$RECONCILER_RUN_ID second" >> {started}']
---
kind: Datastore
name: landing
url: file:landing
"""
    )
    begin = to_datetime(SystemClock().now()).replace(microsecond=0, tzinfo=None)
    clock = [
        f"""
kind: Schedule
name: second-{number}
pipeline: mark
overlap: allow
missed: all
trigger:
  recurrence: {{frequency: Minute, start_time: {(begin + timedelta(seconds=number + 3)).isoformat()}}}
"""
        for number in range(SCHEDULES)
    ]
    data = """
kind: Schedule
name: arrivals
pipeline: mark
trigger:
  datastore_change: {datastore: landing, polling_interval: 0.01, settle: 0s, data_path_parameter_name: file}
"""
    (folder / "schedules.yml").write_text("---".join([*clock, data]))


@pytest.fixture
def busy(tmp_path):
    started = tmp_path / "started.log"
    project(tmp_path / "project", started)
    workspace = open_workspace(str(tmp_path / "ws.db"), SystemClock(), create=True)
    source = open_source(str(tmp_path / "project"))
    reading = read(source, read_project(source), "dev", workspace.registry)
    now = workspace.registry.now()
    apply_plan(plan(reading, "ws", now), reading, workspace.registry)
    yield workspace
    workspace.close()


@pytest.mark.timeout(240)
def test_a_busy_minute_with_ten_kills_loses_and_repeats_nothing(busy, tmp_path):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    moments = random.Random(seed)
    log = tmp_path / "runner.log"
    runner = RunnerProcess(tmp_path / "ws.db", log)
    (_watch,) = until(busy.ledger.watches)
    until(lambda: busy.ledger.watches()[0].state == "ready")
    for number in range(KILLS):
        (tmp_path / "project" / "landing" / f"{number}.csv").write_text(str(number))
        assert runner.wait(moments.uniform(0.3, 6)) is None, log.read_text()
        runner.kill()
        runner = RunnerProcess(tmp_path / "ws.db", log)
    live = {schedule.name: schedule for schedule in busy.registry.live().schedules}

    def all_decided():
        return len(busy.ledger.fires(live["arrivals"].id)) == KILLS and all(
            busy.ledger.fires(live[f"second-{n}"].id) for n in range(SCHEDULES)
        )

    until(all_decided, 120)
    runner.kill()
    # Held, nothing new comes due while what is under way is brought to its end.
    for name in live:
        operate.hold_schedule(busy.registry, name, who="test", why="counting", until=None)
    runner = RunnerProcess(tmp_path / "ws.db", log)
    until(lambda: not busy.ledger.running_runs() and not busy.ledger.waiting_runs())
    runner.kill()

    for schedule in busy.registry.live().schedules:
        trigger = spec_value(Schedule, schedule.spec).trigger
        if schedule.name == "arrivals":
            continue
        dues = list(
            compile_trigger(trigger, schedule.created_at).between(
                schedule.created_at, schedule.processed_to
            )
        )
        decided = [fire.due_at for fire in busy.ledger.fires(schedule.id, limit=1_000)]
        assert sorted(decided) == dues, schedule.name
    runs = busy.ledger.runs(limit=100_000)
    assert Counter(run.state for run in runs) == {RunState.FINISHED: len(runs)}
    starts = Counter((tmp_path / "started.log").read_text().splitlines())
    expected = Counter(f"{run.id} {step}" for run in runs for step in ("first", "second"))
    assert starts == expected
    files = sorted(run.facts["path"] for run in runs if run.facts)
    assert files == sorted(f"{number}.csv" for number in range(KILLS))
