"""``reconciler history``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.group import say_error
from reconciler.cli.planned import show
from reconciler.cli.say import clean, document, table, utc
from reconciler.cli.scope import Scope, report, scoped
from reconciler.clock import iso
from reconciler.errors import PlanFileError
from reconciler.plan.saved import read_plan
from reconciler.workspace.records import Outcome

if TYPE_CHECKING:
    from reconciler.workspace.records import ApplyRecord

FORMAT = "1.0"
BROKEN = 1
_LIMIT = 20
_VALUE = 500
_UNREADABLE = "its plan is of another version of this program, or was changed afterwards"


@click.command("history", epilog="Example: reconciler history 12")
@click.argument("number", type=click.IntRange(min=1), required=False, metavar="[NUMBER]")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=_LIMIT,
    show_default=True,
    help="How many applies to list, the newest first.",
)
@report
@scoped
def command(scope: Scope, *, form: str, number: int | None, limit: int) -> int:
    """List the applies to the workspace, or show the plan that apply NUMBER carried out.

    The list is only appended to; exits 1 where a line was changed or taken out afterwards.
    """
    reader = scope.address().reader()
    broken = reader.broken_chain()
    if number is not None:
        _one(reader.apply_record(number), broken, form)
    else:
        _all(reader.applies(limit), broken, form)
    if broken is None:
        return 0
    say_error(_distrust(broken), "warning")
    return BROKEN


def _distrust(broken: int) -> str:
    text = f"line {broken} of the history, or one before it, was changed after it was written"
    return f"{text}; do not trust it from there on"


def _all(records: tuple[ApplyRecord, ...], broken: int | None, form: str) -> None:
    if form == "markdown":
        _all_markdown(records, broken)
        return
    if form == "json":
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


def _all_markdown(records: tuple[ApplyRecord, ...], broken: int | None) -> None:
    """Write the list as a table within what GitHub takes; the oldest applies are left out first."""
    from reconciler.plan.markdown import LIMIT, cell  # noqa: PLC0415  (one form of many)

    lines = [] if broken is None else [f"**Warning:** {_distrust(broken)}", ""]
    lines += ["| Apply | When | Project | Commit | By | Outcome |", "|--:|--|--|--|--|--|"]
    # As much is kept free as what is said at the end, and in place of no rows, may need.
    room = LIMIT - len("\n".join(lines)) - _VALUE
    for shown, record in enumerate(records):
        commit = cell(record.commit[:12]) if record.commit else ""
        by = ", ".join(cell(one) for one in dict.fromkeys((record.author, record.actor)) if one)
        outcome = f"{record.outcome}: {cell(record.error or record.summary)}"
        who = cell(str(record.owner))
        row = f"| {record.id} | {utc(record.applied_at)} | {who} | {commit} | {by} | {outcome} |"
        room -= len(row) + 1
        if room < 0:
            lines += ["", f"and {len(records) - shown} older"]
            break
        lines.append(row)
    click.echo("\n".join(lines) if records else "Nothing was applied yet.")


def _one(record: ApplyRecord, broken: int | None, form: str) -> None:
    if form == "markdown":
        _one_markdown(record, broken)
        return
    if form == "json":
        facts = {**_data(record), "plan": _plan(record)}
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
        click.echo(clean(f"{record.summary} ({_UNREADABLE})"))


def _one_markdown(record: ApplyRecord, broken: int | None) -> None:
    from reconciler.plan.markdown import code, cut, plan_markdown  # noqa: PLC0415  (one form of many)

    def said(text: str) -> str:
        return code(cut(text, _VALUE))

    author = f", by {said(record.author)}" if record.author else ""
    commit = f"commit {said(record.commit[:12])}{author}" if record.commit else "no commit"
    lines = [f"### Apply {record.id} of {commit}", ""]
    if broken is not None:
        lines += [f"**Warning:** {_distrust(broken)}", ""]
    lines.append(f"{record.outcome} {utc(record.applied_at)} by {said(record.actor or 'unknown')}")
    if record.outcome is Outcome.FAILED:
        lines += ["", f"**Nothing was written:** {said(record.error)}"]
    told = "\n".join(lines)
    try:
        plan = read_plan(record.plan, f"the plan of apply {record.id}")
    except PlanFileError:
        click.echo(f"{told}\n\n{said(record.summary)} ({_UNREADABLE})")
    else:
        click.echo(plan_markdown(plan, record=told), nl=False)


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
