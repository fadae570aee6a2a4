"""``reconciler plan``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from reconciler.cli.group import say_error
from reconciler.cli.scope import Scope, make_plan, output, scoped
from reconciler.errors import Refused
from reconciler.plan.codec import plan_json
from reconciler.plan.render import plan_text

if TYPE_CHECKING:
    from reconciler.plan.change import Plan

_COLOURS = {"+": "green", "~": "yellow", "-": "red", "Blocked:": "red"}
_MARK = re.compile(r"(?:[+~-]|Blocked:)(?= )")
CHANGES = 2


@click.command("plan")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there are changes.")
@output
@scoped
def command(scope: Scope, *, as_json: bool, detailed_exitcode: bool) -> int:
    """Show what an apply would change, field by field. Changes nothing.

    Exits 0, 1 on an error and 3 when a guard blocks the plan.
    """
    plan = make_plan(scope).plan
    if as_json:
        click.echo(plan_json(plan), nl=False)
    else:
        show(plan)
    if plan.refusals:
        say_error(f"blocked: {'; '.join(plan.refusals)}")
        return Refused.exit_code
    return CHANGES if detailed_exitcode and plan.changes else 0


def show(plan: Plan) -> None:
    """Print a plan, each change in the colour of its sign."""
    for line in plan_text(plan).splitlines():
        mark = _MARK.match(line)
        click.echo(click.style(line, fg=_COLOURS[mark[0]]) if mark else line)
