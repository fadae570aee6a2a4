"""When a published pipeline runs by itself."""

from __future__ import annotations

import getpass
import warnings
from dataclasses import fields
from typing import TYPE_CHECKING

from reconciler.data import DatastoreChange
from reconciler.errors import NotFound
from reconciler.manifest.emit import to_data
from reconciler.plan.bind import Published
from reconciler.plan.spec import spec_value
from reconciler.reconcile import operate
from reconciler.schedule import Recurrence, Status
from reconciler.schedule import Schedule as Declared
from reconciler.sdk.arguments import Arguments
from reconciler.sdk.pipeline import PublishedPipeline
from reconciler.sdk.provisioning import COMPLETED, provisioning, wait_until_provisioned
from reconciler.sdk.recurrence import ScheduleRecurrence, describe, from_declared
from reconciler.sdk.run import PipelineRun
from reconciler.sdk.wrong import wrong

if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping

    from reconciler.fields import Scalar
    from reconciler.live import RegisteredSchedule
    from reconciler.schedule import Trigger
    from reconciler.sdk.datastore import Datastore
    from reconciler.sdk.workspace import Workspace

_POLLING_INTERVAL = 5
_ALL = 1_000_000_000


class Schedule:
    """A schedule of a published pipeline, as it was when the object was made or last changed.

    Its identity is the id; names may repeat. A schedule that a project manages in Git is seen here
    too: it can be disabled, which writes a hold that no apply lifts, and enabled again, but not
    updated.
    """

    def __init__(self, workspace: Workspace, registered: RegisteredSchedule) -> None:
        self.workspace = workspace
        self._take(registered)

    def _take(self, registered: RegisteredSchedule) -> None:
        self._registered = registered
        self._declared = spec_value(Declared, registered.spec)
        hold = registered.hold
        self._held = hold is not None and hold.active(self.workspace.registry.now())

    @property
    def id(self) -> str:
        """The id, which stays the same as long as the schedule exists."""
        return self._registered.id

    @property
    def name(self) -> str:
        """The name, for people."""
        return self._registered.name

    @property
    def description(self) -> str:
        """What it is for, for people; empty where nothing was given."""
        return self._declared.description

    @property
    def experiment_name(self) -> str:
        """The experiment its runs are grouped under."""
        return self._declared.experiment_name

    @property
    def status(self) -> str:
        """``Active``, or ``Disabled``, which includes a schedule that is held."""
        return Status.DISABLED.value if self._held else self._registered.status.value

    @property
    def pipeline_id(self) -> str | None:
        """The published pipeline it runs.

        For ``name@latest`` in a manifest, the one it would run now, and None where there is none.
        """
        if self._registered.pipeline_id is not None:
            return self._registered.pipeline_id
        published = Published(self.workspace.registry.live().pipelines)
        newest = published.newest(self._declared.pipeline.removesuffix("@latest"))
        return newest.id if newest else None

    @property
    def pipeline_endpoint_id(self) -> None:
        """None: what Azure ML calls an endpoint is ``pipeline: name@latest`` in a manifest."""
        return

    @property
    def pipeline_parameters(self) -> Mapping[str, Scalar]:
        """The values it gives to the pipeline's parameters."""
        return self._declared.pipeline_parameters

    @property
    def continue_on_step_failure(self) -> bool | None:
        """Whether steps that do not need a failed one still run; None is the pipeline's own say."""
        return self._declared.continue_on_step_failure

    @property
    def trigger(self) -> Trigger:
        """The trigger as declared, which may say more than Azure ML's words can."""
        return self._declared.trigger

    @property
    def recurrence(self) -> ScheduleRecurrence | None:
        """The recurrence, or None for a data or cron trigger."""
        trigger = self._declared.trigger
        return from_declared(trigger) if isinstance(trigger, Recurrence) else None

    @property
    def datastore_name(self) -> str | None:
        """The datastore it watches, or None for a recurrence."""
        return self._watch.datastore if self._watch else None

    @property
    def path_on_datastore(self) -> str | None:
        """The folder it watches; None for the datastore's top level, or a recurrence."""
        return (self._watch.path_on_datastore or None) if self._watch else None

    @property
    def polling_interval(self) -> float | None:
        """Minutes between two looks at the datastore, or None for a recurrence."""
        return self._watch.polling_interval if self._watch else None

    @property
    def data_path_parameter_name(self) -> str | None:
        """The parameter that receives the changed file's path, where there is one."""
        return self._watch.data_path_parameter_name if self._watch else None

    @property
    def _watch(self) -> DatastoreChange | None:
        trigger = self._declared.trigger
        return trigger if isinstance(trigger, DatastoreChange) else None

    @property
    def owner(self) -> str | None:
        """The ``project/target`` that manages it in Git; None for one made by :meth:`create`."""
        owner = self._registered.owner
        return None if owner is None else str(owner)

    @property
    def provisioning_status(self) -> str:
        """``Completed``, ``Provisioning`` or ``Failed``, asked anew.

        Only an Active data schedule is ever not Completed: from its creation until the runner has
        once listed what is in its folder, which will not fire.
        """
        if self.status != Status.ACTIVE.value:
            return COMPLETED
        return provisioning(self.workspace.ledger, self.id)[0]

    @staticmethod
    def create(  # noqa: PLR0913, PLR0917  (Azure ML's)
        workspace: Workspace,
        name: str,
        pipeline_id: str,
        experiment_name: str,
        recurrence: ScheduleRecurrence | None = None,
        description: str | None = None,
        pipeline_parameters: Mapping[str, Scalar] | None = None,
        wait_for_provisioning: bool = False,  # noqa: FBT001, FBT002  (Azure ML's)
        wait_timeout: float = 3600,
        datastore: Datastore | None = None,
        polling_interval: float | None = _POLLING_INTERVAL,
        data_path_parameter_name: str | None = None,
        continue_on_step_failure: bool | None = None,  # noqa: FBT001  (Azure ML's)
        path_on_datastore: str | None = None,
        status: str | None = None,
    ) -> Schedule:
        """Create a schedule that a recurrence or a change in a datastore makes fire.

        ``polling_interval`` is in minutes, ``wait_timeout`` in seconds. ``path_on_datastore`` is
        one folder, without those in it; by default the datastore's top level.
        ``data_path_parameter_name`` is the pipeline parameter (of type datapath) that receives the
        changed file's path. ``status="Disabled"`` creates it without firing, which Azure ML
        documents but does not take. The name follows the rules of a manifest.

        Raises:
            InvalidValue: arguments that contradict each other, with Azure ML's messages; neither
                or both triggers.
            NotFound: no such pipeline, parameter or datastore.
            Refused: the pipeline is Disabled, or a parameter has another type or no value.
            WorkspaceError: provisioning was waited for and took too long.
            DatastoreError: provisioning was waited for and failed.
        """
        if recurrence is None and datastore is None:
            raise wrong("recurrence", "Specify either a Recurrence or a Datastore")
        default = recurrence is not None and polling_interval == _POLLING_INTERVAL
        arguments = Arguments(
            name=name,
            description=description,
            status=status,
            recurrence=recurrence,
            pipeline_parameters=pipeline_parameters,
            continue_on_step_failure=continue_on_step_failure,
            datastore=datastore,
            polling_interval=None if default else polling_interval,
            data_path_parameter_name=data_path_parameter_name,
            path_on_datastore=path_on_datastore,
        )
        arguments.check()
        data = {"pipeline": pipeline_id, "experiment_name": experiment_name, "trigger": {}}
        declared = arguments.onto(data)
        pipeline = PublishedPipeline.get(workspace, pipeline_id)
        schedule_id = operate.create_schedule(workspace.registry, declared, pipeline.id)
        if wait_for_provisioning:
            wait_until_provisioned(workspace, schedule_id, wait_timeout)
        return Schedule.get(workspace, schedule_id)

    @staticmethod
    def list(
        workspace: Workspace,
        active_only: bool = True,  # noqa: FBT001, FBT002  (Azure ML's)
        pipeline_id: str | None = None,
    ) -> builtins.list[Schedule]:
        """List schedules by name: the Active ones, or all.

        With ``pipeline_id`` all schedules of that pipeline, Disabled ones too, as in Azure ML.
        """
        found = [Schedule(workspace, here) for here in workspace.registry.live().schedules]
        if pipeline_id is not None:
            return [schedule for schedule in found if schedule.pipeline_id == pipeline_id]
        return [s for s in found if not active_only or s.status == Status.ACTIVE.value]

    @staticmethod
    def get_all(
        workspace: Workspace,
        active_only: bool = True,  # noqa: FBT001, FBT002  (Azure ML's)
        pipeline_id: str | None = None,
    ) -> builtins.list[Schedule]:
        """List schedules; deprecated in Azure ML in favour of :meth:`list`, and here too."""
        text = "Schedule.get_all(workspace) is deprecated; use Schedule.list(workspace)"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return Schedule.list(workspace, active_only, pipeline_id)

    @staticmethod
    def get_schedules_for_pipeline_id(
        workspace: Workspace, pipeline_id: str
    ) -> builtins.list[Schedule]:
        """List all schedules of a published pipeline, Disabled ones too."""
        return Schedule.list(workspace, pipeline_id=pipeline_id)

    @staticmethod
    def get(workspace: Workspace, id: str) -> Schedule:  # noqa: A002  (Azure ML's)
        """Find a schedule by its id.

        Raises:
            NotFound: the workspace has none of that id.
        """
        return Schedule(workspace, _find(workspace, id))

    def enable(
        self,
        wait_for_provisioning: bool = False,  # noqa: FBT001, FBT002  (Azure ML's)
        wait_timeout: float = 3600,
    ) -> None:
        """Let it fire again, from its next due time on: Active, and without a hold.

        Raises:
            Refused: a project manages it and its manifest says Disabled or is gone, or its
                pipeline is Disabled.
            WorkspaceError: as :meth:`create`.
            DatastoreError: as :meth:`create`.
        """
        operate.enable_schedule(self.workspace.registry, self.id)
        self._refresh(wait=wait_for_provisioning, timeout=wait_timeout)

    def disable(
        self,
        wait_for_provisioning: bool = False,  # noqa: FBT001, FBT002  (Azure ML's)
        wait_timeout: float = 3600,
    ) -> None:
        """Stop it from firing; runs under way go on.

        A schedule that a project manages is held without end: its status reads Disabled, no apply
        lifts the hold, and :meth:`enable` or `reconciler release` does.
        """
        operate.disable_schedule(
            self.workspace.registry, self.id, who=_who(), why="disabled through the SDK"
        )
        self._refresh(wait=wait_for_provisioning, timeout=wait_timeout)

    def update(  # noqa: PLR0913, PLR0917  (Azure ML's)
        self,
        name: str | None = None,
        description: str | None = None,
        recurrence: ScheduleRecurrence | None = None,
        pipeline_parameters: Mapping[str, Scalar] | None = None,
        status: str | None = None,
        wait_for_provisioning: bool = False,  # noqa: FBT001, FBT002  (Azure ML's)
        wait_timeout: float = 3600,
        datastore: Datastore | None = None,
        polling_interval: float | None = None,
        data_path_parameter_name: str | None = None,
        continue_on_step_failure: bool | None = None,  # noqa: FBT001  (Azure ML's)
        path_on_datastore: str | None = None,
    ) -> None:
        """Change what is given; None keeps, and ``{}`` clears the parameters.

        The kind of trigger, the pipeline and the experiment stay. Times due before the change are
        not made up for.

        Raises:
            InvalidValue: as :meth:`create`; a recurrence for a data schedule, or the other way.
            NotFound: no such parameter or datastore.
            Refused: a project manages it and more than its status is given; edit its manifest.
            WorkspaceError: as :meth:`create`.
            DatastoreError: as :meth:`create`.
        """
        arguments = Arguments(
            name=name,
            description=description,
            status=status,
            recurrence=recurrence,
            pipeline_parameters=pipeline_parameters,
            continue_on_step_failure=continue_on_step_failure,
            datastore=datastore,
            polling_interval=polling_interval,
            data_path_parameter_name=data_path_parameter_name,
            path_on_datastore=path_on_datastore,
        )
        self._check_kind(arguments)
        arguments.check()
        registry = self.workspace.registry
        given = {f.name for f in fields(arguments) if getattr(arguments, f.name) is not None}
        if given - {"status"}:
            operate.update_schedule(registry, self.id, lambda old: arguments.onto(to_data(old)))
        elif status == Status.ACTIVE.value:
            self.enable()
        elif status is not None:
            self.disable()
        self._refresh(wait=wait_for_provisioning, timeout=wait_timeout)

    def _check_kind(self, arguments: Arguments) -> None:
        if self._watch is None:
            if arguments.datastore is not None:
                text = "Can not specify a Datastore for a Recurrence schedule."
                raise wrong("datastore", text)
            arguments.check_no_watch()
        elif arguments.recurrence is not None:
            text = "Can not specify a recurrence for a Datastore schedule."
            raise wrong("recurrence", text)

    def get_pipeline_runs(self) -> builtins.list[PipelineRun]:
        """List the runs it started, newest first."""
        runs = self.workspace.ledger.runs(schedule_id=self.id, limit=_ALL)
        return [PipelineRun(self.workspace, run) for run in runs]

    def get_last_pipeline_run(self) -> PipelineRun | None:
        """Find the run it started last; None where there was none yet."""
        runs = self.workspace.ledger.runs(schedule_id=self.id, limit=1)
        return PipelineRun(self.workspace, runs[0]) if runs else None

    def _refresh(self, *, wait: bool, timeout: float) -> None:
        if wait:
            wait_until_provisioned(self.workspace, self.id, timeout)
        self._take(_find(self.workspace, self.id))

    def __str__(self) -> str:
        facts: dict[str, object] = {
            "Name": self.name,
            "Id": self.id,
            "Status": self.status,
            "Pipeline Id": self.pipeline_id,
            "Pipeline Endpoint Id": self.pipeline_endpoint_id,
        }
        trigger = self._declared.trigger
        if isinstance(trigger, DatastoreChange):
            facts["Datastore"] = trigger.datastore
            if trigger.path_on_datastore:
                facts["Path on Datastore"] = trigger.path_on_datastore
        elif isinstance(trigger, Recurrence):
            facts["Recurrence Details"] = describe(from_declared(trigger))
        else:
            facts["Recurrence Details"] = f"Runs by cron {trigger.expression}"
        lines = ",\n".join(f"{key}: {fact}" for key, fact in facts.items())
        return f"Pipeline({lines})"

    __repr__ = __str__


def _find(workspace: Workspace, schedule_id: str) -> RegisteredSchedule:
    for here in workspace.registry.live().schedules:
        if here.id == schedule_id:
            return here
    raise NotFound(f"no schedule has the id '{schedule_id}'; Schedule.list(ws, False) shows all")


def _who() -> str:
    """Name the user, for the hold."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "somebody"
