"""``reconciler enable``."""

from __future__ import annotations

import click

from reconciler.cli.facts import data
from reconciler.cli.say import answer
from reconciler.cli.scope import Scope, kind_and_name, output, scoped
from reconciler.reconcile.operate import (
    enable_pipeline,
    enable_schedule,
    find_pipeline,
    find_schedule,
)


@click.command("enable")
@click.argument("words", nargs=-1, required=True, metavar="[schedule|pipeline] NAME")
@output
@scoped
def command(scope: Scope, *, as_json: bool, words: tuple[str, ...]) -> None:
    """Let a schedule fire again from its next due time on, or a pipeline version be run again.

    A hold is lifted too.
    """
    kind, name = kind_and_name(words, ("schedule", "pipeline"))
    registry = scope.open().registry
    if kind == "pipeline":
        version = enable_pipeline(registry, name)
        after = data(find_pipeline(registry.live(), version))
        answer(f"pipeline {version} is enabled", after, as_json=as_json)
        return
    here = find_schedule(registry.live(), name)
    enable_schedule(registry, here.id)
    after = data(find_schedule(registry.live(), here.id))
    answer(f"schedule {here.name} is enabled", after, as_json=as_json)
