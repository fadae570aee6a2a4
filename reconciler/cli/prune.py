"""``reconciler prune``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.say import document
from reconciler.cli.scope import Scope, output, scoped
from reconciler.errors import ReconcilerError
from reconciler.fields import parse_duration
from reconciler.runner.prune import Retention, prune
from reconciler.settings import open_upkeep, read_runner_config, workspace_folder

if TYPE_CHECKING:
    from datetime import timedelta

_WORDS = {
    "fires": "decisions",
    "runs": "runs",
    "attempts": "attempts",
    "polls": "polls",
    "changes": "changes of files",
    "alerts": "alerts",
    "sessions": "sessions of runners",
    "logs": "folders of logs",
    "workdirs": "working directories",
    "code": "unpacked copies of code",
}


@click.command("prune", epilog="Example: reconciler prune --older-than 30d --keep 10 --dry-run")
@click.option(
    "--older-than",
    "age",
    metavar="AGE",
    help="Such as 90d; for all kinds, instead of the runner's configuration.",
)
@click.option(
    "--keep",
    type=click.IntRange(0, 1_000_000),
    default=0,
    show_default=True,
    help="Keep the newest N decisions of each schedule, with their runs, however old.",
)
@click.option("--config", metavar="FILE", help="The runner's own configuration.")
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@output
@scoped
def command(  # noqa: PLR0913  (its options)
    scope: Scope, *, as_json: bool, age: str | None, keep: int, config: str | None, dry_run: bool
) -> None:
    """Delete what is old and over, a little at a time, while a runner works.

    That is: decisions, runs, polls, alerts, logs and working files. What guards against running
    twice stays, and so does the history of applies. A runner does this by itself, once an hour, as
    its configuration says (`retention`).
    """
    retention = read_runner_config(config).retention
    if age is not None:
        over = _age(age)
        retention = Retention(fires=over, runs=over, polls=over, logs=over)
    address = scope.address()
    upkeep = open_upkeep(address.url, address.base)
    upkeep.check()
    folder = workspace_folder(address.url, address.base)
    counts = prune(upkeep, folder, retention, keep=keep, dry_run=dry_run)
    if as_json:
        document({kind: counts[kind] for kind in _WORDS} | {"dry_run": dry_run})
        return
    verb = "would delete" if dry_run else "deleted"
    for kind, word in _WORDS.items():
        if counts[kind]:
            click.echo(f"{verb} {counts[kind]} {word}")
    if not counts:
        click.echo("nothing is that old")


def _age(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError:
        raise ReconcilerError(f"'{text}' is not an age; write for example 90d") from None
