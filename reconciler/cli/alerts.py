"""``reconciler alerts``."""

from __future__ import annotations

import click

from reconciler.cli.facts import data
from reconciler.cli.say import document, short, table, utc
from reconciler.cli.scope import Scope, output, scoped
from reconciler.reconcile.operate import find_schedule, registered


@click.command("alerts", epilog="Example: reconciler alerts nightly-scoring")
@click.argument("schedule", required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@output
@scoped
def command(scope: Scope, *, as_json: bool, schedule: str | None, limit: int) -> None:
    """List what somebody should know, newest first: all of it, or that of a schedule.

    Late runs, schedules that were paused or cannot be decided, outcomes that are unknown.
    """
    workspace = scope.look()
    registry = workspace.registry
    here = find_schedule(registered(registry, schedule), schedule) if schedule else None
    found = workspace.ledger.alerts(here.id if here else None, limit)
    ids = {alert.schedule_id for alert in found if alert.schedule_id}
    names = {one.id: one.name for one in registered(registry, *ids).schedules}
    named = [names.get(alert.schedule_id or "", "") for alert in found]
    if as_json:
        document([{**data(a), "schedule": name} for a, name in zip(found, named, strict=True)])
        return
    rows = [
        (utc(alert.at), alert.alarm.value, name, short(alert.run_id or ""), alert.text)
        for alert, name in zip(found, named, strict=True)
    ]
    table(("AT", "ALARM", "SCHEDULE", "RUN", "TEXT"), rows, "No alerts.")
