"""``reconciler cancel``."""

from __future__ import annotations

import click

from reconciler.cli.facts import data
from reconciler.cli.say import answer
from reconciler.cli.scope import Scope, output, scoped
from reconciler.cli.who import user
from reconciler.errors import Refused


@click.command("cancel")
@click.argument("run")
@click.option("--reason", help="Why; it is kept with the run.")
@output
@scoped
def command(scope: Scope, *, as_json: bool, run: str, reason: str | None) -> None:
    """Stop a run: its steps and all their children get SIGTERM, and SIGKILL if they stay."""
    address = scope.address()
    workspace = address.open()
    found = workspace.ledger.run(run)
    said = f"canceled by {user()}" + (f": {reason}" if reason else "")
    with workspace.ledger.transaction() as tx:
        asked = tx.request_cancel([found.id], said)
    if not asked:
        raise Refused(f"run {found.id} is over already: {found.state}")
    facts = data(workspace.ledger.run(found.id))
    answer(f"run {found.id} will be stopped", facts, as_json=as_json)
    if not address.has_runner():
        click.echo(f"note: {address.start_hint()}", err=True)
