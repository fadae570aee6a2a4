"""A workspace with very many daily schedules, on SQLite or on a PostgreSQL with fsync.

One schedule is registered as the program does it and all others are copies of its rows, each with
its own name, minute and zone: what is measured is not how they came there.
"""

from __future__ import annotations

import sys
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # the tests know how to start a server

import sqlite3  # noqa: E402

import psycopg  # noqa: E402

from reconciler.clock import MINUTE, FixedClock, parse_instant  # noqa: E402
from reconciler.manifest.emit import from_data  # noqa: E402
from reconciler.pipeline import Pipeline  # noqa: E402
from reconciler.plan.spec import spec_text  # noqa: E402
from reconciler.schedule import Schedule, Status  # noqa: E402
from reconciler.workspace.records import Clockwork, Owner, Provenance  # noqa: E402
from reconciler.workspace.sql import open_workspace  # noqa: E402
from tests.postgres import Server  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.workspace.sql import SqlWorkspace

COUNT = 100_000
STEPS = {
    "name": "score",
    "parameters": {"batch_size": {"type": "integer", "default": 256}},
    "steps": [{"name": "score", "command": ["/bin/true"]}],
}


@dataclass(frozen=True)
class Store:
    """Where a workspace is: ``place`` is a path or a URL, ``url`` what the command line takes."""

    label: str
    place: str
    url: str

    @property
    def postgres(self) -> bool:
        """Whether it is a PostgreSQL database."""
        return self.label == "PostgreSQL"

    def execute(self, statement: str) -> list[Any]:
        """Run one statement on a connection of its own; give its rows."""
        if self.postgres:
            with psycopg.connect(self.place) as connection:
                done = connection.execute(statement.encode())
                return done.fetchall() if done.description else []
        with closing(sqlite3.connect(self.place)) as file, file:
            return file.execute(statement).fetchall()

    def insert(self, table: str, columns: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
        """Insert many rows in the fastest way there is."""
        names = ", ".join(columns)
        if self.postgres:
            with (
                psycopg.connect(self.place) as connection,
                connection.cursor() as cursor,
                cursor.copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy,
            ):
                for row in rows:
                    copy.write_row(row)
            return
        marks = ", ".join("?" * len(columns))
        with closing(sqlite3.connect(self.place)) as file, file:
            file.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)


@contextmanager
def postgres() -> Iterator[Callable[[str], Store]]:
    """Start a server that outlives a power cut; gives how to make a database in it."""
    server = Server(durable=True)

    def make(name: str) -> Store:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        url = server.url.replace("/postgres?", f"/{name}?")
        return Store("PostgreSQL", url, url)

    try:
        yield make
    finally:
        server.close()


def sqlite(folder: str | Path, name: str = "workspace") -> Store:
    """Name a file that is yet to be made."""
    path = Path(folder, f"{name}.db")
    return Store("SQLite", str(path), f"sqlite:{path}")


def crowd(store: Store, count: int, due: Callable[[int], int], day: str) -> None:
    """Make the workspace with ``count`` schedules on it, none of them begun before ``day`` (UTC).

    Schedule ``n`` is due each day, ``due(n)`` minutes after that day's midnight for the first time.
    """
    midnight = parse_instant(f"{day}T00:00:00Z")
    workspace = open_workspace(store.place, FixedClock(midnight), create=True)
    with workspace.registry.transaction() as write:
        spec = spec_text(from_data(Pipeline, STEPS))
        made = write.publish(
            owner=None, name="score", spec=spec, digest="0", code=None, provenance=Provenance()
        )
        first = write.create_schedule(
            owner=Owner("bench", "prod"),
            name="template",
            spec="{}",
            pipeline_id=made.id,
            status=Status.ACTIVE,
            provenance=Provenance(file="schedules/all.yml", line=1),
            arming=Clockwork(next_due=midnight, processed_to=midnight - 1),
        )
    workspace.close()
    texts = {minute: _spec(minute) for minute in {due(n) for n in range(count)}}
    ids = [str(uuid.uuid4()) for _ in range(count)]
    minutes = [due(n) for n in range(count)]
    columns, template = _row(store, "schedules")
    copied = columns.index("id"), columns.index("name"), columns.index("spec")
    stamps = columns.index("created_at"), columns.index("updated_at")

    def schedules() -> Iterator[tuple[Any, ...]]:
        for n in range(count):
            row = list(template)
            text = texts[minutes[n]].replace("NAME", f"schedule-{n}")
            for at, value in zip(copied, (ids[n], f"schedule-{n}", text), strict=True):
                row[at] = value
            for at in stamps:
                row[at] = midnight - MINUTE
            yield tuple(row)

    columns_of_timers, timer = _row(store, "timers")
    store.execute("DELETE FROM timers")
    store.execute(f"DELETE FROM schedules WHERE id = '{first}'")
    store.insert("schedules", columns, schedules())
    known = dict(zip(columns_of_timers, timer, strict=True))
    rows = (
        known | {"schedule_id": ids[n], "next_due": midnight + minutes[n] * MINUTE}
        for n in range(count)
    )
    store.insert(
        "timers", columns_of_timers, (tuple(row[c] for c in columns_of_timers) for row in rows)
    )
    if store.postgres:
        with psycopg.connect(store.place, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")


def _row(store: Store, table: str) -> tuple[list[str], tuple[Any, ...]]:
    """Give the columns of a table and its only row."""
    if store.postgres:
        names = (
            "SELECT column_name FROM information_schema.columns"
            f" WHERE table_name = '{table}' ORDER BY ordinal_position"
        )
        columns = [name for (name,) in store.execute(names)]
    else:
        columns = [row[1] for row in store.execute(f"PRAGMA table_info({table})")]
    (row,) = store.execute(f"SELECT {', '.join(columns)} FROM {table}")
    return columns, row


def _spec(minute: int) -> str:
    """Write what is registered of a schedule, but for its name."""
    data = {
        "name": "NAME",
        "description": "Score the transactions of one region",
        "pipeline": "score",
        "experiment_name": "scoring",
        "trigger": {
            "recurrence": {
                "frequency": "Day",
                "time_zone": "UTC",
                "time_of_day": f"{minute // 60 % 24:02}:{minute % 60:02}",
                "first_run": "aligned",
            }
        },
        "pipeline_parameters": {"batch_size": 512},
        "retries": {"max": 2, "backoff": "30s"},
        "tags": {"team": "risk", "tier": "gold"},
    }
    return spec_text(from_data(Schedule, data))


def opened(store: Store, clock: FixedClock) -> SqlWorkspace:
    """Open a workspace on a clock that stands still; PostgreSQL's is set with :func:`set_clock`."""
    return open_workspace(store.place, clock, create=False)


def set_clock(store: Store, clock: FixedClock, instant: int) -> None:
    """Set the workspace's clock."""
    clock.instant = instant
    if store.postgres:
        store.execute(
            "CREATE OR REPLACE FUNCTION reconciler_now() RETURNS BIGINT"
            f" LANGUAGE sql STABLE AS 'SELECT {instant}::bigint'"
        )
