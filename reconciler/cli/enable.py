"""``reconciler enable``."""

from __future__ import annotations

import click

from reconciler.cli.scope import Scope, scoped
from reconciler.reconcile.operate import enable_schedule


@click.command("enable")
@click.argument("name")
@scoped
def command(scope: Scope, *, name: str) -> None:
    """Let a schedule fire again from its next due time on; a hold is lifted too."""
    enable_schedule(scope.open().registry, name)
    click.echo(f"schedule {name} is enabled")
