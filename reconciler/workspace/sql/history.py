"""The history of applies: lines that are only appended, each sealed with the one before."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from reconciler.errors import NotFound
from reconciler.workspace.sql import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.workspace.records import ApplyRecord
    from reconciler.workspace.sql.driver import Driver

_ALL = ", ".join(rows.APPLY_COLUMNS)
_LISTED = ", ".join("'' AS plan" if name == "plan" else name for name in rows.APPLY_COLUMNS)
_NEWEST = f"SELECT {_LISTED} FROM applies ORDER BY id DESC LIMIT :limit"  # noqa: S608  (constants)
_ONE = f"SELECT {_ALL} FROM applies WHERE id = :id"  # noqa: S608  (constants)
_IN_ORDER = f"SELECT {_ALL} FROM applies ORDER BY id"  # noqa: S608  (constants)
_LAST = "SELECT chain FROM applies ORDER BY id DESC LIMIT 1"
_APPEND = f"""
INSERT INTO applies ({", ".join(rows.APPLY_COLUMNS[1:])})
VALUES ({", ".join("?" * (len(rows.APPLY_COLUMNS) - 1))}) RETURNING id
"""  # noqa: S608  (constants)


def newest(raw: Driver, limit: int) -> tuple[ApplyRecord, ...]:
    """List the newest applies first, without their plans."""
    return tuple(map(rows.apply_record, raw.execute(_NEWEST, {"limit": limit})))


def one(raw: Driver, number: int) -> ApplyRecord:
    """Read one line whole.

    Raises:
        NotFound: there is none of that number.
    """
    found = raw.execute(_ONE, {"id": number}).fetchone()
    if found is None:
        raise NotFound(f"no apply number {number}; `reconciler history` lists them")
    return rows.apply_record(found)


def append(raw: Driver, record: ApplyRecord) -> int:
    """Append a line and give its number."""
    last = raw.execute(_LAST).fetchone()
    values = rows.apply_values(record)
    chain = _seal(last[0] if last else "", values)
    number: int = raw.execute(_APPEND, (*values, chain)).fetchone()[0]
    return number


def broken(raw: Driver) -> int | None:
    """Give the first line that does not follow from the line before, or None.

    The chain begins with the first line that has one: older programs wrote lines without.
    """
    before = ""
    for number, *values, chain in raw.execute(_IN_ORDER):
        if (before or chain) and chain != _seal(before, values):
            return int(number)
        before = chain
    return None


def _seal(before: str, values: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps([before, *values]).encode()).hexdigest()
