"""``reconciler release``."""

from __future__ import annotations

import click

from reconciler.cli.facts import CATCHUPS, data
from reconciler.cli.say import answer
from reconciler.cli.scope import Scope, output, scoped
from reconciler.reconcile.operate import find_schedule, registered, release_schedule
from reconciler.schedule import Missed


@click.command("release", epilog="Example: reconciler release nightly-scoring --catchup last")
@click.argument("name")
@click.option(
    "--catchup",
    type=click.Choice(CATCHUPS),
    help="Which of the fires that came due meanwhile run now. By default as the hold says.",
)
@output
@scoped
def command(scope: Scope, *, as_json: bool, name: str, catchup: str | None) -> None:
    """End a hold. What came due meanwhile is made up for as the hold, or --catchup, says."""
    registry = scope.open().registry
    here = find_schedule(registered(registry, name), name)
    release_schedule(registry, here.id, None if catchup is None else Missed(catchup))
    after = data(find_schedule(registered(registry, here.id), here.id))
    answer(f"schedule {here.name} is released", after, as_json=as_json)
