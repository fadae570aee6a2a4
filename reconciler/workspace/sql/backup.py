"""A workspace as one file: taken while a runner works, and put back where none does.

SQLite copies itself page by page from one consistent moment; PostgreSQL's own programs do it for
PostgreSQL, where they are on the PATH.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.clock import SECOND, iso
from reconciler.errors import NotFound, Refused, WorkspaceBusy, WorkspaceError
from reconciler.workspace.address import is_postgres, shown
from reconciler.workspace.sql import sqlite
from reconciler.workspace.sql.lock import RunnerLock
from reconciler.workspace.sql.open import must_be_file, open_database
from reconciler.workspace.sql.sqlite_database import SqliteDatabase
from reconciler.workspace.sql.upkeep import SqlUpkeep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.clock import Clock


def open_upkeep(place: str, clock: Clock, *, read_only: bool = False) -> SqlUpkeep:
    """Open the workspace at ``place`` for whoever looks after it, whatever its schema is.

    Raises:
        NotFound: there is none.
        WorkspaceError: it cannot be opened.
    """
    return SqlUpkeep(open_database(place, clock, read_only=read_only))


def backup(place: str, file: str, clock: Clock) -> int:
    """Write the workspace at ``place`` to a new ``file``, whole or not at all; returns its instant.

    Raises:
        NotFound: there is no workspace.
        WorkspaceError: the file is there already, cannot be written, or the copy is damaged.
    """
    target = Path(file).absolute()
    if target.exists():
        raise WorkspaceError(f"{file} is there already; name a new file")
    with closing(open_upkeep(place, clock)) as upkeep:
        upkeep.check()
        at = upkeep.now()
        upkeep.note_backup(at)
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as scratch:
            copy = Path(scratch, "copy")
            if is_postgres(place):
                _run("pg_dump", ["--format=custom", "--no-owner", "--file", str(copy)], place, file)
            else:
                _copy(place, copy, "DELETE")
                _whole(copy, clock)
            with copy.open("rb") as written:
                os.fsync(written.fileno())
            os.link(copy, target)
    except OSError as error:
        raise WorkspaceError(f"{file} cannot be written: {error.strerror}") from error
    return at


@contextmanager
def restoring(
    file: str, place: str, clock: Clock, *, overwrite: bool
) -> Iterator[tuple[SqlUpkeep, str | None]]:
    """Put the backup in ``file`` at ``place``, once whoever uses this has made it usable.

    Gives the restored workspace, and where the one that was there before is kept, if there was one.

    Raises:
        NotFound: there is no such file.
        Refused: a workspace is there that knows more than the backup, and ``overwrite`` is False.
        WorkspaceBusy: a runner is at work there.
        WorkspaceError: the backup is damaged, or cannot be put there.
    """
    if not Path(file).is_file():
        raise NotFound(f"no backup at {file}")
    if is_postgres(place):
        with _restored_database(file, place, clock, overwrite=overwrite) as upkeep:
            yield upkeep, None
    else:
        with _restored_file(file, place, clock, overwrite=overwrite) as restored:
            yield restored


@contextmanager
def _restored_file(
    file: str, place: str, clock: Clock, *, overwrite: bool
) -> Iterator[tuple[SqlUpkeep, str | None]]:
    target = Path(place).absolute()
    lock = RunnerLock(f"{place}.runner.lock")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not lock.acquire(wait=False):
            raise WorkspaceBusy(f"a runner is at work on {place}; stop it first")
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=target.parent) as scratch:
            copy = Path(scratch, "copy.db")
            _copy(file, copy, "WAL")
            with closing(SqlUpkeep(SqliteDatabase(str(copy), clock))) as upkeep:
                upkeep.name = file
                upkeep.check()
                _whole(copy, clock)
                kept = _must_know_less(place, upkeep, clock, overwrite=overwrite)
                yield upkeep, kept
            with closing(sqlite.connect(str(copy), read_only=False)) as raw:
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if kept is not None:
                # With the files beside it: they would spoil another database of the same name.
                for suffix in ("-wal", "-shm", ""):
                    if Path(place + suffix).exists():
                        Path(place + suffix).rename(kept + suffix)
            copy.rename(target)
    except OSError as error:
        raise WorkspaceError(f"{place} cannot be written: {error.strerror}") from error
    finally:
        lock.release()


def _must_know_less(place: str, backup: SqlUpkeep, clock: Clock, *, overwrite: bool) -> str | None:
    """Refuse to lose what only the present workspace knows; give the name that it is to have."""
    if not Path(place).exists():
        return None
    must_be_file(place)
    if not overwrite:
        with closing(open_upkeep(place, clock)) as present:
            present.check()
            known, taken = present.latest(), backup.taken()
        if known > taken:
            raise Refused(
                f"{place} knows of {iso(known)}, and the backup is of {iso(taken)}: "
                "give --yes to go back to it"
            )
    return f"{place}.before-{iso(clock.now() // SECOND * SECOND).replace(':', '')}"


@contextmanager
def _restored_database(
    file: str, url: str, clock: Clock, *, overwrite: bool
) -> Iterator[SqlUpkeep]:
    with closing(open_database(url, clock)) as database, suppress(NotFound):
        database.revision()
        if not overwrite:
            raise Refused(f"{shown(url)} holds a workspace: give --yes to go back to the backup")
        with database.migrating():
            pass  # which tells that no runner is at work
    _run(
        "pg_restore",
        ["--clean", "--if-exists", "--no-owner", "--exit-on-error", "--single-transaction"],
        url,
        file,
    )
    with closing(open_upkeep(url, clock)) as upkeep:
        upkeep.check()
        yield upkeep


def _copy(source: str, copy: Path, journal: str) -> None:
    """Copy a database in one step, which no writer can disturb; ``source`` is only read."""
    with (
        sqlite.meaning(source),
        closing(sqlite.connect(source, read_only=True)) as raw,
        closing(sqlite3.connect(copy)) as made,
    ):
        raw.backup(made)
        made.execute(f"PRAGMA journal_mode={journal}")


def _whole(copy: Path, clock: Clock) -> None:
    with closing(SqlUpkeep(SqliteDatabase(str(copy), clock))) as upkeep:
        damage = upkeep.damage()
    if damage:
        raise WorkspaceError(f"the copy is damaged: {damage[0]}; see `reconciler doctor`")


def _run(program: str, arguments: list[str], url: str, file: str) -> None:
    """Run one of PostgreSQL's programs on a database; a password never stands in its arguments."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo  # noqa: PLC0415  (may be missing)

    asked = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    secret = asked.pop("password", None)
    database = make_conninfo("", **asked)
    last = [file] if program == "pg_restore" else []
    if shutil.which(program) is None:
        said = arguments if program == "pg_restore" else ["--format=custom", "--file", file]
        command = shlex.join([program, *said, f"--dbname={shown(url)}", *last])
        raise WorkspaceError(f"{program} is not on the PATH; run where it is: {command}")
    done = subprocess.run(  # noqa: S603  (its path is not ours to know)
        [program, *arguments, f"--dbname={database}", *last],
        env={**os.environ, **({"PGPASSWORD": secret} if secret else {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise WorkspaceError(lines[0] if lines else f"{program}: exit code {done.returncode}")
