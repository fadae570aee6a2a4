"""Statements that are run for many rows, as PostgreSQL runs them fastest: once, with all rows.

Rows that can only be new are copied. Others are one parameter, a JSON list of objects; the table
itself says of what type their values are. One round trip and one plan take half the time of a
pipeline of as many statements.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_INSERT = re.compile(r"INSERT INTO (\w+) \(([\w, ]+)\)\s+VALUES \([?, ]+\)(.*)", re.DOTALL)
_UPDATE = re.compile(r"UPDATE (\w+) SET ([^()]+) WHERE (\w+) = \?")
_MARKED = re.compile(r"(\w+) = \?")
_encode = json.JSONEncoder(separators=(",", ":")).encode


@lru_cache(maxsize=64)
def at_once(statement: str) -> tuple[str, tuple[str, ...]] | None:
    """Give a statement for all rows, and the columns that each row's parameters are of.

    None where it is neither an INSERT of plain values nor an UPDATE by one column. Of two rows for
    one key an UPDATE takes any.
    """
    statement = statement.strip()
    if found := _INSERT.fullmatch(statement):
        table, names, rest = found.groups()
        select = f"SELECT {names} FROM json_populate_recordset(NULL::{table}, ?::json)"  # noqa: S608  (constants)
        return f"INSERT INTO {table} ({names}) {select} {rest}", tuple(names.split(", "))
    if found := _UPDATE.fullmatch(statement):
        table, values, key = found.groups()
        given = _MARKED.sub(r"\1 = given.\1", values)
        return (
            f"UPDATE {table} SET {given} FROM json_populate_recordset(NULL::{table}, ?::json)"  # noqa: S608  (constants)
            f" AS given WHERE {table}.{key} = given.{key}"
        ), (*_MARKED.findall(values), key)
    return None


@lru_cache(maxsize=64)
def copied(statement: str) -> str | None:
    """Give the COPY that does what an INSERT does; None where it is none of plain values alone."""
    found = _INSERT.fullmatch(statement.strip())
    return None if found is None or found[3] else f"COPY {found[1]} ({found[2]}) FROM STDIN"


def encoded(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Write rows as JSON; what is NULL is left out.

    Raises:
        TypeError: a value is neither text, number, boolean nor None.
    """
    return _encode(
        [
            {name: value for name, value in zip(names, row, strict=True) if value is not None}
            for row in rows
        ]
    )
