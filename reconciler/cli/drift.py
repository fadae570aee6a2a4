"""``reconciler drift``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler import __version__
from reconciler.cli.say import document, utc
from reconciler.cli.scope import Scope, report, scoped
from reconciler.clock import iso
from reconciler.live import Owner
from reconciler.plan.render import MOST, file_name, held_text, printable, shown
from reconciler.reconcile import disk
from reconciler.reconcile.drift import State, find_drift
from reconciler.reconcile.read import choose_target, read_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.reconcile.drift import Drift, Finding, Touched
    from reconciler.reconcile.write_back import WriteBack

FORMAT = "1.0"
DRIFT = 2
_COLOURS = {"~": "yellow", "-": "red"}


@click.command("drift", epilog="Example: reconciler drift --write")
@click.option("--write", is_flag=True, help="Edit the manifests so that they say what is live.")
@click.option("--allow-dirty", is_flag=True, help="With --write: edit uncommitted files too.")
@report
@scoped
def command(scope: Scope, *, form: str, write: bool, allow_dirty: bool) -> int:
    """Show what somebody changed in the workspace since the last apply. Never writes to it.

    Reads reconciler.yml, and manifests only with --write. Exits 0 without drift and 2 with it; with
    --write, 0 where all of it is in the manifests now.
    """
    source = scope.source() if write else scope.files()
    project = read_project(source)
    target = choose_target(project, scope.target)
    address = scope.address_in(source, project)
    reader = address.reader()
    live = reader.live()
    drift = find_drift(
        live,
        Owner(project.project, target),
        project.terms(target),
        workspace=address.shown,
        as_of=reader.now(),
    )
    written = None
    if write:
        from reconciler.reconcile.write_back import write_back  # noqa: PLC0415  (seldom needed)

        written = write_back(drift, live, source, project, allow_dirty=allow_dirty)
        for file, text in written.files.items():
            disk.put(Path(source.folder, file), text)
    _tell(drift, written, form)
    if written is not None:
        return DRIFT if written.left or drift.of(State.MISSING) else 0
    return DRIFT if drift.drifted else 0


def _tell(drift: Drift, written: WriteBack | None, form: str) -> None:
    if form == "json":
        document(_data(drift, written))
    elif form == "markdown":
        from reconciler.cli.drift_markdown import drift_markdown  # noqa: PLC0415  (one form of many)

        click.echo(drift_markdown(drift, written), nl=False)
    else:
        for line in _lines(drift, written):
            click.echo(click.style(line, fg=_COLOURS.get(line[:1])))


def _lines(drift: Drift, written: WriteBack | None) -> Iterator[str]:
    owner, record = drift.owner, drift.record
    place = printable(drift.workspace)
    yield f"Project {printable(owner.project)}, target {printable(owner.target)}, workspace {place}"
    if record is None or record.applied_at is None:
        yield "Nothing was applied yet."
    else:
        commit = f"commit {record.commit[:12]}" if record.commit else "no commit"
        yield f"Applied last: {commit} at {utc(record.applied_at)}"
    yield ""
    for finding in drift.of(State.CHANGED, State.MISSING):
        yield from _finding(finding)
        yield ""
    for part in (
        [_ignored(f, one) for f in drift.findings for one in f.ignored],
        [f"Held: {_held(finding)}" for finding in drift.findings if finding.hold is not None],
        list(_unmanaged(drift)),
        list(_foreign(drift)),
        list(_written(written)) if written is not None else [],
    ):
        yield from [*part, ""] if part else ()
    yield f"Drift: {drift.summary}"


def _finding(finding: Finding) -> Iterator[str]:
    symbol = "~" if finding.state is State.CHANGED else "-"
    line = "" if finding.line is None else f":{finding.line}"
    place = f"  ({file_name(finding.file)}{line})" if finding.file else ""
    yield f"{symbol} {finding.state:<8} {finding.kind:<10} {printable(finding.name)}{place}"
    for one in finding.fields:
        yield f"      {printable(one.path)}: {shown(one.applied)} -> {shown(one.live)}"


def _ignored(finding: Finding, one: Touched) -> str:
    what = f"{finding.address} {printable(one.path)}"
    return f"Ignored: {what}: {shown(one.applied)} -> {shown(one.live)} (ignore_drift)"


def _held(finding: Finding) -> str:
    from reconciler.plan.change import Held  # noqa: PLC0415  (only where something is held)

    assert finding.hold is not None, "the caller's condition"  # noqa: S101  (the same)
    return held_text(Held(finding.name, finding.hold))


def _unmanaged(drift: Drift) -> Iterator[str]:
    found = drift.of(State.UNMANAGED)
    for finding in found:
        version = f"  ({finding.id})" if finding.id else ""
        yield f"Unmanaged: {finding.kind} {printable(finding.name)}{version}"
    if found:
        yield "To manage them here: reconciler import"


def _foreign(drift: Drift) -> Iterator[str]:
    by_owner: dict[str, list[str]] = {}
    for finding in drift.of(State.FOREIGN):
        by_owner.setdefault(str(finding.owner), []).append(finding.address)
    for owner, names in sorted(by_owner.items()):
        some = ", ".join(map(printable, names[:MOST])) + (", ..." if len(names) > MOST else "")
        yield f"Foreign: {len(names)} of {printable(owner)}: {some}"


def _written(written: WriteBack) -> Iterator[str]:
    for edit in written.edits:
        value = "removed" if edit.value is None else shown(edit.value)
        where = f"{file_name(edit.file)}: {edit.address} {printable(edit.path)}"
        yield f"{'Wrote' if edit.file in written.files else 'Says so already'}: {where}: {value}"
    for left in written.left:
        yield f"Not written: {left.address} {printable(left.path)}: {printable(left.reason)}"


def _data(drift: Drift, written: WriteBack | None) -> dict[str, Any]:
    record = drift.record
    applied_at = record.applied_at if record is not None else None
    data: dict[str, Any] = {
        "format_version": FORMAT,
        "tool": {"name": "reconciler", "version": __version__},
        "project": drift.owner.project,
        "target": drift.owner.target,
        "workspace": drift.workspace,
        "as_of": iso(drift.as_of),
        "applied": record
        and {
            "commit": record.commit,
            "applied_at": None if applied_at is None else iso(applied_at),
        },
        "drifted": drift.drifted,
        "objects": [_object(finding) for finding in drift.findings],
        "summary": {state.value: len(drift.of(state)) for state in State},
    }
    if written is not None:
        data["written"] = [
            {"address": e.address, "path": e.path, "file": e.file, "value": e.value}
            for e in written.edits
        ]
        data["not_written"] = [
            {"address": one.address, "path": one.path, "reason": one.reason} for one in written.left
        ]
    return data


def _object(finding: Finding) -> dict[str, Any]:
    hold = finding.hold
    return {
        "address": finding.address,
        "type": finding.kind.value,
        "name": finding.name,
        "class": finding.state.value,
        "id": finding.id,
        "owner": finding.owner and str(finding.owner),
        "file": finding.file,
        "line": finding.line,
        "fields": [_field(one) for one in finding.fields],
        "ignored": [_field(one) for one in finding.ignored],
        "hold": hold
        and {
            "who": hold.who,
            "why": hold.why,
            "since": iso(hold.since),
            "until": None if hold.until is None else iso(hold.until),
        },
    }


def _field(one: Touched) -> dict[str, Any]:
    return {"path": one.path, "last_applied": one.applied, "live": one.live}
