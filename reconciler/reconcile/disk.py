"""Files that are put on the disk whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

NEW = 0o100644


def put(path: Path, content: bytes, mode: int | None = None, *, via: Path | None = None) -> None:
    """Write a file by way of a temporary one, and make the folders above it.

    ``mode`` is that of Git (0o100644 or 0o100755); None keeps that of the file that is replaced.
    ``via`` is where the temporary file lies, beside the other by default: a crash may leave it
    there, and in a folder of code it would be taken for a part of that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = path.stat().st_mode if mode is None and path.exists() else (mode or NEW)
    handle, name = tempfile.mkstemp(dir=via or path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(kept & 0o7777)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
