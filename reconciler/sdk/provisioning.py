"""Whether a schedule is ready to fire."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from reconciler.errors import DatastoreError, WorkspaceError
from reconciler.workspace.records import WatchState

if TYPE_CHECKING:
    from reconciler.sdk.workspace import Workspace
    from reconciler.workspace.ledger import Ledger

COMPLETED = "Completed"
_POLL_SECONDS = 0.25


def provisioning(ledger: Ledger, schedule_id: str) -> tuple[str, str]:
    """Tell ``Completed``, ``Provisioning`` or ``Failed``, and why it failed.

    A data schedule is Completed once the runner has listed the files that are there. Any
    other schedule is at once.
    """
    watch = ledger.watch_of(schedule_id)
    if watch is None or schedule_id not in watch.schedule_ids:
        return COMPLETED, ""
    if watch.state is WatchState.BASELINING:
        polls = ledger.polls(watch.id, limit=1) if watch.failures else []
        return ("Failed", polls[0].error) if polls else ("Provisioning", "")
    return COMPLETED, ""


def wait_until_provisioned(workspace: Workspace, schedule_id: str, timeout: float) -> None:
    """Wait until a schedule is provisioned; what Azure ML prints when it is not is raised.

    ``timeout`` is in seconds.

    Raises:
        DatastoreError: the folder cannot be listed.
        WorkspaceError: it takes longer.
    """
    deadline = time.monotonic() + timeout
    while True:
        status, error = provisioning(workspace.ledger, schedule_id)
        if status == COMPLETED:
            return
        if error:
            raise DatastoreError(f"Provisioning failed: {error}")
        if time.monotonic() >= deadline:
            raise WorkspaceError(
                f"Timed out of waiting, status:{status}. Is a runner at work on {workspace.url}? "
                "Start one with `reconciler runner start`"
            )
        time.sleep(_POLL_SECONDS)
