"""A plan as JSON, in the shape of Terraform's ``resource_changes``: its policy tools read it.

``change.actions`` speaks Terraform's words only; our own stand beside.
:func:`reconciler.plan.saved.read_plan` reads back exactly what :func:`plan_json` wrote. Two digests
hold a plan: the plan's covers every byte of a saved file, the approval's covers what would be done
and to what, whoever plans it and when.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from reconciler.clock import iso
from reconciler.plan.change import FIRES_ON_APPLY, FORMAT, Action, Side
from reconciler.schedule import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.plan.change import (
        Change,
        FieldChange,
        Files,
        Held,
        Plain,
        Plan,
        PlanWarning,
        Suppressed,
    )
    from reconciler.plan.impact import Impact, Timing

TOOL = "reconciler"
_TERRAFORM = {Action.CREATE: "create", Action.REMOVE: "delete"}
_REASONS = {Action.DISABLE: "disable", Action.REMOVE: "delete"}


def plan_data(plan: Plan) -> dict[str, Plain]:
    """Give the plan as plain data; the part of ``format_version`` before the dot is for readers."""
    data = _body(plan)
    return {**data, "plan_digest": json_digest(data)}


def plan_json(plan: Plan) -> str:
    """Write the plan as JSON text, a line for each object; the same plan gives the same bytes."""
    members = (f'  "{key}": {_laid_out(value)}' for key, value in plan_data(plan).items())
    return "{\n" + ",\n".join(members) + "\n}\n"


def _laid_out(value: Plain) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value)
    return "[\n    " + ",\n    ".join(map(json.dumps, value)) + "\n  ]"


def plan_digest(plan: Plan) -> str:
    """Give the digest of everything a plan says: ``sha256:`` and 64 hex digits."""
    return json_digest(_body(plan))


def approval_digest(plan: Plan) -> str:
    """Give the digest of what a plan would do and to what, in the form of :func:`plan_digest`.

    It leaves out who planned it, when, with which version, from which commit and lines, and what
    follows in time, so that an approval on a branch holds for the commit that merges it.
    """
    return json_digest(
        {
            "format": FORMAT,
            "project": plan.owner.project,
            "target": plan.owner.target,
            "workspace": plan.workspace,
            "changes": [approved(change) for change in plan.changes],
            "guards": sorted({guard.id for guard in plan.guards} - _hidden(plan)),
        }
    )


def _hidden(plan: Plan) -> set[str]:
    """Name the guards that hang on which files can be seen: from another machine it may be others.

    Each apply asks for them anew.
    """
    asked = any(change.files is not None and change.files.initial for change in plan.changes)
    return {FIRES_ON_APPLY} if asked else set()


def approved(change: Change) -> dict[str, Plain]:
    """Give what an approval covers of one change."""
    return {
        "action": change.action.value,
        "kind": change.kind.value,
        "name": change.name,
        "before": change.before,
        "after": change.after,
        "digest": change.digest,
        "code_digest": change.code_digest,
        "pipeline_id": change.pipeline_id,
        "formerly": change.formerly,
        "protected": change.protected,
        "fingerprint": change.fingerprint,
    }


def json_digest(data: Plain) -> str:
    """Give the digest of plain data: ``sha256:`` and 64 hex digits."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _body(plan: Plan) -> dict[str, Plain]:
    before, after = plan.runs_per_day
    return {
        "format_version": FORMAT,
        "tool": {"name": TOOL, "version": plan.tool},
        "as_of": iso(plan.as_of),
        "project": plan.owner.project,
        "target": plan.owner.target,
        "workspace": plan.workspace,
        "commit": plan.commit,
        **({} if plan.base is None else {"base": plan.base}),
        "dirty": list(plan.dirty),
        "resource_changes": [_change(change) for change in plan.changes],
        "resource_drift": list(_drift(plan)),
        "suppressed": [_suppressed(one) for one in plan.suppressed],
        "held": [_held(held) for held in plan.held],
        "guards": [
            {"id": guard.id, "message": guard.message, "allowable": guard.allowable}
            for guard in plan.guards
        ],
        "warnings": [_warning(one) for one in plan.warnings],
        "summary": {
            **{action.value: plan.count(action) for action in Action},
            "unchanged": plan.unchanged,
            # Rounded, because versions of Python add floats up differently.
            "runs_per_day": {"before": round(before, 6), "after": round(after, 6)},
            "fires_on_apply": plan.fires_on_apply,
        },
        "errored": False,
        "approval_digest": approval_digest(plan) if plan.base is None else None,
    }


