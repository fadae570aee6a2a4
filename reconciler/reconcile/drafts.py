"""Which live objects become manifests, where these lie, and what they say at first.

A draft is one object on its way to a manifest. :mod:`reconciler.reconcile.importing` reads drafts
as the project would and has them written otherwise until they mean what is live.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.data import Datastore, DatastoreChange
from reconciler.errors import InvalidValue, NotFound, Refused, SourceError
from reconciler.live import (
    CodeTree,
    Owner,
    PublishedPipeline,
    RegisteredDatastore,
    RegisteredSchedule,
)
from reconciler.manifest.emit import from_data, mapping_lines, to_data, to_yaml
from reconciler.manifest.schema import schema_text
from reconciler.pipeline import Pipeline
from reconciler.plan.bind import Published, label
from reconciler.plan.change import KINDS, Kind
from reconciler.plan.spec import spec_value
from reconciler.reconcile import disk
from reconciler.reconcile.narrow import datastores_in
from reconciler.schedule import Schedule, Status
from reconciler.source.globs import Globs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.live import Live
    from reconciler.manifest.project import Project
    from reconciler.source.base import Source
    from reconciler.workspace.base import RegistryReader

Step = str | int
_Live = RegisteredSchedule | PublishedPipeline | RegisteredDatastore


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be imported: objects of ``owner`` (None for nobody's), into ``folder``.

    Without ``names`` all of them; ``kind`` None is every kind.
    """

    folder: str
    names: tuple[str, ...] = ()
    kind: Kind | None = None
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """An object that cannot be imported, and the way out; ``id`` is a schedule's."""

    kind: Kind
    name: str
    id: str | None
    reason: str


@dataclass(slots=True, kw_only=True)
class Draft:
    """One object on its way to a manifest.

    ``references`` are ways to write a schedule's pipeline that are left to try; ``outright`` are
    values to be written although they are the kind's own default, by path.
    """

    kind: Kind
    name: str
    value: Schedule | Pipeline | Datastore
    file: str
    id: str | None = None
    references: list[str] = field(default_factory=list)
    outright: dict[tuple[Step, ...], Any] = field(default_factory=dict)
    code: str | None = None
    tree: CodeTree | None = None

    @property
    def address(self) -> str:
        """The object's ``Kind.name``."""
        return f"{self.kind}.{self.name}"

    def text(self, schema: str) -> bytes:
        """Write the manifest; ``schema`` is the path of its JSON Schema from there."""
        value = self.value
        if self.references and isinstance(value, Schedule):
            value = replace(value, pipeline=self.references[0])
        if not self.outright:
            return to_yaml(value, schema).encode()
        data: dict[str, Any] = {"kind": self.kind.value, **to_data(value)}
        for path, one in self.outright.items():
            *above, last = path
            inner: Any = data
            for key in above:
                inner = inner.setdefault(key, {})
            inner[last] = one
        lines = [f"# yaml-language-server: $schema={schema}", *mapping_lines(data, "")]
        return ("\n".join(lines) + "\n").encode()


