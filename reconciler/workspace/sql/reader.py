"""The registry as a plan reads it: there is no way to write, and no wait for SQLAlchemy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.workspace.sql import history, queries
from reconciler.workspace.sql.glance import glance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from reconciler.workspace.records import (
        ApplyRecord,
        CodeTree,
        Declaration,
        Experiment,
        Glance,
        Live,
        Owner,
    )
    from reconciler.workspace.sql.driver import Driver


class SqlLiveReader:
    """What a plan reads, from outside or within a transaction.

    ``reading`` lends a connection of the driver's own for one statement.
    """

    def __init__(self, reading: Callable[[], AbstractContextManager[Driver]]) -> None:
        self._reading = reading

    def live(self) -> Live:
        """Read everything that is registered, in one consistent moment."""
        with self._reading() as raw:
            return queries.live(raw)

    def glance(self, owner: Owner) -> Glance | None:
        """Read what an incremental plan must know, in one statement; None before a first apply."""
        with self._reading() as raw:
            return glance(raw, owner)

    def live_part(
        self,
        owner: Owner,
        *,
        files: Iterable[str],
        schedules: Iterable[str],
        pipelines: Iterable[str],
        datastores: Iterable[str],
    ) -> Live:
        """Read what concerns a part of an owner's objects, in one statement.

        The owners are left out. A file's objects are those that it declared, and touched ones that
        say they come from it.
        """
        with self._reading() as raw:
            return queries.live_part(
                raw,
                owner,
                files=files,
                schedules=schedules,
                pipelines=pipelines,
                datastores=datastores,
            )

    def dependents(
        self, owner: Owner, *, pipelines: Iterable[str], datastores: Iterable[str]
    ) -> tuple[str, ...]:
        """Name the files whose declarations refer to one of these objects, sorted."""
        with self._reading() as raw:
            return queries.dependents(raw, owner, pipelines, datastores)


class SqlReader(SqlLiveReader):
    """A :class:`~reconciler.workspace.base.RegistryReader` on one SQL database."""

    def __init__(
        self, reading: Callable[[], AbstractContextManager[Driver]], now: Callable[[], int]
    ) -> None:
        super().__init__(reading)
        self._now = now

    def now(self) -> int:
        """Give the workspace's present instant."""
        return self._now()

    def declarations(self, owner: Owner) -> tuple[Declaration, ...]:
        """List what an owner applied last, sorted by kind and name."""
        with self._reading() as raw:
            return queries.declarations(raw, owner)

    def experiments(self) -> tuple[Experiment, ...]:
        """List experiments, sorted by name."""
        with self._reading() as raw:
            return queries.experiments(raw)

    def code(self, digest: str) -> CodeTree:
        """Read a code snapshot.

        Raises:
            NotFound: no such snapshot.
        """
        with self._reading() as raw:
            return queries.code(raw, digest)

    def applies(self, limit: int = 100) -> tuple[ApplyRecord, ...]:
        """List the newest applies first, without their plans."""
        with self._reading() as raw:
            return history.newest(raw, limit)

    def apply_record(self, number: int) -> ApplyRecord:
        """Read one line of the history whole.

        Raises:
            NotFound: there is none of that number.
        """
        with self._reading() as raw:
            return history.one(raw, number)

    def broken_chain(self) -> int | None:
        """Give the first line of the history that was changed after it was written, or None."""
        with self._reading() as raw:
            return history.broken(raw)
