"""The project file, ``reconciler.yml``: what a repository is, and where its manifests go."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.data import Datastore
from reconciler.errors import InvalidValue, Problem
from reconciler.fields import NAME_PATTERN, Fault, Scalar, field
from reconciler.manifest.build import builder
from reconciler.manifest.fragment import Fragment
from reconciler.manifest.scalars import ABSENT, Faults, nearest
from reconciler.manifest.syntax import one_line, shown
from reconciler.manifest.terms import (
    IgnoreDrift,
    Limits,
    OnMissing,
    Terms,
    address_field,
)
from reconciler.manifest.yaml12 import Line, Node, claim, parse
from reconciler.pipeline import ENVIRONMENT_NAME, ParameterType, Pipeline, secrets_in
from reconciler.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
_NAME_HINT = "start with a letter or digit, then letters, digits, - and _"
_GLOB = r"^[a-zA-Z0-9_*?-]{1,255}$"
_GLOB_HINT = "write a name, or a glob of names with * and ?"
# What is said of a secret in any other place than the env of a step.
ONLY_IN_ENV = "a secret may stand only in env, where no other program can read it"
ONLY_IN_CREDENTIALS = "of a datastore only credentials may hold a secret"
FILE = "reconciler.yml"

ScheduleFragment = Fragment[Schedule]
PipelineFragment = Fragment[Pipeline]
DatastoreFragment = Fragment[Datastore]


class VariableType(StrEnum):
    """What values a variable takes."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"

    def accepts(self, value: Scalar) -> bool:
        """Tell whether ``value`` is of this type, as for a pipeline's parameter."""
        return ParameterType(self.value).accepts(value)


