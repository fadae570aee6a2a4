"""What to answer to keys that other tools, Azure ML first, have taught people to write.

Each entry: the class's name (or ``Trigger`` for the mapping that holds one trigger) and the key,
to the message. The sentences about recurrences are those of ``Schedule.create`` in
azureml-pipeline-core 1.62.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.data import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATUS = "write status: Active or status: Disabled"
_DATA_ONLY = "can only be specified for Datastore schedules."

ANSWERS: Mapping[tuple[str, str], str] = {
    ("Schedule", "pipeline_id"): "write pipeline: and the id",
    ("Schedule", "enabled"): _STATUS,
    ("Schedule", "is_enabled"): _STATUS,
    ("Schedule", "active"): _STATUS,
    ("Schedule", "datastore_name"): "write trigger: {datastore_change: {datastore: NAME}}",
    ("Schedule", "wait_for_provisioning"): "remove it; apply waits by itself",
    ("Schedule", "wait_timeout"): "remove it; apply waits by itself",
    ("Trigger", "type"): "name the trigger itself: recurrence:, cron: or datastore_change:",
    ("Trigger", "schedule"): "write its keys under recurrence:",
    ("Recurrence", "schedule"): "write its keys directly under recurrence:",
    ("Recurrence", "data_path_parameter_name"): f"Data Path parameter name {_DATA_ONLY}",
    ("Recurrence", "path_on_datastore"): f"Path on datastore parameter {_DATA_ONLY}",
    ("Recurrence", "polling_interval"): f"Polling interval {_DATA_ONLY}",
    ("Recurrence", "datastore"): "Can not specify both a Recurrence and a Datastore",
    ("DatastoreChange", "datastore_name"): "write datastore: and the name",
    ("DatastoreChange", "path"): "write path_on_datastore",
    ("DatastoreChange", "on"): "write changes: [added, modified]",
    ("Datastore", "account_name"): "write account: and the name",
    ("Datastore", "container_name"): "write url: az://CONTAINER",
    ("Datastore", "container"): "write url: az://CONTAINER",
    ("Datastore", "bucket"): "write url: s3://BUCKET or gs://BUCKET",
    **{
        ("Datastore", name): f"write credentials: {{{name}: ${{{{ secret.NAME }}}}}}"
        for names in CREDENTIALS.values()
        for name in names
    },
}
