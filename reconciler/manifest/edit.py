"""Changes to the text of manifests that leave every byte alone which they do not concern.

The text is never written anew. What is wanted is compared with what is written, each difference
becomes one small replacement where the parser saw the value (:mod:`reconciler.manifest.patch`), and
the result is read again: it must mean exactly what is wanted, and every other document what it
meant before. So a text that is too clever to be edited is refused, never spoilt.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from enum import Enum
from typing import TYPE_CHECKING

import yaml

from reconciler.errors import ReconcilerError
from reconciler.manifest.build import find
from reconciler.manifest.emit import inline
from reconciler.manifest.load import Document, load
from reconciler.manifest.patch import Patch, Path, Plain, Step, documents
from reconciler.manifest.scalars import meaning
from reconciler.manifest.syntax import one_line, shown
from reconciler.manifest.yaml12 import Node, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BREAK = re.compile(r"\r\n|\r|\n")
_TOO_CLEVER = "the text around it is unusual"
_ORDER = ("set", "insert", "remove")


class Remove(Enum):
    """Instead of a value."""

    REMOVE = "the key or the item goes away"


REMOVE = Remove.REMOVE


class CannotEdit(ReconcilerError):
    """A text cannot be edited safely; ``line`` counts from 1, 0 means the file as a whole."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(f"line {line}: {one_line(message)}" if line else one_line(message))


def edit(text: bytes, kind: str, name: str, changes: Mapping[Path, Plain | Remove]) -> bytes:
    """Change values of the document that declares ``kind`` and ``name``.

    ``changes`` maps paths in the document, such as ``("trigger", "recurrence", "interval")`` or
    ``("steps", 1, "timeout")``, to plain data or to ``REMOVE``. Missing parents are created, an
    index just behind a list adds to it, and what is to be removed and not there is no change.
    Paths to remove are those after everything was set. Whatever its schema says, a collection that
    loses its last entry is left as ``{}`` or ``[]``, which is what was asked for; remove the parent
    to be rid of it. Comments, blank lines, order, quotes and line ends stay as they are; only the
    comment on the last line of an entry goes with it.

    Raises:
        CannotEdit: in one line, where the reason stands and what to write by hand.
    """
    return edit_all(text, {(kind, name): changes})


def edit_all(
    text: bytes, changes: Mapping[tuple[str, str], Mapping[Path, Plain | Remove]]
) -> bytes:
    """Change several documents of one file, by (kind, name), as :func:`edit` does.

    Raises:
        CannotEdit: for the first that cannot be edited.
    """
    decoded = text.decode("utf-8-sig", errors="replace")
    roots, problems = parse("", text)
    if problems:
        raise CannotEdit(problems[0].line, f"{problems[0].message}; nothing was changed")
    nodes = [root for root, _ in roots]
    goals = [plain_data(node) for node in nodes]
    steps: dict[int, list[Step]] = {}
    for (kind, name), wishes in changes.items():
        at = _index(nodes, kind, name)
        before, goals[at] = goals[at], _wanted(nodes[at], goals[at], wishes)
        found = sorted(differences(before, goals[at]), key=lambda step: _ORDER.index(step.verb))
        steps[at] = [step for step in found if step.verb != "remove"]
        steps[at] += reversed(found[len(steps[at]) :])
    if not any(steps.values()):
        return text
    spans, newline = documents(decoded), _BREAK.search(decoded)
    for at in sorted(steps, reverse=True):
        start, end = spans[at]
        patch = Patch(decoded[start:end], newline[0] if newline else "\n")
        _carry_out(patch, nodes[at], steps[at])
        decoded = decoded[:start] + patch.text + decoded[end:]
    edited = text[: 3 * text.startswith(BOM_UTF8)] + decoded.encode()
    _prove(nodes, steps, goals, text, edited)
    return edited


def _index(nodes: list[Node], kind: str, name: str) -> int:
    """Find the one document that declares ``kind`` and ``name``."""
    found = [
        at
        for at, node in enumerate(nodes)
        if find(node, ("kind",)).value == kind and find(node, ("name",)).value == name
    ]
    if not found:
        raise CannotEdit(0, f"no {kind} {shown(name)} is declared in this file")
    if len(found) > 1:
        raise CannotEdit(
            nodes[found[1]].line, f"{kind} {shown(name)} is declared twice; remove one"
        )
    return found[0]


