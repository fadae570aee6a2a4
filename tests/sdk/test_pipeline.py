from __future__ import annotations

import pytest

from reconciler.errors import NotFound, Refused
from reconciler.sdk import Datastore, PublishedPipeline, Schedule, ScheduleRecurrence


def test_a_published_pipeline_tells_what_was_published(ws, pipeline):
    assert pipeline.name == "batch-scoring"
    assert pipeline.version == "1"
    assert pipeline.description == "Scores what lands"
    assert pipeline.status == "Active"
    assert PublishedPipeline.get(ws, pipeline.id).name == pipeline.name
    assert repr(pipeline) == f"Pipeline(Name: batch-scoring,\nId: {pipeline.id},\nStatus: Active)"


def test_an_unknown_id_is_not_found(ws):
    with pytest.raises(NotFound, match="no published pipeline has the id 'nothing'"):
        PublishedPipeline.get(ws, "nothing")


def test_a_pipeline_in_use_is_not_disabled_and_its_schedules_are_named(ws, pipeline):
    hourly = ScheduleRecurrence("Hour", 1)
    users = [Schedule.create(ws, name, pipeline.id, "e", hourly) for name in ("b", "a")]
    with pytest.raises(Refused) as caught:
        pipeline.disable()
    text = "pipeline 'batch-scoring@1' is used by active schedules: a, b; disable them first"
    assert str(caught.value) == text
    assert pipeline.status == "Active"
    for user in users:
        user.disable()
    pipeline.disable()
    assert pipeline.status == "Disabled"
    with pytest.raises(Refused, match="pipeline 'batch-scoring' is Disabled"):
        users[0].enable()
    with pytest.raises(Refused, match="pipeline 'batch-scoring' is Disabled"):
        Schedule.create(ws, "c", pipeline.id, "e", hourly)
    with pytest.raises(Refused, match="pipeline 'batch-scoring@1' is Disabled"):
        pipeline.submit(ws, "e")
    pipeline.enable()
    users[0].enable()


def test_what_git_manages_and_is_held_does_not_keep_its_pipeline(ws, project, nightly, pipeline):
    project.write("nightly.yaml", nightly)
    project.apply()
    with pytest.raises(Refused, match="active schedules: nightly"):
        pipeline.disable()
    Schedule.list(ws)[0].disable()
    pipeline.disable()
    made, _, _ = project.plan()
    assert [(change.action, change.name) for change in made.changes] == [
        ("enable", "batch-scoring")
    ]


def test_a_submitted_run_waits_for_the_runner_with_its_parameters(ws, pipeline):
    run = pipeline.submit(ws, "by-hand", {"batch_size": 7})
    assert run.status == run.get_status() == "NotStarted"
    assert run.pipeline_id == pipeline.id
    assert run.schedule_id is None
    assert run.experiment.name == "by-hand"
    assert run.parameters["batch_size"] == 7
    assert pipeline.submit(ws, "by-hand").id != run.id


def test_a_datastore_tells_where_its_files_are(ws, project):
    store = Datastore(workspace=ws, name="workspaceblobstore")
    assert store.url == f"file://{project.folder}/landing"
    assert store.description == "Where new data lands"
    same = Datastore.get(ws, "workspaceblobstore")
    assert repr(same) == f"Datastore(Name: workspaceblobstore, Url: {store.url})"
