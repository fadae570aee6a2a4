"""The shape of a value, read from its declaration.

A dataclass whose fields were declared with :func:`reconciler.fields.field` is described here once,
as a tree of a few plain shapes. The builder (:mod:`reconciler.manifest.build`), the JSON Schema
(:mod:`reconciler.manifest.schema`) and the emitter (:mod:`reconciler.manifest.emit`) walk it.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from functools import cache
from typing import Any, ClassVar

from reconciler.fields import About, Scalar
from reconciler.manifest.fragment import Fragment


class Leaf(Enum):
    """What a scalar stands for; the value says it in words, as an error message needs it."""

    TEXT = "text"
    WHOLE = "a whole number"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    SCALAR = "text, a number, or true or false"
    MOMENT = "a wall-clock time like 2026-01-31T09:00:00"
    DURATION = "a duration like 30s, 5m, 1h30m or 2d"


@dataclass(frozen=True, slots=True)
class Choice:
    """One word of an enumeration."""

    enum: type[StrEnum]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A sequence of values of one shape."""

    item: Shape


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping from any text to values of one shape."""

    value: Shape


@dataclass(frozen=True, slots=True)
class Member:
    """One field of a record. ``default`` is a Python value; it means nothing where required."""

    name: str
    shape: Shape
    about: About
    required: bool
    default: Any


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys; becomes a ``cls``. ``kind`` is empty where it is no document."""

    cls: type
    kind: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """A mapping with exactly one key, the tag, which says what stands under it."""

    records: Mapping[str, Record]


@dataclass(frozen=True, slots=True)
class Partial:
    """Some of the keys of a document; becomes a :class:`Fragment`."""

    record: Record

    OWN: ClassVar[frozenset[str]] = frozenset(("kind", "name", "renamed_from"))
    """What says which object a document is, and so stands only there."""


Shape = Leaf | Choice | ListOf | MapOf | Record | OneOf | Partial

_LEAVES: Mapping[Any, Leaf] = {
    str: Leaf.TEXT,
    int: Leaf.WHOLE,
    float: Leaf.NUMBER,
    bool: Leaf.BOOLEAN,
    datetime: Leaf.MOMENT,
    timedelta: Leaf.DURATION,
}
_SCALARS = set(typing.get_args(Scalar))


@cache
def record_of(cls: type) -> Record:
    """Describe a dataclass whose fields carry an ``About``; one without it is no key."""
    hints = typing.get_type_hints(cls)
    members = tuple(
        _member(field, hints[field.name])
        for field in dataclasses.fields(cls)
        if "about" in field.metadata
    )
    return Record(cls, getattr(cls, "KIND", ""), members)


def _member(field: dataclasses.Field[Any], hint: object) -> Member:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    required = default is dataclasses.MISSING
    return Member(field.name, _shape(hint), field.metadata["about"], required, default)


def _shape(hint: Any) -> Shape:  # noqa: ANN401, PLR0911  (a type expression is Any; one answer a kind)
    if hint in _LEAVES:
        return _LEAVES[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return ListOf(_shape(arguments[0]))
    if origin is Mapping:
        return MapOf(_shape(arguments[1]))
    if origin is Fragment:
        return Partial(record_of(arguments[0]))
    if origin in {types.UnionType, typing.Union}:
        present = [argument for argument in arguments if argument is not types.NoneType]
        if len(present) == 1:
            return _shape(present[0])
        if set(present) == _SCALARS:
            return Leaf.SCALAR
        return OneOf({cls.TAG: record_of(cls) for cls in present})
    if issubclass(hint, StrEnum):
        return Choice(hint)
    return record_of(hint)
