"""``reconciler backup``."""

from __future__ import annotations

import click

from reconciler.cli.say import answer, utc
from reconciler.cli.scope import Scope, output, scoped
from reconciler.clock import iso
from reconciler.settings import backup_workspace


@click.command("backup", epilog="Example: reconciler backup /backups/ml-2026-03-02.db")
@click.argument("file", type=click.Path(dir_okay=False))
@output
@scoped
def command(scope: Scope, *, as_json: bool, file: str) -> None:
    """Write the workspace to a new file, whole or not at all, while a runner works.

    The copy is checked before it gets its name. On PostgreSQL it is what pg_dump writes.
    """
    address = scope.address()
    at = backup_workspace(address.url, address.base, file)
    answer(f"{file} is the workspace of {utc(at)}", {"file": file, "at": iso(at)}, as_json=as_json)
