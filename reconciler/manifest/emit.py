"""Values to plain data and YAML, in one canonical form, and plain data back to values."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.errors import InvalidValue
from reconciler.fields import duration_text
from reconciler.manifest.build import builder
from reconciler.manifest.direct import Detour, direct
from reconciler.manifest.scalars import ABSENT
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
from reconciler.manifest.yaml12 import MAX_DEPTH, Node, resolve

if TYPE_CHECKING:
    from reconciler.manifest.scalars import Faults

T = TypeVar("T")
Value = Any  # an instance of any declared dataclass
Path = tuple[str | int, ...]
Write = Callable[[Any], Any]

_WIDTH = 100
# What needs no quotes anywhere: no indicator, no space at an end, no ': ', no ' #'.
_PLAIN = re.compile(r"(?:--?(?=[a-z]))?[\w/.$(](?:[\w/.$()+=@^~'-]|[ :](?![ #:]|$))*", re.ASCII)
_OLD_BOOLEANS = frozenset(("yes", "no", "on", "off", "y", "n"))
_OLD_NUMBER = re.compile(r"[.0-9][-+.:_0-9a-fx]*(?:[ t].*)?$|\.(?:inf|nan)$", re.IGNORECASE)
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
# Lines of text that a literal block (`|`) keeps as they are.
_BLOCK = re.compile(
    r"[^\s\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]"
    r"(?:[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]*[^\s\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff])?\n?"
)


def to_data(value: Value, *, defaults: bool = False) -> dict[str, Any]:
    """Turn a declared value into dicts, lists, texts, numbers and booleans.

    The form is canonical: keys in declaration order, fields at their default left out (or kept,
    with ``defaults``), enums, times and durations as text, a trigger as ``{tag: {...}}``. Without
    ``kind``.
    """
    return _emitter(value.__class__, defaults)(value)  # type: ignore[no-any-return]


def plain(shape: Shape, value: Any) -> Any:  # noqa: ANN401  (any value, to any plain data)
    """Turn a value of ``shape`` into plain data."""
    return None if value is None else _writer(shape, defaults=False)(value)


@cache
def _emitter(cls: type, defaults: bool) -> Write:  # noqa: FBT001  (a key of the cache)
    return _record(record_of(cls), defaults=defaults)


def _writer(shape: Shape, *, defaults: bool) -> Write:  # noqa: PLR0911  (an answer for each shape)
    """Compile what turns a value of ``shape``, never None, into plain data."""
    match shape:
        case Record():
            return _record(shape, defaults=defaults)
        case OneOf(records):
            writers = {tag: _record(one, defaults=defaults) for tag, one in records.items()}
            return lambda value: {value.TAG: writers[value.TAG](value)}
        case ListOf(item):
            write = _writer(item, defaults=defaults)
            return lambda value: [write(one) for one in value]
        case MapOf(item):
            write = _writer(item, defaults=defaults)
            return lambda value: {key: write(one) for key, one in value.items()}
        case Partial():
            return attrgetter("data")
        case Choice():
            return str
        case Leaf.MOMENT:
            return methodcaller("isoformat")
        case Leaf.DURATION:
            return duration_text
        case Leaf.NUMBER:
            return _number
    return _same


def _record(record: Record, *, defaults: bool) -> Write:
    members = [
        (m.name, m.default, defaults or m.required, _writer(m.shape, defaults=defaults))
        for m in record.members
    ]

    def write(value: object) -> dict[str, Any]:
        data = {}
        for name, default, always, write_part in members:
            part = getattr(value, name)
            if always or part != default:
                data[name] = None if part is None else write_part(part)
        return data

    return write


def _number(value: float) -> float:
    whole = int(value)  # 5 and 5.0 are the same number and get one spelling
    return whole if whole == value else value


def _same(value: Any) -> Any:  # noqa: ANN401  (what is plain already)
    return value


def from_data(cls: type[T], data: Mapping[str, Any]) -> T:
    """Build a value from plain data by the rules of a manifest; ``kind`` may be there or not.

    Raises:
        InvalidValue: with the path of each fault.
    """
    declared: Any = cls
    with suppress(Detour, KeyError, TypeError, ValueError):
        return direct(declared)(data)  # type: ignore[no-any-return]
    paths: list[Path] = []
    faults: Faults = []
    value: T = builder(declared)(_node(data, (), paths), faults)
    if value is ABSENT:
        faults.append((0, 0, f"a {record_of(declared).kind or cls.__name__} must be a mapping"))
    if faults:
        raise InvalidValue((paths[line], message) for line, _, message in faults)
    return value


def _node(data: object, path: Path, paths: list[Path]) -> Node:
    """Turn plain data into a node; its line is the index of its path in ``paths``."""
    line = len(paths)
    paths.append(path)
    if len(path) > MAX_DEPTH:
        raise InvalidValue([(path, f"nested more than {MAX_DEPTH} levels deep; flatten it")])
    if isinstance(data, Mapping):
        entries = {}
        for key, value in data.items():
            child = _node(value, (*path, str(key)), paths)
            entries[str(key)] = (child.line, 0, child)
        return Node(entries, line, 0)
    if isinstance(data, list | tuple):
        return Node([_node(one, (*path, at), paths) for at, one in enumerate(data)], line, 0)
    if isinstance(data, str):
        return Node(str(data), line, 0, '"')
    if data is None or isinstance(data, bool | int | float):
        return Node(scalar_text(data), line, 0)
    raise InvalidValue([(path, f"a {type(data).__name__} is not plain data; give text instead")])


def scalar_text(value: object) -> str:
    """Write a scalar that is no text as the core schema of YAML 1.2 spells it."""
    if value is None:
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf"
    return repr(value).lower() if isinstance(value, bool) else repr(value)


def to_yaml(value: Value, schema: str = "") -> str:
    """Write the manifest of a declared value; loading it gives the same value again.

    ``schema`` is the path or URL of its JSON Schema, for editors. What the value's class fills in
    by itself is left out.
    """
    record = record_of(value.__class__)
    full = to_data(value)
    data = {"kind": record.kind} if record.kind else {}
    for member in record.members:
        if member.name in full and not _implied(value, member):
            data[member.name] = full[member.name]
    head = [f"# yaml-language-server: $schema={schema}"] if schema else []
    return "\n".join([*head, *mapping_lines(data, "")]) + "\n"


def _implied(value: Value, member: Member) -> bool:
    """Tell whether the class gives the field this very value where nothing is written."""
    if member.required:
        return False
    try:
        return bool(dataclasses.replace(value, **{member.name: member.default}) == value)
    except InvalidValue:
        return False


def mapping_lines(data: Mapping[str, Any], indent: str) -> list[str]:
    """Write the entries of a mapping in block form, behind ``indent``; lines without breaks."""
    lines = []
    for name, value in data.items():
        key = _text(name)
        # A key of more than 1024 characters needs the form that says it is one.
        start = f"{indent}{key}:" if len(key) < 1_000 else f"{indent}? {key}\n{indent}:"
        lines += entry_lines(start, value, indent)
    return lines


def entry_lines(start: str, value: Any, indent: str) -> list[str]:  # noqa: ANN401  (plain data)
    """Write a value behind ``start``, a key or a dash, on its line or below it."""
    if isinstance(value, dict) and value:
        return [start, *mapping_lines(value, indent + "  ")]
    if isinstance(value, list):
        line = f"{start} {inline(value)}"
        if all(isinstance(one, str | int | float) for one in value) and len(line) <= _WIDTH:
            return [line]
        return [start, *(line for one in value for line in item_lines(one, indent + "  "))]
    if isinstance(value, str) and "\n" in value and _BLOCK.fullmatch(value):
        sign = "|" if value.endswith("\n") else "|-"
        body = value.removesuffix("\n").split("\n")
        return [f"{start} {sign}", *(f"{indent}  {line}" if line else "" for line in body)]
    return [f"{start} {inline(value)}"]


def item_lines(value: Any, indent: str) -> list[str]:  # noqa: ANN401  (plain data)
    """Write an item of a list in block form, its dash behind ``indent``."""
    if isinstance(value, dict) and value:
        first, *rest = mapping_lines(value, indent + "  ")
        return [f"{indent}- {first.lstrip()}", *rest]
    return entry_lines(f"{indent}-", value, indent)


def inline(value: Any) -> str:  # noqa: ANN401  (plain data)
    """Write plain data on one line, collections in flow form."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(key)}: {inline(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    return scalar_text(value)


def _text(text: str) -> str:
    """Write a text on one line, without quotes where nobody could read it as something else."""
    if _PLAIN.fullmatch(text) and _is_text(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def _is_text(text: str) -> bool:
    # Quoted too: what YAML 1.1, which most other tools still speak, takes for something else.
    if text.lower() in _OLD_BOOLEANS or _OLD_NUMBER.match(text):
        return False
    return isinstance(resolve(text), str)
