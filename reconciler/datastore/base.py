"""The port of a datastore."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.data import Watched
    from reconciler.trigger.snapshot import Files


class DatastoreReader(Protocol):
    """Lists what is there, and reads files. May be called from several threads.

    Names are bytes, relative to :attr:`Watched.directory`, with / where they are below it: exactly
    those of the store, whatever they hold. Facts are as ``reconciler.trigger.snapshot`` has them.
    """

    def scan(self, watched: Watched) -> Iterator[Files]:
        """List files piece by piece, ascending by the bytes of their names and each name once.

        A piece may be empty: that only says that the store answers, and that it goes on.
        A directory that does not exist is an error and not empty, where the store has directories
        at all; nothing can be concluded from it. A file that is watched alone and is not there is
        no error. Links that lead nowhere, folders and a store's own folder marks are left out.

        Raises:
            DatastoreError: the listing is not complete; the message says what to do. What came
                before is worth nothing.
        """
        ...

    def look(self, watched: Watched, names: Iterable[bytes]) -> dict[bytes, bytes]:
        """Give the present facts of some files; those that are not there are left out.

        Raises:
            DatastoreError: as for :meth:`scan`; of no file is anything known then.
        """
        ...

    def place(self, watched: Watched) -> str:
        """Say what kind of place is listed, so that another one in its stead is told.

        For a local folder that is its file system; an empty text says that nothing can be told.

        Raises:
            DatastoreError: it cannot be reached.
        """
        ...

    def url(self, path: bytes) -> str:
        """Give the address of a file, with every byte that is no plain text as ``%XX``."""
        ...

    def local_path(self, path: bytes) -> str | None:
        """Give the path under which a program on this machine can open it; None where it cannot.

        Raises:
            DatastoreError: it would lie outside the datastore.
        """
        ...

    def read(self, path: bytes, facts: bytes, into: BinaryIO) -> None:
        """Copy a file, in exactly the state that ``facts`` tell.

        Raises:
            FileChanged: it is not there any more, or in another state.
            DatastoreError: it cannot be read; the message says what to do.
        """
        ...
