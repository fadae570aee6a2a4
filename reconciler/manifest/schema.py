"""JSON Schemas (draft 2020-12) for editors and other tools, generated from the declarations.

What a schema takes, the loader takes too, except where only the values know better (a circle of
steps, an interval beyond its limit); what a schema refuses, the loader refuses.
"""

from __future__ import annotations

import json
from typing import Any

from reconciler.manifest.emit import plain
from reconciler.manifest.project import Project
from reconciler.manifest.scalars import MOMENT
from reconciler.manifest.shape import (
    Choice,
    Leaf,
    ListOf,
    MapOf,
    Member,
    OneOf,
    Record,
    Shape,
    record_of,
)
from reconciler.pipeline import Pipeline
from reconciler.schedule import Datastore, Schedule

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_FILES = {
    "schedule.schema.json": Schedule,
    "pipeline.schema.json": Pipeline,
    "datastore.schema.json": Datastore,
    "project.schema.json": Project,
}
_LEAVES: dict[Leaf, dict[str, Any]] = {
    Leaf.TEXT: {"type": "string"},
    Leaf.WHOLE: {"type": "integer"},
    Leaf.NUMBER: {"type": "number"},
    Leaf.BOOLEAN: {"type": "boolean"},
    Leaf.SCALAR: {"type": ["string", "number", "boolean"]},
    Leaf.MOMENT: {"type": "string", "pattern": f"^{MOMENT.pattern}$"},
    Leaf.DURATION: {
        "type": "string",
        "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
    },
}


def schemas() -> dict[str, dict[str, Any]]:
    """Give every schema by its file name."""
    return {name: json_schema(cls) for name, cls in _FILES.items()}


def schema_text(name: str) -> str:
    """Give the text of the file ``name``.

    Raises:
        KeyError: there is no such schema.
    """
    return json.dumps(json_schema(_FILES[name]), indent=2, ensure_ascii=False) + "\n"


def json_schema(cls: Any) -> dict[str, Any]:  # noqa: ANN401  (any declared dataclass)
    """Describe the documents that become a ``cls``."""
    record = record_of(cls)
    schema = _record(record)
    if record.kind:
        schema["required"] = ["kind", *schema["required"]]
        schema["properties"] = {
            "kind": {"const": record.kind, "description": "What the document declares."},
            **schema["properties"],
        }
    return {"$schema": DRAFT, "title": cls.__name__, **schema}


def _record(record: Record) -> dict[str, Any]:
    return {
        "type": "object",
        "description": (record.cls.__doc__ or "").split("\n\n")[0].replace("\n", " "),
        "additionalProperties": False,
        "required": [member.name for member in record.members if member.required],
        "properties": {member.name: _member(member) for member in record.members},
    }


def _member(member: Member) -> dict[str, Any]:
    about = member.about
    schema = _shape(member.shape)
    bound = schema
    if isinstance(member.shape, ListOf):
        bound = schema["items"]
        schema |= {"uniqueItems": True} if about.unique else {}
        schema |= {"minItems": 1} if about.non_empty else {}
    elif isinstance(member.shape, MapOf):
        bound = schema.setdefault("propertyNames", {}) if about.pattern else schema
    elif about.non_empty:
        schema["minLength"] = 1
    bounds = {"minimum": about.minimum, "maximum": about.maximum, "pattern": about.pattern}
    bound |= {name: value for name, value in bounds.items() if value is not None}
    schema = {"description": about.text, **{k: v for k, v in schema.items() if k != "description"}}
    if about.examples:
        schema["examples"] = list(about.examples)
    if not member.required:
        _allow_null(schema)
        if member.default is not None:
            schema["default"] = plain(member.shape, member.default)
    return schema


def _allow_null(schema: dict[str, Any]) -> None:
    """Let an optional key stand without a value, as the loader does."""
    types = schema["type"]
    schema["type"] = [*([types] if isinstance(types, str) else types), "null"]
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]


def _shape(shape: Shape) -> dict[str, Any]:
    match shape:
        case Record():
            return _record(shape)
        case OneOf(records):
            return {"oneOf": [_tagged(tag, record) for tag, record in records.items()]}
        case ListOf(item):
            return {"type": "array", "items": _shape(item)}
        case MapOf(value):
            return {"type": "object", "additionalProperties": _shape(value)}
        case Choice(enum):
            return {"type": "string", "enum": [str(member) for member in enum]}
    return dict(_LEAVES[shape])


def _tagged(tag: str, record: Record) -> dict[str, Any]:
    return {
        "type": "object",
        "title": tag,
        "additionalProperties": False,
        "required": [tag],
        "properties": {tag: _record(record)},
    }
