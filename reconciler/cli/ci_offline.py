"""A plan of two commits, without credentials and without the live workspace."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from reconciler.errors import SourceError
from reconciler.reconcile.apply import How, apply_plan
from reconciler.reconcile.read import choose_target, plan, read, read_project
from reconciler.settings import open_reader, open_workspace
from reconciler.source.files import PROJECT_FILE

if TYPE_CHECKING:
    from reconciler.cli.planning import Asked
    from reconciler.cli.scope import Scope
    from reconciler.plan.change import Plan
    from reconciler.source.base import Source

SHOWN = "none (two commits were compared)"


def plan_offline(scope: Scope, source: Source, base: str | None, asked: Asked) -> tuple[Plan, str]:
    """Plan a commit against a new workspace that the base was applied to; it is gone afterwards.

    Gives the project's folder within the repository, too.

    Raises:
        SourceError: no base is known, or it cannot be read as a whole.
    """
    if base is None:
        raise SourceError("there is no commit to compare with; name one: --base COMMIT")
    project = read_project(source)
    target = choose_target(project, scope.target)
    with TemporaryDirectory(prefix="reconciler-") as folder:
        url = f"sqlite:{folder}/workspace.db"
        _apply(scope, base, target, url)
        reading = read(source, project, target, open_reader(url), adopt=asked.adopt)
        as_of = open_reader(url).now() if asked.now is None else asked.now
        return plan(reading, SHOWN, as_of), reading.state.project_path


def _apply(scope: Scope, base: str, target: str, url: str) -> None:
    """Apply the base, as far as there was a project with such a target."""
    before = scope.source(base)
    folders = before.folders()
    if folders is not None and PROJECT_FILE not in folders.entries([""])[""]:
        return
    project = read_project(before)
    if target not in project.targets:
        return
    workspace = open_workspace(url, create=True)
    reading = read(before, project, target, workspace.registry)
    made = plan(reading, SHOWN, workspace.registry.now())
    apply_plan(made, reading, workspace.registry, How(actor="ci"))
