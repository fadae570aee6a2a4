"""From drift back to the manifests: edits that make them say what somebody set on the live side.

Only what stands in the manifest itself is edited. A value that comes from elsewhere (a default, a
variable, an override) concerns more than this object, so it is left for a person, with its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reconciler.data import Datastore
from reconciler.errors import Refused, SourceError
from reconciler.manifest.compose import compose
from reconciler.manifest.edit import REMOVE, CannotEdit, Remove, edit_all
from reconciler.manifest.emit import to_data
from reconciler.manifest.load import Document, Loaded, load
from reconciler.manifest.patch import Path, Plain
from reconciler.plan.change import Kind
from reconciler.plan.diff import field_changes
from reconciler.plan.spec import spec_value
from reconciler.reconcile.drift import SPEC, VERSION, State
from reconciler.reconcile.read import absolute
from reconciler.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.live import Live
    from reconciler.manifest.load import Declared
    from reconciler.manifest.project import Project
    from reconciler.reconcile.drift import Drift, Finding
    from reconciler.source.base import Source

Value = Schedule | Datastore
_MAPS = frozenset({"pipeline_parameters", "tags"})
_NO_STATUS = "a manifest cannot say it; an apply publishes the version again, or: reconciler enable"
_NO_VERSION = "an apply binds it to the declared version; write pipeline: NAME@N to pin another"
_BROKEN = "what is live is no valid manifest; the next apply sets it right"
_GONE = "no manifest declares it any more, or it has problems; run: reconciler validate"


@dataclass(frozen=True, slots=True)
class Edit:
    """One field of one object; ``value`` is what it says now, None where the key was removed."""

    address: str
    path: str
    file: str
    value: Plain


@dataclass(frozen=True, slots=True)
class Left:
    """One field that was not edited, and why."""

    address: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBack:
    """The new texts by file, what they change, and what is left; each part sorted."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()
    left: tuple[Left, ...] = ()


@dataclass(slots=True)
class _File:
    """What is wanted of one file."""

    text: bytes
    wishes: dict[tuple[str, str], dict[Path, Plain | Remove]] = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)
    values: dict[tuple[str, str], Value] = field(default_factory=dict)


def write_back(
    drift: Drift, live: Live, source: Source, project: Project, *, allow_dirty: bool = False
) -> WriteBack:
    """Work out the edits for every changed object; writes nothing itself.

    All of a file's edits are given, or none.

    Raises:
        Refused: a file that is to be edited has changes that are not committed.
    """
    changed = drift.of(State.CHANGED)
    writer = _Writer(source, project, drift.owner.target)
    values = _live_values(live, drift)
    loaded = writer.load(changed)
    files: dict[str, _File] = {}
    left: list[Left] = []
    for finding in changed:
        declared = _declared(loaded, finding)
        for one in finding.fields:
            reason = _cannot(finding, one.path, declared)
            if reason or declared is None:
                left.append(Left(finding.address, one.path, reason))
                continue
            file = files.setdefault(declared.file, _File(writer.texts[declared.file]))
            key = (finding.kind.value, finding.name)
            value = values[finding.id or finding.address]
            path = path_of(one.path)
            wish = _wish(declared, value, path)
            file.wishes.setdefault(key, {})[path] = wish
            file.values[key] = value
            said = None if wish is REMOVE else wish
            file.edits.append(Edit(finding.address, one.path, declared.file, said))
    dirty = sorted(set(source.state().dirty) & files.keys())
    if dirty and not allow_dirty:
        text = f"{', '.join(dirty)} has changes that are not committed"
        raise Refused(f"{text}; commit them or add --allow-dirty")
    texts: dict[str, bytes] = {}
    edits: list[Edit] = []
    for name, file in sorted(files.items()):
        try:
            texts[name] = writer.edited(name, file)
            edits += file.edits
        except CannotEdit as error:
            left += (Left(e.address, e.path, f"{name}: {error}") for e in file.edits)
    return WriteBack(
        files={name: text for name, text in texts.items() if text != files[name].text},
        edits=tuple(sorted(edits, key=lambda one: (one.file, one.address, one.path))),
        left=tuple(sorted(left, key=lambda one: (one.address, one.path))),
    )


def path_of(dotted: str) -> Path:
    """Take a dotted path of a schedule or a datastore apart; a mapping's key may hold dots."""
    head, _, rest = dotted.partition(".")
    return (head, rest) if rest and head in _MAPS else tuple(dotted.split("."))


