"""A plan that was saved, read back; what an older version left out is as it was then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.clock import parse_instant
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
    PlanWarning,
    Reason,
    Side,
    Suppressed,
)
from reconciler.plan.codec import TOOL, json_digest
from reconciler.schedule import Missed

if TYPE_CHECKING:
    from reconciler.plan.change import Plain
    from reconciler.plan.impact import Impact, Timing


def read_plan(text: str, name: str = "the plan") -> Plan:
    """Read what :func:`reconciler.plan.codec.plan_json` wrote.

    ``name`` stands for the text in messages. The version of the program that made it is for the
    caller to judge (``Plan.tool``).

    Raises:
        PlanFileError: no JSON, no plan, one of another format, or one that was changed since.
    """
    data = _document(text, name)
    digest = data.pop("plan_digest", None)
    if digest != json_digest(data):
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
        warnings=tuple(map(_warning_of, data.get("warnings", ()))),
        suppressed=tuple(
            Suppressed(
                _text(s["address"]), _text(s["path"]), Reason(s["reason"]), s["live"], s["desired"]
            )
            for s in data["suppressed"]
        ),
        held=tuple(_held_of(held) for held in data["held"]),
        commit=_text_or_none(data["commit"]),
        dirty=tuple(map(_text, data["dirty"])),
        base=_text_or_none(data.get("base")),
    )


def _warning_of(data: dict[str, Any]) -> PlanWarning:
    return PlanWarning(
        file=_text(data["file"]),
        line=_whole(data["line"]),
        column=_whole(data["column"]),
        id=_text(data["id"]),
        message=_text(data["message"]),
        objects=tuple(map(_text, data["objects"])),
    )


def _files_of(data: dict[str, Any] | None) -> Files | None:
    if data is None:
        return None
    return Files(
        place=_text(data["place"]),
        matching=None if data["matching"] is None else _whole(data["matching"]),
        more=data.get("more", False),
        initial=data.get("initial", False),
        fires=None if data.get("fires", 0) is None else _whole(data.get("fires", 0)),
    )


def _change_of(data: dict[str, Any]) -> Change:
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
        files=_files_of(data["files"]),
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
