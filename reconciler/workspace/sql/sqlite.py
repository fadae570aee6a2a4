"""One SQLite file through the driver alone: how it is opened, and what its errors mean.

Nothing here imports SQLAlchemy, so that a plan may read without waiting for it.
"""

from __future__ import annotations

import os
import re
import sqlite3
import weakref
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import quote

from reconciler.errors import WorkspaceBusy, WorkspaceError, WorkspaceFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUSY_SECONDS = 10
_NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "lustre", "gfs2"),
        *("ocfs2", "glusterfs", "beegfs", "gpfs", "orangefs", "fuse.sshfs", "fuse.glusterfs"),
        *("fuse.ceph", "fuse.s3fs", "fuse.gcsfuse", "fuse.blobfuse", "fuse.blobfuse2"),
        *("fuse.rclone", "fuse.juicefs", "fuse.goofys", "fuse.mount-s3", "fuse.nfs"),
    }
)


class ReadOnlyFile:
    """One connection to one SQLite file that can only read; safe to use from several threads.

    ``trace`` is told the text of each statement, from the first.
    """

    def __init__(self, path: str, trace: Callable[[str], object] | None = None) -> None:
        self.name = path
        self._lock = Lock()
        with meaning(path):
            self._raw = connect(path, read_only=True)
            self._raw.set_trace_callback(trace)
        # Whoever opened a workspace for one command need not close it.
        weakref.finalize(self, self._raw.close)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection; each statement sees one consistent moment of its own."""
        with self._lock, meaning(self.name):
            yield self._raw

    def revision(self) -> str:
        """Give the schema's revision."""
        with self.reading() as raw:
            return revision(raw, self.name)

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()


def connect(path: str, *, read_only: bool) -> sqlite3.Connection:
    """Open a file that exists; transactions begin and end as they are told to."""
    return sqlite3.connect(
        f"file:{quote(str(Path(path).absolute()))}?{_mode(path) if read_only else 'mode=rw'}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def _mode(path: str) -> str:
    # A reader of a WAL database makes the files beside it, where it may. Where it may not and
    # there are none, nobody writes either.
    writable = os.access(Path(path).absolute().parent, os.W_OK)
    alone = not Path(f"{path}-wal").exists()
    return "immutable=1" if alone and not writable else "mode=ro"


def revision(raw: sqlite3.Connection, path: str) -> str:
    """Give the schema's revision in one statement.

    Raises:
        WorkspaceError: it is not a workspace.
    """
    try:
        row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            raise
        raise WorkspaceError(f"{path} is a database but not a workspace") from error
    return str(row and row[0])


def must_be_local(path: str, mounts: str = "/proc/self/mountinfo") -> None:
    """Refuse to write to a file that several machines may reach: their locks do not hold there.

    ``mounts`` tells what is mounted where, as Linux does; elsewhere nothing is known.

    Raises:
        WorkspaceError: it lies in a network file system.
    """
    try:
        lines = Path(mounts).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    place = Path(path).resolve()
    kind = ""
    longest = -1
    for line in lines:
        before, _, after = line.partition(" - ")
        # Of two mounts on one place the later one is seen.
        mounted = Path(_unescaped(before.split()[4]))
        if len(mounted.parts) >= longest and place.is_relative_to(mounted):
            longest, kind = len(mounted.parts), after.split()[0]
    if kind in _NETWORK:
        raise WorkspaceError(
            f"{path} lies in a network file system ({kind}), where SQLite's locks do not hold: "
            "use a local disk, or a workspace on PostgreSQL (postgresql://HOST/DATABASE)"
        )


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


@contextmanager
def meaning(path: str) -> Iterator[None]:
    """Turn the driver's errors into the program's own."""
    try:
        yield
    except sqlite3.Error as error:
        raise meaning_of(error, path) from error


def meaning_of(error: BaseException | None, path: str) -> WorkspaceError:
    """Say what an error of the driver means to whoever uses the file ``path``."""
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR"):
        return WorkspaceFull(f"the disk under {path} is full or failing: {error}")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return WorkspaceBusy(f"{path} is being written by somebody else; try again")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return WorkspaceError(f"{path} is damaged or not a workspace: {error}")
    return WorkspaceError(f"{path}: {error}")
