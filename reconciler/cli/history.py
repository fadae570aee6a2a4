"""``reconciler history``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.group import say_error
from reconciler.cli.planned import show
from reconciler.cli.say import clean, document, table, utc
from reconciler.cli.scope import Scope, output, scoped
from reconciler.clock import iso
from reconciler.errors import PlanFileError
from reconciler.plan.codec import read_plan
from reconciler.workspace.records import Outcome

if TYPE_CHECKING:
    from reconciler.workspace.records import ApplyRecord

FORMAT = "1.0"
BROKEN = 1
_LIMIT = 20


@click.command("history")
@click.argument("number", type=click.IntRange(min=1), required=False, metavar="[NUMBER]")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=_LIMIT,
    show_default=True,
    help="How many applies to list, the newest first.",
)
@output
@scoped
def command(scope: Scope, *, as_json: bool, number: int | None, limit: int) -> int:
    """List the applies to the workspace, or show the plan that apply NUMBER carried out.

    The list is only appended to; exits 1 where a line was changed or taken out afterwards.
    """
    reader = scope.address().reader()
    broken = reader.broken_chain()
    if number is not None:
        _one(reader.apply_record(number), broken, as_json=as_json)
    else:
        _all(reader.applies(limit), broken, as_json=as_json)
    if broken is None:
        return 0
    text = f"line {broken} of the history, or one before it, was changed after it was written"
    say_error(f"{text}; do not trust it from there on", "warning")
    return BROKEN


def _all(records: tuple[ApplyRecord, ...], broken: int | None, *, as_json: bool) -> None:
    if as_json:
        applies = [_data(record) for record in records]
        document({"format_version": FORMAT, "broken_at": broken, "applies": applies})
        return
    head = ("NUMBER", "WHEN", "PROJECT", "COMMIT", "AUTHOR", "BY", "OUTCOME", "SUMMARY")
    rows = [
        (
            str(record.id),
            utc(record.applied_at),
            str(record.owner),
            (record.commit or "")[:12],
            record.author or "",
            record.actor,
            record.outcome.value,
            record.error or record.summary,
        )
        for record in records
    ]
    table(head, rows, "Nothing was applied yet.")


def _one(record: ApplyRecord, broken: int | None, *, as_json: bool) -> None:
    plan = _plan(record)
    if as_json:
        facts = {**_data(record), "plan": plan}
        document({"format_version": FORMAT, "broken_at": broken, "apply": facts})
        return
    author = f", by {record.author}" if record.author else ""
    commit = f"commit {record.commit[:12]}{author}" if record.commit else "no commit"
    click.echo(clean(f"Apply {record.id} of {commit}"))
    click.echo(clean(f"{record.outcome} {utc(record.applied_at)} by {record.actor or 'unknown'}"))
    if record.outcome is Outcome.FAILED:
        click.echo(clean(f"Nothing was written: {record.error}"))
    click.echo()
    try:
        show(read_plan(record.plan, f"the plan of apply {record.id}"))
    except PlanFileError:
        reason = "its plan is of another version of this program, or was changed afterwards"
        click.echo(clean(f"{record.summary} ({reason})"))


def _plan(record: ApplyRecord) -> Any:  # noqa: ANN401  (plain data)
    try:
        return json.loads(record.plan)
    except ValueError:
        return None


def _data(record: ApplyRecord) -> dict[str, Any]:
    return {
        "number": record.id,
        "project": record.owner.project,
        "target": record.owner.target,
        "applied_at": iso(record.applied_at),
        "commit": record.commit,
        "author": record.author,
        "actor": record.actor,
        "outcome": record.outcome.value,
        "summary": record.summary,
        "error": record.error or None,
        "plan_digest": record.plan_digest or None,
        "approval_digest": record.approval_digest or None,
    }
