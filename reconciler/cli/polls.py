"""``reconciler polls``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.facts import data
from reconciler.cli.say import clean, document, short, table
from reconciler.cli.scope import Scope, output, scoped
from reconciler.cli.watched import (
    POLL_HEAD,
    counted,
    line_data,
    poll_cells,
    poll_data,
    standing_data,
    standing_text,
)
from reconciler.data import DatastoreChange
from reconciler.errors import NotFound, ReconcilerError
from reconciler.live import RegisteredSchedule
from reconciler.plan.spec import spec_value
from reconciler.reconcile.fate import Fate
from reconciler.reconcile.looks import MANY, Look, Reader, place, standing
from reconciler.reconcile.operate import find_schedule, registered
from reconciler.schedule import Schedule
from reconciler.workspace.records import Watch

if TYPE_CHECKING:
    from reconciler.settings import Workspace
    from reconciler.workspace.ledger import Ledger
    from reconciler.workspace.records import Poll

POLLS, FILES = 20, 1_000
# Newest polls among which those that are asked for are looked for, and runs whose state is told.
_MANY = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """What is asked about: a schedule and its watch, or the watches in a datastore."""

    name: str
    watches: tuple[Watch, ...]
    here: RegisteredSchedule | None = None
    trigger: DatastoreChange | None = None

    def reader(self, ledger: Ledger, watch: Watch) -> Reader | None:
        """Give who tells what changes came to for the schedule, if there is one."""
        if self.here is None or self.trigger is None:
            return None
        fires = ledger.fires(self.here.id, MANY)
        return Reader(ledger, watch, self.here, self.trigger, fires)


@click.command("polls", epilog="Example: reconciler polls score-on-arrival --changed")
@click.argument("what", metavar="SCHEDULE|DATASTORE[/PATH]")
@click.option(
    "--limit",
    type=click.IntRange(1, _MANY),
    help=f"How many polls, or files of one; {POLLS} and {FILES} by default.",
)
@click.option("--changed", is_flag=True, help="Only polls that found changes.")
@click.option("--errors", is_flag=True, help="Only polls that failed.")
@click.option(
    "--poll", "number", type=click.IntRange(1), help="Every file that this poll found changed."
)
@output
@scoped
def command(  # noqa: PLR0913  (its options)
    scope: Scope,
    *,
    as_json: bool,
    what: str,
    limit: int | None,
    changed: bool,
    errors: bool,
    number: int | None,
) -> None:
    """List the looks at what a schedule watches, or at a datastore, newest first.

    For a schedule it is told, too, what became of the changes: how many fired, and which rule left
    the others out.
    """
    address = scope.address()
    workspace = scope.look()
    subject = _find(workspace, what)
    if number is not None:
        _one(workspace, subject, number, limit or FILES, as_json=as_json)
        return

    def wanted(poll: Poll) -> bool:
        return (poll.changed > 0 or not changed) and (bool(poll.error) or not errors)

    sections = []
    for watch in subject.watches:
        polls = workspace.ledger.polls(watch.id, _MANY if changed or errors else limit or POLLS)
        chosen = [poll for poll in polls if wanted(poll)][: limit or POLLS]
        reader = subject.reader(workspace.ledger, watch)
        looks = list(map(Look, chosen)) if reader is None else reader.looks(chosen)
        sections.append((standing(watch, polls), looks))
    if as_json:
        document(
            {
                "name": subject.name,
                "schedule_id": subject.here and subject.here.id,
                "runner": address.has_runner(),
                "watches": [
                    {**standing_data(found), "polls": [_data(look) for look in looks]}
                    for found, looks in sections
                ],
            }
        )
        return
    now = workspace.registry.now()
    for number_, (found, looks) in enumerate(sections):
        if number_:
            click.echo("")
        click.secho(standing_text(found, now), bold=True)
        _table(looks, "No polls yet." if found.last is None else "No such polls.")
    late = any(found.watch.next_poll <= now for found, _ in sections)
    if late and not address.has_runner():
        click.echo(f"note: {address.start_hint()}", err=True)


def _find(workspace: Workspace, what: str) -> _Subject:
    """Find what is meant: a schedule, else the watches at or below a place in a datastore.

    Raises:
        NotFound: it is neither, or nothing is watched for it.
        ReconcilerError: the schedule goes by the clock.
    """
    ledger = workspace.ledger
    name, slash, path = what.partition("/")
    stores = ledger.datastores()
    try:
        here = find_schedule(registered(workspace.registry, what), what)
    except NotFound as error:
        if name not in stores:
            text = f"{error}, and no datastore '{name}'; `reconciler list datastores` shows those"
            raise NotFound(text) from None
        return _in_datastore(ledger, what, name, path.strip("/") if slash else "")
    trigger = spec_value(Schedule, here.spec).trigger
    if not isinstance(trigger, DatastoreChange):
        text = f"schedule '{here.name}' goes by the clock and looks at no files"
        raise ReconcilerError(f"{text}; `reconciler show {here.name}` lists its decisions")
    watch = ledger.watch_of(here.id)
    if watch is None:
        text = f"nothing is watched for schedule '{here.name}', which is {here.status}"
        raise NotFound(f"{text}; enable it, and the first look is due at once")
    return _Subject(name=here.name, watches=(watch,), here=here, trigger=trigger)


def _in_datastore(ledger: Ledger, what: str, name: str, path: str) -> _Subject:
    own = [watch for watch in ledger.watches() if watch.watched.datastore == name]
    found = [w for w in own if not path or f"{w.watched.path}/".startswith(f"{path}/")]
    if found:
        return _Subject(name=what, watches=tuple(found))
    if own:
        places = ", ".join(place(watch.watched) for watch in own)
        raise NotFound(f"nothing is watched at {what}; watched are: {places}")
    text = f"nothing is watched in datastore '{name}'"
    raise NotFound(f"{text}; an Active schedule with a datastore_change trigger begins to")


def _data(look: Look) -> dict[str, Any]:
    return {
        **poll_data(look.poll),
        "fates": look.fates and {fate.value: count for fate, count in look.fates.items()},
        "ignored_by": look.rules and dict(look.rules),
    }


def _table(looks: list[Look], empty: str) -> None:
    told = any(look.fates is not None for look in looks)
    head = (*POLL_HEAD[:-1], "CAME TO", POLL_HEAD[-1]) if told else POLL_HEAD
    rows = []
    for look in looks:
        *cells, note = poll_cells(poll_data(look.poll))
        rows.append((*cells, _came_to(look), note) if told else (*cells, note))
    table(head, rows, empty)


def _came_to(look: Look) -> str:
    """Say what the changes of a poll came to: ``3 fired, 2 ignored (ignore: *.tmp)``."""
    if look.fates is None or look.rules is None:
        return f"see --poll {look.poll.poll_seq}"
    said = counted({fate.value.replace("_", " "): n for fate, n in look.fates.items()}, ["fired"])
    many = len(look.rules) > 1
    rules = "; ".join(f"{n} by {rule}" if many else rule for rule, n in sorted(look.rules.items()))
    return f"{said} ({rules})" if rules else said


# One poll -----------------------------------------------------------------------------------


def _one(
    workspace: Workspace, subject: _Subject, number: int, limit: int, *, as_json: bool
) -> None:
    """Show every file that one poll found changed."""
    ledger = workspace.ledger
    if len(subject.watches) > 1:
        places = ", ".join(place(watch.watched) for watch in subject.watches)
        raise NotFound(f"{subject.name} is watched at several places; name one: {places}")
    (watch,) = subject.watches
    poll = _poll(ledger, watch, number)
    lines = ledger.log(watch.id, polls=[number], limit=limit + 1)
    more, lines = len(lines) > limit, sorted(lines[:limit], key=lambda line: line.seq)
    reader = subject.reader(ledger, watch)
    came = [None if reader is None else reader.outcome(line, poll.polled_at) for line in lines]
    ids = {one.fire.run_id for one in came if one is not None and one.fire is not None}
    here = subject.here.id if subject.here else None
    runs = ledger.runs(schedule_id=here, limit=_MANY) if ids - {None} else []
    states = {run.id: run.state.value for run in runs}
    files = []
    for line, one in zip(lines, came, strict=True):
        file = line_data(line, watch.watched.directory)
        if one is not None:
            run_id = one.fire and one.fire.run_id
            file |= {"fate": one.fate.value, "why": one.why, "run_id": run_id}
            file |= {"run_state": states.get(run_id or "")}
        files.append(file)
    if as_json:
        facts = {"poll": poll_data(poll), "files": files, "truncated": more}
        document({"name": subject.name, **facts, "watched": data(watch.watched)})
        return
    click.secho(f"Poll {number} of {clean(place(watch.watched))}", bold=True)
    table(POLL_HEAD, [poll_cells(poll_data(poll))], "")
    click.echo("")
    head = ("FILE", "CHANGE", "BYTES", *(("CAME TO", "RUN", "STATE", "WHY") if reader else ()))
    rows = [
        (file["display"], file["change"], str(file["size"]), *(_cells(file) if reader else ()))
        for file in files
    ]
    table(head, rows, "It found nothing changed.")
    if more:
        click.echo(f"Cut off after {limit} files; give a higher --limit.")


def _cells(file: dict[str, Any]) -> tuple[str, ...]:
    run, state = short(file["run_id"] or ""), file["run_state"] or ""
    return (Fate(file["fate"]).value.replace("_", " "), run, state, file["why"])


def _poll(ledger: Ledger, watch: Watch, number: int) -> Poll:
    """Find a poll by its number.

    Raises:
        NotFound: it is not kept, or not there yet.
    """
    newer = ledger.polls(watch.id, max(1, watch.poll_seq - number + 1))
    found = next((poll for poll in newer if poll.poll_seq == number), None)
    if found is not None:
        return found
    first = ledger.first_poll(watch.id)
    kept = "none is kept" if first is None else f"kept are {first.poll_seq} to {watch.poll_seq}"
    raise NotFound(f"{place(watch.watched)} has no poll {number}; {kept}")
