"""The one layout of manifests: order, indentation and quotes change, meaning and comments do not.

The text is taken apart into entries, each with the comments that belong to it, and the entries are
written again. A comment belongs to the value whose line it ends, else to a collection above it that
is indented no deeper than it, else to the entry below it. What was written is read again: it must
mean what it meant and hold every comment, or the text is left as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from reconciler.errors import ManifestError, Problem
from reconciler.manifest.edit import differences, plain_data
from reconciler.manifest.emit import inline
from reconciler.manifest.load import KINDS, kind_of
from reconciler.manifest.patch import Reader, documents
from reconciler.manifest.project import FILE, Project
from reconciler.manifest.shape import ListOf, MapOf, OneOf, Partial, Record, Shape, record_of
from reconciler.manifest.syntax import one_line
from reconciler.manifest.yaml12 import Node, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.manifest.patch import Spot
    from reconciler.manifest.scalars import Faults

# A line, or None: a blank one, of which several count as one and those at an end as none.
Lines = list[str | None]
# Comments with their columns; a blank line is an empty comment.
Found = list[tuple[int, str]]
# What starts an entry, its rank, and what its value is, where, and of which shape.
_Part = tuple[str, int, Node, "Spot", Shape | None]

_Parser = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_SCALAR: Any = yaml.ScalarToken  # as in patch: PyYAML's stubs let marks be missing
_BLOCKS = ("|", ">")
_LONGEST_KEY = 1_000  # as emit writes them: a longer one needs the form that says it is a key
_BREAK = re.compile(r"\r\n|\r")
_MARKER = re.compile(r"^(?:---|\.\.\.|%[^#\n]*)[ \t]*\n?", re.MULTILINE)
_COMMENT = re.compile(r"([ \t]*)(#.*)")
_BLOCK_SIGN = re.compile(r"(?P<start>(?:&\S+\s+)?[|>])[-+]?(?P<indent>[1-9]?)[-+]?")
_NO_PROJECT = f"{FILE} is a mapping that starts with project: NAME"
_TOO_CLEVER = (
    "this document cannot be laid out without losing something; put its comments on lines of "
    "their own between the keys, and write keys without aliases and breaks"
)


def format_text(file: str, text: bytes) -> bytes:
    """Lay out the manifests of a file; a text that is laid out is given back as it is.

    ``file`` is its path as people know it; one that is called ``reconciler.yml`` is a project file.

    Raises:
        ManifestError: with each problem where it stands: what cannot be read, what is no manifest,
            or what is too unusual to be written again.
    """
    roots, problems = parse(file, text)
    shapes = [_record(file, root, problems) for root, _ in roots]
    if problems:
        raise ManifestError(problems)
    source = _BREAK.sub("\n", text.decode("utf-8-sig"))
    written: list[Lines] = []
    behind = 0
    for (start, end), (root, _), shape in zip(documents(source), roots, shapes, strict=True):
        lines = _laid_out(source[start:end], root, shape)
        if lines is None:
            raise ManifestError([Problem(file, root.line, root.column, _TOO_CLEVER)])
        written.append([*_loose(source[behind:start]), *lines])
        behind = end
    if not written:
        written.append([])
    written[-1] += _loose(source[behind:])
    return "---\n".join(map(_joined, written)).encode()


def _record(file: str, root: Node, problems: list[Problem]) -> Record:
    """Tell the shape of a document; a problem is added where it is neither."""
    if file.rpartition("/")[2] == FILE:
        if not isinstance(root.value, dict):
            problems.append(Problem(file, root.line, root.column, _NO_PROJECT))
        return record_of(Project)
    faults: Faults = []
    kind = kind_of(root, faults)
    problems += (Problem(file, line, column, one_line(said)) for line, column, said in faults)
    return record_of(KINDS.get(kind, Project))


def _laid_out(text: str, node: Node, shape: Record) -> Lines | None:
    """Write one document and read it again; None where it is not the same any more."""
    try:
        lines = _Document(text).lines(node, shape)
    except ValueError:
        return None
    new = _joined(lines)
    if new == text.removeprefix("\n"):
        return lines
    again, problems = parse("", new.encode())
    if problems or any(differences([plain_data(node)], [plain_data(root) for root, _ in again])):
        return None
    kept = "#" not in text or Counter(_comments_in(text)) == Counter(_comments_in(new))
    return lines if kept else None


def _comments_in(text: str) -> Iterator[str]:
    """Give every comment: what is between two tokens, or on the first line of a block."""
    next_token = _Parser(text).get_token
    behind = 0
    while (token := next_token()) is not None:
        start = token.start_mark.index
        yield from (found[2].rstrip() for found in _COMMENT.finditer(text, behind, start))
        if isinstance(token, _SCALAR) and token.style in _BLOCKS:
            comment = _COMMENT.search(text[start:].partition("\n")[0])
            yield from [comment[2].rstrip()] if comment else []
        behind = max(behind, token.end_mark.index)


def _loose(text: str) -> Lines:
    """Give the comments that stand outside of all documents."""
    return _lines(_found(_MARKER.sub("", text).split("\n")))


def _found(lines: Sequence[str]) -> Found:
    """Find the comments and the blank lines; the last line goes on with what is no comment."""
    found = []
    for at, line in enumerate(lines, 1):
        comment = _COMMENT.search(line)
        if comment:
            found.append((comment.start(2), comment[2].rstrip()))
        elif not line.strip() and at < len(lines):
            found.append((0, ""))
    return found


def _lines(found: Found) -> Lines:
    return [comment or None for _, comment in found]


def _only(tail: str) -> Lines:
    """Give a comment from the end of a line as a line of its own, if there is one."""
    return [tail.strip()] if tail else []


def _joined(lines: Lines) -> str:
    text: list[str] = []
    blank = False
    for line in lines:
        # What ends with an empty line of its own would take another one for a part of it.
        if line is not None:
            text += [""] if blank and text and text[-1] else []
            text.append(line)
        blank = line is None
    return "".join(f"{line}\n" for line in text)


@dataclass(slots=True)
class _Entry:
    """One entry of a mapping or of a list; the root is one too, without a ``start``.

    ``start`` is the key with its colon, or the dash. The value is in ``lines``, or it is a block of
    ``children``, which stood at ``column``, None where brackets held them. ``lead`` stands above,
    ``tail`` behind the ``start`` or the ``lines``, ``foot`` below the children. ``end`` is where
    the value ended and ``rank`` the entry's place among its siblings.
    """

    start: str = ""
    rank: int = 0
    end: int = 0
    lines: list[str] = field(default_factory=list)
    children: list[_Entry] = field(default_factory=list)
    column: int | None = None
    lead: Lines = field(default_factory=list)
    tail: str = ""
    foot: Lines = field(default_factory=list)

    def end_with(self, comment: str) -> None:
        """Take the comment that stands behind the end of the value."""
        if self.children and self.column is not None:
            self.children[-1].end_with(comment)
        elif self.tail:
            self.foot += _only(comment)
        else:
            self.tail = comment

    def sink(self, found: Found, floor: int | None) -> Found:
        """Take from the comments below the value those of its collections; give the others.

        What is not deeper than ``floor``, the parent's column, may belong to what is below.
        """
        if self.column is None:
            return found
        found = self.children[-1].sink(found, self.column)
        if self.column == floor:
            return found
        taken = 0
        for at, (column, comment) in enumerate(found, 1):
            if comment and column < self.column:
                break
            taken = at if comment else taken
        self.foot += _lines(found[:taken])
        return found[taken:]

    def arrange(self) -> None:
        """Put the children in order, and above a dash what cannot stand behind it."""
        for child in self.children:
            child.arrange()
        self.children.sort(key=lambda child: child.rank)
        if self.children and not any(self.children[0].lead):
            self.children[0].lead = []  # it has moved up
        if self.start == "-" and self.children:
            first = self.children[0]
            self.lead += [*_only(self.tail), *_trimmed(first.lead)]
            self.tail, first.lead = "", []

    def written(self, margin: str = "") -> Lines:
        """Write the entry behind ``margin``."""
        start = margin + self.start.replace("\n", f"\n{margin}")
        inner = f"{margin}  " if self.start else ""
        foot = [line and inner + line for line in self.foot]
        lead = [line and margin + line for line in self.lead]
        if not self.children:
            first, *rest = self.lines
            own = f"{start} {first}" if start and first else start + first
            *most, last = [own, *(line and inner + line for line in rest)]
            return [*lead, *most, last + self.tail, *foot]
        below = [line for child in self.children for line in child.written(inner)]
        if not self.start:
            return [*lead, *below, *foot]
        if self.start == "-":
            top, *below = below
            return [*lead, f"{start} {str(top).removeprefix(inner)}", *below, *foot]
        return [*lead, start + self.tail, *_trimmed(below), *foot]


def _trimmed(lines: Lines) -> Lines:
    """Leave out blank lines at the start."""
    start = next((at for at, line in enumerate(lines) if line is not None), len(lines))
    return lines[start:]


class _Document:
    """Takes one document apart."""

    def __init__(self, text: str) -> None:
        self._text = text
        reader = Reader(text)
        self._spot = reader.root
        # An alias must stay below its anchor.
        self._ordered = not reader.used

    def lines(self, node: Node, shape: Shape) -> Lines:
        """Write the document.

        Raises:
            ValueError: what was read and where it stands are not the same.
        """
        root = _Entry()
        self._fill(root, node, self._spot, shape)
        tail, found = self._gap(root.end, len(self._text))
        root.end_with(tail)
        root.foot += _lines(root.sink(found, None))
        root.arrange()
        return root.written()

    def _fill(self, entry: _Entry, node: Node, spot: Spot, shape: Shape | None) -> None:
        """Read the value of an entry."""
        text = self._text[spot.start : spot.end]
        if spot.children and not spot.alias and not (spot.flow and "\n" not in text):
            self._block(entry, node, spot, shape)
            return
        # What is between a key and its value, or within empty brackets, goes above.
        empty = spot.flow and not spot.children
        tail, found = self._gap(spot.slot, spot.end if empty else spot.start)
        entry.lead += [*_only(tail), *(line for line in _lines(found) if line)]
        entry.end = spot.end
        if spot.style in _BLOCKS:
            self._literal(entry, str(node.value), spot)
        elif isinstance(node.value, str) or spot.alias:
            lines = _requoted(text, node.value).split("\n")
            entry.lines = [line.strip(" \t") for line in lines]
        else:
            entry.lines = [self._inline(node, spot, shape)]

    def _block(self, entry: _Entry, node: Node, spot: Spot, shape: Shape | None) -> None:
        """Read a collection that is written with a line or more for each entry."""
        children = entry.children
        behind = spot.slot
        for start, rank, child_node, child, child_shape in self._parts(node, spot, shape):
            tail, found = self._gap(behind, child.head)
            if children:
                children[-1].end_with(tail)
                found = children[-1].sink(found, entry.column)
            else:
                entry.column = None if spot.flow else self._column(child.head)
                entry.tail = tail
                if not entry.start:  # what stands at the top stays there
                    entry.lead, entry.tail, found = [*_only(tail), *_lines(found)], "", []
            new = _Entry(start, rank, lead=_lines(found))
            self._fill(new, child_node, child, child_shape)
            children.append(new)
            behind = new.end
        entry.start += f" &{spot.anchor}" if spot.anchor else ""
        entry.end = behind
        if spot.flow and spot.end > behind:
            tail, found = self._gap(behind, spot.end - 1)
            children[-1].end_with(tail)
            entry.foot = _lines(found)
            entry.end = spot.end

    def _parts(self, node: Node, spot: Spot, shape: Shape | None) -> Iterator[_Part]:
        """Give each entry of a collection: its start, its rank, and what its value is."""
        spots = spot.children.values()
        if isinstance(node.value, dict):
            for (key, (_, _, child)), place in zip(node.value.items(), spots, strict=True):
                rank, below = _below(shape, key)
                yield self._key(key, place), rank * self._ordered, child, place, below
        else:
            item = shape.item if isinstance(shape, ListOf) else None
            items: Any = node.value
            for one, place in zip(items, spots, strict=True):
                yield "-", 0, one, place, item

    def _key(self, key: str, spot: Spot) -> str:
        """Write a key and its colon."""
        raw = self._text[spot.head : spot.slot].removesuffix(":").strip()
        if raw.startswith("? "):
            raw = raw[2:].strip()
        new = _requoted(raw, key)
        if len(new) >= _LONGEST_KEY:
            return f"? {new}\n:"
        return f"{new} :" if new.startswith("*") else f"{new}:"

    def _inline(self, node: Node, spot: Spot, shape: Shape | None) -> str:
        """Write a value on one line."""
        if isinstance(node.value, str) or spot.alias:
            return _requoted(self._text[spot.start : spot.end], node.value) or "null"
        anchor = f"&{spot.anchor} " if spot.anchor else ""
        parts = sorted(self._parts(node, spot, shape), key=lambda part: part[1])
        values = [(part[0], self._inline(*part[2:])) for part in parts]
        if isinstance(node.value, dict):
            return f"{anchor}{{{', '.join(f'{key} {value}' for key, value in values)}}}"
        return f"{anchor}[{', '.join(value for _, value in values)}]"

    def _literal(self, entry: _Entry, value: str, spot: Spot) -> None:
        """Read a block of text, | or >, whose lines keep their indentation among themselves."""
        text, at = self._text, self._line_end(spot.start)
        sign: Any = _BLOCK_SIGN.match(text, spot.start)
        comment = _COMMENT.search(text, sign.end(), at)
        floor = self._column(spot.head)
        margin = floor + int(sign["indent"]) if sign["indent"] else 0
        body: list[str] = []
        entry.end = at
        while at < len(text):
            start, at = at + 1, self._line_end(at + 1)
            line = text[start:at]
            indent = len(line) - len(line.lstrip(" "))
            if line[indent:] and indent < (margin or floor + 1):
                break
            margin = margin or (indent if line[indent:] else 0)
            body.append(line)
            if margin and line[margin:]:
                entry.end = at
        body = [line[margin:] for line in body] if margin else []
        while body and not body[-1]:
            body.pop()
        ends = len(value) - len(value.rstrip("\n"))
        keeps = ends > (1 if body else 0)
        if keeps:
            body += [""] * (ends - bool(body))
            entry.end = spot.end
        chomp = "+" if keeps else "" if ends else "-"
        head = f"{sign['start']}{sign['indent'] and '2'}{chomp}{_spaced(comment)}"
        entry.lines = [head, *body]

    def _gap(self, start: int, end: int) -> tuple[str, Found]:
        """Give the comments between two values: that on the line of the first, and the others."""
        first, *rest = self._text[start:end].split("\n")
        comment = _COMMENT.search(first)
        return _spaced(comment), _found(rest)

    def _line_end(self, at: int) -> int:
        end = self._text.find("\n", at)
        return len(self._text) if end < 0 else end

    def _column(self, at: int) -> int:
        return at - self._text.rfind("\n", 0, at) - 1


def _spaced(comment: re.Match[str] | None) -> str:
    """Give a comment with the spaces before it; two where there were none, or tabs."""
    if comment is None:
        return ""
    spaces = comment[1] if comment[1].strip("\t") == comment[1] != "" else "  "
    return spaces + comment[2].rstrip()


def _requoted(raw: str, value: object) -> str:
    """Write a scalar without quotes where none are needed, else in double ones if they can be."""
    if raw[:1] not in {"'", '"'}:
        return raw
    if "\n" not in raw and inline(value) == value:
        return str(value)
    if raw[0] == "'" and not {'"', "\\"} & set(raw):
        return '"{}"'.format(raw[1:-1].replace("''", "'"))
    return raw


def _below(shape: Shape | None, key: str) -> tuple[int, Shape | None]:
    """Give the rank and the shape of what stands under a key; authors order their own names."""
    match shape:
        case Record() | Partial():
            record = shape.record if isinstance(shape, Partial) else shape
            members = _members(record.cls)
            return members.get(key, (len(members), None))
        case OneOf(records):
            return 0, records.get(key)
        case MapOf(value):
            return 0, value
    return 0, None


@cache
def _members(cls: type) -> Mapping[str, tuple[int, Shape | None]]:
    members = record_of(cls).members
    return {"kind": (0, None), **{m.name: (at, m.shape) for at, m in enumerate(members, 1)}}
