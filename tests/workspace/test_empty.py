from __future__ import annotations

import pytest

from reconciler.clock import FixedClock
from reconciler.errors import NotFound
from reconciler.workspace.empty import EmptyRegistry
from reconciler.workspace.records import Live
from tests.workspace.make import OWNER


def test_a_workspace_that_does_not_exist_yet_has_nothing_in_it():
    registry = EmptyRegistry(FixedClock(7))
    assert registry.now() == 7
    assert registry.live() == Live()
    assert (registry.experiments(), registry.applies()) == ((), ())
    assert (registry.declarations(OWNER), registry.glance(OWNER)) == ((), None)
    nothing = {"files": ["a"], "schedules": ["a"], "pipelines": ["a"], "datastores": ["a"]}
    assert registry.live_part(OWNER, **nothing) == Live()
    assert registry.dependents(OWNER, pipelines=["a"], datastores=["a"]) == ()
    assert registry.broken_chain() is None
    with pytest.raises(NotFound, match="beef"):
        registry.code("beef")
    with pytest.raises(NotFound, match="7"):
        registry.apply_record(7)
