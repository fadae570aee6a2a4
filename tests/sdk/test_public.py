from __future__ import annotations

import inspect

from reconciler import sdk


def test_the_public_names_are_sorted_and_are_the_classes_the_package_imports():
    classes = [name for name, value in vars(sdk).items() if inspect.isclass(value)]
    assert sdk.__all__ == sorted(sdk.__all__) == sorted(classes)


def test_every_public_class_and_method_says_what_it_does():
    for name in sdk.__all__:
        members = inspect.getmembers(
            getattr(sdk, name), lambda m: inspect.isfunction(m) or isinstance(m, property)
        )
        assert inspect.getdoc(getattr(sdk, name))
        assert [m for m, value in members if not m.startswith("_") and not value.__doc__] == []


def test_arguments_stand_in_azures_order():
    create = list(inspect.signature(sdk.Schedule.create).parameters)
    assert create == [
        "workspace", "name", "pipeline_id", "experiment_name", "recurrence", "description",
        "pipeline_parameters", "wait_for_provisioning", "wait_timeout", "datastore",
        "polling_interval", "data_path_parameter_name", "continue_on_step_failure",
        "path_on_datastore", "status",
    ]  # fmt: skip
    update = list(inspect.signature(sdk.Schedule.update).parameters)
    assert update == [
        "self", "name", "description", "recurrence", "pipeline_parameters", "status",
        "wait_for_provisioning", "wait_timeout", "datastore", "polling_interval",
        "data_path_parameter_name", "continue_on_step_failure", "path_on_datastore",
    ]  # fmt: skip
    recurrence = list(inspect.signature(sdk.ScheduleRecurrence).parameters)
    assert recurrence == [
        "frequency", "interval", "start_time", "time_zone", "hours", "minutes", "week_days",
        "time_of_day",
    ]  # fmt: skip
