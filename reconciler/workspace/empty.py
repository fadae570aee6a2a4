"""A workspace that does not exist yet, as a plan sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import NotFound
from reconciler.workspace.records import Live

if TYPE_CHECKING:
    from reconciler.clock import Clock
    from reconciler.workspace.records import ApplyRecord, CodeTree, Experiment


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
