"""Servers for tests: real programs on free loopback ports, which end with whoever started them."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack

from tests.processes import until

# PR_SET_PDEATHSIG, which the program that takes this one's place keeps.
MORTAL = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def free_ports(count):
    """Give ports that nobody listens on."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]


class ServerProcess:
    """A program that was started, and that answers."""

    def __init__(self, command, folder, ready, env=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-ISc", MORTAL, *command],
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(lambda: self._process.poll() is not None or ready())
        assert self._process.poll() is None, self.log.read_text(errors="replace")[-2_000:]

    def close(self):
        self._process.kill()
        self._process.wait()
