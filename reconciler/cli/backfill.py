"""``reconciler backfill``."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.facts import zone_of
from reconciler.cli.instant import parse_when
from reconciler.cli.say import document, local, utc
from reconciler.cli.scope import Scope, output, scoped
from reconciler.cli.who import user
from reconciler.clock import iso
from reconciler.plan.spec import spec_value
from reconciler.reconcile.backfill import MOST, backfill_runs, plan_backfill, write_backfill
from reconciler.reconcile.operate import find_schedule
from reconciler.run import RunState
from reconciler.schedule import Schedule

if TYPE_CHECKING:
    from reconciler.reconcile.backfill import Backfill


@click.command(
    "backfill",
    epilog="Example: reconciler backfill nightly-scoring --from 2026-03-01 --token march",
)
@click.argument("name")
@click.option(
    "--from",
    "start",
    metavar="TIME",
    required=True,
    help="The first due time, as an ISO time; without an offset it is on the schedule's clock.",
)
@click.option("--to", "end", metavar="TIME", help="The last due time, included; now by default.")
@click.option("--token", help="The backfill's name; the same twice is one backfill.")
@click.option(
    "--max",
    "most",
    type=click.IntRange(1, 1_000_000),
    default=MOST,
    show_default=True,
    help="Refuse a window with more fires than this.",
)
@click.option("--dry-run", is_flag=True, help="List the times; write nothing.")
@output
@scoped
def command(  # noqa: PLR0913  (its options)
    scope: Scope,
    *,
    as_json: bool,
    name: str,
    start: str,
    end: str | None,
    token: str | None,
    most: int,
    dry_run: bool,
) -> None:
    """Run a schedule for times that have passed, as it is now.

    Every time in the window at which it is due, or would have been, gets a run that stands for it
    ($RECONCILER_DUE). The runs wait for their turns, the oldest first; none is skipped. Given the
    same token again, what is missing is added and nothing is doubled: that continues what was
    interrupted. `reconciler cancel --backfill TOKEN` stops it.
    """
    address = scope.address()
    workspace = scope.look() if dry_run else address.open()
    here = find_schedule(workspace.registry.live(), name)
    zone = zone_of(spec_value(Schedule, here.spec))
    planned = plan_backfill(
        workspace.registry,
        workspace.ledger,
        here.id,
        token or f"backfill-{uuid.uuid4().hex[:8]}",
        start=parse_when(start, zone),
        end=None if end is None else parse_when(end, zone),
        most=most,
    )
    written = 0 if dry_run else write_backfill(workspace.ledger, planned, user())
    unfinished = backfill_runs(workspace.ledger, planned.token, here.id)
    running = sum(run.state is RunState.RUNNING for run in unfinished)
    facts = {
        "schedule": here.name,
        "schedule_id": here.id,
        "token": planned.token,
        "dry_run": dry_run,
        "occurrences": len(planned.dues),
        "known": len(planned.known),
        "written": written,
        "running": running,
        "waiting": len(unfinished) - running,
        "due": [iso(due) for due in planned.dues],
    }
    if as_json:
        document(facts)
    else:
        _say(planned, facts, zone)
    if written and not address.has_runner():
        click.echo(f"note: {address.start_hint()}", err=True)


def _say(planned: Backfill, facts: dict[str, Any], zone: str) -> None:
    dues, token = planned.dues, planned.token
    if not dues:
        click.echo(f"{facts['schedule']} was not due in that window; nothing to do")
        return
    if facts["dry_run"]:
        for due in dues:
            known = f"  (known to {token})" if due in planned.known else ""
            click.echo(f"  {local(due, zone)}  {utc(due)}{known}")
        click.echo(f"{len(dues) - len(planned.known)} runs to make; nothing was written")
        return
    span = f"{local(dues[0], zone)} to {local(dues[-1], zone)}"
    click.echo(f"backfill {token} of {facts['schedule']}: {len(dues)} times, {span}")
    click.echo(
        f"  {facts['written']} new, {facts['known']} known before; "
        f"{facts['waiting']} waiting, {facts['running']} running"
    )
    click.echo(f"  go on with it: --token {token}; stop it: reconciler cancel --backfill {token}")
