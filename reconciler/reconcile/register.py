"""A datastore that the SDK registers: it belongs to no project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.data import Datastore
from reconciler.errors import Refused
from reconciler.live import Owner, Provenance
from reconciler.plan.spec import spec_text, spec_value
from reconciler.reconcile.arm import pass_over_moved

if TYPE_CHECKING:
    from reconciler.workspace.base import Registry

_NOBODY = Owner("", "")


def register_datastore(registry: Registry, store: Datastore, *, overwrite: bool) -> None:
    """Register a datastore, or with ``overwrite`` say anew where one is and what opens it.

    Raises:
        Refused: one of that name is there and is not to be overwritten, or a project manages it.
    """
    with registry.transaction() as tx:
        live = tx.live_part(_NOBODY, files=(), schedules=(), pipelines=(), datastores=(store.name,))
        here = next(iter(live.datastores), None)
        if here is not None and here.owner is not None:
            raise Refused(f"datastore '{here.name}' is managed by {here.owner}; edit its manifest")
        if here is not None and not overwrite:
            text = f"datastore '{here.name}' is registered already"
            raise Refused(f"{text}; choose another name, or pass overwrite=True")
        tx.put_datastore(
            owner=None,
            name=store.name,
            spec=spec_text(store),
            provenance=Provenance(),
            revision=None if here is None else here.revision,
        )
        if here is not None and spec_value(Datastore, here.spec).place != store.place:
            # The name is another place now: nothing in it is news.
            tx.rebaseline(store.name)
            pass_over_moved(tx, store.name)
