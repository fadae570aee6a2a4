"""Where everything else is found."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler import settings
from reconciler.reconcile.read import choose_target, read_project

TARGET_VARIABLE = "RECONCILER_TARGET"


class Workspace:
    """A workspace that `reconciler apply` has made.

    ``url`` is for example ``sqlite:/srv/ml/workspace.db``; a relative path in it is counted from
    ``base``. ``registry`` and ``ledger`` are the workspace's ports, for what this API leaves out.

    Raises:
        NotFound: there is none at that place.
        WorkspaceError: it cannot be opened.
    """

    def __init__(self, url: str, base: str = ".") -> None:
        opened = settings.open_workspace(url, base)
        self.url = opened.url
        self.registry = opened.registry
        self.ledger = opened.ledger

    @classmethod
    def from_config(
        cls,
        path: str | os.PathLike[str] | None = None,
        auth: object = None,  # noqa: ARG003  (scripts pass it; there is nobody to sign in to)
        *,
        target: str | None = None,
    ) -> Workspace:
        """Open the workspace of the project that the present folder is in, as the CLI does.

        ``path`` is a ``reconciler.yml`` or a folder in a project, and the present folder by
        default; without it, ``$RECONCILER_WORKSPACE`` (a workspace's URL) comes first. ``target``
        chooses among the project's targets, else ``$RECONCILER_TARGET``, else the only one.
        ``auth`` is taken and not used.

        Raises:
            SourceError: there is no ``reconciler.yml`` there or above.
            ManifestError: the project file has problems.
            NotFound: no such target, or no workspace yet.
            WorkspaceError: it cannot be opened.
        """
        url = os.environ.get(settings.WORKSPACE_VARIABLE)
        if path is None and url:
            return cls(url)
        place = Path(path or ".")
        source = settings.open_folder(str(place.parent if place.is_file() else place))
        project = read_project(source)
        chosen = choose_target(project, target or os.environ.get(TARGET_VARIABLE) or None)
        return cls(project.targets[chosen].workspace, source.folder)

    def __repr__(self) -> str:
        return f"Workspace({self.url!r})"
