"""What a pipeline is: a graph of steps with parameters, as frozen values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING, ClassVar

from reconciler.errors import InvalidValue
from reconciler.fields import NAME_PATTERN, Scalar, field
from reconciler.retries import Retries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.fields import Fault

_REFERENCE = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_PARAMETER = re.compile(r"parameters\.([a-zA-Z_][a-zA-Z0-9_]*)")
_SECRET = re.compile(r"secret\.([a-zA-Z_][a-zA-Z0-9_]*)")
_NAME_HINT = "start with a letter or digit, then letters, digits, - and _"
ENVIRONMENT_NAME = r"^[a-zA-Z_][a-zA-Z0-9_]*$"


class ParameterType(StrEnum):
    """What values a pipeline parameter takes."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATAPATH = "datapath"

    def accepts(self, value: Scalar) -> bool:
        """Tell whether ``value`` is of this type; a bool is not a number here, nor is NaN."""
        match self:
            case ParameterType.BOOLEAN:
                return isinstance(value, bool)
            case ParameterType.NUMBER if isinstance(value, float):
                return isfinite(value)
            case ParameterType.INTEGER | ParameterType.NUMBER:
                return isinstance(value, int) and not isinstance(value, bool)
            case _:
                return isinstance(value, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A value that a run may be given.

    Raises:
        InvalidValue: the default is not of the type.
    """

    type: ParameterType = field("What values it takes.")
    default: Scalar | None = field(
        "The value when a schedule gives none; without it a schedule must.", default=None
    )
    description: str = field("What it is for, for people.", default="")

    def __post_init__(self) -> None:
        """Refuse a default of another type."""
        if self.default is not None and not self.type.accepts(self.default):
            text = f"default {self.default!r} is not of type {self.type}"
            raise InvalidValue([(("default",), text)])


_MEMORY = re.compile(r"([1-9][0-9]*)(Ki|Mi|Gi|Ti)?")
_UNITS = {None: 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a step needs of the machine it runs on: it starts where, and once, all of it is free.

    These are places, not walls: nobody stops a step that uses more.

    Raises:
        InvalidValue: ``memory`` is not a size.
    """

    cpus: float = field(
        "Processors, in parts too.", default=0, minimum=0, maximum=4_096, examples=(1, 0.5)
    )
    memory: str | None = field(
        "Memory, in bytes or with Ki, Mi, Gi or Ti.",
        default=None,
        pattern=r"^[1-9][0-9]*(Ki|Mi|Gi|Ti)?$",
        hint="write for example 512Mi or 2Gi",
        examples=("2Gi",),
    )
    gpus: int = field("Graphics processors.", default=0, minimum=0, maximum=1_024, examples=(1,))

    def __post_init__(self) -> None:
        """Bring numbers into one spelling and refuse a memory that is no size."""
        object.__setattr__(self, "cpus", float(self.cpus))
        if self.memory is not None and not _MEMORY.fullmatch(self.memory):
            text = f"'{self.memory}' is not a size; write for example 512Mi or 2Gi"
            raise InvalidValue([(("memory",), text)])

    @property
    def bytes(self) -> int:
        """The memory in bytes."""
        match = _MEMORY.fullmatch(self.memory or "")
        return 0 if match is None else int(match[1]) * _UNITS[match[2]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One program of a pipeline.

    Raises:
        InvalidValue: not exactly one of command and shell, or a misplaced reference.
    """

    name: str = field(
        "Unique in the pipeline.", pattern=NAME_PATTERN, hint=_NAME_HINT, examples=("prepare",)
    )
    command: tuple[str, ...] = field(
        "The program and its arguments, never seen by a shell; ${{ parameters.NAME }} is replaced.",
        default=(),
        examples=(["python", "prepare.py", "--in", "${{ parameters.input_data }}"],),
    )
    shell: str | None = field(
        "A text for /bin/sh instead of command; parameters reach it as $RECONCILER_PARAM_NAME.",
        default=None,
        examples=("./prepare.sh && ./check.sh",),
    )
    depends_on: tuple[str, ...] = field(
        "Steps that must have finished before.", default=(), unique=True, examples=(["prepare"],)
    )
    env: Mapping[str, str] = field(
        "Environment variables; ${{ parameters.NAME }} and ${{ secret.NAME }} are replaced.",
        default_factory=dict,
        pattern=ENVIRONMENT_NAME,
        hint="use letters, digits and _",
        examples=({"API_TOKEN": "${{ secret.API_TOKEN }}"},),
    )
    timeout: timedelta | None = field(
        "The step is stopped after so long.", default=None, examples=("30m",)
    )
    retries: Retries | None = field(
        "What happens when it fails; no retry by default.", default=None
    )
    resources: Resources = field(
        "What it needs of a runner's machine; nothing but a free place by default.",
        default=Resources(),
        examples=({"cpus": 1, "memory": "2Gi", "gpus": 0},),
    )

    def __post_init__(self) -> None:
        """Refuse a step that is not exactly one program."""
        faults = tuple(self._faults())
        if faults:
            raise InvalidValue(faults)

    def _faults(self) -> Iterator[Fault]:
        if bool(self.command) == (self.shell is not None):
            yield (), f"step '{self.name}' needs exactly one of command and shell"
        if self.shell is not None and _REFERENCE.search(self.shell):
            text = 'a shell text takes no ${{ }}; use "$RECONCILER_PARAM_NAME" or command'
            yield ("shell",), text
        for index, argument in enumerate(self.command):
            yield from _reference_faults(("command", index), argument, secrets=False)
        for key, text in self.env.items():
            yield from _reference_faults(("env", key), text, secrets=True)
        if self.timeout is not None and not self.timeout:
            yield ("timeout",), "timeout must be longer than 0s"

    def texts(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Give every text that may hold a reference, with its path within the step."""
        for index, argument in enumerate(self.command):
            yield ("command", index), argument
        for key, text in self.env.items():
            yield ("env", key), text


def _reference_faults(path: tuple[str | int, ...], text: str, *, secrets: bool) -> Iterator[Fault]:
    for inner in _REFERENCE.findall(text):
        if _PARAMETER.fullmatch(inner) or (secrets and _SECRET.fullmatch(inner)):
            continue
        if _SECRET.fullmatch(inner):
            yield path, "a secret may stand only in env, where no other program can read it"
        else:
            known = "${{ parameters.NAME }}" + (" or ${{ secret.NAME }}" if secrets else "")
            yield path, f"'${{{{ {inner} }}}}' is not known here; write {known}"


def parameters_in(text: str) -> tuple[str, ...]:
    """Name the parameters that ``text`` refers to, in order."""
    return tuple(m[1] for inner in _REFERENCE.findall(text) if (m := _PARAMETER.fullmatch(inner)))


def secrets_in(text: str) -> tuple[str, ...]:
    """Name the secrets that ``text`` refers to, in order."""
    return tuple(m[1] for inner in _REFERENCE.findall(text) if (m := _SECRET.fullmatch(inner)))


def expand(text: str, parameters: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    """Replace every reference in ``text`` once; what a value contains is never expanded again.

    Raises:
        KeyError: a name that is in neither mapping.
    """

    def value(match: re.Match[str]) -> str:
        kind, _, name = match[1].partition(".")
        return (secrets if kind == "secret" else parameters)[name]

    return _REFERENCE.sub(value, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A graph of steps with parameters; published, it becomes an immutable version.

    Raises:
        InvalidValue: steps repeat a name, depend on an unknown step or on each other in a circle,
            or refer to an undeclared parameter.
    """

    KIND: ClassVar[str] = "Pipeline"

    name: str = field(
        "Unique in the workspace.",
        pattern=NAME_PATTERN,
        hint=_NAME_HINT,
        examples=("batch-scoring",),
    )
    description: str = field("What it does, for people.", default="")
    parameters: Mapping[str, Parameter] = field(
        "The values a run may be given.",
        default_factory=dict,
        pattern=ENVIRONMENT_NAME,
        hint="use letters, digits and _",
        examples=({"batch_size": {"type": "integer", "default": 256}},),
    )
    code: str | None = field(
        "A folder beside the manifest; its content is snapshotted when the pipeline is published.",
        default=None,
        examples=("./scoring",),
    )
    environment: str | None = field(
        "The folder of a virtual environment on the runner's machine; its python is used.",
        default=None,
        examples=("/opt/envs/scoring",),
    )
    continue_on_step_failure: bool = field(
        "Whether steps that do not depend on a failed step still run.", default=False
    )
    writes: tuple[str, ...] = field(
        "The directories in which its steps put files, as datastore/path: plans then tell of "
        "schedules that would feed each other.",
        default=(),
        unique=True,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}(/[^/\x00]+)*$",
        hint="write datastore/path",
        examples=(["landing/scored"],),
    )
    steps: tuple[Step, ...] = field("What it runs.", non_empty=True)
    tags: Mapping[str, str] = field("Labels for people and tools.", default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a graph that could not run."""
        faults = tuple(self._faults())
        if faults:
            raise InvalidValue(faults)

    def resolve(self, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Give every parameter its value: the given one, else the default.

        Names the pipeline does not have are left out, and so is a parameter without any value:
        both are refused where a schedule is declared, and a version never changes afterwards.
        """
        return {
            name: value
            for name, parameter in self.parameters.items()
            if (value := given.get(name, parameter.default)) is not None
        }

    def _faults(self) -> Iterator[Fault]:
        for at, place in enumerate(self.writes):
            if {".", ".."} & set(place.split("/")):
                yield ("writes", at), f"'{place}' must be written without '.' and '..'"
        if not self.steps:
            yield ("steps",), "a pipeline needs at least one step"
        yield from self._step_faults()
        circle = _circle(self.steps)
        if circle:
            yield ("steps",), f"steps depend on each other in a circle: {' -> '.join(circle)}"

    def _step_faults(self) -> Iterator[Fault]:
        seen: set[str] = set()
        names = {step.name for step in self.steps}
        for index, step in enumerate(self.steps):
            if step.name in seen:
                yield ("steps", index, "name"), f"step '{step.name}' is declared twice"
            seen.add(step.name)
            for position, other in enumerate(step.depends_on):
                if other not in names:
                    text = f"step '{step.name}' depends on '{other}', which is not declared"
                    yield ("steps", index, "depends_on", position), text
            for path, text in step.texts():
                for name in parameters_in(text):
                    if name not in self.parameters:
                        known = ", ".join(sorted(self.parameters)) or "none are declared"
                        message = f"parameter '{name}' is not declared (known: {known})"
                        yield ("steps", index, *path), message


def _circle(steps: Iterable[Step]) -> tuple[str, ...]:
    """Find steps that wait for each other; empty when there are none."""
    waiting = {step.name: set(step.depends_on) for step in steps}
    names = set(waiting)
    waiting = {name: needs & names for name, needs in waiting.items()}
    while True:
        free = {name for name, needs in waiting.items() if not needs}
        if not free:
            break
        waiting = {name: needs - free for name, needs in waiting.items() if name not in free}
    if not waiting:
        return ()
    path = [min(waiting)]
    while path[-1] not in path[:-1]:
        path.append(min(waiting[path[-1]]))
    return tuple(path[path.index(path[-1]) :])
