"""How a command plans, and in which forms it tells the plan."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler import settings
from reconciler.cli.scope import Address
from reconciler.clock import SystemClock
from reconciler.live import Owner
from reconciler.plan.change import Plan
from reconciler.reconcile.read import Reading, choose_target, plan, read, read_project

if TYPE_CHECKING:
    from reconciler.cli.planning import Asked
    from reconciler.cli.scope import Scope
    from reconciler.source.base import Source

_COLOURS = {"+": "green", "~": "yellow", "-": "red", ">": "cyan", "»": "cyan", "Blocked:": "red"}
_MARK = re.compile(r"(?:[+~>»-]|Blocked:)(?= )")


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what it was made from."""

    plan: Plan
    reading: Reading
    address: Address


def make_plan(scope: Scope, source: Source, asked: Asked) -> Planned:
    """Read the project and compare it with its workspace; writes nothing.

    Raises:
        ManifestError: with every problem in every file.
    """
    project = read_project(source)
    target = choose_target(project, scope.target)
    address = scope.address_in(source, project)
    reader = address.reader()
    if asked.rule is not None:
        glance = reader.glance(Owner(project.project, target))
        asked.verifier(source).since(glance.record.commit if glance else None)
    reading = read(source, project, target, reader, adopt=asked.adopt, full=asked.full)
    as_of = reader.now() if asked.now is None else asked.now
    look = partial(settings.files_in, owner=reading.desired.owner)
    return Planned(plan(reading, address.shown, as_of, look), reading, address)


def make_offline(scope: Scope, base: str, commit: str, asked: Asked) -> Planned:
    """Compare a commit with what another one declares; no workspace is asked.

    Raises:
        ManifestError: with every problem in every file of one of the two.
        SourceError: a commit is not there, is not complete, or its signature does not count.
    """
    from reconciler.reconcile.offline import plan_offline  # noqa: PLC0415  (seldom asked for)

    source, former = asked.source(scope, commit), scope.source(base)
    if asked.rule is not None:
        asked.verifier(source).since(former.state().commit)
    as_of = SystemClock().now() if asked.now is None else asked.now
    made, reading = plan_offline(former, source, scope.target, as_of, asked.adopt)
    return Planned(made, reading, Address(made.workspace, source.folder))


def tell(planned: Planned, chosen: dict[str, str]) -> None:
    """Write a plan in each of the chosen formats."""
    for file, form in chosen.items():
        if file:
            write(planned, form, file)
        elif form == "text":
            show(planned.plan)
        else:
            click.echo(_written(planned, form), nl=False)


def write(planned: Planned, form: str, file: str) -> None:
    """Write a plan in one format to a file."""
    Path(file).write_text(_written(planned, form), encoding="utf-8")


def _written(planned: Planned, form: str) -> str:
    match form:
        case "text":
            from reconciler.plan.render import plan_text  # noqa: PLC0415  (one form of many)

            return plan_text(planned.plan)
        case "json":
            from reconciler.plan.codec import plan_json  # noqa: PLC0415  (the same)

            return plan_json(planned.plan)
        case "markdown":
            from reconciler.plan.markdown import plan_markdown  # noqa: PLC0415  (the same)

            return plan_markdown(planned.plan)
        case "github":
            from reconciler.plan.ci import github_annotations  # noqa: PLC0415  (the same)

            return github_annotations(planned.plan, planned.reading.state.project_path)
    from reconciler.plan.ci import gitlab_report  # noqa: PLC0415  (the same)

    return gitlab_report(planned.plan)


def show(plan: Plan) -> None:
    """Print a plan, each change in the colour of its sign."""
    from reconciler.plan.render import plan_text  # noqa: PLC0415  (one form of many)

    for line in plan_text(plan).splitlines():
        mark = _MARK.match(line)
        click.echo(click.style(line, fg=_COLOURS[mark[0]]) if mark else line)
