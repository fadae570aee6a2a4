"""A workspace that does not exist yet, as a plan sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import NotFound
from reconciler.workspace.records import Live

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.clock import Clock
    from reconciler.workspace.records import (
        ApplyRecord,
        CodeTree,
        Declaration,
        Experiment,
        Glance,
        Owner,
    )


class EmptyRegistry:
    """A :class:`~reconciler.workspace.base.RegistryReader` with nothing in it.

    It lets a first plan be made without creating the workspace.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> int:
        """Give the present instant."""
        return self._clock.now()

    def live(self) -> Live:
        """Nothing is registered."""
        return Live()

    def glance(self, owner: Owner) -> Glance | None:  # noqa: ARG002  (the port's)
        """Nothing was ever applied."""
        return None

    def live_part(
        self,
        owner: Owner,  # noqa: ARG002  (the port's)
        *,
        files: Iterable[str],  # noqa: ARG002  (the port's)
        schedules: Iterable[str],  # noqa: ARG002  (the port's)
        pipelines: Iterable[str],  # noqa: ARG002  (the port's)
        datastores: Iterable[str],  # noqa: ARG002  (the port's)
    ) -> Live:
        """Nothing is registered."""
        return Live()

    def dependents(
        self,
        owner: Owner,  # noqa: ARG002  (the port's)
        *,
        pipelines: Iterable[str],  # noqa: ARG002  (the port's)
        datastores: Iterable[str],  # noqa: ARG002  (the port's)
    ) -> tuple[str, ...]:
        """Nothing was ever applied."""
        return ()

    def declarations(self, owner: Owner) -> tuple[Declaration, ...]:  # noqa: ARG002  (the port's)
        """Nothing was ever applied."""
        return ()

    def experiments(self) -> tuple[Experiment, ...]:
        """There are no experiments."""
        return ()

    def code(self, digest: str) -> CodeTree:
        """There is no code.

        Raises:
            NotFound: always.
        """
        raise NotFound(f"no code snapshot {digest}")

    def applies(self, limit: int = 100) -> tuple[ApplyRecord, ...]:  # noqa: ARG002  (the port's)
        """Nothing was ever applied."""
        return ()

    def apply_record(self, number: int) -> ApplyRecord:
        """There is no history.

        Raises:
            NotFound: always.
        """
        raise NotFound(f"no apply number {number}")

    def broken_chain(self) -> int | None:
        """There is nothing to be broken."""
        return None
