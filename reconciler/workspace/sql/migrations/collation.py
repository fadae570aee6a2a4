"""How texts compare on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from reconciler.workspace.sql.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from alembic.runtime.migration import MigrationContext, MigrationInfo

_OTHERWISE = text("""
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = current_schema() AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'
""")


def compare_by_bytes(
    ctx: MigrationContext,
    step: MigrationInfo,  # noqa: ARG001  (Alembic gives it, as the two below)
    heads: Collection[str],  # noqa: ARG001
    run_args: Mapping[str, object],  # noqa: ARG001
) -> None:
    """After each revision, let every text column compare by its bytes, as it does on SQLite.

    The beginning of an id is then found by an index, and an index outlives an update of the
    machine's languages. A trigger on a column fixes its type, so this comes before the next
    revision.
    """
    connection = ctx.connection
    if connection is None or connection.dialect.name != "postgresql":
        return
    changes: dict[str, list[str]] = {}
    for table, column in connection.execute(_OTHERWISE):
        if table in metadata.tables:
            change = f'ALTER COLUMN "{column}" TYPE text COLLATE "C"'
            changes.setdefault(table, []).append(change)
    for table, columns in changes.items():
        connection.exec_driver_sql(f'ALTER TABLE "{table}" {", ".join(columns)}')
