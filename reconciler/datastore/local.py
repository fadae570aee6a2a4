"""A folder of this machine as a datastore."""
# Names are bytes here, as the file system has them; pathlib knows only text.
# ruff: noqa: PTH116, PTH118

from __future__ import annotations

import os
import stat
from errno import ELOOP
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from reconciler.datastore.base import Listing
from reconciler.errors import DatastoreError
from reconciler.trigger.arrivals import FileVersion

if TYPE_CHECKING:
    from collections.abc import Iterator


class LocalDatastore:
    """The folder that a ``file:///absolute/path`` URL names; ``%20`` and the like are decoded.

    A symbolic link to a file counts as that file. A linked folder is entered only if it stays
    within the datastore's own.

    Raises:
        DatastoreError: the URL does not name an absolute path on this machine.
    """

    def __init__(self, url: str) -> None:
        scheme, _, place = url.partition(":")
        path = place.removeprefix("//localhost").removeprefix("//")
        self._root = os.path.normpath(unquote_to_bytes(path))
        if scheme != "file" or not path.startswith("/") or b"\0" in self._root:
            text = "does not name a folder of this machine; write file:///absolute/path"
            raise DatastoreError(f"{url!r} {text}")

    def list(self, path: str) -> Listing:
        """List the files directly in ``path`` (relative, with /), completely or not at all.

        Raises:
            DatastoreError: the folder is missing, may not be read, is not a folder, is replaced
                meanwhile or lies outside the datastore.
        """
        folder = self._folder(path)
        try:
            before = os.stat(folder)
            files = dict(_files(folder))
            after = os.stat(folder)
        except FileNotFoundError:
            raise DatastoreError(f"folder {_shown(folder)} does not exist; create it") from None
        except NotADirectoryError:
            raise DatastoreError(f"{_shown(folder)} is not a folder; correct the path") from None
        except OSError as error:
            text = f"folder {_shown(folder)} cannot be listed: {error.strerror}"
            raise DatastoreError(f"{text}; see to it on this machine") from None
        # A folder removed while it is read looks empty, and its files new once it is back.
        if not os.path.samestat(before, after):
            raise DatastoreError(f"folder {_shown(folder)} was replaced while it was listed")
        return Listing(files=files)

    def local_path(self, path: str) -> str:
        """Give the absolute path of a file or folder, whether or not it exists.

        Raises:
            DatastoreError: it would lie outside the datastore.
        """
        self._folder(_within(path).rpartition("/")[0])
        return os.fsdecode(os.path.normpath(os.path.join(self._root, os.fsencode(path))))

    def _folder(self, path: str) -> bytes:
        """Give the absolute path of a folder, after following its links."""
        root = os.path.realpath(self._root)
        folder = os.path.realpath(os.path.join(root, os.fsencode(_within(path))))
        if os.path.commonpath([root, folder]) != root:
            text = f"{path!r} leads out of the datastore through a symbolic link"
            raise DatastoreError(f"{text}; declare a datastore for {_shown(folder)}")
        return folder


def _within(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise DatastoreError(f"{path!r} leaves the datastore; write a relative path within it")
    return path


def _files(folder: bytes) -> Iterator[tuple[bytes, FileVersion]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                continue
            try:
                status = entry.stat()
            except (FileNotFoundError, NotADirectoryError):
                continue  # removed since, or a link that leads nowhere
            except OSError as error:
                if error.errno == ELOOP:
                    continue  # a link that leads to itself
                raise
            if stat.S_ISREG(status.st_mode):
                yield entry.name, FileVersion(status.st_size, status.st_mtime_ns, status.st_ino)


def _shown(path: bytes) -> str:
    return repr(os.fsdecode(path))
