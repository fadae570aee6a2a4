"""``reconciler render``."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.say import document
from reconciler.cli.scope import Scope, output, scoped
from reconciler.errors import ManifestError, NotFound
from reconciler.manifest.emit import to_data, to_yaml
from reconciler.manifest.load import KINDS, Declared, load
from reconciler.reconcile.read import read_project

_KINDS = {kind.lower(): kind for kind in KINDS}


@click.command("render")
@click.argument("kind", required=False, type=click.Choice(list(_KINDS)))
@click.argument("name", required=False)
@click.option("--defaults", is_flag=True, help="With json: fields at their default too.")
@output
@scoped
def command(
    scope: Scope, *, as_json: bool, kind: str | None, name: str | None, defaults: bool
) -> None:
    """Print the manifests, or those of a KIND, or one, in their canonical form.

    Needs no workspace.
    """
    if defaults and not as_json:
        raise click.UsageError("--defaults needs --output json.")
    source = scope.files()
    loaded = load(source.manifests(read_project(source).include))
    if loaded.problems:
        raise ManifestError(loaded.problems)
    declared: list[Declared[Any]] = [
        *loaded.datastores.values(),
        *loaded.pipelines.values(),
        *loaded.schedules.values(),
    ]
    found = [
        one.value
        for one in declared
        if kind in {None, one.value.KIND.lower()} and name in {None, one.value.name}
    ]
    if name is not None and not found:
        raise NotFound(f"no {kind} '{name}' is declared")
    if as_json:
        document([{"kind": value.KIND, **to_data(value, defaults=defaults)} for value in found])
    else:
        click.echo("---\n".join(map(to_yaml, found)), nl=False)
