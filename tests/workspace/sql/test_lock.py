from __future__ import annotations

import signal
import threading

import pytest

from reconciler.errors import WorkspaceError
from reconciler.workspace.sql import lock
from reconciler.workspace.sql.lock import RunnerLock
from tests.workspace.make import child

FORK = """
import os, sys
from reconciler.workspace.sql.lock import RunnerLock
lock = RunnerLock(sys.argv[1])
assert lock.acquire(wait=False)
if os.fork() == 0:
    print("child", lock.held, flush=True)
    sys.stdin.readline()
else:
    os.wait()
"""
INTERRUPT = """
import signal, sys
from reconciler.workspace.sql.lock import RunnerLock
class Stop(Exception):
    pass
def stop(*_):
    raise Stop
signal.signal(signal.SIGTERM, stop)
lock = RunnerLock(sys.argv[1])
print("waiting", flush=True)
try:
    lock.acquire(wait=True)
except Stop:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("stopped", lock.held, flush=True)
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "lock")


def test_the_lock_is_held_by_one(path):
    first, second = RunnerLock(path), RunnerLock(path)
    assert first.acquire(wait=False)
    assert not second.acquire(wait=False)
    first.release()
    first.release()
    assert second.acquire(wait=True)
    assert (first.held, second.held) == (False, True)
    second.release()


def test_a_forked_child_that_outlives_the_holder_does_not_keep_the_lock(path):
    with child(FORK, path) as process:
        assert process.stdout.readline() == "child False\n"
        mine = RunnerLock(path)
        assert not mine.acquire(wait=False)
        process.kill()
        assert mine.acquire(wait=True)
        mine.release()


def test_a_signal_handler_that_raises_ends_the_wait(path):
    mine = RunnerLock(path)
    assert mine.acquire(wait=False)
    with child(INTERRUPT, path) as process:
        assert process.stdout.readline() == "waiting\n"
        answered = threading.Event()

        def ask():
            # The first signal may come just before the wait begins.
            while not answered.wait(0.05):
                process.send_signal(signal.SIGTERM)

        asking = threading.Thread(target=ask)
        asking.start()
        answer = process.stdout.readline()
        answered.set()
        asking.join()
        process.wait()
    assert answer == "stopped False\n"
    mine.release()


def test_a_place_that_cannot_be_locked_is_told(tmp_path):
    with pytest.raises(WorkspaceError, match="No such file"):
        RunnerLock(str(tmp_path / "nowhere" / "lock")).acquire(wait=False)


def test_a_platform_without_file_locks_is_told(path, monkeypatch):
    monkeypatch.setattr(lock, "fcntl", None)
    with pytest.raises(WorkspaceError, match="flock"):
        RunnerLock(path).acquire(wait=False)


def test_a_file_system_without_locks_is_told(path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with pytest.raises(WorkspaceError, match="Operation not supported"):
        RunnerLock(path).acquire(wait=False)
