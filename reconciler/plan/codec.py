"""A plan as JSON, in the shape of Terraform's ``resource_changes``: its policy tools read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.plan.change import FORMAT, Action

if TYPE_CHECKING:
    from reconciler.plan.change import Change, Plain, Plan


def plan_data(plan: Plan) -> dict[str, Plain]:
    """Give the plan as plain data; ``format_version`` grows when a reader would have to change."""
    return {
        "format_version": FORMAT,
        "project": plan.owner.project,
        "target": plan.owner.target,
        "workspace": plan.workspace,
        "commit": plan.commit,
        "dirty": list(plan.dirty),
        "resource_changes": [_change(change) for change in plan.changes],
        "refusals": list(plan.refusals),
        "summary": {
            **{action.value: plan.count(action) for action in Action},
            "unchanged": plan.unchanged,
        },
    }


def plan_json(plan: Plan) -> str:
    """Write the plan as JSON text; the same plan gives the same bytes."""
    return json.dumps(plan_data(plan), indent=2, sort_keys=True) + "\n"


def _change(change: Change) -> dict[str, Plain]:
    return {
        "address": f"{change.kind}.{change.name}",
        "type": change.kind.value,
        "name": change.name,
        "id": change.id,
        "revision": change.revision,
        "cause": change.cause.value,
        "file": change.file,
        "line": change.line,
        "note": change.note,
        "change": {
            "actions": [change.action.value],
            "before": _spec(change.before),
            "after": _spec(change.after),
            "fields": [{"path": f.path, "old": f.old, "new": f.new} for f in change.fields],
            "pipeline_id": change.pipeline_id,
            "digest": change.digest,
            "code_digest": change.code_digest,
        },
    }


def _spec(text: str | None) -> Plain:
    data: Plain = None if text is None else json.loads(text)
    return data
