"""The JSON Schema (draft 2020-12) of a plan, for those who read one with other tools.

Its own levels are closed; ``before``, ``after`` and values of fields are whatever a manifest says.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.plan.change import FORMAT, Action, Cause, Kind, Reason, Side
from reconciler.plan.codec import TOOL
from reconciler.schedule import Missed

if TYPE_CHECKING:
    from enum import StrEnum

    Schema = dict[str, Any]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_MAJOR = FORMAT.partition(".")[0]


def plan_schema() -> Schema:
    """Give the schema of what :func:`reconciler.plan.codec.plan_json` writes."""
    counts = {action.value: _COUNT for action in Action}
    per_day = _object("Runs a day of all that changes.", before=_NUMBER, after=_NUMBER)
    base = _told(_TEXT, "Of an offline plan: the commit that stood for the workspace.")
    return {
        "$schema": _DRAFT,
        "title": "Plan",
        **_with(
            {"base": base},
            "What an apply would do to one workspace on behalf of one target of a project.",
            format_version=_told(
                {"type": "string", "pattern": rf"^{_MAJOR}\.[0-9]+$"},
                "Another number before the dot means that a reader has to change.",
            ),
            tool=_object("What made the plan.", name={"const": TOOL}, version=_TEXT),
            as_of=_told(_INSTANT, "The instant that the plan means by now."),
            project=_TEXT,
            target=_TEXT,
            workspace=_TEXT,
            commit=_told(_or_null(_TEXT), "The commit that was read; null outside Git."),
            dirty=_told(_list(_TEXT), "Uncommitted files that the plan includes."),
            resource_changes=_list(_change()),
            resource_drift=_list(_drift()),
            suppressed=_list(_suppressed()),
            held=_list(_held()),
            guards=_list(_guard()),
            warnings=_list(_warning()),
            summary=_object(
                "The plan in numbers.",
                **counts,
                unchanged=_COUNT,
                runs_per_day=per_day,
                fires_on_apply=_COUNT,
            ),
            errored={"const": False},
            approval_digest=_told(
                _or_null(_DIGEST),
                "Covers what would be done, and to what; null where nobody can approve that.",
            ),
            plan_digest=_told(_DIGEST, "Covers everything else in this document."),
        ),
    }


def plan_schema_text() -> str:
    """Give the text of the published file."""
    return json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n"


def _object(description: str, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def _with(optional: dict[str, Schema], description: str, **properties: Schema) -> Schema:
    """Give the schema of an object that may have ``optional`` members as well."""
    made = _object(description, **properties)
    return {**made, "properties": properties | optional}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _one_of(words: type[StrEnum]) -> Schema:
    return {"enum": [word.value for word in words]}


def _told(schema: Schema, description: str) -> Schema:
    return {"description": description, **schema}


_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number", "minimum": 0}
_FLAG: Schema = {"type": "boolean"}
_ANYTHING: Schema = {}
_DIGEST: Schema = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
_INSTANT: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{6})?Z$",
}


def _change() -> Schema:
    reasons = [f"{verb}_because_{cause.value}" for verb in ("disable", "delete") for cause in Cause]
    return _object(
        "What would be done to one object.",
        address=_told(_TEXT, "Kind.name"),
        type=_one_of(Kind),
        name=_TEXT,
        previous_address=_told(_or_null(_TEXT), "Of a rename: the address it takes away."),
        change=_terraform(),
        action_reason=_or_null({"enum": reasons}),
        action=_told(_one_of(Action), "What is done, in our own words."),
        cause=_one_of(Cause),
        declared=_told(_FLAG, "Whether a manifest declares the object."),
        id=_or_null(_TEXT),
        revision=_or_null(_COUNT),
        fingerprint=_told(_or_null(_TEXT), "A digest of what the live object says."),
        file=_or_null(_TEXT),
        line=_or_null(_COUNT),
        notes=_list(_TEXT),
        fields=_list(_field()),
        pipeline_id=_or_null(_TEXT),
        digest=_told(_or_null(_TEXT), "Covers a pipeline's spec and code."),
        code_digest=_or_null(_TEXT),
        protected=_FLAG,
        formerly=_told(_or_null(_TEXT), "The name or the owner that the change takes away."),
        impact=_or_null(_impact()),
        files=_or_null(_files()),
    )


def _terraform() -> Schema:
    spec = _or_null({"type": "object"})
    nothing = {"type": "object", "maxProperties": 0}
    return _object(
        "In the shape and the words of Terraform's plans.",
        actions={
            "type": "array",
            "items": {"enum": ["create", "update", "delete"]},
            "minItems": 1,
            "maxItems": 1,
        },
        before=spec,
        after=spec,
        before_sensitive=nothing,
        after_sensitive=nothing,
        after_unknown=nothing,
    )


def _field() -> Schema:
    return _object(
        "One field that differs; null stands for absent.",
        path=_TEXT,
        last_applied=_ANYTHING,
        desired=_ANYTHING,
        live=_ANYTHING,
        cause=_told(_one_of(Side), "Who made it differ: Git, somebody on the live object, both."),
    )


def _drift() -> Schema:
    return _object(
        "The fields that somebody set on one live object: from what was applied to what is.",
        address=_TEXT,
        type=_one_of(Kind),
        name=_TEXT,
        change=_terraform(),
        fields=_list(_field()),
    )


def _suppressed() -> Schema:
    return _object(
        "A difference that is left alone.",
        address=_TEXT,
        path=_TEXT,
        reason=_one_of(Reason),
        live=_ANYTHING,
        desired=_ANYTHING,
    )


def _held() -> Schema:
    return _object(
        "A schedule that is held.",
        name=_TEXT,
        who=_TEXT,
        why=_TEXT,
        since=_INSTANT,
        until=_or_null(_INSTANT),
        catchup=_one_of(Missed),
    )


def _guard() -> Schema:
    return _object("Something that blocks the plan.", id=_TEXT, message=_TEXT, allowable=_FLAG)


def _warning() -> Schema:
    return _object(
        "Something to look at that blocks nothing.",
        id=_TEXT,
        message=_TEXT,
        file=_TEXT,
        line=_COUNT,
        column=_COUNT,
        objects=_told(_list(_TEXT), "The addresses of what takes part."),
    )


def _impact() -> Schema:
    return _object(
        "What the change does to the fires of a schedule.",
        before=_or_null(_timing()),
        after=_or_null(_timing()),
        fires_on_apply=_told(_COUNT, "1 where applying makes it run at once."),
        clock_changes=_list(
            _object("A day on which the clock changes.", day=_TEXT, due=_INSTANT, text=_TEXT)
        ),
        same_fires_until=_or_null(_INSTANT),
        first_difference=_or_null(_INSTANT),
    )


def _timing() -> Schema:
    return _object(
        "When it fires by the clock, and how often.",
        next_fires=_told(_list(_INSTANT), "Three at most."),
        runs=_told(_COUNT, "How many runs there are in the next days."),
        days=_COUNT,
        whole=_told(_FLAG, "Whether it fires throughout those days."),
        per_day=_NUMBER,
    )


def _files() -> Schema:
    return _object(
        "Files of a new data path that are there already.",
        place=_TEXT,
        matching=_told(_or_null(_COUNT), "null where they are not visible from here."),
        more=_told(_FLAG, "Whether there are more than were counted."),
        initial=_told(_FLAG, "Whether the schedule asks for them (initial: trigger)."),
        fires=_told(
            _or_null(_COUNT),
            "How many runs they make at once when the plan is applied; null where nobody can tell.",
        ),
    )
