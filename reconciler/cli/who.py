"""Who gives a command: what holds and the history name."""

from __future__ import annotations

import getpass
import os
import socket


def user() -> str:
    """Give the user's name, or number: that of a container need not have a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def actor() -> str:
    """Name the user, the machine and this process, for the history."""
    return f"{user()}@{socket.gethostname()} (pid {os.getpid()})"
