"""Azure ML's arguments as the keys of a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.data import DatastoreChange
from reconciler.fields import Scalar
from reconciler.manifest.emit import from_data, to_data
from reconciler.schedule import Recurrence, Schedule, Status
from reconciler.sdk.datastore import Datastore
from reconciler.sdk.recurrence import ScheduleRecurrence
from reconciler.sdk.wrong import wrong

_STATUSES = tuple(status.value for status in Status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What creating and updating a schedule have in common; None is what was not given."""

    name: str | None
    description: str | None
    status: str | None
    recurrence: ScheduleRecurrence | None
    pipeline_parameters: Mapping[str, Scalar] | None
    continue_on_step_failure: bool | None
    datastore: Datastore | None
    polling_interval: float | None
    data_path_parameter_name: str | None
    path_on_datastore: str | None

    def check(self) -> None:
        """Refuse what contradicts itself, in Azure ML's words.

        Raises:
            InvalidValue: the first fault.
        """
        if self.recurrence is not None:
            if self.datastore is not None:
                raise wrong("recurrence", "Can not specify both a Recurrence and a Datastore")
            self.check_no_watch()
        if self.datastore is not None and not isinstance(self.datastore, Datastore):
            raise wrong("datastore", f"Datastore must be a Datastore, not {self.datastore!r}")
        interval = self.polling_interval
        if isinstance(interval, int | float) and interval < 0:
            raise wrong("polling_interval", "The polling interval must be greater")
        if self.status is not None and self.status not in _STATUSES:
            raise wrong("status", "Status must be either Active or Disabled")

    def check_no_watch(self) -> None:
        """Refuse what a recurrence has no use for.

        Raises:
            InvalidValue: the first such argument.
        """
        only_data = {
            "Data Path parameter name": self.data_path_parameter_name,
            "Path on datastore parameter": self.path_on_datastore,
            "Polling interval": self.polling_interval,
        }
        for what, value in only_data.items():
            if value is not None:
                raise wrong("recurrence", f"{what} can only be specified for Datastore schedules.")

    def onto(self, data: Mapping[str, Any]) -> Schedule:
        """Give the schedule that ``data`` declares, with what was given in its place.

        Raises:
            InvalidValue: by the rules of a manifest.
        """
        watch = _given(
            datastore=self.datastore and self.datastore.name,
            polling_interval=self.polling_interval,
            data_path_parameter_name=self.data_path_parameter_name,
            path_on_datastore=self.path_on_datastore,
        )
        trigger = data["trigger"]
        if self.recurrence is not None:
            trigger = {Recurrence.TAG: to_data(self.recurrence.declared())}
        elif watch:
            trigger = {DatastoreChange.TAG: {**trigger.get(DatastoreChange.TAG, {}), **watch}}
        given = _given(
            name=self.name,
            description=self.description,
            status=self.status,
            pipeline_parameters=self.pipeline_parameters,
            continue_on_step_failure=self.continue_on_step_failure,
        )
        return from_data(Schedule, {**data, **given, "trigger": trigger})


def _given(**arguments: Any) -> dict[str, Any]:  # noqa: ANN401  (whatever the caller gave)
    return {key: value for key, value in arguments.items() if value is not None}
