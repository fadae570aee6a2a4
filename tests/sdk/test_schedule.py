from __future__ import annotations

import getpass

import pytest

from reconciler.data import DatastoreChange
from reconciler.errors import InvalidValue, NotFound, Refused
from reconciler.live import DisabledBy
from reconciler.schedule import Cron, Recurrence
from reconciler.sdk import Datastore, PublishedPipeline, Schedule, ScheduleRecurrence

DAILY = ScheduleRecurrence("Day", 1, time_of_day="9:05")


@pytest.fixture
def store(ws):
    return Datastore(ws, "workspaceblobstore")


@pytest.fixture
def create(ws, pipeline):
    def create(name="daily", **given):
        if "datastore" not in given:
            given = {"recurrence": DAILY} | given
        return Schedule.create(ws, name, pipeline.id, "scoring", **given)

    return create


def test_what_was_given_comes_back(ws, create, pipeline, store):
    made = create(
        "arrivals",
        datastore=store,
        description="New files",
        pipeline_parameters={"batch_size": 512},
        polling_interval=0.5,
        data_path_parameter_name="input_data",
        continue_on_step_failure=True,
        path_on_datastore="in/put",
    )
    found = Schedule.get(ws, made.id)
    assert found.name == "arrivals"
    assert found.description == "New files"
    assert found.experiment_name == "scoring"
    assert found.status == "Active"
    assert found.pipeline_id == pipeline.id
    assert found.pipeline_endpoint_id is None
    assert found.pipeline_parameters == {"batch_size": 512}
    assert found.continue_on_step_failure is True
    assert found.datastore_name == "workspaceblobstore"
    assert found.path_on_datastore == "in/put"
    assert found.polling_interval == 0.5
    assert found.data_path_parameter_name == "input_data"
    assert found.recurrence is None
    assert found.owner is None
    assert isinstance(found.trigger, DatastoreChange)
    assert str(found).endswith("Datastore: workspaceblobstore,\nPath on Datastore: in/put)")


def test_a_recurrence_has_nothing_of_a_datastore(create):
    made = create(polling_interval=None)
    assert made.recurrence.hours == [9]
    assert made.description == ""
    assert made.datastore_name is made.path_on_datastore is None
    assert made.polling_interval is made.data_path_parameter_name is None
    assert made.continue_on_step_failure is None
    assert str(made).endswith("Recurrence Details: Runs at 9:05 every Day)")
    assert repr(made) == str(made)


def test_polling_is_every_five_minutes_by_default(create, store):
    assert create(datastore=store).polling_interval == 5
    assert create(datastore=store, polling_interval=None).polling_interval == 5


ONLY_DATA = "can only be specified for Datastore schedules."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recurrence": None}, "Specify either a Recurrence or a Datastore"),
        ({"recurrence": DAILY, "datastore": "store"}, "Can not specify both a Recurrence and a Datastore"),
        ({"data_path_parameter_name": "input_data"}, f"Data Path parameter name {ONLY_DATA}"),
        ({"path_on_datastore": "in"}, f"Path on datastore parameter {ONLY_DATA}"),
        ({"polling_interval": 7}, f"Polling interval {ONLY_DATA}"),
        ({"datastore": "workspaceblobstore"}, "Datastore must be a Datastore, not 'workspaceblobstore'"),
        ({"datastore": "store", "polling_interval": -1}, "The polling interval must be greater"),
        ({"datastore": "store", "polling_interval": 0}, "Polling interval must be between 0.01 and 72000."),
        ({"datastore": "store", "path_on_datastore": "../x"}, "path_on_datastore must stay inside the datastore; remove the '..'"),
        ({"status": "Paused"}, "Status must be either Active or Disabled"),
        ({"status": True}, "Status must be either Active or Disabled"),
        ({"recurrence": ScheduleRecurrence("Day", 0)}, "Interval must be an integer greater than 0."),
        ({"name": "my schedule!"}, "name 'my schedule!' is not accepted; start with a letter or digit, then letters, digits, - and _"),
        ({"continue_on_step_failure": "None"}, "continue_on_step_failure must be true or false, not text"),
        ({"pipeline_parameters": {"batch_size": object()}}, "a object is not plain data; give text instead"),
    ],
)  # fmt: skip
def test_arguments_that_contradict_each_other_are_refused_in_azures_words(
    ws, create, store, given, message
):
    if given.get("datastore") == "store":
        given = given | {"datastore": store}
    with pytest.raises(InvalidValue) as caught:
        create(**given)
    assert str(caught.value) == message
    assert Schedule.list(ws, active_only=False) == []


