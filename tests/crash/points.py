"""Places at which a process can die, told apart by what passes through the ports there."""

from contextlib import contextmanager

from reconciler.executor.base import Exited, Gone
from reconciler.run import AttemptState

# Asked so often, and with so little behind it, that nothing is learned by dying there.
QUIET = {"now", "wakeup", "drain_wakeups", "listen", "heard", "log_path", "close"}


class Port:
    """A port that tells ``tell(method, arguments, answer)`` of each call that has returned."""

    def __init__(self, port, tell):
        self._port, self._tell = port, tell

    def __getattr__(self, name):
        found = getattr(self._port, name)
        if name in QUIET:
            return found

        def call(*arguments, **named):
            answer = found(*arguments, **named)
            self._tell(name, arguments, answer)
            return answer

        return call


class LedgerPort(Port):
    """A ledger; ``committing`` and ``committed`` are told with all calls of the transaction."""

    @contextmanager
    def transaction(self):
        calls = {}

        def within(name, arguments, answer):
            calls[name] = (arguments, answer)
            self._tell(name, arguments, answer)

        with self._port.transaction() as tx:
            yield Port(tx, within)
            self._tell("committing", calls, None)
        self._tell("committed", calls, None)


class DatastorePort(Port):
    """A datastore; a listing is told as ``scanned`` once all of it was read."""

    def scan(self, watched):
        yield from self._port.scan(watched)
        self._tell("scanned", (watched,), None)

    def look(self, watched, names):
        found = self._port.look(watched, names)
        self._tell("looked_at", (watched, names), found)
        return found


class ExecutorPort(Port):
    """An executor; with ``restless`` it always has news, so that its runner never sleeps."""

    def __init__(self, port, tell, restless=None):
        super().__init__(port, tell)
        self._restless = restless

    def wakeup(self):
        return self._port.wakeup() if self._restless is None else self._restless


def _answered(method):
    return lambda name, _arguments, answer: name == method and bool(answer)


def _committed(method):
    return lambda name, calls, _: name == "committed" and bool(calls.get(method, ((), ()))[1])


def _recorded(*states):
    def reached(name, calls, _):
        if name != "committed" or "record_attempts" not in calls:
            return False
        (attempts,), ids = calls["record_attempts"]
        return any(attempt.state in states and attempt.id in ids for attempt in attempts)

    return reached


def _seen(evidence):
    return lambda name, _, answer: (
        name == "look" and any(isinstance(found, evidence) for found in answer.values())
    )


def _polled(when):
    return lambda name, calls, _: (
        name == when and "record_poll" in calls and calls["record_poll"][0][0].changed > 0
    )


POLL_POINTS = {
    "POLL_LISTED": lambda name, *_: name == "scanned",
    "FILES_LOOKED_AT": lambda name, *_: name == "looked_at",
    "POLL_COMMITTING": _polled("committing"),
    "POLL_COMMITTED": _polled("committed"),
}
# What has just happened when a runner dies; each is ``reached(method, arguments, answer)``.
POINTS = {
    "FIRE_CLAIMED": _answered("due_timers"),
    "FIRE_COMMITTED": _committed("record_fires"),
    "RUN_CLAIMED": _committed("start_runs"),
    "ATTEMPT_RECORDED": _recorded(AttemptState.STARTING),
    "LAUNCHED_NOT_RECORDED": lambda name, *_: name == "submit",
    # A quick program is over before it is seen running.
    "RECORDED": _recorded(AttemptState.RUNNING, AttemptState.FINISHED),
    # The shim died first, right after that, and the runner as it learned of it.
    "TOKEN_TAKEN": _seen(Gone),
    "EXIT_WRITTEN": _seen(Exited),
    **POLL_POINTS,
}
SHIM_POINTS = {"TOKEN_TAKEN", "EXIT_WRITTEN"}
