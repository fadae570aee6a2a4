"""From a source to the desired side of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from reconciler.errors import ManifestError, NotFound, SourceError
from reconciler.live import CodeTree, Live, Owner, Provenance
from reconciler.manifest.compose import compose
from reconciler.manifest.load import load
from reconciler.manifest.project import load_project
from reconciler.plan.build import build_plan
from reconciler.plan.check import problems
from reconciler.plan.desired import Desired
from reconciler.source.base import Source, SourceState

if TYPE_CHECKING:
    from reconciler.errors import Problem
    from reconciler.manifest.load import Declared, Loaded
    from reconciler.manifest.project import Project
    from reconciler.pipeline import Pipeline
    from reconciler.plan.change import Plan
    from reconciler.schedule import Datastore


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One state of a project, read whole: what it declares, with the code it refers to.

    ``live`` is the state of the workspace that its references were checked against.
    """

    desired: Desired
    live: Live
    code: Mapping[str, CodeTree]
    source: Source
    state: SourceState

    def provenance(self, file: str | None, line: int | None) -> Provenance:
        """Tell where the object declared at that place comes from."""
        if file is None:
            return Provenance()
        return replace(self.source.provenance([file])[file], file=file, line=line)


def read_project(source: Source) -> Project:
    """Read ``reconciler.yml``.

    Raises:
        ManifestError: it has problems.
        SourceError: there is none.
    """
    document = source.project_file()
    project, found = load_project(document.file, document.text)
    if project is None or found:
        raise ManifestError(found)
    return project


def choose_target(project: Project, target: str | None) -> str:
    """Pick the named target, or the only one.

    Raises:
        NotFound: there is no such target, or several and none was named.
    """
    known = ", ".join(sorted(project.targets))
    if target is None:
        if len(project.targets) == 1:
            return next(iter(project.targets))
        raise NotFound(f"the project has several targets; choose one with --target ({known})")
    if target not in project.targets:
        raise NotFound(f"target '{target}' is not in reconciler.yml (known: {known})")
    return target


def load_target(source: Source, project: Project, target: str | None) -> Loaded:
    """Load what the project declares for one target; nothing is checked against its workspace.

    None is any target, where they do not differ in what is declared.

    Raises:
        NotFound: no target was named, and they differ.
        SourceError: the source is not complete, so nothing can be concluded from it.
    """
    if target is None and not project.targets_differ:
        target = min(project.targets)
    target = choose_target(project, target)
    return load(source.manifests(project.includes(target)), compose(project, target))


def read(source: Source, project: Project, target: str, live: Live) -> Reading:
    """Read and check everything the project declares for a target.

    Raises:
        ManifestError: with every problem in every file.
        SourceError: the source is not complete, so nothing can be concluded from it.
    """
    loaded = load_target(source, project, target)
    trees, missing = _snapshot(source, loaded)
    desired = Desired(
        owner=Owner(project.project, target),
        schedules=loaded.schedules,
        pipelines=loaded.pipelines,
        datastores={
            name: replace(declared, value=absolute(declared.value, source.folder))
            for name, declared in loaded.datastores.items()
        },
        code_digests={name: tree.digest for name, tree in trees.items()},
    )
    found = [*loaded.problems, *missing, *problems(desired, live, loaded.broken)]
    if found:
        raise ManifestError(found)
    return Reading(desired=desired, live=live, code=trees, source=source, state=source.state())


def _snapshot(source: Source, loaded: Loaded) -> tuple[dict[str, CodeTree], list[Problem]]:
    trees: dict[str, CodeTree] = {}
    found: list[Problem] = []
    by_folder: dict[str, CodeTree] = {}
    for name, declared in loaded.pipelines.items():
        if declared.value.code is None:
            continue
        folder = _beside(declared, declared.value.code)
        try:
            trees[name] = by_folder.setdefault(folder, by_folder.get(folder) or source.code(folder))
        except SourceError as error:
            found.append(declared.problem(str(error), "code"))
    return trees, found


def _beside(declared: Declared[Pipeline], code: str) -> str:
    """Give the code folder relative to the project; ``code`` is relative to its manifest."""
    folder, _, _ = declared.file.rpartition("/")
    return f"{folder}/{code}" if folder else code


def absolute(store: Datastore, folder: str) -> Datastore:
    """Make a ``file:`` URL absolute; a relative one is counted from the project's folder."""
    path = store.url.removeprefix("file:")
    if path.startswith("/"):
        return store
    parts = [part for part in path.split("/") if part not in {"", "."}]
    return replace(store, url="file://" + quote(folder) + "".join(f"/{part}" for part in parts))


def plan(reading: Reading, workspace: str) -> Plan:
    """Compare a project with the workspace it was read against; ``workspace`` is its URL."""
    return build_plan(
        reading.desired,
        reading.live,
        workspace=workspace,
        commit=reading.state.commit,
        dirty=reading.state.dirty,
    )
