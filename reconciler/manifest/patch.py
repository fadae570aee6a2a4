"""The text of one document with the place of each value, and replacements in it.

Positions are indexes of the text, as the parser's marks give them. Nothing here is proven: where
the text is unusual the outcome may be wrong, so :mod:`reconciler.manifest.edit` reads it again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import yaml

from reconciler.manifest.emit import entry_lines, inline, item_lines, mapping_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Plain = Any  # texts, numbers, booleans, None, and lists and dicts of them
Path = tuple[str | int, ...]
Event = Any

_Parser = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_BLOCKS = frozenset("|>")
# As in yaml12: PyYAML's stubs let marks and names be missing.
_ALIAS: Any = yaml.AliasEvent
_SCALAR: Any = yaml.ScalarEvent
_MAPPING: Any = yaml.MappingStartEvent
_START: Any = yaml.DocumentStartEvent
_END: Any = yaml.DocumentEndEvent
_ENDS: Any = (yaml.MappingEndEvent, yaml.SequenceEndEvent)

_BREAK = re.compile(r"\r\n|\r|\n")
_COLON = re.compile(r"(?:\s|#[^\r\n]*)*+:")
_COMMA = re.compile(r"\s*,")
# The dash of an item, behind the item before it.
_DASH = re.compile(r"(?:\s|#[^\r\n]*|&\S+)*+-")
_BLOCK_SIGN = re.compile(r"(?:&\S+\s+)?[|>][-+0-9]*")
_REST = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?=[\r\n])")
_VARIABLE = re.compile(r"\$\{\{\s*(variables\.\w+)")


@dataclass(frozen=True, slots=True)
class Step:
    """One difference: what is set to ``value``, inserted before ``path`` is taken, or removed."""

    verb: Literal["set", "insert", "remove"]
    path: Path
    value: Plain = None


@dataclass(slots=True)
class Spot:
    """Where one value stands.

    ``head`` is where its entry starts (its key, its dash) and ``slot`` is right behind the ``:`` or
    the dash. ``end`` leaves out comments and blank lines behind the value. ``style`` is the sign of
    a scalar; ``flow`` tells a collection in brackets. An alias has the children of its anchor.
    """

    head: int
    slot: int
    start: int
    end: int
    style: str = ""
    flow: bool = False
    anchor: str = ""
    alias: str = ""
    children: dict[str | int, Spot] = field(default_factory=dict)

    def walk(self) -> Iterator[Spot]:
        """Give this value and all that is written inside it."""
        yield self
        if not self.alias:
            for child in self.children.values():
                yield from child.walk()


def documents(text: str) -> list[tuple[int, int]]:
    """Give start and end of each document that is not empty, without its markers."""
    found = []
    next_event = _Parser(text).get_event
    next_event()
    behind = 0
    while isinstance(event := next_event(), _START):
        start = event.end_mark.index if event.explicit else behind
        root = event = next_event()
        while not isinstance(event, _END):
            event = next_event()
        if not isinstance(root, _SCALAR) or root.value or root.style:
            found.append((start, event.start_mark.index))
        behind = event.end_mark.index
    return found


class Reader:
    """Finds the spots of one document.

    ``root`` is the document's value; ``used`` are the anchors that an alias refers to.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._next: Callable[[], Event] = _Parser(text).get_event
        self._anchors: dict[str, Spot] = {}
        self.used: set[str] = set()
        self._next()
        self._next()
        self.root = self._spot(self._next(), 0, 0)

    def _spot(self, event: Event, head: int, slot: int) -> Spot:
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, _ALIAS):
            self.used.add(event.anchor)
            children = self._anchors[event.anchor].children
            return Spot(head, slot, start, end, alias=event.anchor, children=children)
        spot = Spot(head, slot, start, end, anchor=event.anchor or "")
        self._anchors[spot.anchor] = spot
        if not isinstance(event, _SCALAR):
            self._collection(event, spot)
            return spot
        spot.style = event.style or ""
        body = self._text[start:end]
        if not body:
            spot.start = spot.end = slot
        elif spot.style in _BLOCKS:
            keeps = "+" in body[:3]  # blank lines at the end are part of the text
            body = body.removesuffix("\n").removesuffix("\r") if keeps else body.rstrip()
            spot.end = start + len(body)
        return spot

    def _collection(self, event: Event, spot: Spot) -> None:
        text, behind = self._text, spot.start
        spot.flow = bool(event.flow_style)
        is_mapping = isinstance(event, _MAPPING)
        bracketed = text[event.end_mark.index - 1 : event.end_mark.index] in {"{", "["}
        while not isinstance(event := self._next(), _ENDS):
            key: str | int = len(spot.children)
            head = slot = event.start_mark.index
            if is_mapping:
                key = getattr(event, "value", "*")
                named = self._spot(event, head, slot)
                head -= 2 * text.endswith("? ", 0, head)
                colon = _COLON.match(text, named.end)
                slot = colon.end() if colon else named.end
                event = self._next()
            elif not spot.flow:
                dash = _DASH.match(text, behind)
                slot = dash.end() if dash else slot
                head = slot - 1
            child = spot.children[key] = self._spot(event, head, slot)
            behind = child.end
        # The end of a block is where the next token starts, behind all comments.
        spot.end = event.end_mark.index if spot.flow and bracketed else behind


