"""How a value declares its fields: once, for the loader, the JSON Schema and the emitter alike.

A field's type gives its shape; :func:`field` adds what a type cannot say (its meaning, an example,
bounds). ``reconciler.manifest.shape`` reads both. Shapes understood there: ``str int float bool``,
``StrEnum``, ``datetime`` (naive wall clock, ``2026-01-31T09:00:00``), ``timedelta`` (``90s 30m 2h
1d``), ``X | None``, ``tuple[X, ...]``, ``Mapping[str, X]``, ``Scalar``, another such dataclass, and
a union of dataclasses, written as a mapping with exactly one key: the class's ``TAG``.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Scalar = str | int | float | bool
Fault = tuple[tuple[str | int, ...], str]
NAME_PATTERN = r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}$"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a field's type cannot say.

    ``minimum`` and ``maximum`` bound a number, or each number of a list; ``pattern`` binds a text,
    or each text of a list or each key of a mapping of names; ``hint`` ends the error message that
    a broken pattern gives; ``unique`` forbids repeats in a list; ``non_empty`` wants one item or
    one character at least; what is ``hushed`` may hold a secret by mistake and is not shown.
    """

    text: str
    examples: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    hint: str = ""
    unique: bool = False
    non_empty: bool = False
    hushed: bool = False


def field(  # noqa: PLR0913  (a declaration, always called by keyword)
    text: str,
    *,
    default: Any = dataclasses.MISSING,  # noqa: ANN401  (whatever the field's type is)
    default_factory: Callable[[], Any] | None = None,
    examples: tuple[Any, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    pattern: str | None = None,
    hint: str = "",
    unique: bool = False,
    non_empty: bool = False,
    hushed: bool = False,
) -> Any:  # noqa: ANN401  (as dataclasses.field)
    """Declare a dataclass field together with its description for people and editors."""
    about = About(
        text=text,
        examples=examples,
        minimum=minimum,
        maximum=maximum,
        pattern=pattern,
        hint=hint,
        unique=unique,
        non_empty=non_empty,
        hushed=hushed,
    )
    if default_factory is not None:
        return dataclasses.field(default_factory=default_factory, metadata={"about": about})
    return dataclasses.field(default=default, metadata={"about": about})


_UNITS = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)


@lru_cache(maxsize=1_024)
def parse_duration(text: str) -> timedelta:
    """Read ``90s``, ``1h30m``, ``2d`` or ``250ms``; units descend and each stands once.

    Raises:
        ValueError: anything else, the empty text included.
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"'{text}' is not a duration; write for example 30s, 5m, 1h30m or 2d")
    parts = zip(_UNITS.values(), match.groups(), strict=True)
    total = sum(unit * int(count) for unit, count in parts if count)
    try:
        return timedelta(microseconds=total)
    except OverflowError:
        raise ValueError(f"'{text}' is longer than a calendar can hold") from None


def duration_text(duration: timedelta) -> str:
    """Write a duration in the one form that :func:`parse_duration` reads back to the same value."""
    rest = duration // timedelta(microseconds=1)
    text = ""
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
