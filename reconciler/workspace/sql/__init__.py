"""A workspace in an SQL database: a file of SQLite's, or PostgreSQL, in the same tables.

The law here: whatever belongs together is one transaction; what a writer read still holds when it
commits; no state of a run moves but under the newest runner's fence. SQLAlchemy is imported here
and nowhere else, and only by what writes: ``open_reader`` does without.
"""

from reconciler.workspace.sql.open import SqlWorkspace, open_reader, open_workspace

__all__ = ["SqlWorkspace", "open_reader", "open_workspace"]
