"""Plain data to values at once, where they are as the emitter writes them.

It knows the rules of :mod:`reconciler.manifest.build` and nothing to say about what breaks them:
anything unusual is a :class:`Detour`, and the builder finds out what it is. A runner reads a
schedule's spec at each fire, so this is what most of a fire's time would go into.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from reconciler.fields import About
from reconciler.manifest.scalars import compiled, reading
from reconciler.manifest.shape import ListOf, MapOf, OneOf, Partial, Record, record_of

if TYPE_CHECKING:
    from reconciler.manifest.shape import Shape

Read = Callable[[Any], Any]
Part = tuple[frozenset[type], Read | None]

_MAPPING = frozenset({dict})
_LIST = frozenset({list})


class Detour(Exception):
    """Only the builder can tell what this is."""


@cache
def direct(cls: type) -> Read:
    """Compile what reads a value of ``cls`` from plain data.

    It raises Detour, KeyError, TypeError or ValueError where it cannot.
    """
    read = _record(record_of(cls))

    def whole(data: Any) -> Any:  # noqa: ANN401
        if type(data) is not dict:
            raise Detour
        return read(data)

    return whole


def _part(shape: Shape, about: About, key: str) -> Part:
    """Give the types that the plain data may have, and what reads it; None for what stays."""
    match shape:
        case Record():
            return _MAPPING, _record(shape)
        case OneOf(records):
            return _MAPPING, _one_of({tag: _record(record) for tag, record in records.items()})
        case ListOf(item):
            return _LIST, _list(_part(item, replace(about, non_empty=False), key), about)
        case MapOf(value):
            return _MAPPING, _map(_part(value, About(text=""), key), about)
        case Partial():
            return frozenset(), None
    return reading(shape, about, key)


def _record(record: Record) -> Read:
    cls = record.cls
    members = {m.name: _part(m.shape, m.about, m.name) for m in record.members}

    def read(data: Any) -> Any:  # noqa: ANN401
        values = {}
        for name, part in data.items():
            accepted, read_part = members[name]
            if type(part) not in accepted:
                raise Detour
            values[name] = part if read_part is None else read_part(part)
        return cls(**values)

    return read


def _one_of(records: dict[str, Read]) -> Read:
    def read(data: Any) -> Any:  # noqa: ANN401
        ((tag, part),) = data.items()
        if type(part) is not dict:
            raise Detour
        return records[tag](part)

    return read


def _list(item: Part, about: About) -> Read:
    accepted, read_item = item

    def read(data: Any) -> Any:  # noqa: ANN401
        if about.non_empty > len(data) or not accepted.issuperset(map(type, data)):
            raise Detour
        values = tuple(data if read_item is None else map(read_item, data))
        if about.unique and len(set(values)) < len(values):
            raise Detour
        return values

    return read


def _map(value: Part, about: About) -> Read:
    pattern = compiled(about)
    accepted, read_value = value

    def read(data: Any) -> Any:  # noqa: ANN401
        if not accepted.issuperset(map(type, data.values())):
            raise Detour
        for name in data:
            if type(name) is not str or (pattern and not pattern.search(name)):
                raise Detour
        if read_value is None:
            return dict(data)
        return {name: read_value(part) for name, part in data.items()}

    return read