def plain_data(node: Node) -> Plain:
    """Resolve a node; a number without an exact meaning counts as its text."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain_data(child) for key, (_, _, child) in value.items()}
    if isinstance(value, list):
        return [plain_data(child) for child in value]
    try:
        return meaning(node)
    except ValueError:
        return value


def _wanted(node: Node, data: Plain, wishes: Mapping[Path, Plain | Remove]) -> Plain:
    """Give the data with the wishes fulfilled: first what is set, then what is removed."""
    for path, value in wishes.items():
        if value is not REMOVE:
            try:
                data = _put(data, path, value)
            except LookupError as error:
                raise CannotEdit(_line(node, path), f"{_dotted(path)}: {error.args[0]}") from None
    # Later items first, so that the places of the earlier ones stand.
    gone = (path for path, value in wishes.items() if value is REMOVE)
    for path in sorted(gone, key=lambda path: [(isinstance(key, str), key) for key in path])[::-1]:
        data = _drop(data, path)
    return data


def _put(data: Plain, path: Path, value: Plain) -> Plain:
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(key, str) and (data is None or isinstance(data, dict)):
        old = data or {}
        return {**old, key: _put(old.get(key), rest, value)}
    if isinstance(key, int) and (data is None or isinstance(data, list)):
        items = data or []
        if 0 <= key <= len(items):
            item = items[key] if key < len(items) else None
            return [*items[:key], _put(item, rest, value), *items[key + 1 :]]
        raise LookupError(f"there is no item {key} in a list of {len(items)}")
    raise LookupError(
        f"{inline(key)} leads into what is no {'mapping' if isinstance(key, str) else 'list'}"
    )


def _drop(data: Plain, path: Path) -> Plain:
    key, rest = path[0], path[1:]
    if isinstance(data, dict) and key in data:
        if rest:
            return {**data, key: _drop(data[key], rest)}
        return {name: value for name, value in data.items() if name != key}
    if isinstance(data, list) and isinstance(key, int) and 0 <= key < len(data):
        middle = [_drop(data[key], rest)] if rest else []
        return [*data[:key], *middle, *data[key + 1 :]]
    return data


def differences(old: Plain, new: Plain, path: Path = ()) -> Iterator[Step]:
    """Give the steps from one to the other; 1, 1.0 and true are three things."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in new.items():
            if key in old:
                yield from differences(old[key], value, (*path, key))
            else:
                yield Step("insert", (*path, key), value)
        yield from (Step("remove", (*path, key)) for key in old if key not in new)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _in_list(old, new, path)
    elif type(old) is not type(new) or old != new:
        yield Step("set", path, new)


def _in_list(old: list[Plain], new: list[Plain], path: Path) -> Iterator[Step]:
    """Leave alone what both begin and end with, so that comments stay with their items."""
    shorter = min(len(old), len(new))
    start = tail = 0
    while start < shorter and not any(differences(old[start], new[start])):
        start += 1
    while tail < shorter - start and not any(differences(old[-1 - tail], new[-1 - tail])):
        tail += 1
    paired = shorter - tail
    for at in range(start, paired):
        yield from differences(old[at], new[at], (*path, at))
    for at in range(paired, len(new) - tail):
        yield Step("insert", (*path, at), new[at])
    for at in range(paired, len(old) - tail):
        yield Step("remove", (*path, at))


def _carry_out(patch: Patch, node: Node, steps: list[Step]) -> None:
    for verb in (patch.objection, patch.apply):
        for step in steps:
            try:
                objection = verb(step)
            except (LookupError, UnicodeError, yaml.YAMLError):
                objection = _TOO_CLEVER
            if objection:
                raise _refusal(node, step, objection)


def _prove(
    nodes: list[Node], steps: Mapping[int, list[Step]], goals: list[Plain], old: bytes, new: bytes
) -> None:
    """Read the new text: it says what it shall, and nothing is wrong that was not wrong before."""
    roots, problems = parse("", new)
    again = [plain_data(root) for root, _ in roots]
    changed = [at for at in sorted(steps) if steps[at]]
    if problems or len(again) != len(goals) or any(differences(again, goals)):
        astray = (at for at in changed if any(differences(again[at : at + 1], goals[at : at + 1])))
        at = next(astray, changed[0])
        raise _refusal(nodes[at], steps[at][0], _TOO_CLEVER)
    known = {problem.message for problem in load([Document("", old)]).problems}
    for problem in load([Document("", new)]).problems:
        if problem.message not in known:
            above = (at for at in changed if roots[at][0].line <= problem.line)
            at = max(above, default=changed[0])
            line, place = _line(nodes[at], steps[at][0].path), _dotted(steps[at][0].path)
            raise CannotEdit(line, f"{place} would make the manifest wrong: {problem.message}")


def _refusal(node: Node, step: Step, reason: str) -> CannotEdit:
    place = _dotted(step.path)
    by_hand = f"remove {place}" if step.verb == "remove" else f"write {place}: {inline(step.value)}"
    return CannotEdit(
        _line(node, step.path), f"{place} cannot be edited: {reason}; {by_hand} by hand"
    )


def _line(node: Node, path: Path) -> int:
    """Give the line of the key or the item that ``path`` leads to, or of its nearest parent."""
    line = node.line
    for key in path:
        value = node.value
        if isinstance(value, dict) and key in value:
            line, _, node = value[str(key)]
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            node = value[key]
            line = node.line
        else:
            break
    return line


def _dotted(path: Path) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)[1:]
