"""The places files live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.data import Datastore as Declared
from reconciler.plan.spec import spec_value
from reconciler.reconcile.operate import find_datastore

if TYPE_CHECKING:
    from reconciler.sdk.workspace import Workspace


class Datastore:
    """A registered datastore, to be watched by a schedule.

    Azure ML's data triggers take blob containers only; here it is any datastore that the runner
    can list, at present local folders. ``url`` tells where the files are.

    Raises:
        NotFound: the workspace has none of that name.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        declared = spec_value(Declared, find_datastore(workspace.registry.live(), name))
        self.workspace = workspace
        self.name = declared.name
        self.description = declared.description
        self.url = declared.url

    @staticmethod
    def get(workspace: Workspace, datastore_name: str) -> Datastore:
        """Find a registered datastore.

        Raises:
            NotFound: the workspace has none of that name.
        """
        return Datastore(workspace, datastore_name)

    def __repr__(self) -> str:
        return f"Datastore(Name: {self.name}, Url: {self.url})"
