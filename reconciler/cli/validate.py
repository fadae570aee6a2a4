"""``reconciler validate``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from reconciler.cli.group import count_problems, many, say_error
from reconciler.cli.say import document
from reconciler.cli.scope import Scope, check, output, scoped
from reconciler.errors import ManifestError, Problem
from reconciler.plan.warn import warnings

if TYPE_CHECKING:
    from reconciler.plan.change import PlanWarning


@click.command("validate", epilog="Example: reconciler validate --target prod")
@output
@scoped
def command(scope: Scope, *, as_json: bool) -> int:
    """Check every manifest and every reference, as plan does; all problems are told in one go.

    Without --target, the manifests are checked for each target.
    """
    found: set[PlanWarning] = set()
    try:
        for reading in check(scope):
            desired = reading.desired
            found |= set(warnings(desired, reading.live))
    except ManifestError as error:
        if not as_json:
            raise
        document({"ok": False, "problems": [dataclasses.asdict(one) for one in error.problems]})
        say_error(count_problems(error))
        return error.exit_code
    kinds = {
        "schedule": desired.schedules,
        "pipeline": desired.pipelines,
        "datastore": desired.datastores,
    }
    files = {declared.file for kind in kinds.values() for declared in kind.values()}
    if as_json:
        counts = {f"{name}s": len(declared) for name, declared in kinds.items()}
        told = [dataclasses.asdict(one) for one in sorted(found)]
        document({"ok": True, "problems": [], "warnings": told, "files": len(files), **counts})
    else:
        for one in sorted(found):
            place = Problem(one.file, one.line, one.column, f"warning: {one.message} ({one.id})")
            click.echo(str(place), err=True)
        counted = ", ".join(many(len(declared), name) for name, declared in kinds.items())
        click.echo(f"OK: {counted} in {many(len(files), 'file')}")
    return 0
