"""What a step is told of the files that its run was made for, and how to open their datastore."""

from __future__ import annotations

import json
import os
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.data import DataPath, Datastore, name_bytes
from reconciler.errors import DatastoreError, ExecutorError, InvalidValue
from reconciler.manifest.emit import to_data
from reconciler.plan.spec import spec_value
from reconciler.runner.workdir import LIST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.datastore.base import DatastoreReader
    from reconciler.fields import Scalar
    from reconciler.live import Owner, RegisteredDatastore
    from reconciler.run import Run
    from reconciler.runner.secrets import Secrets
    from reconciler.workspace.ledger import Ledger

    Opener = Callable[[Datastore, Mapping[str, str]], DatastoreReader]

# `reconciler get` reads both.
DATA_VARIABLE = "RECONCILER_DATA"
STORE_VARIABLE = "RECONCILER_DATASTORE"


class Given:
    """What one run is given of datastores; they are asked about at most once, and seldom at all.

    All of it comes from the run, and not from what its schedule says by now. What opens a datastore
    is for whoever declared that, and is seen by the code of ``owner``: it must be for both.

    Raises (every method):
        ExecutorError: a datastore is gone, or a file, or a secret; or a path cannot be opened here.
    """

    def __init__(
        self,
        run: Run,
        ledger: Ledger,
        secrets: Secrets,
        open_store: Opener,
        owner: Owner | None,
    ) -> None:
        self._run = run
        self._owner = owner
        self._facts: Mapping[str, Scalar] = run.facts or {}
        self._ledger = ledger
        self._secrets = secrets
        self._open_store = open_store

    @property
    def several(self) -> bool:
        """Whether the run was made for several files, of which there is a list."""
        return "files" in self._facts

    def path(self, name: str, value: str, folder: str) -> str:
        """Write a data path as the run's steps, in their working ``folder``, are to see it."""
        how = None
        if self._facts.get("parameter") == name:
            if self.several:
                return str(Path(folder, LIST))
            how = self._facts.get("data_path")
        if how == DataPath.DATASTORE:
            return value
        store, _, path = value.partition("/")
        local = self._local(store, path)
        if local is None and how == DataPath.LOCAL:
            text = f"datastore '{store}' is no folder, so data_path: local cannot be had"
            raise ExecutorError(f"{text}; use data_path: datastore and `reconciler get`")
        return value if local is None else local

    def files(self) -> bytes:
        """Give the list of files; in a folder of this machine each with its local path."""
        listed = self._ledger.files(self._run.retry_of or self._run.id)
        if listed is None:
            raise ExecutorError("the list of the files that it was made for is gone")
        store = str(self._facts["datastore"])
        remote = self._store(store)[0].scheme != "file"
        if remote or self._facts.get("data_path") == DataPath.DATASTORE:
            return listed
        files = [json.loads(line) for line in listed.splitlines()]
        folders: dict[str, str | None] = {}
        for file in files:
            folder, _, name = file["path"].rpartition("/")
            if folder not in folders:
                folders[folder] = self._local(store, folder)
            file["local"] = f"{folders[folder]}/{name}"
        return b"".join(json.dumps(file).encode("ascii") + b"\n" for file in files)

    def environment(self, folder: str) -> dict[str, str]:
        """Say it in variables of a step's environment; nothing where no files are the cause."""
        if "datastore" not in self._facts:
            return {}
        store, credentials = self._opening(str(self._facts["datastore"]))
        facts = {**self._facts, "list": str(Path(folder, LIST))} if self.several else self._facts
        return {
            DATA_VARIABLE: json.dumps(facts),
            STORE_VARIABLE: json.dumps({"datastore": to_data(store), "credentials": credentials}),
            # The command may be in a virtual environment that nobody activated.
            "PATH": f"{os.environ.get('PATH', os.defpath)}:{Path(sys.executable).parent}",
        }

    @cached_property
    def _registered(self) -> dict[str, RegisteredDatastore]:
        return self._ledger.datastores()

    def _store(self, name: str) -> tuple[Datastore, RegisteredDatastore]:
        registered = self._registered.get(name)
        if registered is None:
            raise ExecutorError(f"datastore '{name}' is not registered")
        try:
            return spec_value(Datastore, registered.spec), registered
        except InvalidValue as error:
            raise ExecutorError(f"datastore '{name}': {error}") from error

    def _opening(self, name: str) -> tuple[Datastore, dict[str, str]]:
        store, registered = self._store(name)
        return store, self._secrets.of(store, registered.owner, self._owner)

    def _local(self, name: str, path: str) -> str | None:
        store = self._store(name)[0]
        if store.scheme != "file":
            return None
        try:
            return self._open_store(store, {}).local_path(name_bytes(path))
        except DatastoreError as error:
            raise ExecutorError(f"data path '{name}/{path}': {error}") from error
