"""The right to be the runner: an operating system lock, free the moment its holder is gone."""

from __future__ import annotations

import os
import weakref

from reconciler.errors import WorkspaceError

try:
    import fcntl
except ImportError:  # pragma: no cover  (Windows)
    fcntl = None  # type: ignore[assignment]


class RunnerLock:
    """An exclusive ``flock`` on the file ``path``, which is created and stays.

    A child made by ``fork`` gives up its copy at once: a program that outlives a killed runner
    must not keep the right for it.
    """

    lost = False

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self, *, wait: bool) -> bool:
        """Take the lock; without ``wait`` return False where another holds it.

        A signal handler that raises ends the wait.

        Raises:
            WorkspaceError: the platform or the place has no such locks.
        """
        if fcntl is None:
            raise WorkspaceError("a runner needs flock(2), which this platform does not have")
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise WorkspaceError(f"{self._path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError as error:
            os.close(descriptor)
            raise WorkspaceError(f"{self._path} cannot be locked: {error.strerror}") from error
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        _held.add(self)
        return True

    def mark(self, fence: int) -> None:
        """Do nothing: there is one session at a time."""

    def listen(self) -> int | None:
        """Give no descriptor: nobody tells anything."""
        return None

    def heard(self) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Give the lock back; again and again does no harm."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_held: weakref.WeakSet[RunnerLock] = weakref.WeakSet()


def _let_go_in_child() -> None:
    for lock in list(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
