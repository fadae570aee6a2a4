"""Reads that the registry and the ledger share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import insert

from reconciler.workspace.records import Live
from reconciler.workspace.sql import rows
from reconciler.workspace.sql.tables import datastores, holds, pipelines, schedules, timers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Select, Table
    from sqlalchemy.dialects.sqlite import Insert

SCHEDULES = select(
    schedules,
    holds.c.who,
    holds.c.why,
    holds.c.since,
    holds.c.until,
    timers.c.next_due,
    timers.c.processed_to,
    timers.c.initial,
).select_from(schedules.outerjoin(holds).outerjoin(timers))


def live(connection: Connection) -> Live:
    """Read everything that is registered."""
    by_name = SCHEDULES.order_by(schedules.c.name, schedules.c.id)
    versions = select(pipelines).order_by(pipelines.c.name, pipelines.c.version)
    stores = select(datastores).order_by(datastores.c.name)
    return Live(
        schedules=tuple(map(rows.schedule, connection.execute(by_name))),
        pipelines=tuple(map(rows.pipeline, connection.execute(versions))),
        datastores=tuple(map(rows.datastore, connection.execute(stores))),
    )


def among(values: Iterable[str]) -> Select[Any]:
    """Give any number of texts as one parameter, to stand on the right of IN."""
    return select(func.json_each(json.dumps(list(values))).table_valued("value").c.value)


def insert_missing(table: Table) -> Insert:
    """Begin an INSERT that leaves alone what is there."""
    return insert(table).on_conflict_do_nothing()
