"""An incremental plan: read only what can have changed since the last apply.

An object is left unread when its manifest, what all manifests share, and everything it refers to
are what they were at the last apply, and nobody touched the live side of it since. Whenever that
cannot be told for certain, or something must be reported that only a full reading sees, the answer
is None and the project is read whole: the short cut never decides what a plan says.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler import __version__
from reconciler.data import DatastoreChange
from reconciler.live import Live
from reconciler.manifest.compose import compose
from reconciler.manifest.load import Loaded, load
from reconciler.manifest.terms import OnMissing
from reconciler.plan.change import Kind
from reconciler.plan.desired import Kept
from reconciler.plan.loops import may_loop
from reconciler.plan.spec import DIALECT
from reconciler.reconcile.survey import Survey, survey
from reconciler.schedule import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.live import Owner
    from reconciler.manifest.compose import Composition
    from reconciler.manifest.project import Project
    from reconciler.source.base import Source
    from reconciler.workspace.base import LiveReader
    from reconciler.workspace.records import Glance

# Beyond so many rounds of files that lead to other files, reading everything is no slower.
_ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of a project that can have changed, with the live side of it.

    ``code`` are the code folders of the pipelines that were left unread.
    """

    loaded: Loaded
    live: Live
    kept: Kept
    survey: Survey
    code: frozenset[str]


def inputs_digest(source: Source, target: str) -> str:
    """Give a digest of what all objects of a target share.

    That is the project file, the target, the program with its dialect, and the project's place,
    from which relative paths are counted.
    """
    text = source.project_file().text
    shared = [__version__, DIALECT, target, source.folder, hashlib.sha256(text).hexdigest()]
    return hashlib.sha256(json.dumps(shared).encode()).hexdigest()


def narrow(source: Source, project: Project, owner: Owner, reader: LiveReader) -> Part | None:
    """Read the part of a project that can differ from the workspace; None to read it whole."""
    target = owner.target
    folders = source.folders()
    if folders is None or project.terms(target).on_missing is OnMissing.KEEP:
        return None
    composition = compose(project, target)
    glance = reader.glance(owner)
    if glance is None or not _trusted(glance, inputs_digest(source, target)):
        return None
    code = {pin.code for pin in glance.pipelines.values() if pin.code is not None}
    seen = survey(folders, project.includes(target), code, glance.folders)
    if not seen.plain:
        return None
    edited = {
        p.file for p in glance.pipelines.values() if p.code is not None and p.code in seen.code
    }
    files = {*seen.changed, *edited, *glance.unsettled}
    for _ in range(_ROUNDS):
        loaded = load(source.read(sorted(files - seen.removed)), composition, part=True)
        if loaded.problems or _unclear(loaded, glance, files | seen.removed):
            return None
        further = set(_dependents(reader, owner, loaded)) - files
        if not further:
            whole = frozenset(files | seen.removed)
            return _part(reader, owner, loaded, glance, seen, whole, composition)
        files |= further
    return None


def _trusted(glance: Glance, inputs: str) -> bool:
    """Whether what is recorded speaks of this program, this project file and this registry."""
    return glance.settled and not glance.stray and glance.record.inputs == inputs


def _unclear(loaded: Loaded, glance: Glance, files: set[str]) -> bool:
    """Whether something others may refer to is no longer declared, or is declared twice."""
    pipelines = {name for name, pin in glance.pipelines.items() if pin.file in files}
    stores = {name for name, file in glance.datastores.items() if file in files}
    if pipelines - loaded.pipelines.keys() or stores - loaded.datastores.keys():
        return True
    again = (loaded.pipelines.keys() & glance.pipelines.keys()) - pipelines
    twice = (loaded.datastores.keys() & glance.datastores.keys()) - stores
    return bool(again or twice)


def _dependents(reader: LiveReader, owner: Owner, loaded: Loaded) -> tuple[str, ...]:
    """Name the files of what refers to a pipeline or datastore that was read."""
    if not loaded.pipelines and not loaded.datastores:
        return ()
    return reader.dependents(owner, pipelines=loaded.pipelines, datastores=loaded.datastores)


def _part(  # noqa: PLR0913, PLR0917  (what was found out so far)
    reader: LiveReader,
    owner: Owner,
    loaded: Loaded,
    glance: Glance,
    seen: Survey,
    files: frozenset[str],
    composition: Composition,
) -> Part | None:
    former = {d.value.renamed_from or name for name, d in loaded.schedules.items()}
    live = reader.live_part(
        owner,
        files=sorted(files),
        schedules=sorted({*loaded.schedules, *former}),
        pipelines=sorted({*loaded.pipelines, *_pipelines(loaded)}),
        datastores=sorted({*loaded.datastores, *_datastores(loaded)}),
    )
    if may_loop(loaded.schedules.values(), loaded.pipelines.values(), live.pipelines):
        return None  # only a full reading sees who else takes part
    mine = [here for here in live.schedules if here.owner == owner]
    declared = [here for here in mine if here.declared]
    if any(here.provenance.file not in files for here in declared):
        # Asked for by its name, and declared in a file that stands: twice, or renamed and kept.
        return None
    gone = {here.name for here in declared} - loaded.schedules.keys()
    if gone and any(composition.overrides.values()):
        return None  # an override may name it
    pins = {n: p.digest for n, p in glance.pipelines.items() if p.file not in files}
    stores = frozenset(n for n, file in glance.datastores.items() if file not in files)
    schedules = {here.name for here in declared} | {
        lost.name for lost in live.lost if lost.owner == owner and lost.kind == Kind.SCHEDULE
    }
    kept = Kept(
        pipelines=pins,
        datastores=stores,
        objects=glance.schedules - len(schedules) + len(pins) + len(stores),
        active=glance.active - sum(h.status is Status.ACTIVE for h in mine),
    )
    return Part(
        loaded=loaded,
        live=replace(live, owners=(glance.record,)),
        kept=kept,
        survey=seen,
        code=frozenset(
            pin.code
            for pin in glance.pipelines.values()
            if pin.code is not None and pin.file not in files
        ),
    )


def _pipelines(loaded: Loaded) -> Iterator[str]:
    """Name the pipelines that schedules refer to: by name, by version's name and by id."""
    for declared in loaded.schedules.values():
        yield declared.value.pipeline
        yield declared.value.pipeline.partition("@")[0]


def _datastores(loaded: Loaded) -> Iterator[str]:
    """Name the datastores that something may refer to; a text that is no data path does no harm."""
    values: list[object] = []
    for schedule in loaded.schedules.values():
        trigger = schedule.value.trigger
        if isinstance(trigger, DatastoreChange):
            yield trigger.datastore
        values += schedule.value.pipeline_parameters.values()
    for pipeline in loaded.pipelines.values():
        values += (parameter.default for parameter in pipeline.value.parameters.values())
    yield from datastores_in(values)


def datastores_in(values: Iterable[object]) -> Iterator[str]:
    """Name what stands before the first slash of each text: the datastore of a data path."""
    for value in values:
        if isinstance(value, str) and "/" in value:
            yield value.partition("/")[0]
