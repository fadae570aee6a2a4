"""The composition root: configuration in, opened ports out.

The only module that names adapters; each is imported where it is opened, so that a command pays for
nothing it does not use.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.clock import SystemClock
from reconciler.errors import (
    DatastoreError,
    ExecutorError,
    ForgeError,
    ManifestError,
    NotFound,
    WorkspaceError,
)
from reconciler.workspace.address import identity, is_postgres, shown

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from contextlib import AbstractContextManager

    from reconciler.clock import Clock
    from reconciler.data import Datastore, Watched
    from reconciler.datastore.base import DatastoreReader
    from reconciler.executor.base import Executor
    from reconciler.live import Owner
    from reconciler.notifier.base import Forge
    from reconciler.notifier.environment import Ci
    from reconciler.runner.config import RunnerConfig
    from reconciler.runner.daemon import Daemon
    from reconciler.runner.metrics import Metrics
    from reconciler.runner.secrets import Secrets
    from reconciler.source.base import Source
    from reconciler.trigger.snapshot import Files
    from reconciler.workspace.base import (
        Registry,  # noqa: TC004  (slow to import, and nobody asks for a field's type)
        RegistryReader,
    )
    from reconciler.workspace.ledger import Ledger  # noqa: TC004  (the same)
    from reconciler.workspace.upkeep import Upkeep

SCHEME = "sqlite:"
KNOWN = f"{SCHEME}PATH or postgresql://HOST/DATABASE"
WORKSPACE_VARIABLE = "RECONCILER_WORKSPACE"
HOME_VARIABLE = "RECONCILER_HOME"
CONFIG_VARIABLE = "RECONCILER_RUNNER_CONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """An opened workspace; its ``url`` has no password.

    ``folder`` is where this machine keeps its logs and working files.
    """

    url: str
    folder: str
    registry: Registry
    ledger: Ledger


def workspace_path(url: str, base: str) -> Path:
    """Give the database file that a workspace URL names; a relative path is counted from ``base``.

    ``~`` is a home folder: after ``sqlite:`` no shell replaces it.

    Raises:
        WorkspaceError: another kind of workspace, or one without a file.
    """
    if not url.startswith(SCHEME):
        kind, colon, _ = url.partition(":")
        # What follows the colon may hold a password.
        known = f"{kind}:..." if colon else kind
        raise WorkspaceError(f"workspace '{known}' is not known; write {KNOWN}")
    path = url.removeprefix(SCHEME)
    if path in {"", ":memory:"}:
        raise WorkspaceError(f"workspace '{url}' is no file; write {SCHEME}PATH")
    return Path(base, os.path.expanduser(path))  # noqa: PTH111  (of an unknown user it stays text)


def shown_url(url: str, base: str = ".") -> str:
    """Give a URL that names the same workspace from anywhere, without a password.

    Raises:
        WorkspaceError: no kind of workspace that is known.
    """
    if is_postgres(url):
        return shown(url)
    return f"{SCHEME}{workspace_path(url, base).resolve()}"


def open_source(folder: str) -> Source:
    """Open the project that ``folder`` is in.

    Raises:
        SourceError: there is no ``reconciler.yml`` in it or above it.
    """
    from reconciler.source.git import open_source as open_  # noqa: PLC0415  (it starts Git)

    return open_(folder)


def open_commit(folder: str, revision: str) -> Source:
    """Open the project that ``folder`` is in as it was at a commit.

    Raises:
        SourceError: there is no ``reconciler.yml`` in it or above it, or no such commit.
    """
    from reconciler.source.git import open_commit as open_  # noqa: PLC0415  (the same)

    return open_(folder, revision)


def open_folder(folder: str) -> Source:
    """Open the project that ``folder`` is in as its files lie there, without asking Git.

    Raises:
        SourceError: there is no ``reconciler.yml`` in it or above it.
    """
    from reconciler.source.directory import DirectorySource  # noqa: PLC0415  (the same)
    from reconciler.source.git import find_project  # noqa: PLC0415  (the same)

    return DirectorySource(find_project(folder))


def runner_active(url: str, base: str = ".") -> bool:
    """Tell whether a runner is at work on a workspace.

    Raises:
        WorkspaceError: that cannot be told here.
    """
    if is_postgres(url):
        from reconciler.workspace.sql.open import postgres_session  # noqa: PLC0415  (the driver)

        return bool(postgres_session().active(url))
    from reconciler.workspace.sql.lock import RunnerLock  # noqa: PLC0415  (the same)

    lock = RunnerLock(f"{workspace_path(url, base)}.runner.lock")
    if not lock.acquire(wait=False):
        return True
    lock.release()
    return False


def migrate_workspace(url: str, base: str = ".") -> tuple[str, str]:
    """Bring a workspace to this program's schema; give its revisions before and after.

    Raises:
        NotFound: there is no workspace.
        SchemaMismatch: a newer program wrote it.
        WorkspaceBusy: a runner is at work on it.
    """
    from reconciler.workspace.sql.migrate import migrate  # noqa: PLC0415  (SQLAlchemy)

    return migrate(_place(url, base))


def workspace_folder(url: str, base: str = ".") -> str:
    """Give the folder in which this machine keeps a workspace's logs and working files.

    That is where an SQLite file lies. For PostgreSQL it is ``$RECONCILER_HOME``, else a folder of
    the workspace's own in ``~/.local/share/reconciler``.
    """
    if is_postgres(url):
        home = os.environ.get(HOME_VARIABLE)
        own = Path.home() / ".local" / "share" / "reconciler" / identity(url, os.environ)
        return str(Path(home).absolute() if home else own)
    return str(workspace_path(url, base).resolve().parent)


def workspace_file(url: str, base: str = ".") -> str | None:
    """Give the database file of a workspace; None where it is not a file."""
    return None if is_postgres(url) else str(workspace_path(url, base))


def open_upkeep(url: str, base: str = ".", *, read_only: bool = False) -> Upkeep:
    """Open a workspace for whoever looks after it, whatever its schema is.

    Raises:
        NotFound: there is none.
        WorkspaceError: it cannot be opened.
    """
    from reconciler.workspace.sql.backup import open_upkeep as open_  # noqa: PLC0415  (SQLAlchemy)

    return open_(_place(url, base), SystemClock(), read_only=read_only)


def backup_workspace(url: str, base: str, file: str) -> int:
    """Write a workspace to a new file, while a runner may be at work; returns its instant.

    Raises:
        WorkspaceError: it cannot be read, or the file cannot be written.
    """
    from reconciler.workspace.sql.backup import backup  # noqa: PLC0415  (the same)

    return backup(_place(url, base), file, SystemClock())


def restoring_workspace(
    file: str, url: str, base: str, *, overwrite: bool
) -> AbstractContextManager[tuple[Upkeep, str | None]]:
    """Put a backup in a workspace's place at the end of the block, which makes it usable.

    Gives the restored workspace, and where the one that was there before is kept, if there was one.

    Raises:
        NotFound: there is no such file.
        Refused: what is there knows more than the backup, and ``overwrite`` is False.
        WorkspaceError: a runner is at work, or the backup cannot be put there.
    """
    from reconciler.workspace.sql.backup import restoring  # noqa: PLC0415  (the same)

    return restoring(file, _place(url, base), SystemClock(), overwrite=overwrite)


def _place(url: str, base: str) -> str:
    return url if is_postgres(url) else str(workspace_path(url, base))


def open_workspace(
    url: str,
    base: str = ".",
    *,
    create: bool = False,
    read_only: bool = False,
    clock: Clock | None = None,
) -> Workspace:
    """Open a workspace for reading and writing, or where that is all one may do, for reading.

    Raises:
        NotFound: there is none yet and ``create`` is False.
        WorkspaceError: it cannot be opened.
    """
    from reconciler.workspace.sql import open_workspace as open_  # noqa: PLC0415  (SQLAlchemy)

    place = _place(url, base)
    opened = open_(place, clock or SystemClock(), create=create, read_only=read_only)
    return Workspace(
        url=shown(url),
        folder=workspace_folder(url, base),
        registry=opened.registry,
        ledger=opened.ledger,
    )


def open_reader(url: str, base: str = ".", clock: Clock | None = None) -> RegistryReader:
    """Open a registry for a plan: without any way to write, and empty where there is none yet.

    Raises:
        WorkspaceError: it cannot be opened.
    """
    from reconciler.workspace.sql import open_reader as open_  # noqa: PLC0415  (sqlite3)

    clock = clock or SystemClock()
    try:
        return open_(_place(url, base), clock)
    except NotFound:
        from reconciler.workspace.empty import EmptyRegistry  # noqa: PLC0415  (seldom needed)

        return EmptyRegistry(clock)


def open_store(store: Datastore, credentials: Mapping[str, str]) -> DatastoreReader:
    """Open a datastore; ``credentials`` are values, by the names in ``Datastore.credentials``.

    Nothing is asked of the store yet.

    Raises:
        DatastoreError: it cannot be opened: the library for it is not installed, or what is said of
            it makes no sense.
    """
    if store.scheme == "file":
        from reconciler.datastore.local import LocalDatastore  # noqa: PLC0415  (seldom needed)

        return LocalDatastore(store.url)
    from reconciler.datastore.objects import ObjectDatastore  # noqa: PLC0415  (obstore)

    return ObjectDatastore(store, credentials)


def open_datastore(ledger: Ledger, name: str, secrets: Secrets) -> DatastoreReader:
    """Open a registered datastore.

    Raises:
        NotFound: it is not registered.
        DatastoreError: it cannot be opened, or a secret that it refers to is not to be had.
    """
    return open_store(*_registered_store(ledger, name, secrets))


def _registered_store(
    ledger: Ledger, name: str, secrets: Secrets
) -> tuple[Datastore, Mapping[str, str]]:
    import json  # noqa: PLC0415

    from reconciler.data import Datastore  # noqa: PLC0415
    from reconciler.manifest.emit import from_data  # noqa: PLC0415

    registered = ledger.datastores().get(name)
    if registered is None:
        raise NotFound(f"datastore '{name}' is not registered")
    store = from_data(Datastore, json.loads(registered.spec))
    try:
        return store, secrets.of(store, registered.owner)
    except ExecutorError as error:
        raise DatastoreError(str(error)) from error


def files_in(store: Datastore, watched: Watched, owner: Owner) -> Generator[Files]:
    """List the files that a datastore, declared by ``owner``, has where a trigger would look.

    What opens it is what the runner's configuration says, as far as this machine has one.

    Raises:
        DatastoreError: they cannot be seen from here.
    """
    from reconciler.runner.secrets import Secrets  # noqa: PLC0415  (seldom needed)

    try:
        config = read_runner_config(None) if store.secrets else None
        known = Secrets(config.secrets).of(store, owner) if config else {}
    except (ExecutorError, ManifestError, NotFound) as error:
        raise DatastoreError(str(error)) from error
    yield from open_store(store, known).scan(watched)


def open_forge(ci: Ci) -> Forge:
    """Open the forge that a job belongs to.

    Raises:
        ForgeError: it belongs to none, or there is no token for it.
    """
    from reconciler.notifier.environment import Kind  # noqa: PLC0415  (seldom needed)

    try:
        if ci.kind is Kind.GITHUB:
            from reconciler.notifier.github import GitHub  # noqa: PLC0415  (httpx)

            return GitHub(ci)
        if ci.kind is Kind.GITLAB:
            from reconciler.notifier.gitlab import GitLab  # noqa: PLC0415  (httpx)

            return GitLab(ci)
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        raise ForgeError("httpx is not installed; run: pip install 'reconciler[ci]'") from None
    raise ForgeError("this is no job of GitHub or GitLab, so there is nothing to comment on")


def open_executor(workspace: Workspace) -> Executor:
    """Open the executor that runs steps on this machine."""
    from reconciler.executor.local import LocalExecutor  # noqa: PLC0415

    return LocalExecutor(str(Path(workspace.folder, "attempts")))


def runner_config_path(file: str | None) -> tuple[Path, bool]:
    """Tell where the runner's configuration is, and whether somebody asked for that file."""
    asked = file or os.environ.get(CONFIG_VARIABLE)
    if asked:
        return Path(asked), True
    return Path.home() / ".config" / "reconciler" / "runner.yml", False


