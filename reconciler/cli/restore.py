"""``reconciler restore``."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.group import many
from reconciler.cli.say import answer
from reconciler.cli.scope import Scope, output, scoped
from reconciler.clock import iso
from reconciler.reconcile.restore import begin_anew
from reconciler.settings import restoring_workspace, workspace_folder


@click.command("restore", epilog="Example: reconciler restore /backups/ml-2026-03-02.db")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--yes", is_flag=True, help="Go back, although the workspace there knows more.")
@output
@scoped
def command(scope: Scope, *, as_json: bool, file: str, yes: bool) -> None:
    """Put a backup in the workspace's place; nothing that may have run since then runs again.

    Stop all runners first. What came due between the backup and now is one row per schedule;
    waiting runs are Canceled; Running ones are asked about where their programs left something on
    this machine, else they are Failed with that reason; directories are listed anew.
    """
    address = scope.address()
    attempts = Path(workspace_folder(address.url, address.base), "attempts")
    with restoring_workspace(file, address.url, address.base, overwrite=yes) as (upkeep, kept):
        taken = upkeep.taken()
        counts = begin_anew(upkeep, lambda run_id: (attempts / run_id).is_dir())
    said = [
        f"restored the workspace of {iso(taken)}",
        f"{many(counts['schedules'], 'schedule')} passed over what came due since",
        (
            f"{many(counts['canceled'], 'run')} canceled, {counts['failed']} failed, "
            f"{counts['adopted']} to be asked about"
        ),
    ]
    if kept is not None:
        said.append(f"what was there before is {kept}")
    facts = {"backup_of": iso(taken), "kept": kept, **counts}
    answer("\n".join(said), facts, as_json=as_json)
