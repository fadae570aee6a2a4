"""Nodes to values: every declared class compiled into a fast builder that collects all faults.

A builder takes a node and a list of faults, (line, column, message) each, and gives the value,
``ABSENT`` where null is written, or ``FAILED`` after adding at least one fault. It checks types,
words, bounds and patterns from the declaration; what only the class knows comes out of its
constructor as :class:`InvalidValue` and is located here.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from reconciler.errors import InvalidValue
from reconciler.fields import About
from reconciler.manifest.answers import ANSWERS
from reconciler.manifest.fragment import Fragment
from reconciler.manifest.scalars import (
    ABSENT,
    FAILED,
    Build,
    Faults,
    Missing,
    compiled,
    fault,
    is_null,
    nearest,
    scalar,
    words_of_list,
)
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
from reconciler.manifest.syntax import shown
from reconciler.manifest.yaml12 import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.manifest.yaml12 import Entries, Node


# From this many faults on, nobody reads what a key was meant to be, and finding out is slow.
_ENOUGH = 100


def builder(cls: type) -> Build:
    """Compile a declared dataclass, once."""
    return _compiled(cls)


@cache
def _compiled(cls: type) -> Build:
    return _record(record_of(cls))


def find(node: Node, path: Iterable[str | int]) -> Node:
    """Follow ``path`` down from ``node`` as far as it leads."""
    for step in path:
        value = node.value
        if isinstance(value, dict) and isinstance(step, str) and step in value:
            node = value[step][2]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            node = value[step]
        else:
            break
    return node


def _compile(shape: Shape, about: About, key: str) -> Build:
    if isinstance(shape, Record):
        return _record(shape, key)
    if isinstance(shape, OneOf):
        return _one_of(shape, key)
    if isinstance(shape, ListOf):
        return _list(shape, about, key)
    if isinstance(shape, MapOf):
        return _map(shape, about, key)
    if isinstance(shape, Partial):
        return _fragment(shape)
    return scalar(shape, about, key)


def _list(shape: ListOf, about: About, key: str) -> Build:
    item = shape.item
    if isinstance(item, Leaf | Choice):
        build_item = scalar(item, replace(about, non_empty=False), key, many="each of ")
    else:
        build_item = _compile(item, about, f"each of {key}")

    def build(node: Node, faults: Faults) -> Any:  # noqa: ANN401
        nodes = node.value
        if not isinstance(nodes, list):
            return ABSENT if is_null(node) else fault(faults, node, _not_a_list(item, key, node))
        before = len(faults)
        values = [build_item(child, faults) for child in nodes]
        if about.non_empty and not values:
            fault(faults, node, f"{key} must not be empty")
        for child, value in zip(nodes, values, strict=True):
            if value is ABSENT:
                fault(faults, child, f"an item of {key} is empty; write a value or remove it")
        if len(faults) > before:
            return FAILED
        if about.unique and len(set(values)) < len(values):
            at = next(at for at, value in enumerate(values) if value in values[:at])
            return fault(faults, nodes[at], f"{key} has {shown(str(values[at]))} twice; remove one")
        return tuple(values)

    return build


def _not_a_list(item: Shape, key: str, node: Node) -> str:
    if not isinstance(node.value, str):
        return f"{key} must be a list, not a mapping"
    if isinstance(item, Choice):
        return words_of_list(key, item)
    return f"{key} must be a list; write [{shown(', '.join(node.value.split()))[1:-1]}]"


def _map(shape: MapOf, about: About, key: str) -> Build:
    value_shape = shape.value
    if isinstance(value_shape, Leaf | Choice):
        item = About(text="", hushed=about.hushed)
        build_value = scalar(value_shape, item, key, many="each value of ")
    else:
        build_value = _compile(value_shape, About(text=""), f"each value of {key}")
    pattern = compiled(about)

    def build(node: Node, faults: Faults) -> Any:  # noqa: ANN401
        entries = node.value
        if not isinstance(entries, dict):
            if is_null(node):
                return ABSENT
            return fault(faults, node, f"{key} must be a mapping; write name: value lines under it")
        before = len(faults)
        values = {}
        for name, (line, column, child) in entries.items():
            if pattern and not pattern.search(name):
                message = f"{shown(name)} is not accepted as a name in {key}; {about.hint}"
                faults.append((line, column, message))
            value = build_value(child, faults)
            if value is ABSENT:
                fault(faults, child, f"{shown(name)} in {key} is empty; write a value or remove it")
            values[name] = value
        return FAILED if len(faults) > before else values

    return build


def _record(record: Record, key: str = "") -> Build:
    cls, label = record.cls, key or record.kind or record.cls.__name__.lower()
    members = {m.name: _compile(m.shape, m.about, m.name) for m in record.members}
    required = frozenset(member.name for member in record.members if member.required)
    if record.kind:
        members["kind"] = _constant(record.kind)
    known = members.keys()

    def build(node: Node, faults: Faults) -> Any:  # noqa: ANN401
        entries = node.value
        if not isinstance(entries, dict):
            if is_null(node):
                return ABSENT
            return fault(faults, node, f"{label} must be a mapping; {_instead_of(record, node)}")
        before = len(faults)
        values = {}
        for name, (_, _, child) in entries.items():
            member = members.get(name)
            if member is not None and (value := member(child, faults)) is not ABSENT:
                values[name] = value
        if not known >= entries.keys() or not values.keys() >= required:
            _report_keys(record, node, entries, values, faults)
        return FAILED if len(faults) > before else _construct(cls, values, node, faults)

    return build


# What is to be merged into a manifest makes no value yet, so every key may be missing and null,
# which removes a key, may stand wherever the key may be missing. What holds a variable is checked
# when it has its value.


def _fragment(shape: Partial) -> Build:
    check = _part_of_record(shape.record, shape.record.kind)

    def build(node: Node, faults: Faults) -> Any:  # noqa: ANN401
        before = len(faults)
        if check(node, faults) is ABSENT:
            return ABSENT
        return FAILED if len(faults) > before else Fragment(node)

    return build


def _part(shape: Shape, about: About, key: str) -> Build:
    if isinstance(shape, Record):
        return _part_of_record(shape, key)
    if isinstance(shape, OneOf):
        return _part_of_one_of(shape, key)
    if isinstance(shape, MapOf):
        return _part_of_map(shape, about, key)
    whole = _compile(shape, about, key)
    return lambda node, faults: None if _varies(node) else whole(node, faults)


def _varies(node: Node) -> bool:
    value = node.value
    if isinstance(value, dict):
        return any(_varies(child) for _, _, child in value.values())
    if isinstance(value, list):
        return any(map(_varies, value))
    return VARIABLE.search(value) is not None


def _part_of_record(record: Record, key: str) -> Build:
    own = Partial.OWN if record.kind else frozenset()
    given = tuple(m for m in record.members if m.name not in own)
    loose = replace(record, kind="", members=tuple(replace(m, required=False) for m in given))
    members = {m.name: (m, _part(m.shape, m.about, m.name)) for m in given}

    def build(node: Node, faults: Faults) -> Missing | None:
        entries = node.value
        if not isinstance(entries, dict):
            if is_null(node):
                return ABSENT
            return fault(faults, node, f"{key} must be a mapping; {_instead_of(loose, node)}")
        for name, (line, column, child) in entries.items():
            if name in own:
                text = f"{name} stands in the manifest itself; remove it here"
                faults.append((line, column, text))
            elif name in members:
                member, check = members[name]
                if check(child, faults) is ABSENT and member.required:
                    fault(faults, child, f"{name} is empty; {_advice(member)}")
        others = {name: entry for name, entry in entries.items() if name not in own}
        if not members.keys() >= others.keys():
            _report_keys(loose, node, others, (), faults)
        return None

    return build


def _part_of_one_of(shape: OneOf, key: str) -> Build:
    members = {tag: _part_of_record(record, tag) for tag, record in shape.records.items()}

    def build(node: Node, faults: Faults) -> Missing | None:
        entries = node.value
        if not isinstance(entries, dict):
            if is_null(node):
                return ABSENT
            text = f"{key} must be a mapping with {_listed(members, 'or')} in it"
            return fault(faults, node, text)
        for name, (line, column, child) in entries.items():
            if name not in members:
                faults.append((line, column, _stray(shape, key, name, entries.keys())))
            elif members[name](child, faults) is ABSENT:
                fault(faults, child, f"{name} has no value; write its keys under it")
        return None

    return build


def _part_of_map(shape: MapOf, about: About, key: str) -> Build:
    check = _part(shape.value, About(text="", hushed=about.hushed), f"each value of {key}")
    pattern = compiled(about)

    def build(node: Node, faults: Faults) -> Missing | None:
        entries = node.value
        if not isinstance(entries, dict):
            if is_null(node):
                return ABSENT
            return fault(faults, node, f"{key} must be a mapping; write name: value lines under it")
        for name, (line, column, child) in entries.items():
            if pattern and not pattern.search(name):
                message = f"{shown(name)} is not accepted as a name in {key}; {about.hint}"
                faults.append((line, column, message))
            check(child, faults)
        return None

    return build


def _construct(cls: type, values: dict[str, Any], node: Node, faults: Faults) -> Any:  # noqa: ANN401
    try:
        return cls(**values)
    except InvalidValue as error:
        for path, message in error.faults:
            fault(faults, find(node, path), message)
        return FAILED


def _constant(kind: str) -> Build:
    def build(node: Node, faults: Faults) -> Missing:
        if node.value == kind:
            return ABSENT
        return fault(faults, node, f"kind must be {kind}")

    return build


def _instead_of(record: Record, node: Node) -> str:
    required = [member.name for member in record.members if member.required]
    if isinstance(node.value, str) and len(required) == 1:
        return f"write {{{required[0]}: {shown(node.value)}}}"
    return f"its keys are {', '.join(member.name for member in record.members)}"


def _report_keys(
    record: Record, node: Node, entries: Entries, given: Iterable[str], faults: Faults
) -> None:
    """Report keys that are unknown, and required keys that are missing and not just misspelt."""
    known = {member.name for member in record.members}
    found = set(given)
    for name, (line, column, _) in entries.items():
        if name not in known and not (record.kind and name == "kind"):
            message, meant = f"unknown key {shown(name)}", ""
            if len(faults) < _ENOUGH:
                message, meant = _unknown(record, name)
            faults.append((line, column, message))
            found.add(meant)
    for member in record.members:
        if member.required and member.name not in found:
            place = find(node, (member.name,))
            said = f"missing key '{member.name}'" if place is node else f"{member.name} is empty"
            fault(faults, place, f"{said}; {_advice(member)}")


def _advice(member: Member) -> str:
    shape = member.shape
    if isinstance(shape, OneOf):
        return f"write exactly one of {_listed(shape.records)} under it"
    if isinstance(shape, Choice):
        return f"write one of {', '.join(shape.enum)}"
    if member.about.examples:
        return f"write for example {member.name}: {member.about.examples[0]}"
    return f"write {member.name}: and {shape.value if isinstance(shape, Leaf) else 'its items'}"


def _listed(words: Iterable[str], before: str = "and") -> str:
    *most, last = words
    return f"{', '.join(most)} {before} {last}"


def _unknown(record: Record, name: str) -> tuple[str, str]:
    """Answer an unknown key; the second part is the known key it was meant to be, or empty."""
    said = f"unknown key {shown(name)}"
    answer = ANSWERS.get((record.cls.__name__, name))
    if answer is not None:
        return f"{said}; {answer}", ""
    for member in record.members:
        if isinstance(member.shape, OneOf):
            home = _home(member.shape, name)
            if home:
                return f"{said}; put it under {member.name}: {home}", ""
    known = [member.name for member in record.members]
    close = nearest(name, known)
    if close:
        return f"{said}; did you mean '{close}'?", close
    return f"{said}; known keys are {', '.join(known)}", ""


def _home(one_of: OneOf, name: str) -> str:
    """Say under which tags a key belongs; empty for a key of none of them."""
    if name in one_of.records:
        return name + ":"
    homes = (
        tag
        for tag, record in one_of.records.items()
        if any(member.name == name for member in record.members)
    )
    return " or ".join(f"{tag}:" for tag in homes)


def _one_of(shape: OneOf, key: str) -> Build:
    members = {tag: _record(record, tag) for tag, record in shape.records.items()}
    tags = _listed(members)

    def build(node: Node, faults: Faults) -> Any:  # noqa: ANN401
        entries = node.value
        if not isinstance(entries, dict):
            if is_null(node):
                return ABSENT
            return fault(faults, node, f"{key} must be a mapping with exactly one of {tags}")
        before = len(faults)
        value: Any = FAILED
        for name, (line, column, child) in entries.items():
            if name not in members:
                faults.append((line, column, _stray(shape, key, name, entries.keys())))
                continue
            value = members[name](child, faults)
            if value is ABSENT:
                fault(faults, child, f"{name} has no value; write its keys under it")
        given = [tag for tag in members if tag in entries]
        if not given and len(faults) == before:
            fault(faults, node, f"{key} needs exactly one of {tags}")
        elif len(given) > 1:
            fault(faults, node, _too_many(key, given))
        return FAILED if len(faults) > before else value

    return build


def _too_many(key: str, given: Sequence[str]) -> str:
    message = f"{key} takes exactly one kind, not {_listed(given)}; make one schedule for each"
    if "recurrence" in given and "datastore_change" in given:
        return f"Can not specify both a Recurrence and a Datastore; {message}"
    return message


def _stray(shape: OneOf, key: str, name: str, given: Iterable[str]) -> str:
    """Answer a key that stands beside, or instead of, a tag."""
    said = f"unknown key {shown(name)}"
    for tag in given:
        record = shape.records.get(tag)
        if record and (record.cls.__name__, name) in ANSWERS:
            return f"{said}; {ANSWERS[record.cls.__name__, name]}"
    answer = ANSWERS.get((key.capitalize(), name))
    home = _home(shape, name)
    if answer or home:
        return f"{said}; {answer or f'put it under {home}'}"
    close = nearest(name, shape.records)
    if close:
        return f"{said}; did you mean '{close}'?"
    return f"{said}; {key} takes exactly one of {_listed(shape.records)}"
