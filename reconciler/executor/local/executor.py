"""The local executor: sends launches to the server and reads the evidence its shims leave."""

from __future__ import annotations

import fcntl
import json
import marshal
import os
import re
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from reconciler.errors import ExecutorError
from reconciler.executor.base import Evidence, Exited, Gone, Launch, NotStarted, Running
from reconciler.executor.local import server
from reconciler.fields import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}){2}")
_EVER = 1e9  # seconds; much more overflows the system's timer
_BATCH = 50  # launches made ready while the server starts the ones before


class LocalExecutor:
    """Runs programs on this machine, each with its evidence in a folder of its own.

    ``root`` is the folder of all attempts: ``<run>/<step>/<number>`` lives under it by that name.
    It must lie on a file system with locks. Executors on one root, one after the
    other or at once, agree on what has started, because the evidence alone counts.
    """

    def __init__(self, root: str) -> None:
        self._root = Path(root).absolute()
        self._diary = self._root / "executor.log"
        self._machine = server.here()
        self._server: subprocess.Popen[bytes] | None = None
        self._sent: dict[str, bytes] = {}  # the frames whose token has not been seen yet
        self._awake, self._wake = os.pipe()
        os.set_blocking(self._awake, False)
        os.set_blocking(self._wake, False)

    def submit(self, launches: Sequence[Launch]) -> None:
        """Start each one unless it was ever started before; return without waiting for any.

        Raises:
            ExecutorError: an id is not an attempt's, or the launching process cannot be kept up.
        """
        pairs = [(self._folder(launch.id), launch) for launch in launches]
        for start in range(0, len(pairs), _BATCH):
            self._submit(pairs[start : start + _BATCH])

    def look(self, ids: Iterable[str]) -> dict[str, Evidence]:
        """Tell what is known of each attempt, from the files and the lock it left.

        Raises:
            ExecutorError: an id is not an attempt's.
        """
        if self._server is not None and (self._server.poll() or 0) < 0:
            self._tend()  # it was killed; one that broke down is for submit to tell
        evidence = {attempt: self._look(self._folder(attempt)) for attempt in ids}
        for attempt, found in evidence.items():
            if not isinstance(found, NotStarted):
                self._sent.pop(attempt, None)
        return evidence

    def cancel(self, ids: Iterable[str]) -> None:
        """Stop each one and all its children; an attempt that has not started never will.

        Raises:
            ExecutorError: an id is not an attempt's, or the cancellation cannot be written down.
        """
        for attempt in ids:
            folder = self._folder(attempt)
            while not self._withhold(folder, server.CANCELED):
                found = self._look(folder)
                if isinstance(found, NotStarted):  # a shim is about to sign the token
                    select.select([], [], [], 0.001)
                    continue
                if isinstance(found, Running):  # its lock was held just now: the pid is its own
                    with suppress(ProcessLookupError):
                        os.kill(found.pid, signal.SIGTERM)
                break

    def wakeup(self) -> int:
        """Give the descriptor that becomes readable when an attempt sent from here ends."""
        return self._awake

    def drain_wakeups(self) -> None:
        """Empty that descriptor."""
        with suppress(BlockingIOError):
            while os.read(self._awake, 1 << 16):
                pass

    def log_path(self, attempt_id: str) -> str:
        """Where the attempt's output is; the file is there once its shim has begun."""
        return str(self._folder(attempt_id) / server.LOG)

    def close(self) -> None:
        """Let the server go once it has started all it was sent; shims and programs go on."""
        self._bury()
        os.close(self._awake)
        os.close(self._wake)

    def _folder(self, attempt: str) -> Path:
        if not _ID.fullmatch(attempt):
            raise ExecutorError(f"{attempt!r} is not an attempt's id, <run>/<step>/<number>")
        return self._root / attempt

    def _submit(self, pairs: Sequence[tuple[Path, Launch]]) -> None:
        frames = {}
        self._make(folder for folder, _ in pairs)
        for folder, launch in pairs:
            try:
                frames[launch.id] = _frame(folder, launch)
            except UnicodeEncodeError as error:  # a lone surrogate, which no system call can take
                self._withhold(folder, f"cannot start {launch.argv[0]!a}: {error}")
        self._sent |= frames
        try:
            self._tend(b"".join(frames.values()))
        except ExecutorError:
            for attempt in frames:
                del self._sent[attempt]  # whoever gave up on it must not see it start later
            raise

    def _make(self, folders: Iterable[Path]) -> None:
        """Make folders of attempts; that of all runs is on disk when this returns.

        What lies below it is brought there by whoever takes the token, many at a time.
        """
        try:
            for folder in folders:
                os.makedirs(folder, exist_ok=True)  # noqa: PTH103  (half the time of Path.mkdir)
            server.sync_folder(str(self._root))
        except OSError as error:
            raise ExecutorError(f"no attempt can be started: {error}") from error

    def _look(self, folder: Path) -> Evidence:
        try:
            return _read_exit(folder) or self._judge_token(folder)
        except FileNotFoundError:
            return NotStarted()
        except (KeyError, TypeError, ValueError) as error:
            return Gone(f"its evidence in {folder} is damaged: {error!r}")

    def _judge_token(self, folder: Path) -> Evidence:
        with (folder / server.TOKEN).open(encoding="utf-8") as file:
            text = file.read()
            if not text:
                return NotStarted()  # who was to sign it is about to, or died before
            token = json.loads(text)
            started_at, end = token["started_at"], token.get("end")
            if end is not None:
                return Exited(None, end, started_at, started_at, canceled=end == server.CANCELED)
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Running(token["pid"], started_at)
        return _read_exit(folder) or self._gone(folder, token)  # it may have ended meanwhile

    def _gone(self, folder: Path, token: dict[str, Any]) -> Gone:
        if token["host"] != self._machine["host"]:
            return Gone(f"it ran on {token['host']} and left no exit file")
        if token["boot"] != self._machine["boot"]:
            return Gone("the machine restarted while it ran")
        _kill_leftovers(token["pid"], str(folder / server.LOG))
        return Gone("its process is gone and left no exit file")

    def _withhold(self, folder: Path, end: str) -> bool:
        """Take the token so that no shim can, its end written in it; tell whether it was free."""
        self._make([folder])
        token = {"pid": os.getpid(), **self._machine, "started_at": server.now(), "end": end}
        try:
            descriptor = server.take_token(str(folder), json.dumps(token).encode())
        except OSError as error:
            raise ExecutorError(f"{folder}: {error.strerror}") from error
        if descriptor is None:
            return False
        os.close(descriptor)
        return True

    def _tend(self, frames: bytes = b"") -> None:
        """Send frames to a living server; a new one is sent all that has not started."""
        for _ in range(2):
            if self._server is not None and (code := self._server.poll()) is not None:
                self._bury()
                if code >= 0:
                    raise ExecutorError(f"the launching process broke down; see {self._diary}")
            if self._server is None:
                frames = b"".join(
                    frame
                    for attempt, frame in self._sent.items()
                    if isinstance(self._look(self._folder(attempt)), NotStarted)
                )
            if not frames:
                return
            try:
                _write(self._server or self._start_server(), frames)
            except BrokenPipeError:
                assert self._server is not None  # noqa: S101  (it was written to)
                self._server.wait()
            else:
                return
        raise ExecutorError(f"the launching process is killed again and again; see {self._diary}")

    def _start_server(self) -> subprocess.Popen[bytes]:
        try:
            with self._diary.open("ab") as diary:
                self._server = subprocess.Popen(  # noqa: S603  (this interpreter, our own file)
                    [sys.executable, "-I", server.__file__],
                    stdin=subprocess.PIPE,
                    stdout=self._wake,
                    stderr=diary,
                    bufsize=0,
                    cwd="/",
                    start_new_session=True,  # Ctrl-C in the terminal is the runner's to handle
                )
        except OSError as error:
            raise ExecutorError(f"the launching process cannot start: {error}") from error
        return self._server

    def _bury(self) -> None:
        if self._server is not None:
            self._server.__exit__(None, None, None)
            self._server = None


