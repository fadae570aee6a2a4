"""A plan as JSON, in the shape of Terraform's ``resource_changes``: its policy tools read it.

``change.actions`` speaks Terraform's words only; our own stand beside. :func:`read_plan` reads back
exactly what :func:`plan_json` wrote. Two digests hold a plan: the plan's covers every byte of a
saved file, the approval's covers what would be done and to what, whoever plans it and when.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from reconciler.clock import iso, parse_instant
from reconciler.errors import PlanFileError
from reconciler.live import Hold, Owner
from reconciler.plan.change import (
    FORMAT,
    Action,
    Cause,
    Change,
    FieldChange,
    Files,
    Guard,
    Held,
    Kind,
    Plan,
    Reason,
    Side,
    Suppressed,
)
from reconciler.schedule import Missed, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.plan.change import Plain
    from reconciler.plan.impact import Impact, Timing

TOOL = "reconciler"
_TERRAFORM = {Action.CREATE: "create", Action.REMOVE: "delete"}
_REASONS = {Action.DISABLE: "disable", Action.REMOVE: "delete"}


def plan_data(plan: Plan) -> dict[str, Plain]:
    """Give the plan as plain data; the part of ``format_version`` before the dot is for readers."""
    data = _body(plan)
    return {**data, "plan_digest": _digest(data)}


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
    return _digest(_body(plan))


def approval_digest(plan: Plan) -> str:
    """Give the digest of what a plan would do and to what, in the form of :func:`plan_digest`.

    It leaves out who planned it, when, with which version, from which commit and lines, and what
    follows in time, so that an approval on a branch holds for the commit that merges it.
    """
    return _digest(
        {
            "format": FORMAT,
            "project": plan.owner.project,
            "target": plan.owner.target,
            "workspace": plan.workspace,
            "changes": [approved(change) for change in plan.changes],
            "guards": sorted({guard.id for guard in plan.guards}),
        }
    )


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


def _digest(data: Plain) -> str:
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
        "dirty": list(plan.dirty),
        "resource_changes": [_change(change) for change in plan.changes],
        "resource_drift": list(_drift(plan)),
        "suppressed": [_suppressed(one) for one in plan.suppressed],
        "held": [_held(held) for held in plan.held],
        "guards": [
            {"id": guard.id, "message": guard.message, "allowable": guard.allowable}
            for guard in plan.guards
        ],
        "summary": {
            **{action.value: plan.count(action) for action in Action},
            "unchanged": plan.unchanged,
            # Rounded, because versions of Python add floats up differently.
            "runs_per_day": {"before": round(before, 6), "after": round(after, 6)},
            "fires_on_apply": plan.fires_on_apply,
        },
        "errored": False,
        "approval_digest": approval_digest(plan),
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
    return None if files is None else {"place": files.place, "matching": files.matching}


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


def read_plan(text: str, name: str = "the plan") -> Plan:
    """Read what :func:`plan_json` wrote; ``name`` stands for the text in messages.

    The version of the program that made it is for the caller to judge (``Plan.tool``).

    Raises:
        PlanFileError: no JSON, no plan, one of another format, or one that was changed since.
    """
    data = _document(text, name)
    digest = data.pop("plan_digest", None)
    if digest != _digest(data):
        raise PlanFileError(f"{name} was changed after it was made: {_NEW}")
    try:
        return _plan(data)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise PlanFileError(f"{name} lacks a part of a plan: {_NEW}") from error


_NEW = "make a new one: reconciler plan --out FILE"


def _document(text: str, name: str) -> dict[str, Any]:
    """Parse a plan and see that it is of a format that is known here."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanFileError(f"{name} is not JSON, perhaps it was cut off: {_NEW}") from error
    if not isinstance(data, dict) or not isinstance(data.get("format_version"), str):
        raise PlanFileError(f"{name} is not a plan of {TOOL}: {_NEW}")
    version = data["format_version"]
    major, known = version.partition(".")[0], FORMAT.partition(".")[0]
    if major != known:
        raise PlanFileError(f"{name} has format {version!r}, this version reads {known}.x: {_NEW}")
    return data


