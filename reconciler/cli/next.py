"""``reconciler next``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from reconciler.cli.facts import condition, occurrences, print_occurrences, zone_of
from reconciler.cli.instant import parse_when
from reconciler.cli.say import document, local
from reconciler.cli.scope import Scope, output, scoped
from reconciler.clock import SystemClock, iso, parse_instant
from reconciler.data import DatastoreChange
from reconciler.errors import ManifestError, NotFound, ReconcilerError, SourceError
from reconciler.plan.spec import spec_value
from reconciler.reconcile.operate import find_schedule
from reconciler.reconcile.read import load_target, read_project
from reconciler.schedule import FirstRun, Recurrence, Schedule
from reconciler.trigger.describe import describe

if TYPE_CHECKING:
    from reconciler.workspace.base import RegistryReader


@dataclass(frozen=True, slots=True)
class _Found:
    """A schedule, where it was found, and the instant that its recurrence may count from.

    ``waiting`` is when it came due without anybody having decided about it, or None.
    """

    schedule: Schedule
    origin: str
    condition: str
    created_at: int
    waiting: int | None = None


@click.command(
    "next", epilog="Example: reconciler next nightly-scoring --count 3 --after 2026-03-27"
)
@click.argument("name")
@click.option("--count", type=click.IntRange(1, 1_000), default=5, show_default=True)
@click.option(
    "--after",
    metavar="TIME",
    help="Strictly after this ISO time; without an offset it is on the schedule's clock. "
    "Now by default. Before the schedule's creation: when it would have been due.",
)
@click.option("--manifest", is_flag=True, help="As its manifest says, even where it is applied.")
@output
@scoped
def command(  # noqa: PLR0913  (its options)
    scope: Scope, *, as_json: bool, name: str, count: int, after: str | None, manifest: bool
) -> None:
    """Print when a schedule is due next, in its own time zone and in UTC.

    It is looked up in the workspace, and in the project where it is not applied yet.
    """
    if manifest:
        now = SystemClock().now()
        found = _declared(scope, name, now)
    else:
        reader = scope.address().reader()
        now = reader.now()
        found = _look_up(scope, reader, name, now)
    schedule = found.schedule
    trigger = schedule.trigger
    if isinstance(trigger, DatastoreChange):
        raise ReconcilerError(
            f"schedule '{name}' goes by files, not by the clock: {describe(trigger)}"
        )
    zone = zone_of(schedule)
    start = now if after is None else parse_when(after, zone)
    due = occurrences(trigger, found.created_at, start, count)
    if as_json:
        facts = {
            "name": schedule.name,
            "from": found.origin,
            "condition": found.condition,
            "trigger": describe(trigger),
            "time_zone": zone,
            "created_at": iso(found.created_at) if found.origin == "workspace" else None,
            "due_since": None if found.waiting is None else iso(found.waiting),
            "next": due,
        }
        document(facts)
        return
    click.echo(f"{schedule.name}: {describe(trigger)}")
    if found.origin == "manifest" and _runs_at_once(trigger):
        click.echo("  once as soon as it is applied; later times count from then, here from now")
    if found.condition != "Active":
        click.echo(f"  it is {found.condition} now")
    if found.waiting is not None:
        click.echo(f"  due since {local(found.waiting, zone)}, for a runner to decide")
    if trigger.start_time is None and due and parse_instant(due[0]["utc"]) <= found.created_at:
        begun = "created" if found.origin == "workspace" else "not applied yet; now it is"
        click.echo(f"  {begun} {local(found.created_at, zone)}; before, as it would have been")
    print_occurrences(due, zone)
    if len(due) < count:
        click.echo("  and never again")


def _look_up(scope: Scope, reader: RegistryReader, name: str, now: int) -> _Found:
    live = reader.live()
    try:
        here = find_schedule(live, name)
    except NotFound as error:
        if any(name in {one.name, one.id} for one in live.schedules):
            raise
        try:
            return _declared(scope, name, now)
        except (NotFound, SourceError):
            raise error from None
    schedule = spec_value(Schedule, here.spec)
    due = here.next_due
    waiting = due if due is not None and due <= now else None
    return _Found(schedule, "workspace", condition(here, now), here.created_at, waiting)


def _declared(scope: Scope, name: str, now: int) -> _Found:
    source = scope.files()
    loaded = load_target(source, read_project(source), scope.target)
    declared = loaded.schedules.get(name)
    if declared is None:
        if loaded.problems:
            raise ManifestError(loaded.problems)
        raise NotFound(f"no schedule '{name}' is declared")
    return _Found(declared.value, "manifest", declared.value.status.value, now)


def _runs_at_once(trigger: object) -> bool:
    return (
        isinstance(trigger, Recurrence)
        and trigger.start_time is None
        and trigger.first_run is FirstRun.IMMEDIATE
    )
