"""Every workspace adapter goes through the same tests; a new one is one more parameter here."""

from __future__ import annotations

import pytest

from tests.workspace.make import Sqlite

FACTORIES = {"sqlite": Sqlite}


@pytest.fixture(params=sorted(FACTORIES))
def workspaces(request, tmp_path):
    factory = FACTORIES[request.param](tmp_path)
    yield factory
    factory.close()


@pytest.fixture
def workspace(workspaces):
    return workspaces.open()


@pytest.fixture
def clock(workspaces):
    return workspaces.clock


@pytest.fixture
def ledger(workspace):
    return workspace.ledger


@pytest.fixture
def runner(ledger):
    assert ledger.begin_session(host="here", pid=1, wait=False)
    return ledger
