"""What a run knows of the files that it is made for.

Facts are scalars by name and travel with the fire and the run:

- ``datastore``, ``path`` and ``url``: where; the path is relative to the datastore and holds the
  file's very name, bytes that are no UTF-8 as lone surrogates (``data.name_bytes`` gives the bytes
  back); the address is plain ASCII. Of several files it is the directory that is watched;
- ``change`` as a change log has it, or ``REFIRED``, and what ``snapshot.told`` says of the file:
  ``size`` and ``mtime_ns``, ``version`` or ``etag`` with ``modified``; ``state`` is all that tells
  this state of the file from others;
- ``files``, for several instead: how many there are. Each is one line of the run's list;
- ``poll``: the number of the look that found it;
- ``parameter`` and ``data_path``, where there are any: who is told the path, and in which form.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.data import DatastoreChange, file_url, name_bytes
from reconciler.trigger.snapshot import told

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.fields import Scalar

# The ``change`` of a file that somebody asked to fire for.
REFIRED = "refired"
# Files that one run is made for at most; more make further runs.
MOST = 50_000

FileFacts = dict[str, "str | int"]


@dataclass(frozen=True, slots=True)
class Cause:
    """What a data trigger makes known; ``store`` is the URL of its datastore."""

    trigger: DatastoreChange
    store: str

    def file(self, name: bytes, change: str, facts: bytes) -> FileFacts:
        """Tell of one file; this is a line of a list, too."""
        folder = name_bytes(self.trigger.watched.directory)
        path = folder + b"/" + name if folder else name
        return {
            "path": path.decode("utf-8", "surrogateescape"),
            "url": file_url(self.store, path),
            "change": change,
            **told(facts),
            "state": facts.decode("ascii"),
        }

    def of_one(self, file: FileFacts, poll: int) -> dict[str, Scalar]:
        """Give the facts of a run for one file."""
        return {"datastore": self.trigger.datastore, **file, "poll": poll, **self._receiver()}

    def of_many(self, count: int, poll: int) -> dict[str, Scalar]:
        """Give the facts of a run for ``count`` files."""
        path = self.trigger.watched.directory
        return {
            "datastore": self.trigger.datastore,
            "path": path,
            "url": file_url(self.store, name_bytes(path)),
            "files": count,
            "poll": poll,
            **self._receiver(),
        }

    def parameters(self, facts: dict[str, Scalar]) -> dict[str, Scalar] | None:
        """Give the parameter that the run is told by, if there is one."""
        name = self.trigger.data_path_parameter_name
        if name is None:
            return None
        return {name: "/".join(filter(None, (self.trigger.datastore, str(facts["path"]))))}

    def _receiver(self) -> dict[str, Scalar]:
        said: dict[str, Scalar] = {}
        if self.trigger.data_path_parameter_name is not None:
            said["parameter"] = self.trigger.data_path_parameter_name
        if self.trigger.data_path is not None:
            said["data_path"] = self.trigger.data_path.value
        return said


def listed(files: Iterable[FileFacts]) -> bytes:
    """Write the list of files that a run is made for: a JSON document on each line, in ASCII."""
    return b"".join(json.dumps(file).encode("ascii") + b"\n" for file in files)
