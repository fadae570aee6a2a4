"""A plan as text for people. Computes nothing that the JSON does not hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.plan.change import Action, Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.plan.change import Change, FieldChange, Plan

# A value longer than this is cut in text; the JSON has it whole.
LONGEST = 200
_REASONS = {
    Cause.PIPELINE_MOVED: "its pipeline has another version",
    Cause.RESTORED: "its manifest is back",
    Cause.DRIFTED: "somebody disabled it",
    Cause.MISSING: "its manifest was removed",
}


def plan_text(plan: Plan) -> str:
    """Write the plan as text, ending with its one-line summary; the same plan, the same bytes."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield f"Project {plan.owner.project}, target {plan.owner.target}, workspace {plan.workspace}"
    yield _source(plan)
    yield ""
    for change in plan.changes:
        yield from _change(change)
        yield ""
    if not plan.changes:
        yield "No changes. The workspace is as declared."
        yield ""
    for refusal in plan.refusals:
        yield f"Blocked: {refusal}"
    if plan.refusals:
        yield ""
    yield f"Plan: {plan.summary}"


def _source(plan: Plan) -> str:
    if plan.commit is None:
        return "Not committed to Git; objects will carry no commit and no author."
    files = ", ".join(map(_file, plan.dirty))
    dirty = f" with {len(plan.dirty)} uncommitted: {files}" if plan.dirty else ""
    return f"Commit {plan.commit[:12]}{dirty}"


def _file(name: str) -> str:
    """Write a file's name, quoted as JSON where a terminal would act upon it."""
    return name if name.isprintable() else json.dumps(name)


def _change(change: Change) -> Iterator[str]:
    place = f"  ({_file(change.file)}:{change.line})" if change.file else ""
    reason = _REASONS.get(change.cause)
    because = f", {reason}" if reason else ""
    head = f"{change.action.symbol} {change.action.value:<8} {change.kind.value:<10} {change.name}"
    yield f"{head}{because}{place}"
    if change.note:
        yield f"      {change.note}"
    if change.action is Action.CREATE and change.after is not None:
        for path, value in _leaves(json.loads(change.after), ()):
            yield f"      {path}: {shown(value)}"
    for field in change.fields:
        yield f"      {_field(field)}"


def _field(field: FieldChange) -> str:
    return f"{field.path}: {shown(field.old)} -> {shown(field.new)}"


def _leaves(data: object, path: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    """Walk a spec down to what a person reads on one line."""
    if isinstance(data, dict) and data:
        for key, value in data.items():
            if path or key != "name":
                yield from _leaves(value, (*path, key))
    elif isinstance(data, list) and any(isinstance(item, dict) for item in data):
        for item in data:
            yield from _leaves(
                {k: v for k, v in item.items() if k != "name"}, (*path, item["name"])
            )
    else:
        yield ".".join(path), data


def shown(value: object) -> str:
    """Write a value on one line, quoted as JSON, cut where it is very long."""
    if value is None:
        return "(none)"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"
