from __future__ import annotations

import pytest

from reconciler.clock import FixedClock
from reconciler.errors import NotFound
from reconciler.workspace.empty import EmptyRegistry
from reconciler.workspace.records import Live


def test_a_workspace_that_does_not_exist_yet_has_nothing_in_it():
    registry = EmptyRegistry(FixedClock(7))
    assert registry.now() == 7
    assert registry.live() == Live()
    assert (registry.experiments(), registry.applies()) == ((), ())
    with pytest.raises(NotFound, match="beef"):
        registry.code("beef")
