"""What tests of object stores share."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import obstore
import pytest

from reconciler.datastore import objects
from tests.servers.listing import MANY


@pytest.fixture(scope="session")
def full(seaweedfs):
    """A bucket that is listed in two pages."""
    made = seaweedfs.container()
    store = made.open()._objects

    async def fill():
        numbers = iter(range(MANY))

        async def some():
            for number in numbers:
                await obstore.put_async(store, f"in/{number:05d}", b"x", use_multipart=False)

        await asyncio.gather(*(some() for _ in range(32)))

    asyncio.run(fill())
    return made


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(objects, "_TIMEOUTS", {"connect_timeout": "1s", "read_timeout": "300ms"})
    quick = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=2)}
    again = {"max_retries": 2, "retry_timeout": timedelta(seconds=2), "backoff": quick}
    monkeypatch.setattr(objects, "_RETRIES", again)
