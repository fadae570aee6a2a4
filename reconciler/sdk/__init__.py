"""The Python API, under the names of Azure ML's SDK v1.

The law here: a script written for that SDK's published pipelines and schedules runs with only its
import lines changed. Classes, methods, arguments, defaults, statuses and messages are those of
azureml-core and azureml-pipeline-core 1.62. What that SDK only prints is raised, and what it lets
through although it can never run is refused; both as types of :mod:`reconciler.errors`, and wrong
arguments as :class:`~reconciler.errors.InvalidValue`, which is a ``ValueError``. Nothing is decided
in this room: it turns arguments into values and calls the use cases of
:mod:`reconciler.reconcile.operate`.

::

    from reconciler.sdk import Schedule, ScheduleRecurrence, Workspace

    ws = Workspace.from_config()
    every_quarter = ScheduleRecurrence(frequency="Minute", interval=15)
    Schedule.create(ws, name="score", pipeline_id=pipeline_id, experiment_name="scoring",
                    recurrence=every_quarter)
"""

from reconciler.sdk.datastore import Datastore
from reconciler.sdk.experiment import Experiment
from reconciler.sdk.pipeline import PublishedPipeline
from reconciler.sdk.recurrence import ScheduleRecurrence
from reconciler.sdk.run import PipelineRun
from reconciler.sdk.schedule import Schedule
from reconciler.sdk.time_zone import TimeZone
from reconciler.sdk.workspace import Workspace

__all__ = [
    "Datastore",
    "Experiment",
    "PipelineRun",
    "PublishedPipeline",
    "Schedule",
    "ScheduleRecurrence",
    "TimeZone",
    "Workspace",
]
