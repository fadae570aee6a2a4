"""The project file, ``reconciler.yml``: what a repository is, and where its manifests go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from reconciler.errors import InvalidValue, Problem
from reconciler.fields import NAME_PATTERN, Fault, field
from reconciler.manifest.build import builder
from reconciler.manifest.scalars import ABSENT, Faults
from reconciler.manifest.syntax import one_line
from reconciler.manifest.yaml12 import parse

T = TypeVar("T")
_NAME_HINT = "start with a letter or digit, then letters, digits, - and _"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A named environment of a project, pointing at one workspace."""

    workspace: str = field(
        "The workspace's URL; a relative path is counted from the project's folder.",
        default="sqlite:.reconciler/workspace.db",
        non_empty=True,
        examples=("sqlite:.reconciler/workspace.db",),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What ``reconciler.yml`` says.

    Raises:
        InvalidValue: an include that leaves the project's folder.
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
    targets: Mapping[str, Target] = field(
        "The environments, by name; one named dev by default.",
        default_factory=lambda: {"dev": Target()},
        pattern=NAME_PATTERN,
        hint=_NAME_HINT,
        examples=({"dev": {"workspace": "sqlite:.reconciler/workspace.db"}},),
    )

    def __post_init__(self) -> None:
        """Refuse what could never match a file of the project."""
        faults: list[Fault] = [
            (("include", at), "an include must stay in the project's folder; write a relative path")
            for at, glob in enumerate(self.include)
            if glob.startswith("/") or ".." in glob.split("/")
        ]
        if not self.targets:
            faults.append((("targets",), "a project needs a target; leave the key out for dev"))
        if faults:
            raise InvalidValue(faults)


def load_project(file: str, text: bytes) -> tuple[Project | None, tuple[Problem, ...]]:
    """Read a project file; None together with everything that is wrong with it."""
    return load_one(Project, file, text)


def load_one(cls: type[T], file: str, text: bytes) -> tuple[T | None, tuple[Problem, ...]]:
    """Read a file that holds one value without a kind; None together with what is wrong with it."""
    roots, problems = parse(file, text)
    if problems:
        return None, tuple(sorted(problems))
    if len(roots) != 1:
        many = "several documents; keep one" if roots else f"nothing; write a {cls.__name__}"
        return None, (Problem(file, 0, 0, f"the file holds {many}"),)
    root, _ = roots[0]
    faults: Faults = []
    value: T | Any = builder(cls)(root, faults)
    if value is ABSENT:
        faults.append((root.line, root.column, f"a {cls.__name__} is a mapping of keys"))
    if faults:
        problems = [Problem(file, line, column, one_line(said)) for line, column, said in faults]
        return None, tuple(sorted(problems))
    return value, ()