def test_what_could_never_run_is_refused(ws, create, store, project):
    with pytest.raises(NotFound, match="no published pipeline has the id 'batch-scoring'"):
        Schedule.create(ws, "a", "batch-scoring", "scoring", DAILY)
    with pytest.raises(NotFound, match=r"no parameter 'size' \(known: batch_size, input_data\)"):
        create(pipeline_parameters={"size": 1})
    with pytest.raises(
        Refused, match="'batch_size' of 'batch-scoring' is of type integer, not '1'"
    ):
        create(pipeline_parameters={"batch_size": "1"})
    with pytest.raises(NotFound, match="no parameter 'path'"):
        create(datastore=store, data_path_parameter_name="path")
    with pytest.raises(Refused, match="type integer; it must be datapath"):
        create(datastore=store, data_path_parameter_name="batch_size")
    with pytest.raises(NotFound, match="no datastore 'landing'"):
        Datastore(ws, "landing")
    assert Schedule.list(ws, active_only=False) == []


def test_a_parameter_without_default_needs_a_value_or_the_changed_file(ws, project):
    objects = (project.folder / "objects.yaml").read_text()
    project.write("objects.yaml", objects.replace(", default: workspaceblobstore/first.csv", ""))
    project.apply()
    newest = PublishedPipeline.list(ws)[-1]
    assert newest.version == "2"
    with pytest.raises(Refused, match="needs a value for: input_data"):
        Schedule.create(ws, "a", newest.id, "scoring", DAILY)
    store = Datastore(ws, "workspaceblobstore")
    Schedule.create(
        ws, "a", newest.id, "scoring", datastore=store, data_path_parameter_name="input_data"
    )


def test_names_may_repeat_and_the_id_tells_them_apart(ws, create):
    first, second = create("twin"), create("twin")
    assert first.id != second.id
    second.disable()
    assert [s.id for s in Schedule.list(ws)] == [first.id]
    assert Schedule.get(ws, second.id).status == "Disabled"
    with pytest.raises(NotFound, match="no schedule has the id 'twin'"):
        Schedule.get(ws, "twin")


def test_a_schedule_created_disabled_is_not_armed_until_it_is_enabled(ws, create):
    made = create(status="Disabled")
    assert made.status == "Disabled"
    assert Schedule.list(ws) == []
    [here] = ws.registry.live().schedules
    assert here.next_due is None
    made.enable()
    assert made.status == "Active"
    [here] = ws.registry.live().schedules
    assert here.next_due > ws.registry.now()


def test_disabling_twice_and_enabling_twice_change_nothing_more(create):
    made = create()
    made.disable()
    made.disable()
    assert made.status == "Disabled"
    made.enable()
    made.enable()
    assert made.status == "Active"


def test_listing_for_a_pipeline_includes_disabled_ones_as_in_azure(ws, create, pipeline):
    active, disabled = create("a"), create("b", status="Disabled")
    assert [s.id for s in Schedule.list(ws)] == [active.id]
    both = [active.id, disabled.id]
    assert [s.id for s in Schedule.list(ws, active_only=False)] == both
    assert [s.id for s in Schedule.list(ws, pipeline_id=pipeline.id)] == both
    assert [s.id for s in Schedule.get_schedules_for_pipeline_id(ws, pipeline.id)] == both
    assert Schedule.list(ws, pipeline_id="other") == []


def test_get_all_is_deprecated_and_lists(ws, create):
    made = create()
    with pytest.warns(DeprecationWarning, match=r"use Schedule\.list\(workspace\)"):
        assert [s.id for s in Schedule.get_all(ws)] == [made.id]


def test_an_update_changes_what_is_given_and_keeps_the_rest(ws, create):
    made = create(
        description="old", pipeline_parameters={"batch_size": 1}, continue_on_step_failure=True
    )
    made.update(name="renamed", recurrence=ScheduleRecurrence("Hour", 2))
    assert made.name == "renamed"
    assert made.description == "old"
    assert made.recurrence.frequency == "Hour"
    assert made.pipeline_parameters == {"batch_size": 1}
    assert made.continue_on_step_failure is True
    assert [s.name for s in Schedule.list(ws)] == ["renamed"]
    made.update(description="new", pipeline_parameters={}, continue_on_step_failure=False)
    assert (made.description, made.pipeline_parameters) == ("new", {})
    assert made.continue_on_step_failure is False
    assert made.recurrence.interval == 2


def test_an_update_of_a_watch_keeps_what_was_not_given(create, store):
    made = create(datastore=store, path_on_datastore="in", data_path_parameter_name="input_data")
    made.update(polling_interval=9)
    made.update(path_on_datastore="out", datastore=store)
    assert (made.polling_interval, made.path_on_datastore) == (9, "out")
    assert made.data_path_parameter_name == "input_data"


