"""One apply at a time for one owner: a lease that is kept alive while it is used."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.live import Owner
    from reconciler.workspace.base import Registry
    from reconciler.workspace.records import Lease

# Within the transaction it cannot be renewed, and need not be: nobody else can write meanwhile.
SECONDS = 30
_BEATS = 4


@contextmanager
def leased(registry: Registry, owner: Owner, holder: str) -> Iterator[Lease]:
    """Hold the right to apply for ``owner`` during the block.

    It is renewed in the background; a process that dies leaves one that ends by itself. Whoever
    writes checks it within the transaction: renewing is no proof.

    Raises:
        WorkspaceBusy: somebody else holds it.
    """
    lease = registry.acquire_lease(owner, holder, SECONDS)
    over = Event()
    beat = Thread(target=_keep, args=(registry, lease, over), name="lease", daemon=True)
    beat.start()
    try:
        yield lease
    finally:
        over.set()
        beat.join()
        # It ends by itself where it cannot be given back.
        with suppress(ReconcilerError):
            registry.release_lease(lease)


def _keep(registry: Registry, lease: Lease, over: Event) -> None:
    while not over.wait(SECONDS / _BEATS):
        # Busy: our own transaction is writing, and it checks the lease itself.
        with suppress(ReconcilerError):
            registry.renew_lease(lease, SECONDS)
