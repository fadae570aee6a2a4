"""``reconciler refire``."""

from __future__ import annotations

import uuid

import click

from reconciler.cli.facts import zone_of
from reconciler.cli.group import many
from reconciler.cli.instant import parse_when
from reconciler.cli.say import document
from reconciler.cli.scope import Scope, output, scoped
from reconciler.cli.who import user
from reconciler.errors import Refused
from reconciler.plan.spec import spec_value
from reconciler.reconcile.operate import find_schedule, registered
from reconciler.reconcile.refire import plan_refire, write_refire
from reconciler.schedule import Schedule
from reconciler.trigger.arrivals import display

# So many files are named; of more, how many they are.
_FEW = 20


@click.command(
    "refire",
    epilog="Example: reconciler refire score-on-arrival --file 2026-03-08.csv --reason 'bad model'",
)
@click.argument("schedule")
@click.option(
    "--file",
    "files",
    metavar="PATH|URL",
    multiple=True,
    help="A file, by its name in the watched directory, as datastore/path, local path or URL.",
)
@click.option(
    "--since",
    metavar="TIME",
    help="Those that changed since, as an ISO time; without an offset it is on UTC.",
)
@click.option("--all", "everything", is_flag=True, help="Every file that the schedule would count.")
@click.option("--yes", is_flag=True, help="Do so for more than one file, without naming them.")
@click.option("--reason", default="", help="Why; it stands in the schedule's decisions.")
@click.option("--token", help="The same token twice fires no file twice.")
@output
@scoped
def command(  # noqa: PLR0913  (its options)
    scope: Scope,
    *,
    as_json: bool,
    schedule: str,
    files: tuple[str, ...],
    since: str | None,
    everything: bool,
    yes: bool,
    reason: str,
    token: str | None,
) -> None:
    """Run a schedule once more for files that it knows, as they are now.

    The runs are like those that `reconciler run` makes: they start at once, whatever else runs.
    """
    if bool(files) + (since is not None) + everything != 1:
        raise click.UsageError("Give --file PATH (once or more), --since TIME, or --all.")
    address = scope.address()
    workspace = address.open()
    here = find_schedule(registered(workspace.registry, schedule), schedule)
    zone = zone_of(spec_value(Schedule, here.spec))
    planned = plan_refire(
        workspace.registry,
        workspace.ledger,
        here.id,
        asked=files,
        since=None if since is None else parse_when(since, zone),
    )
    if not files and not yes and planned.runs:
        counts = f"{many(len(planned.files), 'file')}, {many(planned.runs, 'run')}"
        raise Refused(f"that is {counts}; add --yes to make them")
    token = token or f"refire-{uuid.uuid4().hex[:8]}"
    runs = write_refire(workspace.ledger, planned, token, user(), reason)
    if as_json:
        shown = [{"id": run.id, "facts": dict(run.facts or {})} for run in runs]
        document(
            {
                "schedule": here.name,
                "token": token,
                "files": len(planned.files),
                "known": planned.runs - len(runs),
                "runs": shown,
            }
        )
    else:
        for name, _ in planned.files[:_FEW] if len(planned.files) <= _FEW else ():
            click.echo(f"  {display(name)}")
        known = planned.runs - len(runs)
        before = f", {known} known before" if known else ""
        of = f"for {many(len(planned.files), 'file')}"
        click.echo(f"{many(len(runs), 'new run')} of {here.name} {of}{before}; token {token}")
    if runs and not address.has_runner():
        click.echo(f"note: {address.start_hint()}", err=True)
