"""``reconciler runs``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from reconciler.cli.facts import data
from reconciler.cli.say import document, short, table, utc
from reconciler.cli.scope import Scope, output, scoped
from reconciler.cli.watched import about_data
from reconciler.fields import duration_text
from reconciler.plan.bind import label
from reconciler.reconcile.operate import find_schedule, registered
from reconciler.run import RunState

if TYPE_CHECKING:
    from reconciler.run import Run

_STATES = {state.value.lower(): state for state in RunState}


@click.command(
    "runs",
    epilog="Example: reconciler runs nightly-scoring --state Failed --state Canceled",
)
@click.argument("schedule", required=False)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in RunState], case_sensitive=False),
    help="Only runs in this state; may be given several times.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@output
@scoped
def command(
    scope: Scope, *, as_json: bool, schedule: str | None, states: tuple[str, ...], limit: int
) -> None:
    """List runs, newest first: all, or those of a schedule."""
    workspace = scope.look()
    registry = workspace.registry
    here = find_schedule(registered(registry, schedule), schedule) if schedule else None
    found = workspace.ledger.runs(
        schedule_id=here.id if here else None,
        states=[_STATES[word.lower()] for word in states],
        limit=limit,
    )
    versions = {
        pipeline.id: label(pipeline)
        for pipeline in registered(registry, *{run.pipeline_id for run in found}).pipelines
    }
    if as_json:
        document([{**data(run), "pipeline": versions[run.pipeline_id]} for run in found])
        return
    head = (
        "RUN",
        "SCHEDULE",
        "PIPELINE",
        "STATE",
        "TRY",
        "POOL",
        "FOR",
        "DUE",
        "STARTED",
        "TOOK",
        "REASON",
    )
    rows = [
        (
            short(run.id),
            run.schedule_name,
            versions[run.pipeline_id],
            run.state.value,
            str(run.number) if run.number > 1 else "",
            run.pool or "",
            about_data(run.facts),
            utc(run.due_at),
            utc(run.started_at),
            _took(run),
            run.reason,
        )
        for run in found
    ]
    table(head, rows, "No runs.")


def _took(run: Run) -> str:
    if run.started_at is None or run.ended_at is None:
        return ""
    tenths = (run.ended_at - run.started_at) // 100_000
    if tenths < 600:
        return f"{tenths / 10:.1f}s"
    return duration_text(timedelta(seconds=tenths // 10))
