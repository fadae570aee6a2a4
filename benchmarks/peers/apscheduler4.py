"""APScheduler 4 (an alpha) on PostgreSQL: how long it takes to fire what is due.

Run: ``python apscheduler4.py URL REGISTERED DUE``; prints seconds. A fire is a job written to the
queue and its schedule's next time; nobody works the queue off.
"""

import asyncio
import sys
from datetime import UTC, datetime
from time import perf_counter

from apscheduler import AsyncScheduler, JobAdded, SchedulerRole
from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

url, registered, due = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def main() -> None:
    """Register one schedule, copy it, and fire."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    async with AsyncScheduler(SQLAlchemyDataStore(engine), role=SchedulerRole.scheduler) as it:
        now = datetime.now(UTC)  # noqa: TID251  (no part of the program)
        await it.add_schedule(
            "os:getpid", IntervalTrigger(days=1, start_time=now), id="s", misfire_grace_time=None
        )
        async with engine.begin() as connection:
            columns = [row[0] for row in await connection.execute(text(COLUMNS))]
            values = [COPIED.get(column, column) for column in columns]
            await connection.execute(
                text(
                    f"INSERT INTO schedules ({', '.join(columns)})"
                    f" SELECT {', '.join(values)} FROM schedules,"
                    " generate_series(1, CAST(:registered AS INTEGER)) AS n"
                ),
                {"registered": registered, "due": due},
            )
            await connection.execute(text("DELETE FROM schedules WHERE id = 's'"))
            await connection.execute(text("DELETE FROM jobs"))
        left = due
        done = asyncio.Event()

        def added(_: JobAdded) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                done.set()

        with it.subscribe(added, {JobAdded}):
            began = perf_counter()
            await it.start_in_background()
            await done.wait()
            print(perf_counter() - began)
        await it.stop()


COLUMNS = """
SELECT column_name FROM information_schema.columns
WHERE table_name = 'schedules' AND table_schema = 'public'
"""
COPIED = {
    "id": "'schedule-' || n",
    "next_fire_time": "now() - interval '1 second' + CASE WHEN n <= CAST(:due AS INTEGER)"
    " THEN interval '0' ELSE interval '1 day' END",
}
asyncio.run(main())
