"""``reconciler apply``."""

from __future__ import annotations

import sys
from time import sleep
from typing import TYPE_CHECKING

import click

from reconciler.cli.plan import show
from reconciler.cli.say import document
from reconciler.cli.scope import Scope, make_plan, output, scoped
from reconciler.errors import ReconcilerError
from reconciler.plan.change import Action
from reconciler.plan.codec import plan_data
from reconciler.reconcile.apply import apply_plan, refuse
from reconciler.workspace.records import WatchState

if TYPE_CHECKING:
    from reconciler.cli.scope import Address, Planned
    from reconciler.plan.change import Plan
    from reconciler.settings import Workspace

# Fewer changes are written before anyone could read a bar.
_WORTH_A_BAR = 200
_LOOK_AGAIN = 0.2


@click.command("apply")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--allow-dirty", is_flag=True, help="Apply files that are not committed.")
@click.option("--allow-empty", is_flag=True, help="Apply a project that declares nothing.")
@click.option("--wait", is_flag=True, help="Wait until new watches know what is there already.")
@output
@scoped
def command(  # noqa: PLR0913  (its options)
    scope: Scope, *, as_json: bool, yes: bool, allow_dirty: bool, allow_empty: bool, wait: bool
) -> int:
    """Make the workspace as declared: show the plan, ask, and carry it out as a whole.

    Exits 3 when a guard blocks the plan and 4 when the workspace moved since it was made.
    """
    planned = make_plan(scope)
    plan, address = planned.plan, planned.address
    if not as_json:
        show(plan)
    refuse(plan, allow_dirty=allow_dirty, allow_empty=allow_empty)
    if plan.changes:
        if not yes and not _confirmed(asks=not as_json):
            click.echo("Nothing was applied.")
            return 1
        _carry_out(planned)
    if as_json:
        document({**plan_data(plan), "applied": bool(plan.changes)})
    else:
        click.echo(_done(plan))
    if plan.changes and not address.has_runner():
        click.echo(f"note: {address.start_hint()}", err=True)
    if wait:
        _wait(address.open(), address)
    return 0


def _confirmed(*, asks: bool) -> bool:
    if not asks or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ReconcilerError("there is no terminal to ask on; add --yes to apply")
    return click.confirm("Apply these changes?")


def _carry_out(planned: Planned) -> None:
    plan = planned.plan
    registry = planned.address.open(create=True).registry
    if len(plan.changes) < _WORTH_A_BAR or not sys.stderr.isatty():
        apply_plan(plan, planned.reading, registry)
        return
    from rich.console import Console  # noqa: PLC0415  (rich is slow to import)
    from rich.progress import Progress  # noqa: PLC0415  (the same)

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Applying", total=len(plan.changes))
        apply_plan(plan, planned.reading, registry, lambda _: progress.advance(task))


def _done(plan: Plan) -> str:
    if not plan.changes:
        return "Nothing to apply."
    words = {
        "added": plan.count(Action.CREATE),
        "changed": plan.count(Action.UPDATE, Action.ENABLE),
        "disabled": plan.count(Action.DISABLE),
        "removed": plan.count(Action.REMOVE),
    }
    counts = [f"{count} {word}" for word, count in words.items() if count or word != "removed"]
    return f"Applied: {', '.join(counts)}, {plan.unchanged} unchanged."


def _wait(workspace: Workspace, address: Address) -> None:
    """Wait until every watch has its baseline; what lies there before that does not fire."""
    said = False
    while True:
        waiting = [w for w in workspace.ledger.watches() if w.state is WatchState.BASELINING]
        if not waiting:
            return
        if not said and not address.has_runner():
            places = ", ".join(f"{watch.datastore}/{watch.path}" for watch in waiting)
            click.echo(f"waiting for a runner to look at {places}", err=True)
            said = True
        sleep(_LOOK_AGAIN)
