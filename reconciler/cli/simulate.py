"""``reconciler simulate``."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.facts import zone_of
from reconciler.cli.instant import parse_when
from reconciler.cli.say import document, local, table, utc
from reconciler.cli.scope import Scope, output, scoped
from reconciler.clock import SECOND, iso
from reconciler.data import DatastoreChange
from reconciler.errors import ManifestError, NotFound, ReconcilerError, SourceError
from reconciler.fields import duration_text, parse_duration
from reconciler.live import Live
from reconciler.reconcile.operate import find_schedule
from reconciler.reconcile.read import load_target, read_project
from reconciler.reconcile.replay import declared_subjects, durations, live_subjects, replay
from reconciler.run import Kind
from reconciler.schedule import Status
from reconciler.trigger.decide import held_by
from reconciler.trigger.describe import clock_change

if TYPE_CHECKING:
    from reconciler.reconcile.replay import Replayed
    from reconciler.settings import Workspace
    from reconciler.source.base import Source
    from reconciler.trigger.simulate import Simulated, Subject

_INSTANTS = ("due", "decided_at", "starts_at", "ends_at")


@click.command(
    "simulate",
    epilog="Example: reconciler simulate nightly --from 2026-03-28 --to 2026-03-31 --ref HEAD~1",
)
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="All Active schedules.")
@click.option(
    "--from",
    "start",
    metavar="TIME",
    required=True,
    help="An ISO time; without an offset it is on the schedule's clock, with --all in UTC.",
)
@click.option("--to", "end", metavar="TIME", required=True, help="Up to this time, included.")
@click.option("--ref", metavar="REV", help="As they were declared at this commit.")
@click.option("--live", "registered", is_flag=True, help="As they are applied, not as declared.")
@click.option(
    "--duration",
    metavar="DURATION",
    help="How long each run takes: 10m. By default the median of its past runs, else nothing.",
)
@click.option(
    "--down",
    "downs",
    metavar="TIME/TIME",
    multiple=True,
    help="No runner runs from the one time to the other. May be given several times.",
)
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=1_000, show_default=True)
@output
@scoped
def command(  # noqa: PLR0913  (its options)
    scope: Scope,
    *,
    as_json: bool,
    name: str | None,
    everything: bool,
    start: str,
    end: str,
    ref: str | None,
    registered: bool,
    duration: str | None,
    downs: tuple[str, ...],
    limit: int,
) -> None:
    """Replay a window of time, past or future, with the runner's own rules. Nothing is written.

    It replays the schedules that the project declares, and outside a project those that are
    applied. No run is under way when the window begins, and every run succeeds. Clock changes,
    missed, overlap, max_active_runs, jitter and holds apply; pools and resources do not.
    """
    if (name is None) != everything:
        raise click.UsageError("Give a schedule, or --all.")
    if ref is not None and registered:
        raise click.UsageError("Give --ref or --live, not both.")
    found, origin = _subjects(scope, ref, name, registered=registered)
    zone = "UTC" if name is None else zone_of(found[0].schedule)
    if duration is not None:
        took = _duration(duration)
        found = [dataclasses.replace(one, duration=took) for one in found]
    first, last = parse_when(start, zone), parse_when(end, zone)
    down = [_down(text, zone) for text in downs]
    result = replay(found, start=first, end=last, down=down, limit=limit)
    if name is not None and result.left_out:
        raise ReconcilerError(f"schedule '{name}' cannot be replayed: {result.left_out[name]}")
    notes = _notes(result, found, first)
    facts = {
        "from": iso(first),
        "to": iso(last),
        "of": origin,
        "schedules": len(found),
        "down": [{"from": iso(begin), "to": iso(over)} for begin, over in down],
        "fires": [
            _data(row) | {"note": note} for row, note in zip(result.rows, notes, strict=True)
        ],
        "totals": result.totals,
        "truncated": result.more,
        "left_out": result.left_out,
    }
    if as_json:
        document(facts)
    else:
        _say(result, notes, None if everything else found[0], origin, zone)


def _subjects(
    scope: Scope, ref: str | None, name: str | None, *, registered: bool
) -> tuple[list[Subject], str]:
    """Find what to replay, and say where it was found."""
    source = None if registered else _source(scope, ref)
    workspace = _workspace(scope, needed=source is None)
    live = workspace.registry.live() if workspace else Live()
    if source is not None:
        project = read_project(source)
        loaded = load_target(source, project, scope.target)
        if loaded.problems:
            raise ManifestError(loaded.problems)
        declared = {key: one.value for key, one in loaded.schedules.items()}
        took = durations(workspace.ledger) if workspace else {}
        by_name = declared_subjects(declared, live, project.project, took)
        origin = f"commit {ref}" if ref else "project"
        if name is not None and name not in by_name:
            raise NotFound(f"no schedule '{name}' is declared; --live replays an applied one")
        chosen = [by_name[name]] if name is not None else list(by_name.values())
    else:
        here = find_schedule(live, name) if name is not None else None
        assert workspace is not None, "it was needed"  # noqa: S101  (_workspace's law)
        took = durations(workspace.ledger, here.id if here else None)
        by_id = live_subjects(live, took)
        chosen = [by_id[here.id]] if here else list(by_id.values())
        origin = "workspace"
    if name is None:
        chosen = [one for one in chosen if one.schedule.status is Status.ACTIVE]
    return chosen, origin


def _source(scope: Scope, ref: str | None) -> Source | None:
    if ref is not None:
        return scope.source(ref)
    try:
        return scope.files()
    except SourceError:
        return None


def _workspace(scope: Scope, *, needed: bool) -> Workspace | None:
    """Open the workspace; a project without one yet has no past."""
    try:
        return scope.look()
    except NotFound:
        if needed:
            raise
        return None


def _duration(text: str) -> int:
    try:
        return parse_duration(text) // timedelta(microseconds=1)
    except ValueError:
        raise ReconcilerError(
            f"'{text}' is not a duration; write for example 90s or 1h30m"
        ) from None


def _down(text: str, zone: str) -> tuple[int, int]:
    begin, slash, over = text.partition("/")
    if not slash:
        raise ReconcilerError(f"'{text}' is not TIME/TIME: when no runner ran, from and to")
    down = parse_when(begin, zone), parse_when(over, zone)
    if down[1] <= down[0]:
        raise ReconcilerError(f"'{text}' ends before it begins")
    return down


def _data(row: Simulated) -> dict[str, Any]:
    facts = dataclasses.asdict(row)
    return facts | {name: facts[name] and iso(facts[name]) for name in _INSTANTS}


def _notes(result: Replayed, found: list[Subject], start: int) -> list[str]:
    """Say for each row what a clock change did to its time; mostly nothing."""
    subjects = {one.id: one for one in found}
    notes = []
    for row in result.rows:
        subject = subjects[row.schedule_id]
        trigger = subject.schedule.trigger
        moved = ""
        if row.key.startswith(Kind.RECURRENCE) and not isinstance(trigger, DatastoreChange):
            born = start if subject.initial else subject.created_at
            moved = clock_change(trigger, born, row.due)
        notes.append(moved)
    return notes


def _say(result: Replayed, notes: list[str], one: Subject | None, origin: str, zone: str) -> None:
    if one is not None:
        span = (
            duration_text(timedelta(seconds=one.duration // SECOND)) if one.duration else "no time"
        )
        click.echo(f"{one.schedule.name} as in the {origin}; a run takes {span}")
        if one.schedule.status is Status.DISABLED:
            click.echo("  it is Disabled; this is what it would do")
        hold = one.hold
        if hold is not None:
            click.echo(f"  {held_by(hold)}, since {utc(hold.since)}")
    rows = [
        (
            *(() if one is not None else (row.name,)),
            local(row.due, zone),
            row.decision.value,
            row.gate.value,
            str(row.count) if row.count > 1 else "",
            utc(row.starts_at),
            utc(row.ends_at) + (" canceled" if row.canceled else ""),
            f"{row.reason} ({note})" if note else row.reason,
        )
        for row, note in zip(result.rows, notes, strict=True)
    ]
    head = ("DUE", "DECISION", "GATE", "COUNT", "STARTS", "ENDS", "REASON")
    table(
        head if one is not None else ("SCHEDULE", *head), rows, "Nothing is decided in that window."
    )
    totals = ", ".join(f"{count} {decision}" for decision, count in result.totals.items())
    if totals:
        click.echo(f"Total: {totals}.")
    if result.more:
        click.echo(f"Cut off after {len(rows)} rows; give a shorter window, or a higher --limit.")
    for name, why in sorted(result.left_out.items()):
        click.echo(f"note: {name} is left out: {why}", err=True)
