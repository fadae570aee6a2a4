"""``reconciler explain``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.facts import condition, data, zone_of
from reconciler.cli.instant import parse_past
from reconciler.cli.say import clean, document, local, short, table, utc
from reconciler.cli.scope import Scope, output, scoped
from reconciler.clock import iso
from reconciler.plan.spec import spec_value
from reconciler.reconcile.answer import Passage, read_asked
from reconciler.reconcile.explain import explain
from reconciler.reconcile.operate import find_schedule, registered
from reconciler.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.reconcile.answer import Explanation

_COLOURS = {Passage.PASSED: "green", Passage.DECIDED: "yellow", Passage.NOT_REACHED: "bright_black"}


@click.command(
    "explain", epilog="Example: reconciler explain nightly-scoring --at 2026-03-29T02:30"
)
@click.argument("name")
@click.option(
    "--at",
    "when",
    metavar="TIME",
    help="An ISO time, or a time of day for the last one; without an offset it is on the "
    "schedule's clock. By default now: what stands in the way of the next fire.",
)
@output
@scoped
def command(scope: Scope, *, as_json: bool, name: str, when: str | None) -> None:
    """Say why a schedule did, or did not, run at a time: every gate, and which one decided.

    The past is read from what the runner wrote down when it decided; nothing is decided anew.
    """
    address = scope.address()
    workspace = scope.look()
    registry = workspace.registry
    live, now = registered(registry, name), registry.now()
    here = find_schedule(live, name)
    zone = zone_of(spec_value(Schedule, here.spec))
    asked = None if when is None else read_asked(parse_past(when, zone, now), zone)
    found = explain(live, workspace.ledger, here, asked, now)
    running = address.has_runner()
    if as_json:
        document({**_data(found), "condition": condition(here, now), "runner": running})
        return
    _say(found)
    undecided = found.due is None or found.due > (here.processed_to or 0)
    if undecided and not running:
        click.echo(f"\nnote: {address.start_hint()}", err=True)


def _data(found: Explanation) -> dict[str, Any]:
    """Give an explanation as plain data."""

    def at(instant: int | None) -> str | None:
        return None if instant is None else iso(instant)

    return {
        "name": found.schedule.name,
        "schedule_id": found.schedule.id,
        "time_zone": found.zone,
        "at": at(found.asked),
        "due": at(found.due),
        "answer": found.answer,
        "gates": data(found.gates),
        "notes": list(found.notes),
        "fires": data(found.fires),
        "runs": data(found.runs),
        "attempts": {run_id: data(tries) for run_id, tries in found.attempts.items()},
        "alerts": data(found.alerts),
        "before": at(found.before),
        "after": at(found.after),
        "waiting": [{**data(one.run), "waits": one.reason} for one in found.waiting],
        "running": data(found.running),
        "watch": data(found.watch),
        "polls": data(found.polls),
    }


def _say(found: Explanation) -> None:
    click.secho(clean(found.answer), bold=True)
    if found.gates:
        click.echo("")
    for one in found.gates:
        word = click.style(one.passage.value, fg=_COLOURS[one.passage])
        room = " " * (13 - len(one.passage.value)) if one.text else ""
        click.echo(f"  {one.gate:<9}{word}{room}{clean(one.text)}")
    for note in found.notes:
        click.echo(f"  note: {clean(note)}")
    tries = [
        (short(run_id), a.step, str(a.number), a.state.value, utc(a.started_at), a.node, a.reason)
        for run_id, attempts in found.attempts.items()
        for a in attempts
    ]
    _section("Attempts", ("RUN", "STEP", "ATTEMPT", "STATE", "STARTED", "NODE", "REASON"), tries)
    running = [(short(run.id), utc(run.due_at), utc(run.started_at)) for run in found.running]
    _section("Running", ("RUN", "DUE", "STARTED"), running)
    waiting = [(short(one.run.id), utc(one.run.due_at), one.reason) for one in found.waiting]
    _section("Waiting", ("RUN", "DUE", "WHY"), waiting)
    alerts = [(utc(alert.at), alert.alarm.value, alert.text) for alert in found.alerts]
    _section("Alerts", ("AT", "ALARM", "TEXT"), alerts)
    if found.watch is not None:
        watch = found.watch
        click.echo("")
        click.echo(
            f"Directory {watch.datastore}/{clean(watch.path)}: {watch.state}, "
            f"look {watch.poll_seq}, change {watch.change_seq}, next look {utc(watch.next_poll)}"
        )
    polls = [
        (utc(p.polled_at), str(p.listed), str(p.changed), p.error or p.note) for p in found.polls
    ]
    _section("Last looks", ("AT", "LISTED", "CHANGED", "NOTE"), polls)
    around = [
        f"{word} {local(instant, found.zone)}"
        for word, instant in (("before it", found.before), ("after it", found.after))
        if instant is not None
    ]
    if around:
        click.echo("")
        click.echo(f"Due {' and '.join(around)}.")


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table below a title; nothing where it has no rows."""
    if rows:
        click.echo("")
        click.secho(title, bold=True)
        table(head, rows, "")
