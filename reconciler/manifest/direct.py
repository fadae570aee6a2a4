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


class Detour(Exception):
    """Only the builder can tell what this is."""


@cache
def direct(cls: type) -> Read:
    """Compile what reads a value of ``cls`` from plain data.

    It raises Detour, KeyError, TypeError or ValueError where it cannot.
    """
    return _record(record_of(cls))


def _value(shape: Shape, about: About, key: str) -> Read:
    match shape:
        case Record():
            return _record(shape)
        case OneOf(records):
            return _one_of({tag: _record(record) for tag, record in records.items()})
        case ListOf(item):
            return _list(_value(item, replace(about, non_empty=False), key), about)
        case MapOf(value):
            return _map(_value(value, About(text=""), key), about)
        case Partial():
            return _detour
    accepted, read = reading(shape, about, key)

    def scalar(data: Any) -> Any:  # noqa: ANN401
        if type(data) not in accepted:
            raise Detour
        return data if read is None else read(data)

    return scalar


def _record(record: Record) -> Read:
    cls = record.cls
    members = {m.name: _value(m.shape, m.about, m.name) for m in record.members}

    def read(data: Any) -> Any:  # noqa: ANN401
        if type(data) is not dict:
            raise Detour
        return cls(**{name: members[name](part) for name, part in data.items()})

    return read


def _one_of(records: dict[str, Read]) -> Read:
    def read(data: Any) -> Any:  # noqa: ANN401
        if type(data) is not dict:
            raise Detour
        ((tag, part),) = data.items()
        return records[tag](part)

    return read


def _list(item: Read, about: About) -> Read:
    def read(data: Any) -> Any:  # noqa: ANN401
        if type(data) is not list or about.non_empty > len(data):
            raise Detour
        values = tuple(map(item, data))
        if about.unique and len(set(values)) < len(values):
            raise Detour
        return values

    return read


def _map(value: Read, about: About) -> Read:
    pattern = compiled(about)

    def read(data: Any) -> Any:  # noqa: ANN401
        if type(data) is not dict:
            raise Detour
        for name in data:
            if type(name) is not str or (pattern and not pattern.search(name)):
                raise Detour
        return {name: value(part) for name, part in data.items()}

    return read


def _detour(_: object) -> Any:  # noqa: ANN401
    raise Detour
