"""How texts compare on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ALTER = """
DO $$
DECLARE
  statement text;
BEGIN
  FOR statement IN
    SELECT format('ALTER TABLE %I ', table_name)
      || string_agg(format('ALTER COLUMN %I TYPE text COLLATE "C"', column_name), ', ')
    FROM information_schema.columns
    WHERE table_schema = current_schema() AND data_type = 'text'
      AND collation_name IS DISTINCT FROM 'C' AND table_name IN (SELECT unnest(string_to_array(
        '{tables}', ' ')))
    GROUP BY table_name
  LOOP
    EXECUTE statement;
  END LOOP;
END
$$
"""


def compare_by_bytes(connection: Connection) -> None:
    """Let every text column compare by its bytes, as it does on SQLite.

    The beginning of an id is then found by an index, and an index outlives an update of the
    machine's languages.
    """
    if connection.dialect.name == "postgresql":
        from reconciler.workspace.sql.tables import metadata  # noqa: PLC0415

        connection.exec_driver_sql(_ALTER.replace("{tables}", " ".join(metadata.tables)))
