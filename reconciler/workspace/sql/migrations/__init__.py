"""Alembic's history of the schema. A revision never changes once it was released."""
