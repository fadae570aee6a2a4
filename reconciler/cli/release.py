"""``reconciler release``."""

from __future__ import annotations

import click

from reconciler.cli.facts import data
from reconciler.cli.say import answer
from reconciler.cli.scope import Scope, output, scoped
from reconciler.reconcile.operate import find_schedule, release_schedule


@click.command("release")
@click.argument("name")
@output
@scoped
def command(scope: Scope, *, as_json: bool, name: str) -> None:
    """Lift a hold. What was due meanwhile is recorded as passed over, not made up for."""
    registry = scope.open().registry
    here = find_schedule(registry.live(), name)
    release_schedule(registry, here.id)
    after = data(find_schedule(registry.live(), here.id))
    answer(f"schedule {here.name} is released", after, as_json=as_json)
