"""``reconciler cancel``."""

from __future__ import annotations

import getpass

import click

from reconciler.cli.scope import Scope, scoped
from reconciler.errors import Refused


@click.command("cancel")
@click.argument("run")
@click.option("--reason", help="Why; it is kept with the run.")
@scoped
def command(scope: Scope, *, run: str, reason: str | None) -> None:
    """Stop a run: its steps and all their children get SIGTERM, and SIGKILL if they stay."""
    address = scope.address()
    workspace = address.open()
    found = workspace.ledger.run(run)
    said = f"canceled by {getpass.getuser()}" + (f": {reason}" if reason else "")
    with workspace.ledger.transaction() as tx:
        asked = tx.request_cancel([found.id], said)
    if not asked:
        raise Refused(f"run {found.id} is over already: {found.state}")
    click.echo(f"run {found.id} will be stopped")
    if not address.has_runner():
        click.echo(f"note: {address.start_hint()}", err=True)
