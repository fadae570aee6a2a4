"""The port of a datastore."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from reconciler.trigger.arrivals import FileVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All files directly in one directory, by name. Names are bytes: they are not always text."""

    files: Mapping[bytes, FileVersion]


class DatastoreReader(Protocol):
    """Lists directories. May be called from several threads."""

    def list(self, path: str) -> Listing:
        """List the files directly in ``path`` (relative, with /), completely or not at all.

        A directory that does not exist is an error, not empty: nothing can be concluded from it.

        Raises:
            DatastoreError: the listing is not complete; the message says what to do.
        """
        ...

    def local_path(self, path: str) -> str | None:
        """Give the path under which a program on this machine can open it; None where it cannot."""
        ...