def _frame(folder: Path, launch: Launch) -> bytes:
    """Write a launch as :mod:`reconciler.executor.local.server` reads it.

    Raises:
        UnicodeEncodeError: a text in it has no bytes on this system.
    """
    late = launch.timeout
    request = (
        str(folder),
        tuple(map(os.fsencode, launch.argv)),
        {os.fsencode(name): os.fsencode(value) for name, value in launch.env.items()},
        os.fsencode(launch.cwd),
        None if late is None else min(late.total_seconds(), _EVER),
        min(launch.grace, _EVER),
        "" if late is None else f"timed out after {duration_text(late)}",
    )
    body = marshal.dumps(request)
    return len(body).to_bytes(4, "big") + body


def _write(process: subprocess.Popen[bytes], frames: bytes) -> None:
    assert process.stdin is not None  # noqa: S101  (it was opened with a pipe)
    rest = memoryview(frames)
    while rest:
        rest = rest[process.stdin.write(rest) :]


def _read_exit(folder: Path) -> Exited | None:
    try:
        found: dict[str, Any] = json.loads((folder / server.EXIT).read_bytes())
    except FileNotFoundError:
        return None
    moments = (found["started_at"], found["ended_at"])
    if not (
        isinstance(found["reason"], str)
        and isinstance(found["exit_code"], int | None)
        and all(isinstance(at, int) and 0 <= at < 1 << 62 for at in moments)
    ):
        raise ValueError("its values make no sense")
    return Exited(**found)


def _kill_leftovers(session: int, log: str) -> None:
    """Kill what a shim that was killed left behind: who writes its log, and the session they share.

    That the log is theirs proves that the number of the session has not been given out again.
    """
    found = [(process, *_ties(process, log)) for process in psutil.process_iter()]
    proven = any(writes and leader == session for _, leader, writes in found)
    for process, leader, writes in found:
        if writes or (proven and leader == session):
            with suppress(psutil.Error):
                process.kill()


def _ties(process: psutil.Process, log: str) -> tuple[int, bool]:
    """Give the session a process is in, and whether its output or error goes to that file."""
    with suppress(psutil.Error, OSError):
        writes = any(file.path == log and file.fd in {1, 2} for file in process.open_files())
        return os.getsid(process.pid), writes
    return 0, False
