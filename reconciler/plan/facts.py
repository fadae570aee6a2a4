"""Small facts about one object that its change tells: what differs, who did it, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.live import DisabledBy
from reconciler.plan.change import Action, Cause, FieldChange, Side
from reconciler.plan.spec import fingerprint
from reconciler.schedule import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.live import Applied, PublishedPipeline, RegisteredDatastore, RegisteredSchedule

NOBODY = "nobody"


def status_change(live: Status, desired: Status, applied: Applied | None = None) -> FieldChange:
    """Give the change from one status to the other; of two, what is not Git's is the other's."""
    before = live if applied is None else applied.status
    side = Side.GIT if before is live else Side.LIVE
    return FieldChange("status", live.value, desired.value, before.value, side)


def schedule_print(here: RegisteredSchedule) -> str:
    """Give the fingerprint of a schedule."""
    facts = (here.id, here.name, here.spec, here.pipeline_id, here.status, here.disabled_by)
    return fingerprint(*facts, str(here.owner), here.protected)


def version_print(version: PublishedPipeline) -> str:
    """Give the fingerprint of a published version, whose content is in its id."""
    return fingerprint(version.id, version.status, str(version.owner), version.protected)


def store_print(store: RegisteredDatastore) -> str:
    """Give the fingerprint of a datastore."""
    return fingerprint(store.spec, str(store.owner), store.protected)


def held_notes(here: RegisteredSchedule, as_of: int) -> tuple[str, ...]:
    """Say who holds a schedule, if somebody does."""
    if here.hold is None or not here.hold.active(as_of):
        return ()
    return (f"held by {here.hold.who}: {here.hold.why}",)


def action_of(live: Status, desired: Status) -> Action:
    """Name what a change does to an object that stays."""
    if live is desired:
        return Action.UPDATE
    return Action.ENABLE if desired is Status.ACTIVE else Action.DISABLE


def cause_of(
    fields: Iterable[FieldChange], disabled_by: DisabledBy | None = None, *, edited: bool = True
) -> Cause:
    """Say why an object changes; ``edited`` tells that its declared spec differs."""
    if disabled_by is DisabledBy.MISSING:
        return Cause.RESTORED
    sides = {field.side for field in fields}
    if sides == {Side.LIVE}:
        return Cause.DRIFTED
    moved = not edited and any(field.path == "pipeline version" for field in fields)
    return Cause.PIPELINE_MOVED if moved else Cause.EDITED


def cause_of_return(version: PublishedPipeline) -> Cause:
    """Say why a pipeline without any Active version is enabled."""
    return Cause.RESTORED if version.disabled_by is DisabledBy.MISSING else Cause.DRIFTED
