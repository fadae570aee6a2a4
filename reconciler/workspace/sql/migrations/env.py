"""How Alembic runs: on the connection it is given, inside that connection's transaction."""

from alembic import context

from reconciler.workspace.sql.migrations.collation import compare_by_bytes
from reconciler.workspace.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
    on_version_apply=compare_by_bytes,
)
with context.begin_transaction():
    context.run_migrations()
