"""Which folder of evidence this is."""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path

from reconciler.errors import ExecutorError
from reconciler.executor.local import server

_FILE = "identity"


def identity(root: str) -> str:
    """Name this very folder of attempts for ever; an empty one in its place is another.

    By its path alone a machine that takes another's place would look for the other's attempts,
    find that none has started, and start them again.

    Raises:
        ExecutorError: the folder cannot be written to.
    """
    folder = Path(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _FILE).open("a+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            name = file.read()
            if not name:
                name = uuid.uuid4().hex[:12]
                file.write(name)
                file.flush()
                os.fsync(file.fileno())
                server.sync_folder(root)
    except OSError as error:
        raise ExecutorError(f"no attempt can be started: {error}") from error
    return name
