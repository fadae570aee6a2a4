"""``reconciler disable``."""

from __future__ import annotations

import click

from reconciler.cli.facts import data
from reconciler.cli.say import answer
from reconciler.cli.scope import Scope, kind_and_name, output, scoped
from reconciler.cli.who import user
from reconciler.live import Hold
from reconciler.reconcile.operate import (
    disable_pipeline,
    disable_schedule,
    find_pipeline,
    find_schedule,
)


@click.command("disable", epilog="Example: reconciler disable nightly-scoring --reason retired")
@click.argument("words", nargs=-1, required=True, metavar="[schedule|pipeline] NAME")
@click.option("--reason", default="disabled by hand", help="Why; it is kept with a hold.")
@output
@scoped
def command(scope: Scope, *, as_json: bool, words: tuple[str, ...], reason: str) -> None:
    """Stop a schedule, or retire a pipeline version that no active schedule uses.

    A schedule that a project manages is held without end: no apply lifts that, `enable`
    does.
    """
    kind, name = kind_and_name(words, ("schedule", "pipeline"))
    registry = scope.open().registry
    if kind == "pipeline":
        version = disable_pipeline(registry, name)
        after = data(find_pipeline(registry.live(), version))
        answer(f"pipeline {version} is disabled", after, as_json=as_json)
        return
    here = find_schedule(registry.live(), name)
    done = disable_schedule(registry, here.id, who=user(), why=reason)
    how = "held without end, as a project manages it" if isinstance(done, Hold) else "disabled"
    after = data(find_schedule(registry.live(), here.id))
    answer(f"schedule {here.name} is {how}", after, as_json=as_json)
