from __future__ import annotations

import pytest

from reconciler.errors import DatastoreError, ReconcilerError, WorkspaceError
from reconciler.reconcile.ask import run_schedule
from reconciler.run import RunState
from reconciler.sdk import Datastore, Schedule, ScheduleRecurrence
from reconciler.sdk import provisioning as provisioning_module
from reconciler.sdk import run as run_module
from reconciler.workspace.records import Poll, WatchState


@pytest.fixture
def runner(ws):
    """The ledger as a runner holds it."""
    ws.ledger.begin_session(host="here", pid=1, wait=False)
    yield ws.ledger
    ws.ledger.end_session()


@pytest.fixture
def run(ws, pipeline):
    return pipeline.submit(ws, "by-hand")


def finish(ledger, run, state, reason=""):
    with ledger.transaction() as tx:
        tx.start_runs([run.id], ledger.now())
        tx.finish_runs([(run.id, state, reason)], ledger.now())


def test_waiting_for_a_run_follows_it_to_its_end(runner, run, monkeypatch, capsys):
    def sleep(_):
        if run.get_status() == "NotStarted":
            with runner.transaction() as tx:
                tx.start_runs([run.id], runner.now())
        else:
            with runner.transaction() as tx:
                tx.finish_runs([(run.id, RunState.FINISHED, "")], runner.now())

    monkeypatch.setattr(run_module.time, "sleep", sleep)
    assert run.wait_for_completion() == "Finished"
    states = [line.rsplit(" ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert states == ["NotStarted", "Running", "Finished"]
    assert repr(run) == f"PipelineRun(Id: {run.id}, Status: Finished)"


def test_a_failed_run_raises_its_reason_unless_told_not_to(runner, run, capsys):
    finish(runner, run, RunState.FAILED, "step score: exit code 2")
    with pytest.raises(ReconcilerError, match="is Failed: step score: exit code 2"):
        run.wait_for_completion(show_output=False)
    assert run.wait_for_completion(show_output=False, raise_on_error=False) == "Failed"
    assert run.reason == "step score: exit code 2"
    assert capsys.readouterr().out == ""


def test_a_run_that_takes_too_long_raises(run, monkeypatch):
    monkeypatch.setattr(run_module.time, "sleep", lambda _: None)
    with pytest.raises(ReconcilerError, match="Timed out of waiting, status:NotStarted"):
        run.wait_for_completion(timeout_seconds=0.01, show_output=False)


def test_a_schedule_lists_its_runs_newest_first(ws, pipeline):
    daily = ScheduleRecurrence("Day", 1)
    schedule = Schedule.create(ws, "daily", pipeline.id, "scoring", daily)
    assert schedule.get_pipeline_runs() == []
    assert schedule.get_last_pipeline_run() is None
    pipeline.submit(ws, "by-hand")
    made = [
        run_schedule(ws.registry, ws.ledger, schedule.id, {}, token).run for token in ("a", "b")
    ]
    assert [run.id for run in schedule.get_pipeline_runs()] == [made[1].id, made[0].id]
    last = schedule.get_last_pipeline_run()
    assert (last.id, last.schedule_id) == (made[1].id, schedule.id)
    assert last.experiment.name == "scoring"


@pytest.fixture
def watching(ws, pipeline):
    store = Datastore(ws, "workspaceblobstore")
    return Schedule.create(ws, "arrivals", pipeline.id, "scoring", datastore=store)


def poll(ledger, *, error=""):
    [watch] = ledger.watches()
    state = WatchState.BASELINING if error else WatchState.READY
    with ledger.transaction() as tx:
        tx.record_poll(
            Poll(
                watch_id=watch.id,
                poll_seq=watch.poll_seq + 1,
                polled_at=ledger.now(),
                listed=0,
                state=state,
                next_poll=ledger.now(),
                error=error,
            ),
            baseline=not error,
        )


def test_a_recurrence_is_provisioned_at_once(ws, pipeline):
    daily = ScheduleRecurrence("Day", 1)
    made = Schedule.create(ws, "daily", pipeline.id, "e", daily, wait_for_provisioning=True)
    assert made.provisioning_status == "Completed"


def test_a_data_schedule_is_provisioned_once_its_folder_was_listed(runner, watching, monkeypatch):
    assert watching.provisioning_status == "Provisioning"
    monkeypatch.setattr(provisioning_module.time, "sleep", lambda _: poll(runner))
    watching.enable(wait_for_provisioning=True)
    assert watching.provisioning_status == "Completed"


def test_provisioning_that_takes_too_long_raises_where_azure_prints(watching):
    with pytest.raises(WorkspaceError, match="Timed out of waiting, status:Provisioning"):
        watching.update(polling_interval=1, wait_for_provisioning=True, wait_timeout=0)
    assert watching.status == "Active"


def test_provisioning_that_failed_raises_with_its_reason(runner, watching):
    poll(runner, error="landing cannot be listed")
    assert watching.provisioning_status == "Failed"
    with pytest.raises(DatastoreError, match="Provisioning failed: landing cannot be listed"):
        watching.enable(wait_for_provisioning=True)


def test_what_is_disabled_needs_no_provisioning(watching):
    watching.disable(wait_for_provisioning=True, wait_timeout=0)
    assert watching.provisioning_status == "Completed"
