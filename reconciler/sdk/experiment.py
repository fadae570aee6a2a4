"""The names that group runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import builtins

    from reconciler.sdk.workspace import Workspace


class Experiment:
    """The name under which runs are grouped; it is created on first use.

    ``id`` is the workspace's own, the same as long as the experiment exists.
    """

    def __init__(self, workspace: Workspace, name: str, *, _id: str | None = None) -> None:
        if _id is None:
            with workspace.registry.transaction() as tx:
                _id = tx.ensure_experiment(name).id
        self.workspace = workspace
        self.name = name
        self.id = _id

    @staticmethod
    def list(workspace: Workspace, experiment_name: str | None = None) -> builtins.list[Experiment]:
        """List the workspace's experiments by name, or only the one of that name."""
        return [
            Experiment(workspace, record.name, _id=record.id)
            for record in workspace.registry.experiments()
            if experiment_name in {None, record.name}
        ]

    def __repr__(self) -> str:
        return f"Experiment(Name: {self.name})"
