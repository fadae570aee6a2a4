"""Scalars to values: what is written, what it means, and whether the declaration takes it."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from reconciler.fields import parse_duration
from reconciler.manifest.shape import Choice, Leaf
from reconciler.manifest.syntax import shown
from reconciler.manifest.yaml12 import NULLS, Node, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import StrEnum

    from reconciler.fields import About


class Missing(Enum):
    """Instead of a value."""

    ABSENT = "null is written"
    FAILED = "the faults say why"


ABSENT = Missing.ABSENT
FAILED = Missing.FAILED
Faults = list[tuple[int, int, str]]
Build = Callable[[Node, Faults], Any]
Read = Callable[[Any], Any]

MOMENT = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
)
_OFFSET = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*?\s*(?:Z|[+-]\d\d(?::?\d\d)?)")
_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


class _Wrong(ValueError):
    """A scalar of the right type that does not say what it should; carries the message."""


def meaning(node: Node) -> Any:  # noqa: ANN401  (a scalar of any type, or None, or a collection)
    """Give the Python value of a scalar, None for null; a collection's own list or dict.

    Raises:
        ValueError: as :func:`resolve`.
    """
    value = node.value
    if node.style or type(value) is not str:
        return value
    return resolve(value)


def scalar(shape: Leaf | Choice, about: About, key: str, *, many: str = "") -> Build:
    """Compile a scalar of the field ``key``; ``many`` says "each of" where it is one of several."""
    accepted, read = reading(shape, about, key, many=bool(many))
    wanted = shape if isinstance(shape, Leaf) else Leaf.TEXT
    label = many + key

    def build(node: Node, faults: Faults) -> Any:  # noqa: ANN401
        try:
            value = meaning(node)
            if type(value) in accepted:
                return value if read is None else read(value)
        except ValueError as error:
            message = str(error) if type(error) is _Wrong else f"{label}: {error}"
            hidden = about.hushed and type(error) is not _Wrong
            return fault(
                faults, node, f"{label} must be text; put it in quotes" if hidden else message
            )
        if value is None:
            return ABSENT
        instead = f", {_instead(node, value, accepted, wanted)}"
        if about.hushed and not isinstance(value, dict | list):
            instead = "; put it in quotes"
        return fault(faults, node, f"{label} must be {wanted.value}{instead}")

    return build


def reading(
    shape: Leaf | Choice, about: About, key: str, *, many: bool = False
) -> tuple[frozenset[type], Read | None]:
    """Give the types that a scalar may have, and what reads it from them.

    Reading raises ValueError where the scalar does not say what it should.
    """
    if isinstance(shape, Leaf):
        return _READERS[shape](about, key)
    return _choice(shape, (words_of_list if many else _words)(key, shape))


def fault(faults: Faults, node: Node, message: str) -> Missing:
    """Add a fault at ``node``."""
    faults.append((node.line, node.column, message))
    return FAILED


def _instead(node: Node, value: object, accepted: frozenset[type], wanted: Leaf) -> str:
    """Say what stands there instead, and what to do."""
    if isinstance(value, dict | list):
        return "not a mapping" if isinstance(value, dict) else "not a list"
    text = str(node.value)
    if not isinstance(value, str):
        return f"not {shown(text)[1:-1]}" + ("; put it in quotes" if wanted is Leaf.TEXT else "")
    if node.style:
        try:
            quoted = type(resolve(text)) in accepted
        except ValueError:
            quoted = False
        return "not text" + ("; remove the quotes" if quoted else "")
    hint = ""
    if text == "None":
        hint = "; leave the key out for the default"
    elif bool in accepted and text.lower() in _BOOLEANS:
        hint = f"; write {_BOOLEANS[text.lower()]}"
    return f"not the text {shown(text)}{hint}"


def compiled(about: About) -> re.Pattern[str] | None:
    """Compile a declared pattern as JSON Schema means it: ``$`` is the end, not a line's end."""
    return re.compile(re.sub(r"\$$", r"\\Z", about.pattern)) if about.pattern else None


