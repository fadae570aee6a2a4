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
@click.option(
    "--from",
    "base",
    metavar="COMMIT",
    help="Offline: compare with this commit instead of the workspace.",
)
@click.option("--to", metavar="COMMIT", help="Offline: the commit to plan.")
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
    base: str | None,
    to: str | None,
    out: str | None,
) -> int:
    """Show what an apply would change, field by field and fire by fire. Changes nothing.

    With --from and --to two commits are compared, and no workspace is asked. Exits 0, 1 on an error
    and 3 when a guard blocks the plan.
    """
    if (base is None) != (to is None):
        raise click.UsageError("Offline two commits are compared: give both --from and --to.")
    if base is not None and ref is not None:
        raise click.UsageError("Offline --to is what is planned; leave out --ref.")
    if base is not None and out is not None:
        raise click.UsageError(
            "Nobody can apply an offline plan; leave out --out, or plan on the workspace: --ref."
        )
    source = asked.source(scope, ref) if base is None else None
    # Git is at work by now; what makes a plan is imported meanwhile.
    from reconciler.cli.planned import make_offline, make_plan, tell, write  # noqa: PLC0415

    if source is not None:
        planned = make_plan(scope, source, asked)
    else:
        planned = make_offline(scope, str(base), str(to), asked)
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
