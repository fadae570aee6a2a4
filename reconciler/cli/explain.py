"""``reconciler explain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler import settings
from reconciler.cli.facts import condition, data, zone_of
from reconciler.cli.instant import parse_past
from reconciler.cli.say import clean, document, local, short, table, utc
from reconciler.cli.scope import Scope, output, scoped
from reconciler.cli.watched import (
    POLL_HEAD,
    line_data,
    poll_cells,
    poll_data,
    standing_data,
    standing_text,
)
from reconciler.clock import iso
from reconciler.plan.spec import spec_value
from reconciler.reconcile.answer import Passage, read_asked
from reconciler.reconcile.evidence import gather
from reconciler.reconcile.explain import explain
from reconciler.reconcile.explain_file import WAITING, explain_file
from reconciler.reconcile.looks import standing
from reconciler.reconcile.operate import find_schedule, registered
from reconciler.schedule import Schedule
from reconciler.trigger.snapshot import size_of, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.cli.scope import Address
    from reconciler.datastore.base import DatastoreReader
    from reconciler.reconcile.answer import Explanation
    from reconciler.reconcile.explain_file import Evidence, FileAnswer, Seen

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
@click.option(
    "--file",
    metavar="PATH",
    help="A file: its name in the watched directory, datastore/path, a local path or a URL.",
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False),
    help="The runner's configuration, for the secrets that open the file's datastore.",
)
@output
@scoped
def command(  # noqa: PLR0913  (its options)
    scope: Scope,
    *,
    as_json: bool,
    name: str,
    when: str | None,
    file: str | None,
    config: str | None,
) -> None:
    """Say why a schedule did, or did not, run at a time: every gate, and which one decided.

    With --file: why a file did, or did not, make it fire.

    The past is read from what the runner wrote down when it decided; nothing is decided anew.
    """
    if file is not None and when is not None:
        raise click.UsageError("Give --at or --file, not both.")
    address = scope.address()
    workspace = scope.look()
    registry = workspace.registry
    live, now = registered(registry, name), registry.now()
    here = find_schedule(live, name)
    if file is not None:
        from reconciler.runner.secrets import Secrets  # noqa: PLC0415  (only here)

        def open_store(name: str) -> DatastoreReader:
            secrets = Secrets(settings.read_runner_config(config).secrets)
            return settings.open_datastore(workspace.ledger, name, secrets)

        evidence = gather(workspace.ledger, here, file, str(Path.cwd()), now, open_store)
        _tell_of_file(evidence, address, as_json=as_json)
        return
    zone = zone_of(spec_value(Schedule, here.spec))
    asked = None if when is None else read_asked(parse_past(when, zone, now), zone)
    found = explain(live, workspace.ledger, here, asked, now)
    running = address.has_runner()
    if as_json:
        document({**_data(found), "condition": condition(here, now), "runner": running})
        return
    _say(found, now)
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
        "watch": found.watch and standing_data(standing(found.watch, found.polls)),
        "polls": [poll_data(poll) for poll in found.polls],
    }


def _say(found: Explanation, now: int) -> None:
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
        click.echo("")
        click.echo(clean(standing_text(standing(found.watch, found.polls), now)))
    _section("Last looks", POLL_HEAD, [poll_cells(poll_data(poll)) for poll in found.polls])
    around = [
        f"{word} {local(instant, found.zone)}"
        for word, instant in (("before it", found.before), ("after it", found.after))
        if instant is not None
    ]
    if around:
        click.echo("")
        click.echo(f"Due {' and '.join(around)}.")


# A file ------------------------------------------------------------------------------------


def _tell_of_file(evidence: Evidence, address: Address, *, as_json: bool) -> None:
    found = explain_file(evidence)
    running = address.has_runner()
    if as_json:
        document({**_file_data(evidence, found), "runner": running})
        return
    _say_file(evidence, found)
    if found.code in WAITING and not running:
        click.echo(f"\nnote: {address.start_hint()}", err=True)


def _file_data(evidence: Evidence, found: FileAnswer) -> dict[str, Any]:
    """Give the answer about a file as plain data."""
    present, known, path = evidence.present, evidence.known, evidence.path
    return {
        "name": evidence.here.name,
        "schedule_id": evidence.here.id,
        "file": evidence.asked,
        "path": None if path is None else path.decode("utf-8", "surrogateescape"),
        "code": found.code,
        "answer": found.answer,
        "chain": data(found.chain),
        "known": None if known is None else told(known),
        "store": {
            "text": found.store,
            "error": present.error,
            "file": None if present.facts is None else told(present.facts),
        },
        "log": [_seen_data(one, evidence.trigger.watched.directory) for one in evidence.seen],
        "fires": data(evidence.fires),
        "watch": evidence.standing and standing_data(evidence.standing),
    }


def _seen_data(one: Seen, folder: str) -> dict[str, Any]:
    return {
        **line_data(one.line, folder),
        "polled_at": None if one.polled_at is None else iso(one.polled_at),
        "fate": one.outcome.fate.value,
        "why": one.outcome.why,
        "runs": data(one.runs),
    }


def _say_file(evidence: Evidence, found: FileAnswer) -> None:
    click.secho(clean(found.answer), bold=True)
    click.echo("")
    for link in found.chain:
        click.echo(f"  {link.step:<10}{clean(link.text)}")
    click.echo(f"  {'store':<10}{clean(found.store)}")
    log = [
        (
            str(one.line.poll_seq),
            utc(one.polled_at),
            one.line.change,
            str(size_of(one.line.facts)),
            one.outcome.fate.value.replace("_", " "),
            ", ".join(f"{short(run.id)} {run.state}" for run in one.runs),
            one.outcome.why,
        )
        for one in evidence.seen
    ]
    head = ("POLL", "AT", "CHANGE", "BYTES", "CAME TO", "RUN", "WHY")
    _section("What looks took down of it", head, log)
    fires = [
        (utc(fire.decided_at), fire.decision.value, short(fire.run_id or ""), fire.reason)
        for fire in evidence.fires
    ]
    _section("Other decisions about it", ("AT", "DECISION", "RUN", "REASON"), fires)


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table below a title; nothing where it has no rows."""
    if rows:
        click.echo("")
        click.secho(title, bold=True)
        table(head, rows, "")
