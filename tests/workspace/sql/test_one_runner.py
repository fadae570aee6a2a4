"""On SQLite there is one runner at a time, and another one stands by."""

from __future__ import annotations

import pytest

from tests.workspace.make import Sqlite, child

BE_RUNNER = """
import sys
from reconciler.clock import FixedClock
from reconciler.workspace.sql import open_workspace
from tests.workspace.make import NOW
workspace = open_workspace(sys.argv[1], FixedClock(NOW), create=False)
print("waiting", flush=True)
print(workspace.ledger.begin_session(host="h", pid=1, wait=True).fence, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def workspaces(tmp_path):
    factory = Sqlite(tmp_path)
    yield factory
    factory.close()


@pytest.fixture
def ledger(workspaces):
    return workspaces.open().ledger


def test_there_is_one_runner_at_a_time_and_fences_grow(workspaces, ledger):
    first = ledger.begin_session(host="here", pid=1, wait=False)
    other = workspaces.open().ledger
    assert other.begin_session(host="there", pid=2, wait=False) is None
    ledger.end_session()
    ledger.end_session()
    second = other.begin_session(host="there", pid=2, wait=False)
    assert second.fence > first.fence
    assert second.id != first.id


def test_a_killed_runner_makes_way_at_once(workspaces, ledger):
    with child(BE_RUNNER, workspaces.path) as first:
        assert first.stdout.readline() == "waiting\n"
        fence = int(first.stdout.readline())
        assert ledger.begin_session(host="here", pid=1, wait=False) is None
        with child(BE_RUNNER, workspaces.path) as standby:
            assert standby.stdout.readline() == "waiting\n"
            first.kill()
            assert int(standby.stdout.readline()) > fence
    assert ledger.begin_session(host="here", pid=1, wait=False) is not None
