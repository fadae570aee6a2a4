"""The warm server and the shims it forks: run as a file, with a few stdlib modules and no more.

The executor starts one server and writes launches to its standard input. Per launch the server
forks a shim, so no Python starts. A shim leads its own session and outlasts server and runner; it
is the parent of one program and writes down what becomes of it, in the attempt's folder:

``token``      signed and on disk before the first instruction of user code and, for as long as the
               shim lives, locked. It never goes away, so nothing starts twice. The kernel drops the
               lock with the process: no reused pid, moved clock or restart can fake a life.
``out.log``    the program's standard output and error.
``exit.json``  how it ended.

A frame on standard input is four bytes of length, then ``marshal`` (both ends are this interpreter)
of a tuple: folder as text; argv, env and cwd as bytes; timeout in seconds or None; grace in
seconds; the reason to give when the timeout strikes. Standard output is the pipe that wakes the
runner.

What a fork costs is the memory its child touches. So the program is spawned, not forked (a second
fork, for PR_SET_PDEATHSIG, halves the speed), and shims keep off json, enums and exceptions.

For crash tests only, ``RECONCILER_KILL_AT`` in the server's environment makes every shim kill
itself at that point: ``TOKEN_TAKEN`` (no user code yet) or ``EXIT_WRITTEN``.
"""
# pathlib and contextlib would weigh down every fork:
# ruff: noqa: PTH104, PTH110, PTH112, PTH118, PTH123, SIM105

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import json
import marshal
import os
import select
import signal
import sys
import time

TOKEN, LOG, EXIT = "token", "out.log", "exit.json"
CANCELED = "canceled"
_NO_TEXT = '""'
_Request = tuple[
    str, tuple[bytes, ...], dict[bytes, bytes], bytes, float | None, float, str
]  # as in a frame

_IGNORED_BY_PYTHON = (int(signal.SIGPIPE), int(signal.SIGXFSZ))
_KILL_AT = os.environ.get("RECONCILER_KILL_AT")
_PR_SET_CHILD_SUBREAPER = 36
_prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux; elsewhere only the group is held


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1_000  # noqa: TID251  (reconciler.clock would weigh down every fork)


def here() -> dict[str, str]:
    """Name this machine (``host``) and its present life (``boot``, empty where none is told)."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
    except OSError:
        boot = ""
    return {"host": os.uname().nodename, "boot": boot}


def take_token(folder: str, content: bytes) -> int | None:
    """Take the start token of the attempt whose folder this is, once and for all.

    Who has the lock of a blank token signs it, and it is taken once it is signed; so it is locked
    from the first moment it counts. When this returns it is on disk, with its folder and the two
    above: those of the step and of the run. Gives the descriptor that holds the lock, or None if
    another has it or has had it.

    Raises:
        OSError: it could not be made to last; whether it was taken is known by looking again.
    """
    descriptor = os.open(f"{folder}/{TOKEN}", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.read(descriptor, 1):
            raise BlockingIOError
        os.write(descriptor, content)
        os.fsync(descriptor)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    step = folder.rpartition("/")[0]
    for above in (folder, step, step.rpartition("/")[0]):
        sync_folder(above)
    return descriptor


def sync_folder(folder: str) -> None:
    """Bring to disk what was made in, renamed to or removed from a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def write_exit(folder: str, content: bytes) -> None:
    """Write ``exit.json`` whole or not at all; on a full disk, wait until there is room again."""
    new = f"{folder}/{EXIT}.new"
    while True:
        try:
            descriptor = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            try:
                os.write(descriptor, content)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(new, f"{folder}/{EXIT}")
            sync_folder(folder)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            time.sleep(1)
        else:
            return


def _crash_point(name: str) -> None:
    if name == _KILL_AT:
        os.kill(os.getpid(), signal.SIGKILL)


class _NotStartedError(Exception):
    """Why the program did not start, as a sentence."""


def _start(argv: tuple[bytes, ...], env: dict[bytes, bytes], cwd: bytes, log: int) -> int:
    """Start the program in a process group of its own, and give its pid.

    Raises:
        _NotStartedError: it did not start.
    """
    try:
        os.chdir(cwd)
        program = argv[0] if b"/" in argv[0] else _find(argv[0], env)
        return os.posix_spawn(
            program,
            argv,
            env,
            file_actions=((os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)),
            setpgroup=0,
            setsigdef=_IGNORED_BY_PYTHON,
        )
    except (OSError, ValueError) as error:
        raise _NotStartedError(_why(error, _text(argv[0]), cwd)) from None


