"""What a pipeline or a schedule has started."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from reconciler.errors import ReconcilerError
from reconciler.run import RunState
from reconciler.sdk.experiment import Experiment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.fields import Scalar
    from reconciler.run import Run
    from reconciler.sdk.workspace import Workspace

_POLL_SECONDS = 0.25


class PipelineRun:
    """One execution of a published pipeline.

    ``status`` is what was known when the object was made; :meth:`get_status` asks anew.
    """

    def __init__(self, workspace: Workspace, run: Run) -> None:
        self.workspace = workspace
        self._run = run

    @property
    def id(self) -> str:
        """The run's id."""
        return self._run.id

    @property
    def pipeline_id(self) -> str:
        """The id of the published pipeline it runs."""
        return self._run.pipeline_id

    @property
    def schedule_id(self) -> str | None:
        """The id of the schedule that started it; None for a run by hand."""
        return self._run.schedule_id

    @property
    def experiment(self) -> Experiment:
        """The experiment it belongs to."""
        return Experiment(self.workspace, self._run.experiment_name)

    @property
    def parameters(self) -> Mapping[str, Scalar]:
        """Every parameter's value, a changed file's path included."""
        return self._run.parameters

    @property
    def status(self) -> str:
        """``NotStarted``, ``Running``, ``Failed``, ``Finished`` or ``Canceled``."""
        return self._run.state.value

    @property
    def reason(self) -> str:
        """Why it ended as it did; empty for a run that has finished or is under way."""
        return self._run.reason

    def get_status(self) -> str:
        """Ask for the present status, in the words of :attr:`status`."""
        self._run = self.workspace.ledger.run(self.id)
        return self.status

    def wait_for_completion(
        self,
        show_output: bool = True,  # noqa: FBT001, FBT002  (Azure ML's)
        timeout_seconds: float = sys.maxsize,
        raise_on_error: bool = True,  # noqa: FBT001, FBT002  (Azure ML's)
    ) -> str:
        """Wait until the run is over and return its status.

        ``show_output`` prints each change of status; the output of the steps is in
        `reconciler logs`.

        Raises:
            ReconcilerError: it failed or was canceled and ``raise_on_error`` is set, or it is not
                over after ``timeout_seconds`` (where Azure ML prints and returns).
        """
        deadline = time.monotonic() + timeout_seconds
        shown = ""
        while True:
            status = self.get_status()
            if show_output and status != shown:
                print(f"PipelineRun {self.id} Status: {status}")  # noqa: T201  (asked for)
                shown = status
            if self._run.state.over:
                break
            if time.monotonic() >= deadline:
                raise ReconcilerError(
                    f"Timed out of waiting, status:{status}. Is a runner at work on "
                    f"{self.workspace.url}? Start one with `reconciler runner start`"
                )
            time.sleep(min(_POLL_SECONDS, timeout_seconds))
        if raise_on_error and self._run.state is not RunState.FINISHED:
            raise ReconcilerError(f"run {self.id} is {status}: {self.reason}")
        return status

    def __repr__(self) -> str:
        return f"PipelineRun(Id: {self.id}, Status: {self.status})"