def _text(value: object) -> str:
    """Take what must be text.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _whole(value: object) -> int:
    """Take what must be a whole number, as :func:`_text` does."""
    if not isinstance(value, int):
        raise TypeError(value)
    return value


def _plan(data: dict[str, Any]) -> Plan:
    return Plan(
        owner=Owner(_text(data["project"]), _text(data["target"])),
        workspace=_text(data["workspace"]),
        changes=tuple(_change_of(change) for change in data["resource_changes"]),
        unchanged=_whole(data["summary"]["unchanged"]),
        as_of=parse_instant(data["as_of"]),
        tool=_text(data["tool"]["version"]),
        guards=tuple(
            Guard(_text(g["id"]), _text(g["message"]), g["allowable"]) for g in data["guards"]
        ),
        suppressed=tuple(
            Suppressed(
                _text(s["address"]), _text(s["path"]), Reason(s["reason"]), s["live"], s["desired"]
            )
            for s in data["suppressed"]
        ),
        held=tuple(_held_of(held) for held in data["held"]),
        commit=_text_or_none(data["commit"]),
        dirty=tuple(map(_text, data["dirty"])),
    )


def _change_of(data: dict[str, Any]) -> Change:
    files = data["files"]
    return Change(
        action=Action(data["action"]),
        kind=Kind(data["type"]),
        name=_text(data["name"]),
        cause=Cause(data["cause"]),
        fields=tuple(map(_field_of, data["fields"])),
        file=_text_or_none(data["file"]),
        line=data["line"],
        id=data["id"],
        revision=data["revision"],
        fingerprint=_text_or_none(data["fingerprint"]),
        before=_spec_of(data["change"]["before"]),
        after=_spec_of(data["change"]["after"]) if data["declared"] else None,
        digest=_text_or_none(data["digest"]),
        code_digest=_text_or_none(data["code_digest"]),
        pipeline_id=_text_or_none(data["pipeline_id"]),
        formerly=_text_or_none(data["formerly"]),
        protected=data["protected"],
        notes=tuple(map(_text, data["notes"])),
        impact=None if data["impact"] is None else _impact_of(data["impact"]),
        files=None if files is None else Files(_text(files["place"]), files["matching"]),
    )


def _field_of(data: dict[str, Any]) -> FieldChange:
    path, side = _text(data["path"]), Side(data["cause"])
    return FieldChange(path, data["live"], data["desired"], data["last_applied"], side)


def _spec_of(data: Plain) -> str | None:
    """Write a spec in its canonical form again; TypeError where it is none."""
    if data is None:
        return None
    trigger = data.get("trigger", {}) if isinstance(data, dict) else None
    if not isinstance(trigger, dict) or not all(
        isinstance(kind, dict) for kind in trigger.values()
    ):
        raise TypeError(data)
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


def _held_of(data: dict[str, Any]) -> Held:
    hold = Hold(
        who=_text(data["who"]),
        why=_text(data["why"]),
        since=parse_instant(data["since"]),
        until=_instant(data["until"]),
        catchup=Missed(data["catchup"]),
    )
    return Held(_text(data["name"]), hold)


def _impact_of(data: dict[str, Any]) -> Impact:
    # Imported where it is needed: only a saved plan wants it, and it brings the whole engine.
    from reconciler.plan.impact import ClockChange, Impact  # noqa: PLC0415

    return Impact(
        before=_timing_of(data["before"]),
        after=_timing_of(data["after"]),
        fires_on_apply=_whole(data["fires_on_apply"]),
        clock_changes=tuple(
            ClockChange(day=_text(c["day"]), due=parse_instant(c["due"]), text=_text(c["text"]))
            for c in data["clock_changes"]
        ),
        same_fires_until=_instant(data["same_fires_until"]),
        first_difference=_instant(data["first_difference"]),
    )


def _timing_of(data: dict[str, Any] | None) -> Timing | None:
    from reconciler.plan.impact import Timing  # noqa: PLC0415  (the same)

    if data is None:
        return None
    fires = tuple(parse_instant(fire) for fire in data["next_fires"])
    runs, days = _whole(data["runs"]), _whole(data["days"])
    return Timing(next_fires=fires, runs=runs, days=days, whole=data["whole"])


def _instant(text: str | None) -> int | None:
    return None if text is None else parse_instant(text)