class Drafts:
    """The drafts by address, and what is left out of them.

    ``already`` are names that were asked for and are managed here.
    """

    def __init__(
        self,
        source: Source,
        project: Project,
        target: str,
        reader: RegistryReader,
        wanted: Wanted,
    ) -> None:
        self.source = source
        self.project = project
        self.owner = Owner(project.project, target)
        self.reader = reader
        self.wanted = wanted
        self.folder = posixpath.normpath(wanted.folder)
        self.live: Live = reader.live()
        self.published = Published(self.live.pipelines)
        self.globs = Globs(project.includes(target))
        self.by_address: dict[str, Draft] = {}
        self.skipped: list[Skipped] = []
        self.left_out: set[str] = set()
        self.already: list[str] = []
        self.schemas = _schemas(source)
        self.stores = {store.name: store for store in self.live.datastores}
        self.named: dict[str, list[RegisteredSchedule]] = {}
        for here in self.live.schedules:
            self.named.setdefault(here.name, []).append(here)

    # Which objects

    def choose(self) -> None:
        """Draft what is wanted, and what that needs and nobody manages.

        Raises:
            NotFound: a name is nobody's, or not of whom it was said to be.
            Refused: no include matches the folder, or the objects are ours already.
        """
        if self.wanted.owner == self.owner:
            raise Refused(f"{self.owner} is this project itself; leave out --from")
        if self.folder.split("/")[0] in {"..", ""}:
            raise Refused(f"{self.wanted.folder!r} is not a folder within the project")
        if not self.globs.matching(posixpath.join(self.folder, "name.yml")):
            text = f"no include of reconciler.yml matches what would be written to {self.folder}"
            raise Refused(f'{text}; add "{self.folder}/**/*.yml" to include')
        self._check_names()
        owner = self.wanted.owner
        for store in self.live.datastores:
            if store.owner == owner and self._named(Kind.DATASTORE, store.name):
                self._datastore(store.name)
        for versions in self.published.by_name.values():
            newest = self._newest(versions)
            if newest.owner == owner and self._named(Kind.PIPELINE, newest.name):
                self._pipeline(newest)
        for here in self.live.schedules:
            if here.owner == owner and self._named(Kind.SCHEDULE, here.name):
                self._schedule(here)

    def _named(self, kind: Kind, name: str) -> bool:
        names = self.wanted.names
        return self.wanted.kind in {None, kind} and (not names or name in names)

    def _check_names(self) -> None:
        owners: dict[str, set[Owner | None]] = {}
        kinds: tuple[tuple[Kind, tuple[_Live, ...]], ...] = (
            (Kind.SCHEDULE, self.live.schedules),
            (Kind.PIPELINE, self.live.pipelines),
            (Kind.DATASTORE, self.live.datastores),
        )
        for kind, objects in kinds:
            if self.wanted.kind in {None, kind}:
                for here in objects:
                    owners.setdefault(here.name, set()).add(here.owner)
        for name in self.wanted.names:
            found = owners.get(name, set())
            if self.wanted.owner in found:
                continue
            if self.owner in found:
                self.already.append(name)
                continue
            if not found:
                text = f"there is no '{name}' in the workspace"
                raise NotFound(f"{text}; `reconciler drift` lists what nobody manages")
            whose = " and ".join(sorted(str(o) if o else "nobody" for o in found))
            way = "leave out --from" if None in found else f"add --from {min(map(str, found))}"
            raise NotFound(f"'{name}' belongs to {whose}; to take it over {way}")

    # Drafts

    def _schedule(self, here: RegisteredSchedule) -> None:
        reason = self._hindrance(here)
        try:
            value = replace(spec_value(Schedule, here.spec), name=here.name, status=here.status)
            value = from_data(Schedule, to_data(value))
        except InvalidValue as error:
            reason = reason or f"no manifest can say it: {error}; edit it through the SDK"
        if reason:
            self._skip(Kind.SCHEDULE, here.name, reason, here.id)
            return
        draft = Draft(
            kind=Kind.SCHEDULE,
            name=here.name,
            value=value,
            file=posixpath.join(self.folder, f"{here.name}.yml"),
            id=here.id,
        )
        self.by_address[draft.address] = draft
        self._needs(value, here.pipeline_id)
        draft.references = self._references(value, here.pipeline_id)

    def _hindrance(self, here: RegisteredSchedule) -> str:
        """Say why a schedule's name stands in the way; empty where it does not."""
        same = self.named[here.name]
        ours = [one for one in same if one.owner == self.owner]
        if ours:
            text = f"{self.owner} has another schedule of that name"
            return f"{text}; rename this one first, Schedule.update(name=...)"
        if len(same) > 1:
            which = ", ".join(f"{one.id} of {one.owner or 'nobody'}" for one in same)
            text = f"{len(same)} schedules have that name ({which})"
            return f"{text}; rename all but one first, Schedule.update(name=...)"
        return ""

    def _needs(self, schedule: Schedule, pipeline_id: str | None) -> None:
        """Draft the pipeline and the datastores of a schedule that nobody manages."""
        version = self.published.by_id.get(pipeline_id or "")
        name = version.name if version else schedule.pipeline.partition("@")[0]
        versions = self.published.by_name.get(name)
        if versions and self._newest(versions).owner is None:
            self._pipeline(self._newest(versions))
        texts: list[object] = [*schedule.pipeline_parameters.values()]
        if isinstance(schedule.trigger, DatastoreChange):
            texts.append(f"{schedule.trigger.datastore}/")
        self._datastores(texts)

    def _datastores(self, texts: Iterable[object]) -> None:
        for name in sorted(set(datastores_in(texts))):
            if name in self.stores and self.stores[name].owner is None:
                self._datastore(name)

    def _references(self, schedule: Schedule, pipeline_id: str | None) -> list[str]:
        """Give the ways to write a schedule's pipeline, the best first.

        The bare name follows what this project declares. Of somebody else's pipeline the present
        version is written, for a bare name would move with theirs.
        """
        version = self.published.by_id.get(pipeline_id or "")
        if version is None:
            return [schedule.pipeline]
        ours = f"{Kind.PIPELINE}.{version.name}" in self.by_address or version.owner == self.owner
        return [version.name, label(version)] if ours else [label(version)]

    def _newest(self, versions: list[PublishedPipeline]) -> PublishedPipeline:
        return self.published.newest(versions[-1].name) or versions[-1]

    def _pipeline(self, here: PublishedPipeline) -> None:
        address = f"{Kind.PIPELINE}.{here.name}"
        if address in self.by_address or address in self.left_out:
            return
        try:
            value = spec_value(Pipeline, here.spec)
            folder, code = self._place(value)
            tree = None if here.code_digest is None else self.reader.code(here.code_digest)
        except (InvalidValue, NotFound, SourceError) as error:
            self._skip(Kind.PIPELINE, here.name, f"{error}; publish it anew with `apply`")
            return
        if here.status is not Status.ACTIVE:
            text = f"all its versions are Disabled; run: reconciler enable pipeline {here.name}"
            self._skip(Kind.PIPELINE, here.name, text)
            return
        paths = [path for path, _, _ in (tree.entries if tree else ())]
        outside = [p for p in paths if posixpath.normpath(p) != p or p.startswith(("/", ".."))]
        if outside:
            text = f"its code file {outside[0]!r} would lie outside its folder"
            self._skip(Kind.PIPELINE, here.name, f"{text}; publish it anew with `apply`")
            return
        astray = [p for p in paths if self._read_as(code, p)]
        if astray:
            text = f"its code file {astray[0]} would be read as a manifest"
            self._skip(Kind.PIPELINE, here.name, f"{text}; narrow include in reconciler.yml")
            return
        file = posixpath.join(folder, f"{here.name}.yml")
        draft = Draft(
            kind=Kind.PIPELINE, name=here.name, value=value, file=file, code=code, tree=tree
        )
        self.by_address[draft.address] = draft
        self._datastores(parameter.default for parameter in value.parameters.values())

    def _read_as(self, code: str | None, path: str) -> bool:
        return bool(self.globs.matching(posixpath.join(code or "", path)))

    def _place(self, pipeline: Pipeline) -> tuple[str, str | None]:
        """Give the folder of a pipeline's manifest, and that of its code.

        Each pipeline has a folder of its own, and its manifest is as deep in it as its ``code``
        leads upwards: the text of ``code`` is part of what was published, so it stays.
        """
        own = posixpath.join(self.folder, pipeline.name)
        if pipeline.code is None:
            return own, None
        code = posixpath.normpath(pipeline.code)
        steps = code.split("/")
        if code.startswith("/"):
            raise SourceError(f"its code folder {pipeline.code!r} is in no project")
        if steps[-1] in {".", ".."}:
            raise SourceError(f"its code folder {pipeline.code!r} would hold its own manifest")
        folder = posixpath.join(own, *("manifest" for step in steps if step == ".."))
        return folder, posixpath.normpath(posixpath.join(folder, code))

    def _datastore(self, name: str) -> None:
        address = f"{Kind.DATASTORE}.{name}"
        if address in self.by_address or address in self.left_out:
            return
        try:
            value = spec_value(Datastore, self.stores[name].spec)
        except InvalidValue as error:
            self._skip(Kind.DATASTORE, name, f"no manifest can say it: {error}")
            return
        file = posixpath.join(self.folder, f"{name}.datastore.yml")
        self.by_address[address] = Draft(kind=Kind.DATASTORE, name=name, value=value, file=file)

    def _skip(self, kind: Kind, name: str, reason: str, schedule_id: str | None = None) -> None:
        self.left_out.add(f"{kind}.{name}")
        self.skipped.append(Skipped(kind, name, schedule_id, reason))

    def drop(self, draft: Draft, reason: str) -> None:
        """Leave a draft out."""
        del self.by_address[draft.address]
        self._skip(draft.kind, draft.name, reason, draft.id)
        if draft.kind is Kind.PIPELINE:
            # It is not ours then, so its name alone would move with what others publish.
            for other in self.by_address.values():
                if len(other.references) > 1 and other.references[0] == draft.name:
                    other.references.pop(0)

    # What comes of it

    def ordered(self) -> list[Draft]:
        """Give the drafts by kind and name."""
        return sorted(self.by_address.values(), key=lambda d: (KINDS.index(d.kind), d.name))

    def files(self) -> dict[str, tuple[int, bytes]]:
        """Give all files of the drafts, their code and missing schemas included."""
        found: dict[str, tuple[int, bytes]] = {}
        for draft in self.ordered():
            found[draft.file] = disk.NEW, self.text(draft)
            for path, mode, content in draft.tree.entries if draft.tree else ():
                found[posixpath.join(draft.code or "", path)] = mode, content
        for kind in {draft.kind for draft in self.by_address.values()}:
            file = posixpath.join(self.schemas, _schema_name(kind))
            if not Path(self.source.folder, file).exists() and not file.startswith(".."):
                found[file] = disk.NEW, schema_text(_schema_name(kind)).encode()
        return dict(sorted(found.items()))

    def text(self, draft: Draft) -> bytes:
        """Write a draft's manifest."""
        up = posixpath.relpath(self.schemas, posixpath.dirname(draft.file))
        return draft.text(posixpath.join(up, _schema_name(draft.kind)))


def _schema_name(kind: Kind) -> str:
    return f"{kind.lower()}.schema.json"


def _schemas(source: Source) -> str:
    """Give the nearest folder of schemas, relative to the project's."""
    here = Path(source.folder)
    depth = len([part for part in source.state().project_path.split("/") if part])
    for up in range(depth + 1):
        folder = posixpath.join(*([".."] * up), "schemas")
        if (here / folder / _schema_name(Kind.SCHEDULE)).is_file():
            return folder
    return "schemas"
