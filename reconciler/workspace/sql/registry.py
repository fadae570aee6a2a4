"""The registry on SQL: what is declared to run."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import select

from reconciler.errors import NotFound
from reconciler.workspace.records import CodeTree, Experiment
from reconciler.workspace.sql import rows, statements
from reconciler.workspace.sql.registry_transaction import SqlRegistryTransaction
from reconciler.workspace.sql.tables import applies, blobs, experiments, trees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.clock import Clock
    from reconciler.workspace.records import ApplyRecord, Live
    from reconciler.workspace.sql.connection import Database


class SqlRegistry:
    """A :class:`~reconciler.workspace.base.Registry` on one SQL database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def now(self) -> int:
        """Give the present instant; SQLite has no better clock than the machine's."""
        return self._clock.now()

    def live(self) -> Live:
        """Read everything that is registered, in one consistent moment."""
        with self._database.reading() as connection:
            return statements.live(connection)

    def experiments(self) -> tuple[Experiment, ...]:
        """List experiments, sorted by name."""
        with self._database.reading() as connection:
            found = connection.execute(select(experiments).order_by(experiments.c.name))
            return tuple(map(rows.experiment, found))

    def code(self, digest: str) -> CodeTree:
        """Read a code snapshot.

        Raises:
            NotFound: no such snapshot.
        """
        with self._database.reading() as connection:
            text = connection.scalar(select(trees.c.entries).where(trees.c.digest == digest))
            if text is None:
                raise NotFound(f"no code snapshot {digest}")
            entries = json.loads(text)
            wanted = statements.among(blob for _, _, blob in entries)
            found = connection.execute(
                select(blobs.c.digest, blobs.c.data).where(blobs.c.digest.in_(wanted))
            )
            data = dict(map(tuple, found))
        return CodeTree(
            digest=digest, entries=tuple((path, mode, data[blob]) for path, mode, blob in entries)
        )

    def applies(self, limit: int = 100) -> tuple[ApplyRecord, ...]:
        """List the newest applies first."""
        with self._database.reading() as connection:
            found = connection.execute(select(applies).order_by(applies.c.id.desc()).limit(limit))
            return tuple(map(rows.apply_record, found))

    @contextmanager
    def transaction(self) -> Iterator[SqlRegistryTransaction]:
        """Begin writing; commits at the end of the block, rolls back on an exception."""
        with self._database.writing() as connection:
            yield SqlRegistryTransaction(connection, self._clock.now())
