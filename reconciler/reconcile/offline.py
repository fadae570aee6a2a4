"""What a merge would change, from two commits alone.

The first commit's project stands for the workspace: the plan is against what applying it would
have made. Nothing is asked of any workspace, so what only a workspace knows is not in the plan, and
a reference to what neither commit declares is believed and warned of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.errors import ManifestError, NoMatch, SourceError
from reconciler.live import (
    DisabledBy,
    Live,
    Owner,
    Provenance,
    PublishedPipeline,
    RegisteredDatastore,
    RegisteredSchedule,
)
from reconciler.manifest.load import Loaded, load
from reconciler.manifest.project import Project
from reconciler.plan.bind import Bindings
from reconciler.plan.change import Guard, Kind
from reconciler.plan.guards import matches
from reconciler.plan.spec import spec_text
from reconciler.reconcile.read import (
    choose_target,
    load_target,
    plan,
    read_loaded,
    read_project,
)
from reconciler.reconcile.strangers import UNKNOWN, Strangers
from reconciler.schedule import Status
from reconciler.source.base import Descent
from reconciler.source.files import PROJECT_FILE
from reconciler.workspace.address import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.data import Datastore
    from reconciler.manifest.load import Declared
    from reconciler.pipeline import Pipeline
    from reconciler.plan.change import Change, Plan
    from reconciler.plan.desired import Desired
    from reconciler.reconcile.read import Reading
    from reconciler.schedule import Schedule
    from reconciler.source.base import Source


def plan_offline(
    base: Source,
    source: Source,
    target: str | None,
    as_of: int,
    adopt: frozenset[str] = frozenset(),
) -> tuple[Plan, Reading]:
    """Plan what ``source`` would change in a workspace that ``base`` was applied to.

    Both are of commits. Gives the plan and the reading of ``source`` that it was made of.

    Raises:
        ManifestError: with every problem in every file of one of the two.
        NotFound: there is no such target.
        SourceError: one of the two is not complete, so nothing can be concluded from it.
    """
    project = read_project(source)
    target = choose_target(project, target)
    loaded = load_target(source, project, target)
    owner = Owner(project.project, target)
    former, strangers = _former(base, target), Strangers(loaded, owner)
    live = strangers.live()
    if former is not None:
        live = _made(former.read(base), strangers.live(former.loaded), as_of)
    reading = read_loaded(source, project, owner, loaded, live, adopt)
    made = plan(reading, shown(project.targets[target].workspace), as_of)
    known = str(base.state().commit)
    return (
        replace(
            made,
            base=known,
            changes=tuple(map(_nameless, made.changes)),
            warnings=tuple(sorted({*made.warnings, *strangers.warnings()})),
            guards=tuple(
                sorted({*made.guards, *_footing(source, known)}, key=lambda g: (g.id, g.message))
            ),
        ),
        reading,
    )


def _nameless(change: Change) -> Change:
    """Leave out what names a live object, for there is none."""
    digest = None if change.digest == UNKNOWN else change.digest
    return replace(
        change, id=None, revision=None, fingerprint=None, pipeline_id=None, digest=digest
    )


def _footing(source: Source, base: str) -> Iterator[Guard]:
    """Give the guards that an apply would have, once the base was applied."""
    commit = str(source.state().commit)
    descent = source.descent(base)
    if descent is Descent.DIVERGED:
        text = f"commit {commit[:12]} does not contain {base[:12]} and would undo it"
        way = "merge or rebase, or compare with the commit that they share, else"
        yield Guard("diverged", f"{text}; {way} add --allow-diverged", allowable=True)
    elif descent is Descent.ANCESTOR:
        text = f"commit {commit[:12]} is older than {base[:12]}"
        yield Guard("rollback", f"{text}; to go back to it add --rollback", allowable=True)


@dataclass(frozen=True, slots=True)
class _Former:
    """What the base declares for the target."""

    project: Project
    owner: Owner
    loaded: Loaded

    def read(self, base: Source) -> Reading:
        live = Strangers(self.loaded, self.owner).live()
        try:
            return read_loaded(base, self.project, self.owner, self.loaded, live)
        except ManifestError as error:
            raise _of_base(base, error) from None


def _former(base: Source, target: str) -> _Former | None:
    """Load the base; None where it has no such project or target yet."""
    folders = base.folders()
    if folders is None or PROJECT_FILE not in folders.entries([""])[""]:
        return None
    try:
        project = read_project(base)
        if target not in project.targets:
            return None
        return _Former(project, Owner(project.project, target), _load(base, project, target))
    except ManifestError as error:
        raise _of_base(base, error) from None
    except SourceError as error:
        raise SourceError(f"{_name(base)}, which is compared with: {error}") from None


def _load(base: Source, project: Project, target: str) -> Loaded:
    """Load what the base declares; a project that has no manifests at all yet declares nothing."""
    try:
        return load_target(base, project, target)
    except NoMatch:
        for glob in project.includes(target):
            try:
                base.manifests([glob])
            except NoMatch:
                continue
            raise
        return load([])


def _of_base(base: Source, error: ManifestError) -> ManifestError:
    """Say of problems that they are in the base, where the files as they lie may have none."""
    where = f"{_name(base)}, which is compared with"
    return ManifestError(
        replace(problem, message=f"{problem.message} (in {where})") for problem in error.problems
    )


def _name(base: Source) -> str:
    return f"commit {(base.state().commit or '')[:12]}"


def _made(reading: Reading, strangers: Live, as_of: int) -> Live:
    """Give what an apply of ``reading`` makes, beside ``strangers``."""
    desired = reading.desired
    own = [_published(desired, declared, as_of) for declared in desired.pipelines.values()]
    pipelines = sorted((*strangers.pipelines, *own), key=lambda one: (one.name, one.version))
    bindings = Bindings(desired, [*reading.live.pipelines, *own])
    stores = [_store(desired, declared, as_of) for declared in desired.datastores.values()]
    return Live(
        schedules=tuple(
            _registered(desired, declared, bindings, as_of)
            for declared in desired.schedules.values()
        ),
        pipelines=tuple(pipelines),
        datastores=tuple(sorted((*strangers.datastores, *stores), key=lambda store: store.name)),
    )


def _published(desired: Desired, declared: Declared[Pipeline], as_of: int) -> PublishedPipeline:
    name, digest = declared.value.name, str(desired.digest(declared.value.name))
    return PublishedPipeline(
        id=f"{name}@{digest}",
        name=name,
        version=0,
        spec=spec_text(declared.value),
        digest=digest,
        code_digest=desired.code_digests.get(name),
        status=Status.ACTIVE,
        disabled_by=None,
        owner=desired.owner,
        provenance=_place(declared),
        created_at=as_of,
        revision=0,
        protected=matches(f"{Kind.PIPELINE}.{name}", desired.terms.protected),
        declared=True,
    )


def _registered(
    desired: Desired, declared: Declared[Schedule], bindings: Bindings, as_of: int
) -> RegisteredSchedule:
    schedule = declared.value
    binding = bindings.bind(schedule.pipeline)
    bound = binding.published if binding is not None else None
    return RegisteredSchedule(
        id=f"{Kind.SCHEDULE}.{schedule.name}",
        name=schedule.name,
        spec=spec_text(schedule),
        pipeline_id=bound.id if bound is not None else None,
        status=schedule.status,
        disabled_by=DisabledBy.GIT if schedule.status is Status.DISABLED else None,
        owner=desired.owner,
        provenance=_place(declared),
        created_at=as_of,
        updated_at=as_of,
        revision=0,
        protected=matches(f"{Kind.SCHEDULE}.{schedule.name}", desired.terms.protected),
        declared=True,
    )


def _store(desired: Desired, declared: Declared[Datastore], as_of: int) -> RegisteredDatastore:
    name = declared.value.name
    return RegisteredDatastore(
        name=name,
        spec=spec_text(declared.value),
        owner=desired.owner,
        provenance=_place(declared),
        created_at=as_of,
        revision=0,
        protected=matches(f"{Kind.DATASTORE}.{name}", desired.terms.protected),
    )


def _place(declared: Declared[Schedule | Pipeline | Datastore]) -> Provenance:
    return Provenance(file=declared.file, line=declared.line)
