"""``reconciler workspace``."""

from __future__ import annotations

import click

from reconciler.cli.scope import Scope, scoped
from reconciler.settings import migrate_workspace


@click.group("workspace", no_args_is_help=False)
def command() -> None:
    """Look after the workspace itself."""


@command.command("migrate")
@scoped
def migrate(scope: Scope) -> None:
    """Bring a workspace to this program's schema; no other command ever does."""
    address = scope.address()
    before, after = migrate_workspace(address.url, address.base)
    if before == after:
        click.echo(f"the workspace has schema {after} already")
    else:
        click.echo(f"migrated from schema {before} to {after}")
