"""``reconciler hold``."""

from __future__ import annotations

import click

from reconciler.cli.facts import CATCHUPS, data, then, zone_of
from reconciler.cli.instant import parse_end
from reconciler.cli.say import answer, utc
from reconciler.cli.scope import Scope, output, scoped
from reconciler.cli.who import user
from reconciler.plan.spec import spec_value
from reconciler.reconcile.operate import find_schedule, hold_schedule, registered
from reconciler.schedule import Missed, Schedule


@click.command("hold", epilog="Example: reconciler hold nightly-scoring --until 2d --reason audit")
@click.argument("name")
@click.option("--reason", required=True, help="Why; it is shown wherever the schedule is.")
@click.option(
    "--until",
    metavar="TIME|DURATION",
    help="2h, 1d12h, or an ISO time; one without an offset is on the schedule's clock. "
    "Until released by default.",
)
@click.option(
    "--catchup",
    type=click.Choice(CATCHUPS),
    help="Which of the fires that come due meanwhile run when it ends. By default none by the "
    "clock, and all by data.",
)
@output
@scoped
def command(  # noqa: PLR0913  (one per option)
    scope: Scope, *, as_json: bool, name: str, reason: str, until: str | None, catchup: str | None
) -> None:
    """Pause a schedule. No apply lifts a hold; its end or `release` does. Runs go on."""
    if not reason.strip():
        raise click.BadParameter("it is empty; say why.", param_hint="'--reason'")
    registry = scope.open().registry
    here = find_schedule(registered(registry, name), name)
    zone = zone_of(spec_value(Schedule, here.spec))
    end = None if until is None else parse_end(until, zone, registry.now())
    chosen = None if catchup is None else Missed(catchup)
    hold_schedule(registry, here.id, who=user(), why=reason, until=end, catchup=chosen)
    after = data(find_schedule(registered(registry, here.id), here.id))
    said = f"schedule {here.name} is held until {utc(end) or 'it is released'}"
    answer(f"{said}; {then(after['hold']['catchup'])}", after, as_json=as_json)
