"""Pieces of statements that the registry and the ledger share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import insert

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Select, Table
    from sqlalchemy.dialects.sqlite import Insert


def among(values: Iterable[str]) -> Select[Any]:
    """Give any number of texts as one parameter, to stand on the right of IN."""
    return select(func.json_each(json.dumps(list(values))).table_valued("value").c.value)


def insert_missing(table: Table) -> Insert:
    """Begin an INSERT that leaves alone what is there."""
    return insert(table).on_conflict_do_nothing()