class Patch:
    """One document's ``text``, changed by one step after the other; ``newline`` ends its lines."""

    def __init__(self, text: str, newline: str) -> None:
        self._newline = newline
        self._write(text)

    def _write(self, text: str) -> None:
        self.text = text
        reader = Reader(text)
        self._root, self._used = reader.root, reader.used

    def objection(self, step: Step) -> str:
        """Say why what stands at a step's path must not be changed; empty where it may."""
        way = self._way(step.path[:-1])
        for one in way:
            if self._shared(one):
                return f"it stands in what is shared as '{self._shared(one)}'"
        if step.verb == "insert":
            return ""
        spot = way[-1].children[step.path[-1]]
        for one in spot.walk():
            if self._shared(one) and not (one.alias and step.verb == "remove"):
                return f"its value is shared as '{self._shared(one)}'"
        computed = _VARIABLE.search(self.text, spot.start, spot.end)
        return f"its value comes from {computed[1]}" if computed else ""

    def apply(self, step: Step) -> None:
        """Change the text by one step.

        A removal takes the comment on the entry's last line with it and leaves the comments above;
        a collection that loses its last entry is left as ``{}`` or ``[]``.

        Raises:
            LookupError: the path leads nowhere.
            UnicodeError: UTF-8 cannot hold the value.
            yaml.YAMLError: the text can no longer be read.
        """
        way = self._way(step.path[:-1])
        parent, in_flow = way[-1], any(one.flow for one in way)
        if step.verb == "insert":
            self._insert(parent, step, in_flow=in_flow or not parent.children)
        elif step.verb == "set":
            self._set(parent.children[step.path[-1]], step.value, in_flow=in_flow)
        elif in_flow:
            self._remove_inline(parent, step.path[-1])
        else:
            self._remove(parent, step.path[-1])

    def _set(self, spot: Spot, value: Plain, *, in_flow: bool) -> None:
        if spot.children and not spot.flow:
            self._collapse(spot, inline(value))
            return
        text, start, end = self.text, spot.start, spot.end
        head, *body = [_styled(value, spot.style)]
        stop = self._line_end(end)
        tail = text[end:stop]
        if spot.style in _BLOCKS:
            sign = _BLOCK_SIGN.match(text, start)
            behind = sign.end() if sign else start
            tail = text[behind : self._line_end(behind)].rstrip()
        if isinstance(value, str) and "\n" in value and not in_flow and spot.style != '"':
            head, *body = entry_lines("", value, " " * self._column(spot.head))
            head = head.lstrip()
        if start == end:
            head = f" {head}" if text[start - 1] in ":-" else f": {head}"
        self._replace(start, stop, self._lines([head + tail, *body]))

    def _collapse(self, spot: Spot, new: str) -> None:
        """Write ``new`` instead of a block collection, on the line of its key."""
        start, end = spot.start, spot.end
        if self._starts_line(start):
            start, end = self._whole_lines(start, end)
            new, start = f" {new}{self.text[spot.slot : start]}", spot.slot
        self._replace(start, end, new)

    def _insert(self, parent: Spot, step: Step, *, in_flow: bool) -> None:
        name, spots = step.path[-1], list(parent.children.values())
        at = name if isinstance(name, int) else len(spots)
        entry = {name: step.value} if isinstance(name, str) else step.value
        if in_flow:
            self._insert_inline(
                parent, at, inline(entry)[1:-1] if at is not name else inline(entry)
            )
            return
        margin = " " * self._column(spots[0].head)
        lines = mapping_lines(entry, margin) if at is not name else item_lines(entry, margin)
        if at:
            # Comments that are indented deeper belong to the entry before.
            deeper = rf"(?:\s*[\r\n]{margin} [ \t]*#[^\r\n]*)*"
            end = self._line_end(spots[at - 1].end)
            found = re.compile(deeper).match(self.text, end)
            end = found.end() if found else end
            self._replace(end, end, self._lines(["", *lines]))
        else:
            start = spots[0].head
            self._replace(start, start, self._lines([*lines, margin]).removeprefix(margin))

    def _insert_inline(self, parent: Spot, at: int, entry: str) -> None:
        text, spots = self.text, list(parent.children.values())
        if not spots:
            end = parent.end - 1
            start = text.index("{" if text[end] == "}" else "[", parent.start) + 1
            self._replace(start, end, entry + text[start:end] * bool(text[start:end].strip()))
        elif not at:
            self._replace(spots[0].head, spots[0].head, f"{entry}, ")
        else:
            before = spots[at - 1]
            comma = _COMMA.match(text, before.end)
            rest = _REST.match(text, comma.end() if comma else before.end)
            new, end = f", {entry}", before.end
            if rest and self._starts_line(before.head):
                margin = text[self._line_start(before.head) : before.head]
                new = f",{rest[0]}{self._newline}{margin}{entry}{',' if comma else ''}"
                end = rest.end()
            self._replace(before.end, end, new)

    def _remove(self, parent: Spot, name: str | int) -> None:
        spot = parent.children[name]
        if len(parent.children) == 1:
            self._collapse(parent, "{}" if isinstance(name, str) else "[]")
        elif self._starts_line(spot.head):
            self._replace(*self._whole_lines(spot.head, spot.end), "")
        else:  # "- a: 1": the next entry moves up, unless comments stand between
            below = list(parent.children.values())[1].head
            end = self._line_end(spot.end)
            self._replace(spot.head, end if "#" in self.text[end:below] else below, "")

    def _remove_inline(self, parent: Spot, name: str | int) -> None:
        text, spots = self.text, list(parent.children.values())
        at = list(parent.children).index(name)
        spot = spots[at]
        comma = _COMMA.match(text, spot.end)
        start, end = spot.head, comma.end() if comma else spot.end
        if len(spots) == 1:
            before, behind = text[:start].rstrip(), text[end:].lstrip()
            if before[-1] in "[{" and behind[0] in "]}":
                start, end = len(before), len(text) - len(behind)
        elif _REST.match(text, end) and self._starts_line(start):
            start, end = self._whole_lines(start, end)
        elif not at:
            below = spots[1].head
            end = end if "#" in text[end:below] else below
        elif "#" not in text[spots[at - 1].end : start]:
            start, end = spots[at - 1].end, spot.end
        self._replace(start, end, "")

    def _way(self, path: Path) -> list[Spot]:
        way = [self._root]
        for step in path:
            way.append(way[-1].children[step])
        return way

    def _shared(self, spot: Spot) -> str:
        return spot.alias or (spot.anchor if spot.anchor in self._used else "")

    def _replace(self, start: int, end: int, new: str) -> None:
        self._write(self.text[:start] + new + self.text[end:])

    def _lines(self, lines: list[str]) -> str:
        return "\n".join(lines).replace("\n", self._newline)

    def _line_start(self, at: int) -> int:
        return max(self.text.rfind("\n", 0, at), self.text.rfind("\r", 0, at)) + 1

    def _line_end(self, at: int) -> int:
        found = _BREAK.search(self.text, at)
        return found.start() if found else len(self.text)

    def _column(self, at: int) -> int:
        return at - self._line_start(at)

    def _starts_line(self, at: int) -> bool:
        return not self.text[self._line_start(at) : at].strip()

    def _whole_lines(self, start: int, end: int) -> tuple[int, int]:
        """Widen to whole lines; where no break ends the last one, the break before it goes too."""
        start, end = self._line_start(start), self._line_end(end)
        found = _BREAK.match(self.text, end)
        if found:
            return start, found.end()
        return len(self.text[:start].removesuffix("\n").removesuffix("\r")), end


def _styled(value: Plain, style: str) -> str:
    """Write plain data on one line, a text in the quotes it had, if they can hold it."""
    new = inline(value)
    if isinstance(value, str) and style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, str) and style == '"' and new[0] != '"':
        return f'"{new}"'
    return new