class _Writer:
    """Edits the manifests of one target; ``texts`` are those that were read, by file."""

    def __init__(self, source: Source, project: Project, target: str) -> None:
        self.source = source
        self.project = project
        self.target = target
        self.composition = compose(project, target)
        self.texts: dict[str, bytes] = {}

    def load(self, changed: Iterable[Finding]) -> Loaded:
        """Load the files that declared the objects, or all where one is declared elsewhere now."""
        wanted = [f for f in changed if f.kind is not Kind.PIPELINE]
        try:
            files = sorted({f.file for f in wanted if f.file is not None})
            loaded = self._load(self.source.read(files) if files else ())
        except SourceError:
            loaded = None
        if loaded is None or any(_declared(loaded, finding) is None for finding in wanted):
            include = self.project.includes(self.target)
            loaded = self._load(self.source.manifests(include))
        return loaded

    def _load(self, documents: Iterable[Document]) -> Loaded:
        documents = list(documents)
        self.texts = {document.file: document.text for document in documents}
        return load(documents, self.composition, part=True)

    def edited(self, name: str, file: _File) -> bytes:
        """Give the file's new text.

        Raises:
            CannotEdit: the text cannot be edited, or the target would still make of it something
                else than the live value.
        """
        before, more = self._read(name, file.text), True
        while more:
            text = edit_all(file.text, file.wishes)
            after = self._read(name, text)
            # A list, so that every object is completed before the next reading.
            more = any([self._complete(name, file, key, before, after) for key in file.wishes])  # noqa: C419  (the same)
        return text

    def _read(self, name: str, text: bytes) -> Loaded:
        return load([Document(name, text)], self.composition, part=True)

    def _complete(
        self, name: str, file: _File, key: tuple[str, str], before: Loaded, after: Loaded
    ) -> bool:
        """Wish, too, for what followed from a value that is another one now; False for nothing.

        Where a manifest does not say how runs may overlap, that follows from its trigger.

        Raises:
            CannotEdit: a wish did not come true.
        """
        was, now = _of(before, *key), _of(after, *key)
        if was is None or now is None:
            raise CannotEdit(0, f"the target would not take {' '.join(key)} any more")
        live, wishes = file.values[key], file.wishes[key]
        differed = {change.path for change in field_changes(live, self._meant(was))}
        more = False
        for change in field_changes(live, self._meant(now)):
            path = path_of(change.path)
            if any(path[: len(wish)] == wish for wish in wishes):
                origin = now.origin(*path)
                raise CannotEdit(0, f"{change.path} would still come from {origin or name}")
            if change.path not in differed:
                wishes[path] = change.old
                file.edits.append(Edit(".".join(key), change.path, name, change.old))
                more = True
        return more

    def _meant(self, declared: Declared[Value]) -> Value:
        value = declared.value
        return absolute(value, self.source.folder) if isinstance(value, Datastore) else value


def _live_values(live: Live, drift: Drift) -> dict[str, Value]:
    """Give what the changed objects say now: schedules by id, datastores by address."""
    changed = {
        finding.id or finding.address
        for finding in drift.of(State.CHANGED)
        if not any(one.path == SPEC for one in finding.fields)
    }
    values: dict[str, Value] = {}
    for here in live.schedules:
        if here.id in changed:
            values[here.id] = replace(spec_value(Schedule, here.spec), status=here.status)
    for store in live.datastores:
        address = f"{Kind.DATASTORE}.{store.name}"
        if address in changed:
            values[address] = spec_value(Datastore, store.spec)
    return values


def _declared(loaded: Loaded, finding: Finding) -> Declared[Value] | None:
    return _of(loaded, finding.kind.value, finding.name)


def _of(loaded: Loaded, kind: str, name: str) -> Declared[Any] | None:
    found: Mapping[str, Declared[Any]]
    found = loaded.datastores if kind == Kind.DATASTORE else loaded.schedules
    return found.get(name)


def _cannot(finding: Finding, path: str, declared: Declared[Value] | None) -> str:
    """Say why a field cannot be edited in the manifest; empty where it can."""
    if finding.kind is Kind.PIPELINE:
        return _NO_STATUS
    if path in {VERSION, SPEC}:
        return _NO_VERSION if path == VERSION else _BROKEN
    if declared is None:
        return _GONE
    origin = declared.origin(*path_of(path))
    elsewhere = origin is not None and (
        origin.used_at or origin.file != declared.file or origin.how.startswith("with ")
    )
    return f"its value comes from {origin}; edit it there" if elsewhere else ""


def _wish(declared: Declared[Value], live: Value, path: Path) -> Plain | Remove:
    """Say what the manifest must say at ``path`` so that it means the live value."""
    value = _look_up(to_data(live), path)
    if value is not None:
        return value
    # The field is at its default now: said outright where something else would speak instead, or
    # where a value stands that can be replaced with its comment.
    default = _look_up(to_data(live, defaults=True), path)
    origin = declared.origin(*path)
    if origin is None or (default in (None, "", [], {}) and origin.over is None):
        return REMOVE
    return default


def _look_up(data: Any, path: Path) -> Any:  # noqa: ANN401  (plain data)
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return None
        data = data[key]
    return data
