"""Temporal's development server on a file: how long it takes to start what is due.

Run: ``python temporals.py FILE REGISTERED``; prints seconds. All that is registered is due at the
same instant, for schedules are made one by one, at some fifty a second. A fire is a workflow that
was started; nobody works on it.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleRange,
    ScheduleSpec,
)

file, registered = sys.argv[1], int(sys.argv[2])
SERVER = Path(sys.executable).with_name("temporal")


async def connected(address: str) -> Client:
    """Wait for the server."""
    while True:
        try:
            client = await Client.connect(address)
            await client.count_workflows()
        except RuntimeError:
            await asyncio.sleep(0.1)
        else:
            return client


async def register(client: Client, number: int, at: datetime) -> None:
    """Make a schedule that is due at ``at`` each day."""
    calendar = ScheduleCalendarSpec(
        hour=[ScheduleRange(at.hour)],
        minute=[ScheduleRange(at.minute)],
        second=[ScheduleRange(at.second)],
    )
    await client.create_schedule(
        f"schedule-{number}",
        Schedule(
            action=ScheduleActionStartWorkflow("score", 512, id=f"run-{number}", task_queue="q"),
            spec=ScheduleSpec(calendars=[calendar]),
        ),
    )


async def main() -> None:
    """Register all, wait for the instant, and for the last of them to be started."""
    port = str(7_000 + os.getpid() % 1_000)
    options = ["--ip", "127.0.0.1", "--port", port, "--headless", "--db-filename", file]
    server = await asyncio.create_subprocess_exec(
        SERVER, "server", "start-dev", *options, "--log-level", "never", stdout=DEVNULL
    )
    try:
        client = await connected(f"127.0.0.1:{port}")
        # Twice as long as making them takes.
        due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=15 + registered // 15)  # noqa: TID251  (no part of the program)
        for number in range(registered):
            await register(client, number, due)
        left = (due - datetime.now(UTC)).total_seconds()  # noqa: TID251  (no part of the program)
        if left < 0:
            raise SystemExit("making the schedules took too long")
        await asyncio.sleep(left)
        began = perf_counter()
        started = 0
        while started < registered:
            await asyncio.sleep(0.02)
            found = await client.count_workflows("WorkflowType = 'score'")
            started = found.count
        print(perf_counter() - began)
    finally:
        server.terminate()
        await server.wait()


asyncio.run(main())