def read_runner_config(file: str | None) -> RunnerConfig:
    """Read the runner's configuration.

    It is the given file, else the one ``$RECONCILER_RUNNER_CONFIG`` names, else
    ``~/.config/reconciler/runner.yml`` if there is one.

    Raises:
        ManifestError: it has problems.
        NotFound: a file that was asked for is not there.
    """
    from reconciler.manifest.project import load_one  # noqa: PLC0415  (the parser is slow)
    from reconciler.runner.config import RunnerConfig  # noqa: PLC0415  (only here)

    path, asked = runner_config_path(file)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        if asked:
            raise NotFound(f"no runner configuration at {path}") from None
        return RunnerConfig()
    config, problems = load_one(RunnerConfig, str(path), text)
    if config is None:
        raise ManifestError(problems)
    return config


def open_runner(
    workspace: Workspace,
    config: RunnerConfig,
    metrics: Metrics | None = None,
    upkeep: Upkeep | None = None,
) -> Daemon:
    """Put a runner together; with ``upkeep`` it lets go of what is old, as ``config`` says."""
    import socket  # noqa: PLC0415  (only here)
    from functools import partial  # noqa: PLC0415  (the same)

    from reconciler.datastore.events import Waker  # noqa: PLC0415
    from reconciler.executor.local.identity import identity  # noqa: PLC0415
    from reconciler.runner.compose import Composer  # noqa: PLC0415
    from reconciler.runner.daemon import Daemon  # noqa: PLC0415
    from reconciler.runner.metrics import NOBODY  # noqa: PLC0415
    from reconciler.runner.prune import Janitor, prune  # noqa: PLC0415
    from reconciler.runner.secrets import Secrets  # noqa: PLC0415
    from reconciler.runner.workdir import Workdirs  # noqa: PLC0415

    secrets = Secrets(config.secrets)
    opened: dict[str, tuple[object, DatastoreReader]] = {}

    def datastore(name: str) -> DatastoreReader:
        """Open a datastore, or give the one that is open: its connections are worth keeping."""
        asked = _registered_store(workspace.ledger, name, secrets)
        known = opened.get(name)
        if known is None or known[0] != asked:
            known = opened[name] = (asked, open_store(*asked))
        return known[1]

    workdirs = Workdirs(workspace.folder, workspace.registry.code)
    composer = Composer(workdirs, secrets, workspace.ledger, open_store)
    attempts = Path(workspace.folder, "attempts").resolve()
    return Daemon(
        ledger=workspace.ledger,
        executor=open_executor(workspace),
        composer=composer,
        datastore=datastore,
        limits=config.limits(),
        # The programs that it can see are those whose evidence lies in this very folder.
        node=f"{socket.gethostname()}:{attempts}#{identity(str(attempts))}",
        drain=config.drain // timedelta(microseconds=1),
        metrics=metrics or NOBODY,
        events=Waker,
        janitor=None
        if upkeep is None
        else Janitor(partial(prune, upkeep, workspace.folder, config.retention)),
    )