def _why(error: OSError | ValueError, name: str, cwd: bytes) -> str:
    if isinstance(error, ValueError):
        return f"cannot start {name}: {error}"
    where = _text(error.filename)
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return f"cannot start {name}: {error.strerror}: {where}"
    if error.filename == cwd:
        return f"folder not found: {where}"
    return (
        f"no interpreter for {name}"
        if os.path.exists(error.filename)
        else f"program not found: {name}"
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")  # a reason must fit in any ledger


def _find(name: bytes, env: dict[bytes, bytes]) -> bytes:
    for folder in env.get(b"PATH", os.fsencode(os.defpath)).split(b":"):
        path = os.path.join(folder, name)
        if name and os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    raise _NotStartedError(f"program not found: {_text(name)}")


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass  # so macOS says when only the unreaped leader is left


class _Stop:
    """The handler of SIGTERM (cancel) and SIGALRM (timeout, then end of grace) in every shim.

    Being stopped is SIGTERM to the program's group and, after ``grace`` seconds, SIGKILL. The
    program is reaped last, so that its group's id cannot meanwhile name another.
    """

    def __init__(self) -> None:
        self.armed = False  # in the server, and in a shim that is done, it does nothing
        self.main = 0
        self.grace = 0.0
        self.timed_out = ""
        self.reason = ""

    def __call__(self, number: int, _frame: object) -> None:
        if not self.armed:
            return
        if not self.reason:
            self.reason = CANCELED if number == signal.SIGTERM else self.timed_out
            if self.main:
                self.carry_out()
        elif number == signal.SIGALRM and self.main:
            _signal_group(self.main, signal.SIGKILL)
            for pid in _children():
                os.kill(pid, signal.SIGKILL)  # one that left the group may be waited for

    def carry_out(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, max(self.grace, 1e-6))  # 0 would mean never
        _signal_group(self.main, signal.SIGTERM)

    def watch(self, main: int, timeout: float | None) -> None:
        """Let signals reach the program; one that came before it started does so now."""
        if timeout is not None:
            signal.setitimer(signal.ITIMER_REAL, max(timeout, 1e-6))
        self.main = main
        if self.reason:
            self.carry_out()


_stop = _Stop()


def _children() -> list[int]:
    """Pids of the program and the orphans adopted from it; empty where the kernel does not tell.

    Only their parent, this process, can reap them, so these pids cannot name others meanwhile.
    """
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _orphans(main: int) -> list[int]:
    return [pid for pid in _children() if pid != main]


def _wait(main: int) -> int:
    """Wait until the program has ended, take along what it leaves behind, give its wait status.

    When it ends by itself that is the rest of its group. When it is stopped, the rest of the group
    has until the end of its grace, and descendants that left the group are killed as well.
    """
    while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)) and ended.si_pid != main:
        os.waitpid(ended.si_pid, 0)
    if _stop.reason:
        while members := [pid for pid in _orphans(main) if os.getpgid(pid) == main]:
            os.waitpid(members[0], 0)
    _signal_group(main, signal.SIGKILL)
    while _stop.reason and (escaped := _orphans(main)):
        for pid in escaped:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)  # its own children are ours now, and come with the next round
    _stop.armed = False
    return os.waitpid(main, 0)[1]


def _reason(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}" if exit_code else ""
    try:
        return f"killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"killed by signal {-exit_code}"


def _shim(request: _Request, machine: str) -> None:
    """Start one program at most once, see it through and write down how it ended."""
    folder, argv, env, cwd, timeout, _stop.grace, _stop.timed_out = request
    _stop.armed = True
    os.setsid()
    started_at = now()
    # What can fail for want of room or rights comes before the token, so that it can be retried.
    log = os.open(f"{folder}/{LOG}", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    token = f'{{"pid": {os.getpid()}, "started_at": {started_at}, {machine}'
    if take_token(folder, token.encode()) is None:
        return
    _crash_point("TOKEN_TAKEN")
    if _prctl:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # descendants that lost their parent become ours
    exit_code: int | None = None
    try:
        main = _start(argv, env, cwd, log)
    except _NotStartedError as error:
        reason = str(error)
    else:
        _stop.watch(main, timeout)
        exit_code = os.waitstatus_to_exitcode(_wait(main))
        if _stop.reason and exit_code == 0:
            exit_code = -signal.SIGTERM  # that it ended well when told to end is no success
        reason = _stop.reason or _reason(exit_code)
    write_exit(
        folder,
        f'{{"exit_code": {"null" if exit_code is None else exit_code}, '
        f'"reason": {json.dumps(reason) if reason else _NO_TEXT}, '
        f'"started_at": {started_at}, "ended_at": {now()}, '
        f'"canceled": {"true" if _stop.reason == CANCELED else "false"}}}'.encode(),
    )
    _crash_point("EXIT_WRITTEN")
    try:
        os.write(1, b"\0")
    except OSError:
        pass  # the runner is gone, or has wake-ups enough waiting


def _fork_shim(request: _Request, machine: str, null: int) -> None:
    if os.fork():
        return
    try:
        os.dup2(null, 0)  # or the runner could not tell when the server has died
        _shim(request, machine)
    except BaseException:  # noqa: BLE001  (nothing is above this frame; standard error is a file)
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(0)


def _reap() -> bool:
    """Reap the shims that ended; tell whether others live."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def serve() -> None:
    """Fork a shim for every frame on standard input, until it ends."""
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN and number not in _IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_DFL)  # nothing that nohup and the like left behind
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGALRM, _stop)
    null = os.open(os.devnull, os.O_RDONLY)
    os.set_blocking(0, False)
    machine = json.dumps(here())[1:]
    gc.disable()
    gc.freeze()
    frames, more = bytearray(), True
    while True:
        try:
            # Reading comes before forking, so that the runner never waits for a long batch.
            while more and (chunk := os.read(0, 1 << 20)):
                frames += chunk
            more = False
        except BlockingIOError:
            pass
        left = _reap()
        end = 4 + int.from_bytes(frames[:4], "big")
        if 4 < end <= len(frames):
            request = marshal.loads(frames[4:end])  # noqa: S302  (our own executor wrote it)
            del frames[:end]
            try:
                _fork_shim(request, machine, null)
            except OSError:
                sys.excepthook(*sys.exc_info())  # not started; the runner will ask again
        elif more:
            select.select([0], [], [], 1.0 if left else None)
        else:
            return


if __name__ == "__main__":
    serve()
