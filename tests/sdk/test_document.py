"""The snippets of Azure ML's document on triggering published pipelines, in its order.

https://learn.microsoft.com/azure/machine-learning/v1/how-to-trigger-published-pipeline; only the
import lines and the ids are changed.
"""

from __future__ import annotations

import pytest

from reconciler.errors import Refused


def test_the_documents_snippets_run_with_only_their_import_lines_changed(project, capsys):
    from reconciler.sdk import Experiment, PublishedPipeline, Workspace

    ws = Workspace.from_config()

    experiments = Experiment.list(ws)
    for experiment in experiments:
        print(experiment.name)

    published_pipelines = PublishedPipeline.list(ws)
    for published_pipeline in published_pipelines:
        print(f"{published_pipeline.name},'{published_pipeline.id}'")

    experiment_name = "MyExperiment"
    pipeline_id = published_pipelines[0].id
    assert capsys.readouterr().out == f"batch-scoring,'{pipeline_id}'\n"

    from reconciler.sdk import Schedule, ScheduleRecurrence

    recurrence = ScheduleRecurrence(frequency="Minute", interval=15)
    recurring_schedule = Schedule.create(
        ws,
        name="MyRecurringSchedule",
        description="Based on time",
        pipeline_id=pipeline_id,
        experiment_name=experiment_name,
        recurrence=recurrence,
    )

    from reconciler.sdk import Datastore

    datastore = Datastore(workspace=ws, name="workspaceblobstore")

    reactive_schedule = Schedule.create(
        ws,
        name="MyReactiveSchedule",
        description="Based on input file change.",
        pipeline_id=pipeline_id,
        experiment_name=experiment_name,
        datastore=datastore,
        data_path_parameter_name="input_data",
    )
    assert [experiment.name for experiment in Experiment.list(ws)] == ["MyExperiment"]

    # "Optional arguments when creating a schedule"
    inactive = Schedule.create(
        ws,
        name="MyInactiveSchedule",
        pipeline_id=pipeline_id,
        experiment_name=experiment_name,
        recurrence=ScheduleRecurrence(
            frequency="Week", interval=2, week_days=["Monday", "Wednesday"], time_of_day="18:30"
        ),
        status="Disabled",
        continue_on_step_failure=True,
    )
    assert inactive.status == "Disabled"

    # "If the pipeline is scheduled, you must cancel the schedule first."
    pipeline = PublishedPipeline.get(ws, id=pipeline_id)
    names = "MyReactiveSchedule, MyRecurringSchedule"
    with pytest.raises(Refused, match=f"is used by active schedules: {names}; disable them first"):
        pipeline.disable()

    ss = Schedule.list(ws)
    for s in ss:
        print(s)
    assert {s.id for s in ss} == {recurring_schedule.id, reactive_schedule.id}
    assert capsys.readouterr().out == (
        f"Pipeline(Name: MyReactiveSchedule,\nId: {reactive_schedule.id},\nStatus: Active,\n"
        f"Pipeline Id: {pipeline_id},\nPipeline Endpoint Id: None,\n"
        "Datastore: workspaceblobstore)\n"
        f"Pipeline(Name: MyRecurringSchedule,\nId: {recurring_schedule.id},\nStatus: Active,\n"
        f"Pipeline Id: {pipeline_id},\nPipeline Endpoint Id: None,\n"
        "Recurrence Details: Runs every 15 Minutes)\n"
    )

    def stop_by_schedule_id(ws, schedule_id):
        s = next(s for s in Schedule.list(ws) if s.id == schedule_id)
        s.disable()
        return s

    for schedule_id in (recurring_schedule.id, reactive_schedule.id):
        stopped = stop_by_schedule_id(ws, schedule_id)
        assert stopped.status == "Disabled"

    assert Schedule.list(ws) == []

    pipeline = PublishedPipeline.get(ws, id=pipeline_id)
    pipeline.disable()
    assert pipeline.status == "Disabled"
    assert PublishedPipeline.list(ws) == []
    assert len(PublishedPipeline.list(ws, active_only=False)) == 1
