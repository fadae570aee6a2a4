"""``reconciler workspace``."""

from __future__ import annotations

import click

from reconciler.cli.say import answer
from reconciler.cli.scope import Scope, output, scoped
from reconciler.settings import migrate_workspace


@click.group("workspace", no_args_is_help=False)
def command() -> None:
    """Look after the workspace itself."""


@command.command(
    "migrate",
    epilog="Example: reconciler workspace migrate --workspace sqlite:/srv/ml/workspace.db",
)
@output
@scoped
def migrate(scope: Scope, *, as_json: bool) -> None:
    """Bring a workspace to this program's schema; no other command ever does."""
    address = scope.address()
    before, after = migrate_workspace(address.url, address.base)
    said = f"migrated from schema {before} to {after}"
    if before == after:
        said = f"the workspace has schema {after} already"
    answer(said, {"before": before, "after": after}, as_json=as_json)