class Preset(StrEnum):
    """A ready-made override."""

    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A value that manifests name, ``${{ variables.NAME }}``, and that targets may set."""

    type: VariableType = field("What values it takes.")
    default: Scalar | None = field(
        "The value where a target gives none; without it a target must.", default=None
    )
    description: str = field("What it is for, for people.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What the manifests of each kind say where they say nothing themselves."""

    Schedule: ScheduleFragment | None = field(
        "For every schedule; under trigger, only what stands under the manifest's own kind of "
        "trigger counts.",
        default=None,
        examples=({"trigger": {"recurrence": {"time_zone": "Europe/Paris"}}},),
    )
    Pipeline: PipelineFragment | None = field("For every pipeline.", default=None)
    Datastore: DatastoreFragment | None = field("For every datastore.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What some objects of each kind say in this target, by name or by a glob of names."""

    Schedule: Mapping[str, ScheduleFragment] = field(
        "For schedules.",
        default_factory=dict,
        pattern=_GLOB,
        hint=_GLOB_HINT,
        examples=({"nightly-*": {"status": "Disabled"}},),
    )
    Pipeline: Mapping[str, PipelineFragment] = field(
        "For pipelines.", default_factory=dict, pattern=_GLOB, hint=_GLOB_HINT
    )
    Datastore: Mapping[str, DatastoreFragment] = field(
        "For datastores.",
        default_factory=dict,
        pattern=_GLOB,
        hint=_GLOB_HINT,
        examples=({"landing": {"url": "file:///data/landing"}},),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A named environment of a project, pointing at one workspace."""

    workspace: str = field(
        "The workspace's URL; a relative path is counted from the project's folder.",
        default="sqlite:.reconciler/workspace.db",
        non_empty=True,
        examples=("sqlite:.reconciler/workspace.db",),
    )
    include: tuple[str, ...] = field(
        "Globs of manifests for this target alone, besides the project's.",
        default=(),
        unique=True,
        examples=(["only-prod/*.yml"],),
    )
    variables: Mapping[str, Scalar] = field(
        "Values of the project's variables.", default_factory=dict, examples=({"batch_size": 64},)
    )
    preset: Preset | None = field(
        "paused: every schedule is Disabled, unless an override makes it Active.", default=None
    )
    overrides: Overrides = field(
        "What objects say in this target instead; null removes a key, later ones win.",
        default=Overrides(),
    )
    limits: Limits | None = field("Instead of the project's limits, as a whole.", default=None)
    protected: tuple[str, ...] = address_field("Protected objects besides the project's.")
    ignore_drift: tuple[IgnoreDrift, ...] = field(
        "Drift that is left alone, besides the project's.", default=()
    )
    on_missing: OnMissing | None = field("Instead of the project's on_missing.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What ``reconciler.yml`` says.

    ``root`` is the document it was read from, for the places of what it says.

    Raises:
        InvalidValue: an include that leaves the project's folder, or a variable that is unknown, of
            another type, or holds a reference.
    """

    project: str = field(
        "The project's name; with the target it owns what is applied.",
        pattern=NAME_PATTERN,
        hint=_NAME_HINT,
        examples=("risk-scoring",),
    )
    include: tuple[str, ...] = field(
        "Globs of the manifests, from the project's folder; ** is any number of folders.",
        default=("schedules/**/*.yml", "schedules/**/*.yaml"),
        unique=True,
        non_empty=True,
        examples=(["schedules/**/*.yml"],),
    )
    defaults: Defaults = field(
        "What manifests say where they say nothing themselves.", default=Defaults()
    )
    variables: Mapping[str, Variable] = field(
        "What ${{ variables.NAME }} stands for in manifests, defaults and overrides.",
        default_factory=dict,
        pattern=ENVIRONMENT_NAME,
        hint="use letters, digits and _",
        examples=({"batch_size": {"type": "integer", "default": 256}},),
    )
    limits: Limits = field("How much one apply may do.", default=Limits())
    protected: tuple[str, ...] = address_field(
        "Objects that no apply disables or takes away, as KIND.NAME; * stands for anything."
    )
    ignore_drift: tuple[IgnoreDrift, ...] = field(
        "Fields that somebody else sets on the live objects.", default=()
    )
    on_missing: OnMissing = field(
        "What becomes of a schedule or a pipeline whose manifest is gone.",
        default=OnMissing.DISABLE,
    )
    targets: Mapping[str, Target] = field(
        "The environments, by name; one named dev by default.",
        default_factory=lambda: {"dev": Target()},
        pattern=NAME_PATTERN,
        hint=_NAME_HINT,
        examples=({"dev": {"workspace": "sqlite:.reconciler/workspace.db"}},),
    )
    root: Node = dataclasses.field(
        default_factory=lambda: Node("", Line(0, FILE), 0), compare=False, repr=False
    )

    def __post_init__(self) -> None:
        """Refuse what could never match a file, and variables that are not what they are said."""
        faults = [*_include_faults(("include",), self.include), *self._variable_faults()]
        for name, target in self.targets.items():
            faults += _include_faults(("targets", name, "include"), target.include)
        if not self.targets:
            faults.append((("targets",), "a project needs a target; leave the key out for dev"))
        if faults:
            raise InvalidValue(faults)

    def _variable_faults(self) -> Iterator[Fault]:
        for name, variable in self.variables.items():
            if variable.default is not None:
                path = ("variables", name, "default")
                yield from _value_faults(path, "default", variable, variable.default)
        for target, about in self.targets.items():
            for name, value in about.variables.items():
                here = ("targets", target, "variables", name)
                if name in self.variables:
                    yield from _value_faults(here, name, self.variables[name], value)
                else:
                    yield here, f"variable {undeclared(name, self.variables)}"

    def terms(self, target: str) -> Terms:
        """Give the terms of one target: its own limits and on_missing instead of the project's.

        Raises:
            KeyError: there is no such target.
        """
        own = self.targets[target]
        return Terms(
            limits=own.limits or self.limits,
            protected=tuple(dict.fromkeys((*self.protected, *own.protected))),
            ignore_drift=tuple(dict.fromkeys((*self.ignore_drift, *own.ignore_drift))),
            on_missing=own.on_missing or self.on_missing,
        )

    @property
    def targets_differ(self) -> bool:
        """Whether a manifest may mean different things in different targets."""
        first, *others = (
            (one.include, one.variables, one.preset, one.overrides) for one in self.targets.values()
        )
        return any(one != first for one in others)

    def includes(self, target: str) -> tuple[str, ...]:
        """Give the globs of one target's manifests: the project's and its own.

        Raises:
            KeyError: there is no such target.
        """
        return tuple(dict.fromkeys((*self.include, *self.targets[target].include)))


def undeclared(name: str, known: Mapping[str, Variable]) -> str:
    """Say that there is no variable ``name``, and which one may be meant."""
    close = nearest(name, known)
    way_out = f"did you mean '{close}'?" if close else "declare it under variables:"
    return f"{shown(name)} is not declared in {FILE}; {way_out}"


def _include_faults(path: tuple[str, ...], include: tuple[str, ...]) -> list[Fault]:
    return [
        ((*path, at), "an include must stay in the project's folder; write a relative path")
        for at, glob in enumerate(include)
        if glob.startswith("/") or ".." in glob.split("/")
    ]


def _value_faults(
    path: tuple[str, ...], label: str, variable: Variable, value: Scalar
) -> Iterator[Fault]:
    if not variable.type.accepts(value):
        yield path, f"{label} {shown(str(value))} is not of type {variable.type}"
    elif isinstance(value, str) and "${{" in value:
        yield path, "a variable's value is never expanded; write it without ${{"


def load_project(file: str, text: bytes) -> tuple[Project | None, tuple[Problem, ...]]:
    """Read a project file; None together with everything that is wrong with it."""
    root, problems = _root(Project, file, text)
    if root is None:
        return None, problems
    claim(root, file)
    value, problems = _build(Project, file, root, tuple(_misplaced(root)))
    return value and replace(value, root=root), problems


def load_one(cls: type[T], file: str, text: bytes) -> tuple[T | None, tuple[Problem, ...]]:
    """Read a file that holds one value without a kind; None together with what is wrong with it."""
    root, problems = _root(cls, file, text)
    return _build(cls, file, root, ()) if root else (None, problems)


def _root(cls: type, file: str, text: bytes) -> tuple[Node | None, tuple[Problem, ...]]:
    roots, problems = parse(file, text)
    if problems:
        return None, tuple(sorted(problems))
    if len(roots) != 1:
        many = "several documents; keep one" if roots else f"nothing; write a {cls.__name__}"
        return None, (Problem(file, 0, 0, f"the file holds {many}"),)
    return roots[0][0], ()


def _build(
    cls: type[T], file: str, root: Node, found: tuple[tuple[int, int, str], ...]
) -> tuple[T | None, tuple[Problem, ...]]:
    faults: Faults = [*found]
    value: T | Any = builder(cls)(root, faults)
    if value is ABSENT:
        faults.append((root.line, root.column, f"a {cls.__name__} is a mapping of keys"))
    if faults:
        problems = [
            Problem(file, int(line), column, one_line(said)) for line, column, said in faults
        ]
        return None, tuple(sorted(set(problems)))
    return value, ()


def _misplaced(root: Node) -> Iterator[tuple[int, int, str]]:
    """Find references where nothing replaces them; a key or a value may hold one."""
    for path, line, column, text in texts((), root):
        if "${{" not in text or "variables" in path[:3:2]:
            continue  # what a variable is gets checked with its type
        default = path[0] == "defaults"
        kind, within = (path[1:2], path[2:]) if default else (path[3:4], path[5:])
        if not default and path[2:3] != ("overrides",):
            said = "references are replaced only in manifests, defaults and overrides"
            yield line, column, f"{said}; write the value"
        elif not secrets_in(text):
            continue
        elif kind == (Datastore.KIND,):
            if within[:1] != ("credentials",):
                yield line, column, ONLY_IN_CREDENTIALS
        elif not (within[:1] == ("steps",) and within[2:3] == ("env",)):
            yield line, column, ONLY_IN_ENV


def texts(path: tuple[str, ...], node: Node) -> Iterator[tuple[tuple[str, ...], int, int, str]]:
    """Give every key and scalar below ``path``, with its path and place."""
    if isinstance(node.value, dict):
        for key, (line, column, child) in node.value.items():
            yield path or (key,), line, column, key
            yield from texts((*path, key), child)
    elif isinstance(node.value, list):
        for child in node.value:
            yield from texts((*path, "-"), child)
    else:
        yield path or ("",), node.line, node.column, node.value
