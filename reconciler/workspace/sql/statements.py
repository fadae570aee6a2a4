"""A piece of statement that every kind of SQL has, and SQLAlchemy only for each apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Insert
from sqlalchemy.ext.compiler import compiles

if TYPE_CHECKING:
    from sqlalchemy import Table


def insert_missing(table: Table) -> Insert:
    """Begin an INSERT that leaves alone what is there; its ``rowcount`` tells how many were not."""
    return _InsertMissing(table).execution_options(preserve_rowcount=True)


class _InsertMissing(Insert):
    inherit_cache = True


@compiles(_InsertMissing)
def _compile(element: _InsertMissing, compiler: Any, **how: Any) -> str:  # noqa: ANN401  (SQLAlchemy's)
    return f"{compiler.visit_insert(element, **how)} ON CONFLICT DO NOTHING"
