"""Strict YAML: text to a tree of nodes that know their place.

The scanner is PyYAML's binding of libyaml; everything above its events is ours: the scalars are
those of the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), so that
``18:30`` and ``on`` stay text, and what is ambiguous or dangerous is refused: duplicate keys, tags,
merge keys, numbers with a leading zero, anything that grows beyond its budget.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NoReturn, Self

import yaml

from reconciler.errors import Problem
from reconciler.manifest.syntax import explain, hushed, one_line, place_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable

# PyYAML's stubs give events no tag, and marks that may be missing; the parser always sets them.
Event = Any
Mark = Any
_ALIAS: Any = yaml.AliasEvent
_DOCUMENT: Any = yaml.DocumentStartEvent
_MAPPING: Any = yaml.MappingStartEvent
_MAPPING_END: Any = yaml.MappingEndEvent
_SCALAR: Any = yaml.ScalarEvent
_SEQUENCE_END: Any = yaml.SequenceEndEvent

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 100_000
MAX_ALIASES = 1_000

# libyaml where PyYAML was built with it, else its slow twin; the Base variants resolve nothing.
_Parser = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER = re.compile(
    r"(?P<whole>[-+]?[0-9]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<based>0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]")
NULLS = tuple(word for word, value in _WORDS.items() if value is None)
# A reference to a variable of the project; what stands behind the first word is looked at later.
VARIABLE = re.compile(r"\$\{\{\s*(var|vars|variable|variables)\b\s*(.*?)\s*\}\}", re.DOTALL)
_NO_KEYS = frozenset(("", "<<"))
_NUMBER_STARTS = frozenset("0123456789+-.")
_CONFLICT = re.compile(r"^<<<<<<< ", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# Beyond ASCII: C1 controls, Unicode's own line breaks (libyaml would count them as lines), stray
# byte order marks and non-characters.
_UNUSUAL = re.compile("[\x80-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


class Node:
    """One value of a document: where it stands and what is written there.

    ``value`` is a text (a scalar), a list of nodes (a sequence) or a dict from key to (line and
    column of the key, node) (a mapping). ``style`` is the quote or block sign of a scalar, empty
    for a plain one, whose meaning :func:`resolve` gives. Lines and columns count from 1. Not a
    dataclass: a bulk load makes fifty of these per manifest.
    """

    __slots__ = ("column", "line", "style", "value")

    def __init__(self, value: Value, line: int, column: int, style: str = "") -> None:
        self.value = value
        self.line = line
        self.column = column
        self.style = style


class Line(int):
    """A line of another file than the document's own, which it names.

    Nodes that come from the project file have it, so that whatever is said about them is said
    there, however many documents they went into.
    """

    file: str

    def __new__(cls, line: int, file: str) -> Self:
        """Count ``line`` in ``file``."""
        self = super().__new__(cls, line)
        self.file = file
        return self


def place_in(file: str, line: int, column: int) -> tuple[str, int, int]:
    """Give the place of a node of a document that stands in ``file``."""
    return (line.file if isinstance(line, Line) else file), int(line), column


def claim(node: Node, file: str) -> None:
    """Let a tree, and every key in it, remember that it stands in ``file``."""
    if isinstance(node.line, Line):
        return  # an alias leads here twice
    node.line = Line(node.line, file)
    if isinstance(node.value, dict):
        for key, (line, column, child) in node.value.items():
            claim(child, file)
            node.value[key] = (Line(line, file), column, child)
    elif isinstance(node.value, list):
        for child in node.value:
            claim(child, file)


Entries = dict[str, tuple[int, int, Node]]
Value = str | list[Node] | Entries


class _Stop(Exception):
    """Nothing more can be read from this file."""


def parse(file: str, text: bytes) -> tuple[list[tuple[Node, bool]], list[Problem]]:
    """Read every document of a file; empty documents are left out.

    Returns the root of each document that could be read, with whether all of it is in the tree, and
    all problems. After a syntax problem the rest of the file is not read.
    """
    problem = _unreadable(file, text)
    if problem is not None:
        return [], [problem]
    reader = _Reader(file, text)
    return reader.roots, hushed(reader.problems, text)


def _unreadable(file: str, text: bytes) -> Problem | None:
    """Find what no parser needs to see: sizes, encodings, control characters."""
    if len(text) > MAX_BYTES:
        message = f"the file has {len(text):,} bytes, more than {MAX_BYTES:,}; split it"
        return Problem(file, 0, 0, message)
    if text.startswith(_WIDE) or b"\0" in text[:4]:
        return Problem(file, 1, 1, "the file is not UTF-8 but UTF-16 or UTF-32; save it as UTF-8")
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        message = f"byte 0x{text[error.start]:02x} is not valid UTF-8; save the file as UTF-8"
        return Problem(file, *place_of(text[: error.start].decode()), message)
    unwanted = _CONTROL.search(decoded)
    if unwanted is None and "<<<<<<< " in decoded:
        unwanted = _CONFLICT.search(decoded)
    if unwanted is None and not text.isascii():
        unwanted = _UNUSUAL.search(decoded, 1 if decoded[0] == "\ufeff" else 0)
    if unwanted is None:
        return None
    return Problem(file, *place_of(decoded[: unwanted.start()]), _unwanted(unwanted[0]))


def _unwanted(found: str) -> str:
    if len(found) > 1:
        return "a merge conflict was left here; resolve it"
    if found <= "\x7f":
        return f"control character 0x{ord(found):02x} is not allowed; remove it"
    code = f"{ord(found):04x}"
    return f'character U+{code.upper()} is not allowed; write "\\u{code}" in quotes'


class _Reader:
    """Builds the nodes of one file from the parser's events."""

    def __init__(self, file: str, text: bytes) -> None:
        self.file = file
        self.roots: list[tuple[Node, bool]] = []
        self.problems: list[Problem] = []
        self._next: Callable[[], Event] = _Parser(text).get_event
        self._count = 0
        self._aliases = 0
        # Anchor to its node, how many nodes that holds and how deep it goes; None while open.
        self._anchors: dict[str, tuple[Node, int, int] | None] = {}
        self._deepest = 0
        try:
            self._stream()
        except yaml.MarkedYAMLError as error:
            line, column, message = explain(error, text.decode("utf-8-sig"))
            self._report(line, column, message)
        except _Stop:
            pass

    def _stream(self) -> None:
        self._next()
        while type(self._next()) is _DOCUMENT:
            self._anchors.clear()
            before = len(self.problems)
            root = self._node(self._next(), 1)
            self._next()
            if root.value != "" or root.style:
                self.roots.append((root, len(self.problems) == before))

    def _report(self, line: int, column: int, message: str) -> None:
        self.problems.append(Problem(self.file, line, column, one_line(message)))

    def _stop(self, mark: Mark, message: str) -> NoReturn:
        self._report(mark.line + 1, mark.column + 1, message)
        raise _Stop

    def _node(self, event: Event, depth: int) -> Node:
        if type(event) is _ALIAS:
            return self._alias(event, depth)
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        if event.tag is not None:
            tag = shown(event.tag.replace("tag:yaml.org,2002:", "!!"))
            self._report(line, column, f"tag {tag} is not known here; remove it")
        anchor = event.anchor
        if anchor is None:
            return self._value(event, line, column, depth)
        before, deepest, self._deepest = self._count, self._deepest, depth
        self._anchors[anchor] = None
        node = self._value(event, line, column, depth)
        self._anchors[anchor] = node, self._count - before + 1, self._deepest - depth
        self._deepest = max(deepest, self._deepest)
        return node

    def _value(self, event: Event, line: int, column: int, depth: int) -> Node:
        if type(event) is _SCALAR:
            # A tagged scalar is text: its tag is reported, so nothing more is said about its type.
            return Node(event.value, line, column, event.style or event.tag or "")
        self._dive(event.start_mark, depth)
        if type(event) is _MAPPING:
            entries = self._entries(depth + 1)
            self._grow(event.start_mark, 2 * len(entries))
            return Node(entries, line, column)
        items = self._items(depth + 1)
        self._grow(event.start_mark, len(items))
        return Node(items, line, column)

    # The two loops below see every scalar of every manifest, so they take the common case, a
    # scalar without tag and anchor, by themselves.

    def _items(self, depth: int) -> list[Node]:
        items = []
        while True:
            event = self._next()
            if type(event) is _SCALAR and event.tag is None and event.anchor is None:
                mark = event.start_mark
                items.append(Node(event.value, mark.line + 1, mark.column + 1, event.style))
            elif type(event) is _SEQUENCE_END:
                return items
            else:
                items.append(self._node(event, depth))

    def _entries(self, depth: int) -> Entries:
        entries: Entries = {}
        key: str | None
        next_event = self._next
        while True:
            event = next_event()
            if type(event) is _MAPPING_END:
                return entries
            mark = event.start_mark
            line, column = mark.line + 1, mark.column + 1
            if (
                type(event) is _SCALAR
                and event.tag is None
                and event.anchor is None
                and event.value not in _NO_KEYS
            ):
                key = event.value
            else:
                key = self._key(event, line, column, depth)
            event = next_event()
            if type(event) is _SCALAR and event.tag is None and event.anchor is None:
                mark = event.start_mark
                node = Node(event.value, mark.line + 1, mark.column + 1, event.style)
            else:
                node = self._node(event, depth)
            if key is None:
                continue
            entry = (line, column, node)
            first = entries.setdefault(key, entry)
            if first is not entry:
                place = f"line {first[0]}, column {first[1]}"
                self._report(line, column, f"duplicate key {shown(key)}; it is already at {place}")

    def _key(self, event: Event, line: int, column: int, depth: int) -> str | None:
        """Give the text of a key, or None where there is none that could be used."""
        node = self._node(event, depth)
        key = node.value
        if not isinstance(key, str):
            self._report(line, column, "a key must be one text; quote it if it has braces")
        elif key == "" and not node.style:
            self._report(line, column, "a key is missing before ':'")
        elif key == "<<" and not node.style:
            self._report(line, column, "merge keys are not supported; write the keys out")
        else:
            return key
        return None

    def _alias(self, event: Event, depth: int) -> Node:
        mark = event.start_mark
        name = event.anchor
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            self._stop(mark, f"more than {MAX_ALIASES:,} aliases; write the values out")
        if name not in self._anchors:
            message = f"'*{name}' refers to no anchor above; quote it if it is meant as text"
            self._report(mark.line + 1, mark.column + 1, message)
            return Node(name, mark.line + 1, mark.column + 1, "'")
        anchored = self._anchors[name]
        if anchored is None:
            self._stop(mark, f"'*{name}' contains itself; write the value out")
        node, count, height = anchored
        self._grow(mark, count)
        self._dive(mark, depth + height)
        return node

    def _grow(self, mark: Mark, count: int) -> None:
        self._count += count
        if self._count > MAX_NODES:
            self._stop(mark, f"more than {MAX_NODES:,} values, aliases included; split the file")

    def _dive(self, mark: Mark, depth: int) -> None:
        self._deepest = max(self._deepest, depth)
        if depth > MAX_DEPTH:
            self._stop(mark, f"nested more than {MAX_DEPTH} levels deep; flatten it")


def resolve(text: str) -> str | int | float | bool | None:
    """Give the meaning of a scalar without quotes in the core schema of YAML 1.2.

    Raises:
        ValueError: a number that has no exact meaning here: with a leading zero, not finite, or a
            whole number beyond 64 bits; the message says what to do.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    if _LEADING_ZERO.match(text):
        raise ValueError(f"{shown(text)} has a leading zero; quote it or drop the zero")
    if match.lastgroup is None:
        raise ValueError(f"{shown(text)} is not a finite number; quote it if it is text")
    if match.lastgroup == "float":
        number = float(text)
        if math.isinf(number):
            raise ValueError(f"{shown(text)} is too large for a number; quote it if it is text")
        return number
    # A 64-bit number has at most 24 characters, in octal; longer ones would be slow to read.
    whole = int(text, 0 if match["based"] else 10) if len(text) <= 24 else 1 << 63
    if not -(1 << 63) <= whole < 1 << 63:
        raise ValueError(f"{shown(text)} is beyond 64 bits; quote it if it is text")
    return whole
