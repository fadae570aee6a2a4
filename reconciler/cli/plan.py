"""``reconciler plan``."""

from __future__ import annotations

import shlex

import click

from reconciler.cli.group import say_error
from reconciler.cli.planning import Asked, forms, planning
from reconciler.cli.scope import Scope, scoped
from reconciler.errors import Refused

CHANGES = 2


@click.command("plan", epilog="Example: reconciler plan --target prod --out plan.json")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there are changes.")
@click.option("--ref", metavar="COMMIT", help="Plan this commit instead of the files as they lie.")
@click.option("--out", metavar="FILE", help="Save the plan, for `reconciler apply FILE`.")
@planning
@forms
@scoped
def command(  # noqa: PLR0913  (its options)
    scope: Scope,
    *,
    asked: Asked,
    forms: dict[str, str],
    detailed_exitcode: bool,
    ref: str | None,
    out: str | None,
) -> int:
    """Show what an apply would change, field by field and fire by fire. Changes nothing.

    Exits 0, 1 on an error and 3 when a guard blocks the plan.
    """
    source = scope.source(ref)
    # Git is at work by now; what makes a plan is imported meanwhile.
    from reconciler.cli.planned import make_plan, tell, write  # noqa: PLC0415

    planned = make_plan(scope, source, asked)
    plan = planned.plan
    tell(planned, forms)
    if out is not None:
        write(planned, "json", out)
        click.echo(f"saved; apply it with: reconciler apply {shlex.quote(out)}", err=True)
    blocking = plan.blocking(asked.allowed)
    if blocking:
        say_error("; ".join(guard.message for guard in blocking), "blocked")
        return Refused.exit_code
    return CHANGES if detailed_exitcode and plan.changes else 0