def test_a_status_is_updated_alone_or_with_other_changes(create):
    made = create()
    made.update(status="Disabled")
    assert made.status == "Disabled"
    made.update(status="Active")
    assert made.status == "Active"
    made.update(description="off", status="Disabled")
    assert (made.description, made.status) == ("off", "Disabled")
    made.update(description="still off")
    assert made.status == "Disabled"
    made.update()
    assert made.description == "still off"


def test_two_updates_from_old_objects_both_last(ws, create):
    mine = create()
    theirs = Schedule.get(ws, mine.id)
    mine.update(description="mine")
    theirs.update(pipeline_parameters={"batch_size": 2})
    mine = Schedule.get(ws, mine.id)
    assert (mine.description, mine.pipeline_parameters) == ("mine", {"batch_size": 2})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"datastore": "store"}, "Can not specify a Datastore for a Recurrence schedule."),
        ({"data_path_parameter_name": "input_data"}, f"Data Path parameter name {ONLY_DATA}"),
        ({"polling_interval": 5}, f"Polling interval {ONLY_DATA}"),
        ({"status": "active"}, "Status must be either Active or Disabled"),
    ],
)
def test_the_kind_of_trigger_stays_a_recurrence(create, store, given, message):
    if "datastore" in given:
        given = {"datastore": store}
    with pytest.raises(InvalidValue) as caught:
        create().update(**given)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recurrence": DAILY}, "Can not specify a recurrence for a Datastore schedule."),
        ({"polling_interval": -1}, "The polling interval must be greater"),
    ],
)
def test_the_kind_of_trigger_stays_a_datastore(create, store, given, message):
    made = create(datastore=store)
    with pytest.raises(InvalidValue) as caught:
        made.update(**given)
    assert str(caught.value) == message


def test_disabling_what_git_manages_holds_it_and_no_apply_lifts_that(ws, project, nightly):
    project.write("nightly.yaml", nightly)
    project.apply()
    [managed] = Schedule.list(ws)
    assert (managed.name, managed.owner, managed.status) == ("nightly", "shop/dev", "Active")
    managed.disable()
    assert managed.status == "Disabled"
    assert Schedule.list(ws) == []
    project.write("nightly.yaml", nightly + "description: edited\n")
    project.apply()
    [here] = ws.registry.live().schedules
    assert here.hold.who == getpass.getuser()
    assert here.hold.why == "disabled through the SDK"
    assert here.hold.until is None
    assert Schedule.list(ws) == []
    managed = Schedule.get(ws, managed.id)
    assert (managed.description, managed.status) == ("edited", "Disabled")
    managed.enable()
    assert managed.status == "Active"
    assert Schedule.get(ws, managed.id).status == "Active"


def test_what_git_manages_is_edited_in_git_and_only_there(ws, project, nightly):
    project.write("nightly.yaml", nightly)
    project.apply()
    [managed] = Schedule.list(ws)
    with pytest.raises(Refused, match="managed by shop/dev; edit its manifest"):
        managed.update(description="mine")
    managed.update(status="Disabled")
    assert managed.status == "Disabled"


def test_what_azure_has_no_word_for_is_shown_as_far_as_it_has(ws, project, nightly):
    cron = "kind: Schedule\nname: by-cron\npipeline: batch-scoring@latest\ntrigger: {cron: {expression: '5 4 * * *'}}\n"
    project.write("nightly.yaml", f"{nightly}---\n{cron}")
    project.apply()
    by_cron, nightly = Schedule.list(ws)
    assert by_cron.recurrence is None
    assert isinstance(by_cron.trigger, Cron)
    assert by_cron.pipeline_id == PublishedPipeline.list(ws)[0].id
    assert str(by_cron).endswith("Recurrence Details: Runs by cron 5 4 * * *)")
    assert isinstance(nightly.trigger, Recurrence)
    assert nightly.recurrence.time_zone == "Europe/Paris"
    assert str(nightly).endswith("Recurrence Details: Runs at 2:05 every Month)")


def test_a_pipeline_bound_at_each_fire_may_have_no_version_left(ws, project):
    text = "kind: Schedule\nname: late\npipeline: batch-scoring@latest\nstatus: Disabled\ntrigger: {cron: {expression: '5 4 * * *'}}\n"
    project.write("late.yaml", text)
    project.apply()
    PublishedPipeline.list(ws)[0].disable()
    [late] = Schedule.list(ws, active_only=False)
    assert late.pipeline_id is None


def test_a_user_without_a_name_can_disable_too(ws, project, nightly, monkeypatch):
    def nobody():
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    project.write("nightly.yaml", nightly)
    project.apply()
    Schedule.list(ws)[0].disable()
    [here] = ws.registry.live().schedules
    assert here.hold.who == "somebody"


def test_an_unmanaged_schedule_is_disabled_by_the_operator(ws, create):
    create().disable()
    [here] = ws.registry.live().schedules
    assert (here.hold, here.disabled_by) == (None, DisabledBy.OPERATOR)
