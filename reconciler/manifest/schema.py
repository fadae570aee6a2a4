"""JSON Schemas (draft 2020-12) for editors and other tools, generated from the declarations.

What a schema takes, the loader takes too, except where only the values know better (a circle of
steps, an interval beyond its limit, a variable of another type); what a schema refuses, the loader
refuses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reconciler.data import Datastore
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
    Partial,
    Record,
    Shape,
    record_of,
)
from reconciler.pipeline import Pipeline
from reconciler.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

DRAFT = "https://json-schema.org/draft/2020-12/schema"
# How ECMA-262, which JSON Schema's patterns are of, writes a reference to a variable.
REFERENCE = r"\$\{\{\s*variables\.[a-zA-Z_][a-zA-Z0-9_]*\s*\}\}"
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
    schema = _Writer(variables=bool(record.kind)).record(record)
    if record.kind:
        schema["required"] = ["kind", *schema["required"]]
        schema["properties"] = {
            "kind": {"const": record.kind, "description": "What the document declares."},
            **schema["properties"],
        }
    fragments = {shape.record.kind: shape.record for shape in _partials(record)}
    if fragments:
        writer = _Writer(variables=True, partial=True)
        schema["$defs"] = {kind: writer.record(part) for kind, part in sorted(fragments.items())}
    return {"$schema": DRAFT, "title": cls.__name__, **schema}


def _partials(shape: Shape) -> Iterator[Partial]:
    match shape:
        case Partial():
            yield shape
        case Record():
            for member in shape.members:
                yield from _partials(member.shape)
        case ListOf(below) | MapOf(below):
            yield from _partials(below)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes shapes as schemas.

    ``variables`` lets a reference to a variable stand for any scalar. ``partial`` describes what is
    merged into a manifest: nothing is required, and null removes a key.
    """

    variables: bool = False
    partial: bool = False

    def record(self, record: Record) -> dict[str, Any]:
        members = record.members
        if self.partial and record.kind:
            members = tuple(member for member in members if member.name not in Partial.OWN)
        required = [m.name for m in members if m.required and not self.partial]
        return {
            "type": "object",
            "description": (record.cls.__doc__ or "").split("\n\n")[0].replace("\n", " "),
            "additionalProperties": False,
            "required": required,
            "properties": {member.name: self._member(member) for member in members},
        }

    def _member(self, member: Member) -> dict[str, Any]:
        about = member.about
        schema = self.shape(member.shape)
        bound = schema
        if isinstance(member.shape, ListOf):
            bound = schema["items"]
            schema |= {"uniqueItems": True} if about.unique else {}
            schema |= {"minItems": 1} if about.non_empty else {}
        elif isinstance(member.shape, MapOf):
            bound = schema.setdefault("propertyNames", {}) if about.pattern else schema
        elif about.non_empty:
            schema["minLength"] = 1
        bounds = {"minimum": about.minimum, "maximum": about.maximum}
        bound |= {name: value for name, value in bounds.items() if value is not None}
        if about.pattern:
            scalar = self.variables and not isinstance(member.shape, MapOf)
            bound["pattern"] = f"(?:{about.pattern})|{REFERENCE}" if scalar else about.pattern
        schema.pop("description", None)
        schema = {"description": about.text, **schema}
        if about.examples:
            schema["examples"] = list(about.examples)
        if not member.required:
            schema = _or_null(schema)
            if member.default is not None and not self.partial:
                schema["default"] = plain(member.shape, member.default)
        return schema

    def shape(self, shape: Shape) -> dict[str, Any]:  # noqa: PLR0911  (an answer for each shape)
        match shape:
            case Partial(record):
                return {"$ref": f"#/$defs/{record.kind}"}
            case Record():
                return self.record(shape)
            case OneOf(records) if self.partial:
                parts = {tag: self.record(record) for tag, record in records.items()}
                return {"type": "object", "additionalProperties": False, "properties": parts}
            case OneOf(records):
                return {"oneOf": [self._tagged(tag, record) for tag, record in records.items()]}
            case ListOf(item):
                # A list is replaced as a whole, so its items are whole ones.
                return {"type": "array", "items": replace(self, partial=False).shape(item)}
            case MapOf(value):
                below = self.shape(value)
                below = _or_null(below) if self.partial else below
                return {"type": "object", "additionalProperties": below}
        return self._scalar(shape)

    def _scalar(self, shape: Leaf | Choice) -> dict[str, Any]:
        if isinstance(shape, Choice):
            words = {"enum": [str(member) for member in shape.enum]}
            if self.variables:
                return {"type": "string", "anyOf": [words, {"pattern": REFERENCE}]}
            return {"type": "string", **words}
        schema = dict(_LEAVES[shape])
        if self.variables and "pattern" in schema:
            schema["pattern"] = f"(?:{schema['pattern']})|{REFERENCE}"
        elif self.variables and isinstance(schema["type"], str) and schema["type"] != "string":
            schema |= {"type": [schema["type"], "string"], "pattern": f"^{REFERENCE}$"}
        return schema

    def _tagged(self, tag: str, record: Record) -> dict[str, Any]:
        return {
            "type": "object",
            "title": tag,
            "additionalProperties": False,
            "required": [tag],
            "properties": {tag: self.record(record)},
        }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Let an optional key stand without a value, as the loader does."""
    if "$ref" in schema:
        about = {key: value for key, value in schema.items() if key != "$ref"}
        return {**about, "anyOf": [{"$ref": schema["$ref"]}, {"type": "null"}]}
    types = schema["type"]
    schema["type"] = [*([types] if isinstance(types, str) else types), "null"]
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return schema
