"""Every workspace adapter goes through the same tests."""

from __future__ import annotations

import pytest

from reconciler.workspace.records import OwnerRecord
from tests.workspace.make import (
    OWNER,
    clockwork,
    declaration,
    pipeline,
    schedule,
    store,
)


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


@pytest.fixture
def registry(workspace):
    return workspace.registry


@pytest.fixture
def ids(registry):
    """A schedule ``s`` bound to a pipeline ``p``, and a datastore ``landing``, all applied."""
    with registry.transaction() as write:
        published = pipeline(write)
        schedule_id = schedule(write, arming=clockwork(), pipeline_id=published.id)
        store(write)
        write.declare(
            OWNER,
            [
                declaration(
                    pipeline_id=published.id, pipeline="p", datastores=("landing",), protected=True
                ),
                declaration("Pipeline", "p", digest="d1", code="code/p"),
                declaration("Datastore", "landing"),
            ],
        )
        write.record_owner(OwnerRecord(owner=OWNER))
    return {"Schedule": schedule_id, "Pipeline": published.id}
