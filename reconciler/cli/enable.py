"""``reconciler enable``."""

from __future__ import annotations

import click

from reconciler.cli.facts import data
from reconciler.cli.say import answer
from reconciler.cli.scope import Scope, kind_and_name, output, scoped
from reconciler.cli.who import user
from reconciler.reconcile.operate import (
    enable_pipeline,
    enable_schedule,
    find_pipeline,
    find_schedule,
)
from reconciler.schedule import Missed

RECOVERIES = {"none": Missed.SKIP, "last": Missed.LAST, "all": Missed.ALL}


@click.command("enable", epilog="Example: reconciler enable nightly-scoring --recover last")
@click.argument("words", nargs=-1, required=True, metavar="[schedule|pipeline] NAME")
@click.option(
    "--recover",
    type=click.Choice(list(RECOVERIES)),
    help="Which of the fires that came due meanwhile run. By default none after it was disabled, "
    "and what the hold says after a hold.",
)
@output
@scoped
def command(scope: Scope, *, as_json: bool, words: tuple[str, ...], recover: str | None) -> None:
    """Let a schedule fire again from its next due time on, or a pipeline version be run again.

    A hold is lifted too. What is not made up for is one row of the schedule's decisions.
    """
    kind, name = kind_and_name(words, ("schedule", "pipeline"))
    if recover is not None and kind == "pipeline":
        raise click.UsageError("--recover is for a schedule; a pipeline has no due times.")
    registry = scope.open().registry
    if kind == "pipeline":
        version = enable_pipeline(registry, name)
        after = data(find_pipeline(registry.live(), version))
        answer(f"pipeline {version} is enabled", after, as_json=as_json)
        return
    here = find_schedule(registry.live(), name)
    enable_schedule(
        registry, here.id, who=user(), recover=None if recover is None else RECOVERIES[recover]
    )
    after = data(find_schedule(registry.live(), here.id))
    answer(f"schedule {here.name} is enabled", after, as_json=as_json)
