# ruff: noqa: N999  (a command is named as its file is)
"""``reconciler import``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.group import many
from reconciler.cli.say import clean, document
from reconciler.cli.scope import Scope, output, scoped
from reconciler.cli.who import actor
from reconciler.live import Owner
from reconciler.plan.change import Kind
from reconciler.plan.render import file_name, printable
from reconciler.reconcile.apply import How
from reconciler.reconcile.drafts import Wanted
from reconciler.reconcile.importing import carry_out, prepare
from reconciler.reconcile.read import choose_target, read_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.reconcile.importing import Import

FORMAT = "1.0"
FOLDER = "schedules/imported"
_KINDS = {kind.lower(): kind for kind in Kind}


def _owner(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> Owner | None:
    if value is None:
        return None
    project, slash, target = value.partition("/")
    if not (project and slash and target):
        raise click.BadParameter("write PROJECT/TARGET.")
    return Owner(project, target)


@click.command("import", epilog="Example: reconciler import nightly-scoring --dry-run")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--kind", type=click.Choice(list(_KINDS)), help="Only objects of this kind.")
@click.option("--to", default=FOLDER, show_default=True, help="Where manifests go.")
@click.option(
    "--from",
    "owner",
    metavar="PROJECT/TARGET",
    callback=_owner,
    help="Take objects over from this owner, instead of those that nobody manages.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing.")
@output
@scoped
def command(  # noqa: PLR0913  (its options)
    scope: Scope,
    *,
    as_json: bool,
    names: tuple[str, ...],
    kind: str | None,
    to: str,
    owner: Owner | None,
    dry_run: bool,
) -> None:
    """Write manifests of live objects and claim the objects, so that the next plan is empty.

    Without a NAME all that nobody manages: what was made through the SDK. What a schedule needs and
    nobody manages comes along.
    """
    source = scope.source()
    project = read_project(source)
    target = choose_target(project, scope.target)
    address = scope.address_in(source, project)
    reader = address.reader()
    ready = prepare(
        source,
        project,
        target,
        reader,
        Wanted(folder=to, names=names, kind=_KINDS.get(kind or ""), owner=owner),
        workspace=address.shown,
        as_of=reader.now(),
    )
    if ready.claim is not None and not dry_run:
        carry_out(ready, ready.claim, scope.source, address.open().registry, How(actor=actor()))
    if as_json:
        document(_data(ready, dry_run=dry_run))
        return
    for line in _lines(ready, Owner(project.project, target), dry_run=dry_run):
        click.echo(clean(line))


def _lines(ready: Import, owner: Owner, *, dry_run: bool) -> Iterator[str]:
    for one in ready.manifests:
        kind, _, name = one.address.partition(".")
        code = f", code in {file_name(one.code)}" if one.code else ""
        yield f"> adopt    {kind:<10} {name}  ({file_name(one.file)}{code})"
    for left in ready.skipped:
        which = f" ({left.id})" if left.id else ""
        yield f"Left out: {left.kind} {printable(left.name)}{which}: {printable(left.reason)}"
    for name in ready.already:
        yield f"Managed by {owner} already: {printable(name)}"
    if not ready.manifests:
        yield "Nothing to import."
        return
    files = f"{many(len(ready.manifests), 'object')} into {many(len(ready.files), 'file')}"
    left_out = f", {len(ready.skipped)} left out" if ready.skipped else ""
    if dry_run:
        yield f"Would import: {files}{left_out}."
    else:
        yield f"Imported: {files}{left_out}. They are not committed to Git yet."


def _data(ready: Import, *, dry_run: bool) -> dict[str, Any]:
    return {
        "format_version": FORMAT,
        "dry_run": dry_run,
        "imported": ready.claim is not None and not dry_run,
        "objects": [
            {"address": one.address, "file": one.file, "code": one.code} for one in ready.manifests
        ],
        "files": sorted(ready.files),
        "left_out": [
            {"address": f"{one.kind}.{one.name}", "id": one.id, "reason": one.reason}
            for one in ready.skipped
        ],
        "already": list(ready.already),
    }
