"""Time zone data: a newer version makes what is undecided due, whichever store keeps it."""

from reconciler.clock import HOUR
from tests.workspace.make import on_timer


def due(workspace):
    return [schedule.next_due for schedule in workspace.registry.live().schedules]


def test_a_newer_version_makes_every_timer_due_and_an_older_one_nothing(workspace, runner, clock):
    later = clock.now() + HOUR
    on_timer(workspace, later)
    on_timer(workspace, clock.now() - HOUR, name="late")
    on_timer(workspace, None, name="ended")
    assert runner.use_zones("2026a") == "2026a"  # the first there was
    assert due(workspace) == [None, clock.now() - HOUR, later]
    assert runner.use_zones("2025b") == "2026a"
    assert runner.use_zones("") == "2026a"
    assert due(workspace) == [None, clock.now() - HOUR, later]
    assert runner.use_zones("2026b") == "2026b"
    assert due(workspace) == [None, clock.now() - HOUR, clock.now()]
    assert runner.use_zones("2026b") == "2026b"
