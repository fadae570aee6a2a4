"""The facts of files in one folder; run as a program, for names that come through a pipe.

Asking for the facts of a million files takes seconds, in which the interpreter's lock is taken a
million times. As a program it does so beside the runner: ``python -I -S stats.py FD``, where FD is
an open folder. It imports nothing else of this package, so it starts in milliseconds. It ends with
its input, and so with the process that started it.
"""

from __future__ import annotations

import os
import stat
import sys
from errno import EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

# A message is its length in bytes, and that many bytes: some names, or their facts, NUL-joined.
LENGTH = 8


def facts(folder: int, names: list[bytes]) -> list[bytes]:
    """Give the facts of each file, empty where there is none: no file, or a link to nowhere.

    Raises:
        OSError: the system does not tell.
    """
    ask, regular, of = os.stat, stat.S_IFREG, facts_of
    found = []
    for name in names:
        try:
            status = ask(name, dir_fd=folder)
        except OSError as error:
            # Removed since, or a link that leads nowhere, or one that leads to itself.
            if error.errno not in {ENOENT, ENOTDIR, ELOOP} and not _astray(folder, name, error):
                raise
            found.append(b"")
        else:
            found.append(of(status) if status.st_mode & 0o170000 == regular else b"")
    return found


def _astray(folder: int, name: bytes, error: OSError) -> bool:
    """Tell whether it is a link to what may not be seen: that hides no other file."""
    if error.errno not in {EACCES, ENAMETOOLONG}:
        return False
    try:
        return stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode)
    except OSError:
        return False


def facts_of(status: os.stat_result) -> bytes:
    """Write facts as ``reconciler.trigger.snapshot`` has them."""
    return b"%d %d@%d" % (status.st_size, status.st_mtime_ns, status.st_ino)


def send(pipe: IO[bytes], parts: list[bytes]) -> None:
    """Write a message."""
    message = b"\0".join(parts)
    pipe.write(len(message).to_bytes(LENGTH, "big") + message)
    pipe.flush()


def receive(pipe: IO[bytes]) -> list[bytes]:
    """Read a message.

    Raises:
        EOFError: there is none, or not the whole of it.
    """
    length = pipe.read(LENGTH)
    if len(length) < LENGTH:
        raise EOFError
    size = int.from_bytes(length, "big")
    message = pipe.read(size)
    if len(message) < size:
        raise EOFError
    return message.split(b"\0")


def serve(folder: int, names: IO[bytes], answers: IO[bytes]) -> None:
    """Answer names with facts until there are no more; at a failure just end."""
    try:
        while True:
            send(answers, facts(folder, receive(names)))
    except (EOFError, OSError):
        return


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
