"""Drift as people paste it into an issue or a pull request, within what GitHub takes.

It follows the comment of a plan: whatever somebody else wrote stands in code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.say import utc
from reconciler.plan.change import Held
from reconciler.plan.markdown import LIMIT, SOME, VALUE, cell, code, cut, diff_block
from reconciler.plan.render import held_text, printable, shown
from reconciler.reconcile.drift import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.reconcile.drift import Drift, Finding
    from reconciler.reconcile.write_back import WriteBack

SYMBOLS = {State.CHANGED: "~", State.MISSING: "-"}
# All of it; without details; of each list the first lines only.
_WHOLE, _ROWS, _FEW = range(3)
_LEFT_OUT = {
    _ROWS: "The details are left out; `reconciler drift` prints them.",
    _FEW: "Of long lists only the beginning is here; `reconciler drift` prints all.",
}


def drift_markdown(drift: Drift, written: WriteBack | None, limit: int = LIMIT) -> str:
    """Write what was found, and what of it was written to the manifests, as markdown.

    It has at most ``limit`` characters; where it says less for that, it says so.
    """
    text = ""
    for level in (_WHOLE, _ROWS, _FEW):
        text = "\n".join(_lines(drift, written, level)).rstrip("\n") + "\n"
        if len(text) <= limit:
            break
    return text[:limit]


def _lines(drift: Drift, written: WriteBack | None, level: int) -> Iterator[str]:
    owner, record = drift.owner, drift.record
    yield f"### Drift of {_name(owner.project)}, target {_name(owner.target)}"
    yield from ("", f"**{drift.summary}**", "")
    applied = "nothing was applied yet"
    if record is not None and record.applied_at is not None:
        commit = f"commit {code(record.commit[:12])}" if record.commit else "no commit"
        applied = f"applied last: {commit} at {utc(record.applied_at)}"
    yield from (f"Workspace {_name(drift.workspace)}, {applied}.", "")
    found = drift.of(State.CHANGED, State.MISSING)
    if found:
        yield from ("| Drift | Object | Fields | File |", "|--|--|--|--|")
        yield from _some([_row(finding) for finding in found], level, "| | and {} more | | |")
    if level == _WHOLE:
        for finding in found:
            yield from _details(finding, few=len(found) <= SOME)
    for title, lines in _sections(drift, written).items():
        if lines:
            yield from (f"#### {title}", "")
            yield from _some([f"- {line}" for line in lines], level, "- and {} more")
    if level in _LEFT_OUT:
        yield f"**{_LEFT_OUT[level]}**"


def _some(lines: list[str], level: int, more: str) -> Iterator[str]:
    few = level == _FEW and len(lines) > SOME
    yield from lines[:SOME] if few else lines
    if few:
        yield more.format(len(lines) - SOME)
    yield ""


def _row(finding: Finding) -> str:
    names = [cell(one.path) for one in finding.fields]
    fields = ", ".join([*names[:SOME], *(["..."] if len(names) > SOME else [])])
    sign = f"`{SYMBOLS[finding.state]}` {finding.state}"
    file = cell(_place(finding)) if finding.file else ""
    return f"| {sign} | {finding.kind} {cell(finding.name)} | {fields} | {file} |"


def _place(finding: Finding) -> str:
    return f"{finding.file or ''}{'' if finding.line is None else f':{finding.line}'}"


def _details(finding: Finding, *, few: bool) -> Iterator[str]:
    """Write what was applied in red, and what somebody made of it in green."""
    if finding.fields:
        lines = []
        for one in finding.fields:
            path = printable(one.path)
            lines += [f"- {path}: {shown(one.applied)}", f"+ {path}: {shown(one.live)}"]
        head = f"{SYMBOLS[finding.state]} {finding.state} {finding.kind}"
        yield diff_block(head, finding.name, _place(finding), lines, few=few)


def _sections(drift: Drift, written: WriteBack | None) -> dict[str, list[str]]:
    """Give what stands beside the drift: lines by their title."""
    sections = {
        "Held": [_held(finding) for finding in drift.findings if finding.hold is not None],
        "Left to others by `ignore_drift`": [
            code(f"{f.address} {one.path}: {shown(one.applied, VALUE)} -> {shown(one.live, VALUE)}")
            for f in drift.findings
            for one in f.ignored
        ],
        "Unmanaged; `reconciler import` would manage them here": [
            _object(finding) + (f" ({code(finding.id)})" if finding.id else "")
            for finding in drift.of(State.UNMANAGED)
        ],
        "Foreign": [f"{_object(one)} of {code(str(one.owner))}" for one in drift.of(State.FOREIGN)],
    }
    if written is not None:
        sections["Written to the manifests"] = [
            f"{code(edit.file)}: {code(f'{edit.address} {edit.path}: {_value(edit.value)}')}"
            + ("" if edit.file in written.files else ", which says so already")
            for edit in written.edits
        ]
        sections["Not written to the manifests"] = [
            code(f"{left.address} {left.path}: {cut(left.reason, 5 * VALUE)}")
            for left in written.left
        ]
    return sections


def _held(finding: Finding) -> str:
    assert finding.hold is not None, "the caller's condition"  # noqa: S101  (the same)
    return code(cut(held_text(Held(finding.name, finding.hold)), 5 * VALUE))


def _value(value: object) -> str:
    return "removed" if value is None else shown(value, VALUE)


def _object(finding: Finding) -> str:
    return f"{finding.kind} {_name(finding.name)}"


def _name(text: str) -> str:
    return code(cut(text, 5 * VALUE))
