"""What the YAML parser means, said in plain words, on one line, with what to do about it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.data import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import yaml

    from reconciler.errors import Problem

Mark = Any  # PyYAML's stubs let marks be missing; the parser always gives the problem's
_BREAK = re.compile(r"\r\n|\r|\n")
_COMMENT = re.compile(r"\s#.*")
_LONGEST = 60
_NAMES = "|".join(name for names in CREDENTIALS.values() for name in names)
_CREDENTIAL = re.compile(rf"\b(?:{_NAMES})\b")

# libyaml's words (scanner.c and parser.c of libyaml 0.2.5) to ours, where the place is the
# problem's own ...
_HERE: Mapping[str, str] = {
    "mapping values are not allowed in this context": (
        "a ':' cannot stand here; check the indentation, or put the whole value in quotes"
    ),
    "did not find expected key": (
        "a key is expected here; check the indentation and the quotes before it"
    ),
    "did not find expected '-' indicator": (
        "a list item, '- ...', is expected here; check the indentation"
    ),
    "block sequence entries are not allowed in this context": (
        "a list item cannot start here; put it on a line of its own"
    ),
    "did not find expected node content": "a value is expected here",
    "found incompatible YAML document": (
        "only YAML 1.1 and 1.2 can be read; remove the %YAML line"
    ),
    "found undefined tag handle": "tags are not known here; remove the word that starts with '!'",
    "did not find expected <document start>": (
        "this stands outside of the document; check the indentation, or start one with ---"
    ),
    "did not find expected comment or line break": (
        "nothing may follow '|' or '>' on the line; start the text on the next line, indented"
    ),
    "found unknown escape character": (
        "the character after this '\\' makes no known escape; double the '\\' or use single quotes"
    ),
    "found a tab character that violates indentation": ("a tab cannot indent; use spaces"),
}
# ... and where it is that of the construct which the parser was in.
_AT_START: Mapping[str, str] = {
    "could not find expected ':'": "this line has no ':'; write key: value",
    "did not find expected ',' or ']'": (
        "this '[' is not closed, or a ',' is missing behind it; check the list"
    ),
    "did not find expected ',' or '}'": (
        "this '{' is not closed, or a ',' is missing behind it; check the mapping"
    ),
    "found unexpected end of stream": "this quote is never closed",
    "found unexpected document indicator": "this quote is not closed before the document ends",
}
_OTHERWISE = "this is not YAML; check the indentation, the quotes and the brackets around it"


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[int, int, str]:
    """Turn the parser's error about ``text`` into (line, column, message)."""
    problem = error.problem or ""
    mark: Mark = error.problem_mark
    start: Mark = error.context_mark or mark
    if problem in _AT_START:
        mark, message = start, _AT_START[problem]
    elif error.context in {"while scanning an alias", "while scanning an anchor"}:
        mark, message = start, f"quote it: {_quoted(_rest(text, start))}"
    elif problem == "found character that cannot start any token":
        rest = _rest(text, mark)
        message = f"text cannot start with '{rest[:1]}'; quote it: {_quoted(rest)}"
        if not rest or rest[0] == "\t":
            message = _HERE["found a tab character that violates indentation"]
    else:
        message = _HERE.get(problem, _OTHERWISE)
    return mark.line + 1, mark.column + 1, message


def hushed(problems: list[Problem], text: bytes) -> list[Problem]:
    """Leave out of what is said of a line that gives a credential anything that stands there."""
    if not problems or _CREDENTIAL.search(source := text.decode("utf-8-sig")) is None:
        return problems
    lines = [*_BREAK.split(source), ""]
    said = 'this cannot be read; write a reference in quotes: "${{ secret.NAME }}"'
    return [
        replace(one, message=said)
        if _CREDENTIAL.search(lines[one.line - 1]) and not one.message.startswith("duplicate key")
        else one
        for one in problems
    ]


def _rest(text: str, mark: Mark) -> str:
    """Give what stands on the line from ``mark`` on, without a comment."""
    line = _BREAK.split(text)[mark.line]
    return _COMMENT.sub("", line[mark.column :]).rstrip("]} ")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def place_of(before: str) -> tuple[int, int]:
    """Give the line and column that follow ``before``, the text from the file's start."""
    lines = _BREAK.split(before.removeprefix("\ufeff"))
    return len(lines), len(lines[-1]) + 1


def one_line(text: str) -> str:
    """Write what is not printable as escapes, so that a message is one line and moves no cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(text: str) -> str:
    """Quote a text of the manifest for a message, cut where it is long."""
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    return one_line(f"'{cut}'")
