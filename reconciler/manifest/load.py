"""Many files to many declared objects, with every problem of every file in one go."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reconciler.errors import Problem
from reconciler.manifest.build import builder, find
from reconciler.manifest.scalars import FAILED, Faults, nearest
from reconciler.manifest.syntax import one_line, shown
from reconciler.manifest.yaml12 import Node, parse
from reconciler.pipeline import Pipeline
from reconciler.schedule import Datastore, Schedule
from reconciler.trigger.compile import problems as trigger_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

T_co = TypeVar("T_co", covariant=True)

KINDS: Mapping[str, Any] = {cls.KIND: cls for cls in (Schedule, Pipeline, Datastore)}
# A file with more problems than this is better fixed from the top than read to the end.
MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Document:
    """One file as it was found: its path as people know it, and its bytes."""

    file: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Declared(Generic[T_co]):
    """A value together with the place it was declared at; lines and columns count from 1."""

    value: T_co
    file: str
    node: Node = field(repr=False, compare=False)

    @property
    def line(self) -> int:
        """The line its document starts on."""
        return self.node.line

    @property
    def column(self) -> int:
        """The column its document starts at."""
        return self.node.column

    def at(self, *path: str | int) -> tuple[str, int, int]:
        """Give (file, line, column) of what ``path`` leads to, or of its nearest parent.

        The path is that of the document: ``("trigger", "cron", "expression")``.
        """
        node = find(self.node, path)
        return self.file, node.line, node.column

    def problem(self, message: str, *path: str | int) -> Problem:
        """Say that something is wrong at ``path``."""
        return Problem(*self.at(*path), one_line(message))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was declared, by name and sorted by it, and everything that is wrong.

    A document with a problem is in none of the mappings; ``broken`` holds its (kind, name) as far
    as it has them, so that a reference to it need not be called unknown.
    """

    schedules: Mapping[str, Declared[Schedule]]
    pipelines: Mapping[str, Declared[Pipeline]]
    datastores: Mapping[str, Declared[Datastore]]
    broken: frozenset[tuple[str, str]]
    problems: tuple[Problem, ...]


def load(documents: Iterable[Document]) -> Loaded:
    """Read manifests; the order of ``documents`` does not matter."""
    collecting = gc.isenabled()
    gc.disable()  # a bulk load makes no garbage worth looking for; it halves the time
    try:
        return _load(documents)
    finally:
        if collecting:
            gc.enable()


def _load(documents: Iterable[Document]) -> Loaded:
    found: dict[str, dict[str, Declared[Any]]] = {kind: {} for kind in KINDS}
    problems: list[Problem] = []
    broken: set[tuple[str, str]] = set()
    for document in sorted(documents, key=lambda document: document.file):
        file = document.file
        roots, wrong = parse(file, document.text)
        for root, whole in roots:
            faults: Faults = []
            kind, value = _build(root, faults)
            wrong += (Problem(file, line, column, one_line(said)) for line, column, said in faults)
            if faults or not whole:
                name = find(root, ("name",)).value
                broken.update({(kind, name)} if isinstance(name, str) else ())
                continue
            declared = Declared(value, file, root)
            first = found[kind].setdefault(value.name, declared)
            if first is not declared:
                place = "{}:{}:{}".format(*first.at("name"))
                message = f"{kind} {shown(value.name)} is already declared at {place}; rename one"
                wrong.append(declared.problem(message, "name"))
        problems += _some(file, wrong)
    return Loaded(
        schedules=dict(sorted(found[Schedule.KIND].items())),
        pipelines=dict(sorted(found[Pipeline.KIND].items())),
        datastores=dict(sorted(found[Datastore.KIND].items())),
        broken=frozenset(broken),
        problems=tuple(sorted(problems)),
    )


def _some(file: str, problems: list[Problem]) -> Sequence[Problem]:
    if len(problems) <= MAX_PROBLEMS:
        return problems
    rest = f"{len(problems) - MAX_PROBLEMS:,} more problems in this file; fix the first ones"
    return [*sorted(problems)[:MAX_PROBLEMS], Problem(file, 0, 0, rest)]


def _build(root: Node, faults: Faults) -> tuple[str, Any]:
    """Build the value of one document; returns its kind, empty where it has none, and the value."""
    kind = _kind(root, faults)
    if not kind:
        return kind, FAILED
    value = builder(KINDS[kind])(root, faults)
    if isinstance(value, Schedule):
        trigger = value.trigger
        for path, message in _trigger_faults(trigger):
            place = find(root, ("trigger", trigger.TAG, *path))
            faults.append((place.line, place.column, message))
    return kind, value


# Schedules share triggers, and a sync agent loads the same ones again and again.
_trigger_faults = lru_cache(maxsize=10_000)(trigger_problems)


def _kind(root: Node, faults: Faults) -> str:
    """Tell the kind of a document; empty after saying why it has none."""
    kinds = "Schedule, Pipeline or Datastore"
    if not isinstance(root.value, dict):
        message = f"a manifest is a mapping that starts with kind: {kinds}"
    elif "kind" not in root.value:
        message = f"missing key 'kind'; write kind: {kinds}"
        if "Schedule" in root.value:
            message = "this is a schedule of Azure ML's SDK v1; write kind: Schedule, then its keys"
    else:
        root = root.value["kind"][2]
        kind = root.value
        if isinstance(kind, str) and kind in KINDS:
            return kind
        close = nearest(kind, KINDS) if isinstance(kind, str) else None
        message = f"kind must be {kinds}" + (f"; did you mean {close}?" if close else "")
    faults.append((root.line, root.column, message))
    return ""
