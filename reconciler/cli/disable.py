"""``reconciler disable``."""

from __future__ import annotations

import getpass

import click

from reconciler.cli.scope import Scope, kind_and_name, scoped
from reconciler.live import Hold
from reconciler.reconcile.operate import disable_pipeline, disable_schedule


@click.command("disable")
@click.argument("words", nargs=-1, required=True, metavar="[schedule|pipeline] NAME")
@click.option("--reason", default="disabled by hand", help="Why; it is kept with a hold.")
@scoped
def command(scope: Scope, *, words: tuple[str, ...], reason: str) -> None:
    """Stop a schedule, or retire a pipeline version that no active schedule uses.

    A schedule that a project manages is held without end: no apply lifts that, `enable`
    does.
    """
    kind, name = kind_and_name(words, ("schedule", "pipeline"))
    registry = scope.open().registry
    if kind == "pipeline":
        click.echo(f"pipeline {disable_pipeline(registry, name)} is disabled")
        return
    done = disable_schedule(registry, name, who=getpass.getuser(), why=reason)
    how = "held without end, as a project manages it" if isinstance(done, Hold) else "disabled"
    click.echo(f"schedule {name} is {how}")
