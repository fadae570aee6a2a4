"""``reconciler list``."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import click

from reconciler.cli.facts import bound, condition, data, schedule_data, zone_of
from reconciler.cli.say import document, local, table, utc
from reconciler.cli.scope import Scope, output, scoped
from reconciler.cli.watched import counted
from reconciler.plan.spec import spec_value
from reconciler.reconcile.looks import standing
from reconciler.schedule import Schedule, Status
from reconciler.trigger.describe import describe

if TYPE_CHECKING:
    from reconciler.live import Live
    from reconciler.settings import Workspace
    from reconciler.workspace.base import RegistryReader

KINDS = ("schedules", "pipelines", "experiments", "datastores")


@click.command("list", epilog="Example: reconciler list pipelines --all")
@click.argument("kind", type=click.Choice(KINDS), default="schedules")
@click.option("--all", "everything", is_flag=True, help="Disabled ones too.")
@output
@scoped
def command(scope: Scope, *, as_json: bool, kind: str, everything: bool) -> None:
    """List what is registered: schedules (the default), pipelines, experiments or datastores."""
    workspace = scope.look()
    registry = workspace.registry
    match kind:
        case "schedules":
            _schedules(registry, as_json=as_json, everything=everything)
        case "pipelines":
            _pipelines(registry.live(), as_json=as_json, everything=everything)
        case "experiments":
            _experiments(registry, as_json=as_json)
        case _:
            _datastores(workspace, as_json=as_json)


def _schedules(registry: RegistryReader, *, as_json: bool, everything: bool) -> None:
    live, now = registry.live(), registry.now()
    found = [s for s in live.schedules if everything or s.status is Status.ACTIVE]
    if as_json:
        document([schedule_data(schedule, live, now) for schedule in found])
        return
    rows = []
    for one in found:
        spec = spec_value(Schedule, one.spec)
        due = local(one.next_due, zone_of(spec)) if one.next_due is not None else ""
        rows.append(
            (
                one.name,
                condition(one, now),
                bound(one, live),
                describe(spec.trigger),
                due,
                utc(one.next_due),
            )
        )
    head = ("NAME", "STATUS", "PIPELINE", "TRIGGER", "NEXT DUE", "UTC")
    hidden = len(live.schedules) - len(found)
    table(head, rows, f"No active schedules; {hidden} disabled (--all shows them).")


def _pipelines(live: Live, *, as_json: bool, everything: bool) -> None:
    found = [p for p in live.pipelines if everything or p.status is Status.ACTIVE]
    if as_json:
        document(data(found))
        return
    head = ("NAME", "VERSION", "STATUS", "ID", "DESCRIPTION")
    rows = [(p.name, str(p.version), p.status.value, p.id, _description(p.spec)) for p in found]
    table(head, rows, "No active pipelines.")


def _experiments(registry: RegistryReader, *, as_json: bool) -> None:
    found = registry.experiments()
    if as_json:
        document(data(found))
        return
    rows = [(one.name, one.id, utc(one.created_at)) for one in found]
    table(("NAME", "ID", "CREATED"), rows, "No experiments.")


def _datastores(workspace: Workspace, *, as_json: bool) -> None:
    found = workspace.registry.live().datastores
    watches: dict[str, Counter[str]] = {}
    for watch in workspace.ledger.watches():
        states = watches.setdefault(watch.watched.datastore, Counter())
        states[standing(watch, ()).state] += 1
    if as_json:
        document([{**data(d), "watches": dict(watches.get(d.name, {}))} for d in found])
        return
    rows = [
        (
            d.name,
            json.loads(d.spec)["url"],
            str(d.owner or ""),
            counted(watches.get(d.name, {})),
            _description(d.spec),
        )
        for d in found
    ]
    table(("NAME", "URL", "PROJECT", "WATCHED", "DESCRIPTION"), rows, "No datastores.")


def _description(spec: str) -> str:
    return str(json.loads(spec).get("description", ""))
