"""What tests of several rooms share: one PostgreSQL server a session, begun when first asked for."""

from __future__ import annotations

import os

import pytest

from tests.postgres import EXPLICIT, Databases, Server
from tests.workspace.make import Postgres


@pytest.fixture(scope="session")
def databases():
    server = None if EXPLICIT in os.environ else Server()
    url = os.environ[EXPLICIT] if server is None else server.url
    made = Databases(url, Postgres.prepare)
    yield made
    made.close()
    if server is not None:
        server.close()
