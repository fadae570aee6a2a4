"""``reconciler enable``."""

from __future__ import annotations

import click

from reconciler.cli.scope import Scope, kind_and_name, scoped
from reconciler.reconcile.operate import enable_pipeline, enable_schedule


@click.command("enable")
@click.argument("words", nargs=-1, required=True, metavar="[schedule|pipeline] NAME")
@scoped
def command(scope: Scope, *, words: tuple[str, ...]) -> None:
    """Let a schedule fire again from its next due time on, or a pipeline version be run again.

    A hold is lifted too.
    """
    kind, name = kind_and_name(words, ("schedule", "pipeline"))
    registry = scope.open().registry
    if kind == "pipeline":
        name = enable_pipeline(registry, name)
    else:
        enable_schedule(registry, name)
    click.echo(f"{kind} {name} is enabled")
