"""Waiting for programs that run until somebody stops them."""

LONG = """
kind: Pipeline
name: hello
steps: [{name: wait, command: [sleep, "600"]}]
"""


def until_running(place, after=None):
    """Pass until programs run that are not of the run ``after``; gives the runs."""
    for _ in range(1_000):
        place.step()
        running = place.ledger.running_runs()
        tries = place.ledger.attempts(run.id for run in running)
        others = after is None or after.id not in tries
        if running and others and all(tries.get(r.id, [None])[0].started_at for r in running):
            return running
        place.daemon.wait(0.05)
    raise AssertionError(place.runs())


def until_over(place):
    """Pass until nothing runs, though something may wait."""
    for _ in range(1_000):
        place.step()
        if not place.ledger.running_runs():
            return
        place.daemon.wait(0.05)
    raise AssertionError(place.runs())
