"""``reconciler cancel``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.facts import data
from reconciler.cli.say import answer
from reconciler.cli.scope import Scope, output, scoped
from reconciler.cli.who import user
from reconciler.errors import NotFound, Refused
from reconciler.reconcile.backfill import backfill_runs

if TYPE_CHECKING:
    from reconciler.settings import Workspace


@click.command("cancel", epilog="Example: reconciler cancel 3f2a9c --reason 'wrong data'")
@click.argument("run", required=False)
@click.option("--backfill", metavar="TOKEN", help="All runs of a backfill that are not over.")
@click.option("--reason", help="Why; it is kept with the run.")
@output
@scoped
def command(
    scope: Scope, *, as_json: bool, run: str | None, backfill: str | None, reason: str | None
) -> None:
    """Stop a run: its steps and all their children get SIGTERM, and SIGKILL if they stay."""
    if (run is None) == (backfill is None):
        raise click.UsageError("Give a run, or --backfill TOKEN.")
    address = scope.address()
    workspace = address.open()
    said = f"canceled by {user()}" + (f": {reason}" if reason else "")
    if backfill is not None:
        _backfill(workspace, backfill, said, as_json=as_json)
    else:
        _run(workspace, run or "", said, as_json=as_json)
    if not address.has_runner():
        click.echo(f"note: {address.start_hint()}", err=True)


def _run(workspace: Workspace, prefix: str, said: str, *, as_json: bool) -> None:
    found = workspace.ledger.run(prefix)
    with workspace.ledger.transaction() as tx:
        asked = tx.request_cancel([found.id], said)
    if not asked:
        raise Refused(f"run {found.id} is over already: {found.state}")
    facts = data(workspace.ledger.run(found.id))
    answer(f"run {found.id} will be stopped", facts, as_json=as_json)


def _backfill(workspace: Workspace, token: str, said: str, *, as_json: bool) -> None:
    found = [run.id for run in backfill_runs(workspace.ledger, token)]
    if not found:
        raise NotFound(
            f"backfill '{token}' has no run that is not over; `reconciler runs` lists all"
        )
    with workspace.ledger.transaction() as tx:
        asked = tx.request_cancel(found, said)
    facts = {"token": token, "runs": sorted(asked)}
    many = f"{len(asked)} {'run' if len(asked) == 1 else 'runs'}"
    answer(f"{many} of backfill {token} will be stopped", facts, as_json=as_json)