def _warning(one: PlanWarning) -> dict[str, Plain]:
    return {
        "id": one.id,
        "message": one.message,
        "file": one.file,
        "line": one.line,
        "column": one.column,
        "objects": list(one.objects),
    }


def _change(change: Change) -> dict[str, Plain]:
    reason = _REASONS.get(change.action)
    renamed = change.action is Action.RENAME and change.formerly is not None
    return {
        "address": change.address,
        "type": change.kind.value,
        "name": change.name,
        "previous_address": f"{change.kind}.{change.formerly}" if renamed else None,
        "change": _terraform(
            _TERRAFORM.get(change.action, "update"), _spec(change.before), _result(change)
        ),
        "action_reason": reason and f"{reason}_because_{change.cause}",
        "action": change.action.value,
        "cause": change.cause.value,
        "declared": change.after is not None,
        "id": change.id,
        "revision": change.revision,
        "fingerprint": change.fingerprint,
        "file": change.file,
        "line": change.line,
        "notes": list(change.notes),
        "fields": [_field(field) for field in change.fields],
        "pipeline_id": change.pipeline_id,
        "digest": change.digest,
        "code_digest": change.code_digest,
        "protected": change.protected,
        "formerly": change.formerly,
        "impact": _impact(change.impact),
        "files": _files(change.files),
    }


def _terraform(action: str, before: Plain, after: Plain) -> dict[str, Plain]:
    # Nothing is sensitive, because a spec holds references to secrets only.
    return {
        "actions": [action],
        "before": before,
        "after": after,
        "before_sensitive": {},
        "after_sensitive": {},
        "after_unknown": {},
    }


def _result(change: Change) -> Plain:
    """Give what the object will say; one that is disabled stays, so a policy sees it so."""
    data = _spec(change.after)
    if change.after is None and change.before is not None and change.action is Action.DISABLE:
        return {**json.loads(change.before), "status": Status.DISABLED.value}
    return data


def _field(field: FieldChange) -> dict[str, Plain]:
    return {
        "path": field.path,
        "last_applied": _ordered(field.applied),
        "desired": _ordered(field.new),
        "live": _ordered(field.old),
        "cause": field.side.value,
    }


def _drift(plan: Plan) -> Iterator[dict[str, Plain]]:
    """List the fields that somebody set on a live object: from what was applied to what is."""
    for change in plan.changes:
        fields = [field for field in change.fields if field.side is not Side.GIT]
        if fields:
            before = {field.path: _ordered(field.applied) for field in fields}
            after = {field.path: _ordered(field.old) for field in fields}
            yield {
                "address": change.address,
                "type": change.kind.value,
                "name": change.name,
                "change": _terraform("update", before, after),
                "fields": [_field(field) for field in fields],
            }


def _suppressed(one: Suppressed) -> dict[str, Plain]:
    return {
        "address": one.address,
        "path": one.path,
        "reason": one.reason.value,
        "live": _ordered(one.live),
        "desired": _ordered(one.desired),
    }


def _held(held: Held) -> dict[str, Plain]:
    hold = held.hold
    return {
        "name": held.name,
        "who": hold.who,
        "why": hold.why,
        "since": iso(hold.since),
        "until": _iso(hold.until),
        "catchup": hold.catchup.value,
    }


def _impact(impact: Impact | None) -> Plain:
    if impact is None:
        return None
    return {
        "before": _timing(impact.before),
        "after": _timing(impact.after),
        "fires_on_apply": impact.fires_on_apply,
        "clock_changes": [
            {"day": change.day, "due": iso(change.due), "text": change.text}
            for change in impact.clock_changes
        ],
        "same_fires_until": _iso(impact.same_fires_until),
        "first_difference": _iso(impact.first_difference),
    }


def _timing(timing: Timing | None) -> Plain:
    if timing is None:
        return None
    return {
        "next_fires": [iso(fire) for fire in timing.next_fires],
        "runs": timing.runs,
        "days": timing.days,
        "whole": timing.whole,
        "per_day": round(timing.per_day, 6),
    }


def _files(files: Files | None) -> Plain:
    if files is None:
        return None
    return {
        "place": files.place,
        "matching": files.matching,
        "more": files.more,
        "initial": files.initial,
        "fires": files.fires,
    }


def _iso(instant: int | None) -> str | None:
    return None if instant is None else iso(instant)


def _spec(text: str | None) -> Plain:
    data: Plain = None if text is None else json.loads(text)
    return data


def _ordered(value: Plain) -> Plain:
    """Sort the keys of a value, so that equal values give equal bytes."""
    if value is None or isinstance(value, str | int | float):
        return value
    data: Plain = json.loads(json.dumps(value, sort_keys=True))
    return data
