"""Which schemas this program knows, told without Alembic."""

from __future__ import annotations

from reconciler.errors import SchemaMismatch

# Oldest first. A test holds this list and the files in migrations/versions together, so that
# opening a workspace need not load Alembic.
REVISIONS = ("0001", "0002", "0003", "0004", "0005")
HEAD = REVISIONS[-1]


def known(revision: str, name: str) -> str:
    """Give the ``revision`` of the workspace called ``name`` back.

    Raises:
        SchemaMismatch: a newer program wrote it.
    """
    if revision not in REVISIONS:
        raise SchemaMismatch(
            f"{name} has schema {revision}, which was written by a newer version of reconciler: "
            "install that version"
        )
    return revision


def check(revision: str, name: str) -> None:
    """Refuse a workspace that another version of this program wrote.

    Raises:
        SchemaMismatch: it is older and must be migrated, or newer.
    """
    if known(revision, name) != HEAD:
        raise SchemaMismatch(
            f"{name} has schema {revision} and this program needs {HEAD}: "
            "run `reconciler workspace migrate`"
        )
