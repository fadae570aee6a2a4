"""The options of the commands that plan, how they plan, and in which forms they tell it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler import settings
from reconciler.cli.instant import parse_when
from reconciler.cli.scope import Address
from reconciler.plan.change import Kind, Plan
from reconciler.plan.ci import github_annotations, gitlab_report
from reconciler.plan.codec import plan_json
from reconciler.plan.guards import ALLOWABLE
from reconciler.plan.markdown import plan_markdown
from reconciler.plan.render import plan_text
from reconciler.reconcile.read import Reading, choose_target, plan, read, read_project

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.cli.scope import Scope
    from reconciler.source.base import Source

R = TypeVar("R")

_COLOURS = {"+": "green", "~": "yellow", "-": "red", ">": "cyan", "»": "cyan", "Blocked:": "red"}
_MARK = re.compile(r"(?:[+~>»-]|Blocked:)(?= )")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the planning options say."""

    now: int | None = None
    full: bool = False
    adopt: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what it was made from."""

    plan: Plan
    reading: Reading
    address: Address


FORMATS: dict[str, Callable[[Planned], str]] = {
    "text": lambda planned: plan_text(planned.plan),
    "json": lambda planned: plan_json(planned.plan),
    "markdown": lambda planned: plan_markdown(planned.plan),
    "github": lambda planned: github_annotations(planned.plan, planned.reading.state.project_path),
    "gitlab": lambda planned: gitlab_report(planned.plan),
}


def make_plan(scope: Scope, source: Source, asked: Asked) -> Planned:
    """Read the project and compare it with its workspace; writes nothing.

    Raises:
        ManifestError: with every problem in every file.
    """
    project = read_project(source)
    target = choose_target(project, scope.target)
    address = scope.address_in(source, project)
    reader = address.reader()
    reading = read(source, project, target, reader, adopt=asked.adopt, full=asked.full)
    as_of = reader.now() if asked.now is None else asked.now
    return Planned(plan(reading, address.url, as_of, settings.names_in), reading, address)


def _addresses(
    _ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """See that each value names an object as a plan does, ``Schedule.nightly``."""
    for value in values:
        kind, _, name = value.partition(".")
        if kind not in set(Kind) or not name:
            kinds = ", ".join(f"{one}.NAME" for one in Kind)
            raise click.BadParameter(f"'{value}' is none of {kinds}.")
    return values


def planning(function: Callable[..., R]) -> Callable[..., R]:
    """Add the planning options to a command; it gets them as ``asked``."""

    @click.option(
        "--full", is_flag=True, help="Read every file, whatever the last apply is known to be."
    )
    @click.option("--now", metavar="TIME", help="Plan as of this instant (ISO time with offset).")
    @click.option(
        "--adopt",
        multiple=True,
        metavar="KIND.NAME",
        callback=_addresses,
        help="Take this object over from others.",
    )
    @click.option(
        "--allow",
        multiple=True,
        metavar="GUARD",
        type=click.Choice(ALLOWABLE),
        help=f"Lift a guard: {', '.join(ALLOWABLE)}.",
    )
    @click.option("--allow-dirty", is_flag=True, help="Apply files that are not committed.")
    @click.option("--allow-empty", is_flag=True, help="Apply a project that declares nothing.")
    @click.option(
        "--allow-diverged", is_flag=True, help="Apply a commit that lacks what was applied last."
    )
    @click.option("--rollback", is_flag=True, help="Apply a commit older than the last applied.")
    @functools.wraps(function)
    def command(*arguments: Any, **given: Any) -> R:  # noqa: ANN401  (the command's own options)
        allowed = set(given.pop("allow"))
        for flag in ("dirty", "empty", "diverged"):
            allowed |= {flag} if given.pop(f"allow_{flag}") else set()
        allowed |= {"rollback"} if given.pop("rollback") else set()
        now = given.pop("now")
        asked = Asked(
            now=None if now is None else parse_when(now, "UTC"),
            full=given.pop("full"),
            adopt=frozenset(given.pop("adopt")),
            allowed=frozenset(allowed),
        )
        return function(*arguments, asked=asked, **given)

    return command


def _forms(
    _ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Read ``FORMAT`` and ``FORMAT=FILE``; gives the format by file, by "" for standard output."""
    forms: dict[str, str] = {}
    for value in values or ("text",):
        form, _, file = value.partition("=")
        if form not in FORMATS:
            raise click.BadParameter(f"'{form}' is none of {', '.join(FORMATS)}.")
        if file in forms:
            where = f"the file {file}" if file else "standard output"
            raise click.BadParameter(f"two formats for {where}; write FORMAT=FILE for one of them.")
        forms[file] = form
    return forms


forms = click.option(
    "--output",
    "forms",
    multiple=True,
    metavar="FORMAT[=FILE]",
    callback=_forms,
    help=f"{', '.join(FORMATS)}; several at once, each but one to a file.  [default: text]",
)


def tell(planned: Planned, chosen: dict[str, str]) -> None:
    """Write a plan in each of the chosen formats."""
    for file, form in chosen.items():
        if file:
            Path(file).write_text(FORMATS[form](planned), encoding="utf-8")
        elif form == "text":
            show(planned.plan)
        else:
            click.echo(FORMATS[form](planned), nl=False)


def show(plan: Plan) -> None:
    """Print a plan, each change in the colour of its sign."""
    for line in plan_text(plan).splitlines():
        mark = _MARK.match(line)
        click.echo(click.style(line, fg=_COLOURS[mark[0]]) if mark else line)
