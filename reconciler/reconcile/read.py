"""From a source to the desired side of a plan, and to the plan."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from reconciler import __version__
from reconciler.bulk import bulk
from reconciler.errors import ManifestError, NotFound, SourceError
from reconciler.live import CodeTree, Live, Owner, OwnerRecord, Provenance
from reconciler.manifest.compose import compose
from reconciler.manifest.load import load
from reconciler.manifest.project import Project, load_project
from reconciler.plan.build import build_plan
from reconciler.plan.check import problems
from reconciler.plan.desired import Desired, Kept
from reconciler.reconcile.files import Look, with_files
from reconciler.reconcile.footing import footing
from reconciler.reconcile.narrow import Part, narrow
from reconciler.source.base import Source, SourceState
from reconciler.source.files import PROJECT_FILE
from reconciler.source.globs import Globs
from reconciler.source.snapshot import dropping

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.data import Datastore
    from reconciler.errors import Problem
    from reconciler.manifest.load import Declared, Loaded
    from reconciler.pipeline import Pipeline
    from reconciler.plan.change import Plan
    from reconciler.workspace.base import LiveReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One state of a project, with the code it refers to and the live side it was read against.

    ``part`` is None where the project was read whole, else what an incremental reading found.
    ``state`` names of the uncommitted files only those that have a say in what is declared.
    """

    project: Project
    desired: Desired
    live: Live
    code: Mapping[str, CodeTree]
    source: Source
    state: SourceState
    part: Part | None = None

    @property
    def record(self) -> OwnerRecord | None:
        """What the registry knows of the owner; None before a first apply."""
        owner = self.desired.owner
        return next((record for record in self.live.owners if record.owner == owner), None)

    def provenance(self, file: str | None, line: int | None) -> Provenance:
        """Tell where the object declared at that place comes from."""
        if file is None:
            return Provenance()
        return replace(self.source.provenance([file])[file], file=file, line=line)

    def code_folders(self) -> Mapping[str, str]:
        """Give the code folder, within the project, of each pipeline that was read and has one."""
        return {
            name: posixpath.normpath(_beside(declared, declared.value.code))
            for name, declared in self.desired.pipelines.items()
            if declared.value.code is not None
        }


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


@bulk()
def read(  # noqa: PLR0913  (what to read, against what, and how)
    source: Source,
    project: Project,
    target: str,
    reader: LiveReader,
    *,
    adopt: frozenset[str] = frozenset(),
    full: bool = True,
) -> Reading:
    """Read and check what the project declares for a target.

    Without ``full`` only what can have changed since the last apply is read, where that can be
    told and nothing is to be adopted; the plan is the same.

    Raises:
        ManifestError: with every problem in every file.
        SourceError: the source is not complete, so nothing can be concluded from it.
    """
    owner = Owner(project.project, target)
    if not full and not adopt:
        # What cannot be read is for the whole reading to tell.
        with suppress(SourceError):
            part = narrow(source, project, owner, reader)
            if part is not None:
                reading = _reading(source, project, owner, part.loaded, part.live, part.kept, adopt)
                if not isinstance(reading, list):
                    return _declaring(replace(reading, part=part), part.code)
    loaded = load_target(source, project, target)
    return read_loaded(source, project, owner, loaded, reader.live(), adopt)


def read_loaded(  # noqa: PLR0913, PLR0917  (all that makes one)
    source: Source,
    project: Project,
    owner: Owner,
    loaded: Loaded,
    live: Live,
    adopt: frozenset[str] = frozenset(),
) -> Reading:
    """Check all that was loaded against what is live.

    Raises:
        ManifestError: with every problem in every file.
    """
    reading = _reading(source, project, owner, loaded, live, Kept(), adopt)
    if isinstance(reading, list):
        raise ManifestError(reading)
    return _declaring(reading)


def _declaring(reading: Reading, code: Iterable[str] = ()) -> Reading:
    """Count as uncommitted only what says something about what is declared.

    That is the project file, what an include matches, and what is below a code folder; ``code`` are
    those of pipelines that were not read. A note or a saved plan beside them decides nothing.
    """
    if not reading.state.dirty:
        return reading
    globs = Globs(reading.project.includes(reading.desired.owner.target))
    folders = {*code, *reading.code_folders().values()}
    dirty = tuple(
        path
        for path in reading.state.dirty
        if path == PROJECT_FILE
        or globs.matching(path)
        or (not dropping(path) and not folders.isdisjoint(_above(path)))
    )
    return replace(reading, state=replace(reading.state, dirty=dirty))


def _above(path: str) -> Iterator[str]:
    """Name the folders that a file is in, the project's own last."""
    while path:
        path = posixpath.dirname(path)
        yield path or "."


def again(reading: Reading, reader: LiveReader) -> Reading:
    """Read the same state of the project against what the workspace is now.

    Raises:
        ManifestError: it does not fit any more.
    """
    desired = reading.desired
    if reading.part is not None:
        project, target = reading.project, desired.owner.target
        return read(reading.source, project, target, reader, adopt=desired.adopt, full=False)
    live = reader.live()
    found = problems(desired, live)
    if found:
        raise ManifestError(found)
    return replace(reading, live=live)


def _reading(  # noqa: PLR0913, PLR0917  (all that makes one)
    source: Source,
    project: Project,
    owner: Owner,
    loaded: Loaded,
    live: Live,
    kept: Kept,
    adopt: frozenset[str],
) -> Reading | list[Problem]:
    """Put a reading together and check it; gives the problems where there are any."""
    trees, missing = _snapshot(source, loaded)
    desired = Desired(
        owner=owner,
        schedules=loaded.schedules,
        pipelines=loaded.pipelines,
        datastores={
            name: replace(declared, value=absolute(declared.value, source.folder))
            for name, declared in loaded.datastores.items()
        },
        code_digests={name: tree.digest for name, tree in trees.items()},
        terms=project.terms(owner.target),
        adopt=adopt,
        kept=kept,
    )
    found = [*loaded.problems, *missing, *problems(desired, live, loaded.broken)]
    return found or Reading(
        project=project,
        desired=desired,
        live=live,
        code=trees,
        source=source,
        state=source.state(),
    )


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
    if store.scheme != "file" or path.startswith("/"):
        return store
    parts = [part for part in path.split("/") if part not in {"", "."}]
    return replace(store, url="file://" + quote(folder) + "".join(f"/{part}" for part in parts))


@bulk()
def plan(reading: Reading, workspace: str, as_of: int, look: Look | None = None) -> Plan:
    """Compare a project with the workspace it was read against.

    ``workspace`` is its URL, ``as_of`` the instant that "now" means, ``look`` lists what is in a
    datastore where a trigger would look; without it nothing is to be seen.
    """
    made = build_plan(
        reading.desired,
        reading.live,
        workspace=workspace,
        as_of=as_of,
        tool=__version__,
        commit=reading.state.commit,
        dirty=reading.state.dirty,
        further=footing(reading.source, reading.record),
    )
    return with_files(made, reading.desired, reading.live, look)
