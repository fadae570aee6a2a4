"""Procrastinate on PostgreSQL: how long it takes to defer the periodic tasks that are due.

Run: ``python procrastinates.py URL REGISTERED DUE``; prints seconds. A fire is a job in the queue
with the mark that it was deferred for this time; nobody works the queue off.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from time import perf_counter

from procrastinate import App, PsycopgConnector
from procrastinate.periodic import PeriodicDeferrer

url, registered, due = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
app = App(connector=PsycopgConnector(conninfo=url))


def score(timestamp: int, batch_size: int = 512) -> None:
    """Do nothing."""


task = app.task(name="score")(score)


async def main() -> None:
    """Register the tasks, which lives in memory only, and defer once."""
    now = datetime.now(UTC).replace(second=30)  # noqa: TID251  (no part of the program)
    later = now + timedelta(hours=12)
    crons = f"{now.minute} {now.hour} * * *", f"{later.minute} {later.hour} * * *"
    for number in range(registered):
        cron = crons[0] if number < due else crons[1]
        app.periodic(cron=cron, periodic_id=f"schedule-{number}")(task)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        deferrer = PeriodicDeferrer(app.periodic_registry)
        began = perf_counter()
        await deferrer.defer_jobs(list(deferrer.get_previous_tasks(at=now.timestamp())))
        print(perf_counter() - began)


asyncio.run(main())