def _text(about: About, key: str) -> tuple[frozenset[type], Read | None]:
    pattern = compiled(about)
    if not pattern and not about.non_empty:
        return frozenset({str}), None

    def read(value: str) -> str:
        if about.non_empty and not value:
            raise _Wrong(f"{key} must not be empty")
        if pattern and not pattern.search(value):
            said = key if about.hushed else f"{key} {shown(value)}"
            raise _Wrong(f"{said} is not accepted; {about.hint}")
        return value

    return frozenset({str}), read


def _whole(about: About, key: str) -> tuple[frozenset[type], Read | None]:
    return frozenset({int}), _bounds(about, key)


def _number(about: About, key: str) -> tuple[frozenset[type], Read | None]:
    check = _bounds(about, key)
    return frozenset({int, float}), lambda value: float(check(value) if check else value)


def _bounds(about: About, key: str) -> Read | None:
    if about.minimum is None:
        return None
    low, high = about.minimum, math.inf if about.maximum is None else about.maximum
    words = key.replace("_", " ").capitalize()
    message = f"{words} must be between {low} and {high}."
    if high == math.inf:
        message = f"{words} must be an integer greater than {low - 1}."

    def read(value: float) -> float:
        if not low <= value <= high:
            raise _Wrong(message)
        return value

    return read


def _moment(_: About, key: str) -> tuple[frozenset[type], Read]:
    def read(value: str) -> datetime:
        if MOMENT.fullmatch(value):
            try:
                return datetime.fromisoformat(value)
            except ValueError:
                raise _Wrong(f"{key} {shown(value)} is not a day of the calendar") from None
        if _OFFSET.fullmatch(value):
            raise _Wrong(f"Can not specify tzinfo for {key}, use time_zone instead.")
        raise _Wrong(f"{key} must be {Leaf.MOMENT.value}, not {shown(value)}")

    return frozenset({str}), read


def _duration(_: About, key: str) -> tuple[frozenset[type], Read]:
    def read(value: str) -> timedelta:
        try:
            return parse_duration(value)
        except ValueError:
            raise _Wrong(f"{key} must be {Leaf.DURATION.value}, not {shown(value)}") from None

    return frozenset({str}), read


_READERS: Mapping[Leaf, Callable[[About, str], tuple[frozenset[type], Read | None]]] = {
    Leaf.TEXT: _text,
    Leaf.WHOLE: _whole,
    Leaf.NUMBER: _number,
    Leaf.BOOLEAN: lambda _about, _key: (frozenset({bool}), None),
    Leaf.SCALAR: lambda _about, _key: (frozenset({str, int, float, bool}), None),
    Leaf.MOMENT: _moment,
    Leaf.DURATION: _duration,
}


def _choice(shape: Choice, sentence: str) -> tuple[frozenset[type], Read]:
    members = {member.value: member for member in shape.enum}

    def read(value: str) -> StrEnum:
        member = members.get(value)
        if member is None:
            close = nearest(value, members) if len(members) > 1 else None
            raise _Wrong(sentence + (f" Did you mean {close}?" if close else ""))
        return member

    return frozenset({str}), read


# The sentences are those of Azure ML's SDK: for status, frequency and week_days.


def _words(key: str, shape: Choice) -> str:
    *most, last = shape.enum
    words = key.replace("_", " ").capitalize()
    if not most:
        return f"{words} must be {last}."
    if len(most) == 1:
        return f"{words} must be either {most[0]} or {last}."
    return f"Invalid value for {key}, only one of {', '.join(most)}, or {last} accepted."


def words_of_list(key: str, shape: Choice) -> str:
    """Say which words a list may hold."""
    words = key.replace("_", " ").capitalize()
    return f"{words} must be a list of str, accepted values: {', '.join(shape.enum)}."


def is_null(node: Node) -> bool:
    """Tell whether null is written, in whatever way."""
    return not node.style and node.value in NULLS


def nearest(text: str, known: Iterable[str]) -> str | None:
    """Give the known word that ``text`` most likely meant; case and separators do not count."""
    folded = {_fold(word): word for word in known}
    close = difflib.get_close_matches(_fold(text[:80]), folded, 1, 0.7)
    return folded[close[0]] if close else None


def _fold(text: str) -> str:
    return re.sub(r"[\W_]", "", text).lower()
