"""What can be run."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from reconciler.errors import NotFound
from reconciler.pipeline import Pipeline
from reconciler.plan.spec import spec_value
from reconciler.reconcile import ask, operate
from reconciler.schedule import Status
from reconciler.sdk.run import PipelineRun

if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping

    from reconciler.fields import Scalar
    from reconciler.live import PublishedPipeline as Registered
    from reconciler.sdk.workspace import Workspace


class PublishedPipeline:
    """One immutable, published version of a pipeline.

    Pipelines are published by `reconciler apply`, so there is no constructor to call; use
    :meth:`list` or :meth:`get`.
    """

    def __init__(self, workspace: Workspace, registered: Registered) -> None:
        self.workspace = workspace
        self._registered = registered

    @property
    def id(self) -> str:
        """The id, for :meth:`Schedule.create`; another version has another one."""
        return self._registered.id

    @property
    def name(self) -> str:
        """The name, which all versions share."""
        return self._registered.name

    @property
    def version(self) -> str:
        """The version's number, from ``1``."""
        return str(self._registered.version)

    @property
    def description(self) -> str:
        """What it does, for people."""
        return spec_value(Pipeline, self._registered.spec).description

    @property
    def status(self) -> str:
        """``Active`` or ``Disabled``."""
        return self._registered.status.value

    @staticmethod
    def list(workspace: Workspace, active_only: bool = True) -> builtins.list[PublishedPipeline]:  # noqa: FBT001, FBT002  (Azure ML's)
        """List published pipelines by name and version, every version on its own."""
        return [
            PublishedPipeline(workspace, registered)
            for registered in workspace.registry.live().pipelines
            if not active_only or registered.status is Status.ACTIVE
        ]

    @staticmethod
    def get(workspace: Workspace, id: str) -> PublishedPipeline:  # noqa: A002  (Azure ML's)
        """Find a published pipeline by its id, Active or Disabled.

        Raises:
            NotFound: the workspace has none of that id.
        """
        return PublishedPipeline(workspace, _find(workspace, id))

    def disable(self) -> None:
        """Make it Disabled: nothing runs it any more; runs under way go on.

        A project that still declares it publishes it again with its next apply, and its plan says
        so before.

        Raises:
            Refused: active schedules use it; the message names them. (Azure ML only documents that
                they must be disabled first.)
        """
        operate.disable_pipeline(self.workspace.registry, self.id)
        self._refresh()

    def enable(self) -> None:
        """Make it Active again."""
        operate.enable_pipeline(self.workspace.registry, self.id)
        self._refresh()

    def submit(
        self,
        workspace: Workspace,
        experiment_name: str,
        pipeline_parameters: Mapping[str, Scalar] | None = None,
    ) -> PipelineRun:
        """Run it once, now; a runner has to be at work on the workspace.

        Raises:
            NotFound: it has no parameter of that name.
            Refused: it is Disabled, or a parameter has another type or no value.
        """
        asked = ask.run_pipeline(
            workspace.registry,
            workspace.ledger,
            self.id,
            experiment_name,
            pipeline_parameters or {},
            str(uuid.uuid4()),
        )
        return PipelineRun(workspace, asked.run)

    def _refresh(self) -> None:
        self._registered = _find(self.workspace, self.id)

    def __repr__(self) -> str:
        return f"Pipeline(Name: {self.name},\nId: {self.id},\nStatus: {self.status})"


def _find(workspace: Workspace, pipeline_id: str) -> Registered:
    for registered in workspace.registry.live().pipelines:
        if registered.id == pipeline_id:
            return registered
    text = f"no published pipeline has the id '{pipeline_id}'"
    raise NotFound(f"{text}; PublishedPipeline.list(ws, False) shows all")
