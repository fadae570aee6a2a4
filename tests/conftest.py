"""What tests of several rooms share: servers, each begun when it is first asked for."""

from __future__ import annotations

import os

import pytest

from tests.postgres import EXPLICIT, Databases, Server
from tests.servers.fixtures import azurite, fakegcs, seaweedfs  # noqa: F401  (pytest finds them)
from tests.workspace.make import Postgres, Sqlite


@pytest.fixture(scope="session")
def databases():
    server = None if EXPLICIT in os.environ else Server()
    url = os.environ[EXPLICIT] if server is None else server.url
    made = Databases(url, Postgres.prepare, Postgres.clean)
    yield made
    if server is None:
        made.drop_all()
    made.close()
    if server is not None:
        server.close()


@pytest.fixture(params=["sqlite", "postgres"])
def workspaces(request, tmp_path):
    """Makes workspaces; each kind of database is one parameter."""
    if request.param == "sqlite":
        factory = Sqlite(tmp_path)
    else:
        factory = Postgres(request.getfixturevalue("databases"))
    yield factory
    factory.close()
