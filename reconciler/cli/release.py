"""``reconciler release``."""

from __future__ import annotations

import click

from reconciler.cli.scope import Scope, scoped
from reconciler.reconcile.operate import release_schedule


@click.command("release")
@click.argument("name")
@scoped
def command(scope: Scope, *, name: str) -> None:
    """Lift a hold. What was due meanwhile is recorded as passed over, not made up for."""
    release_schedule(scope.open().registry, name)
    click.echo(f"schedule {name} is released")
