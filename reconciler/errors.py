"""Everything that can go wrong, as types.

::

    ReconcilerError            exit 1
    ├── ManifestError          problems in manifests, each with file, line and column
    ├── InvalidValue           a value that contradicts itself (also a ValueError)
    ├── SourceError            the manifests cannot be read as a whole
    ├── NotFound               no such object
    ├── PlanFileError          a saved plan cannot be read or was changed
    ├── Refused                exit 3: a guard says no and names the way out
    ├── StalePlan              exit 4: the live side moved after the plan was made
    ├── WorkspaceError         the live side cannot be read or written
    │   ├── WorkspaceBusy      retriable: somebody else writes
    │   ├── WorkspaceFull      retriable: no space is left
    │   ├── WorkspaceUnreachable  retriable: the database does not answer
    │   └── SchemaMismatch     the workspace needs `reconciler workspace migrate`
    ├── DatastoreError         a listing failed; retriable
    └── ExecutorError          a step cannot be started

Manifest problems are collected and reported together; an exception is for what stops the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in one manifest, and what to do about it.

    ``line`` and ``column`` count from 1; 0 means the file as a whole.
    """

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        """Give ``file:line:col: message``, the form editors and terminals make clickable."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class ReconcilerError(Exception):
    """The root of all errors this program raises on purpose."""

    exit_code: ClassVar[int] = 1
    retriable: ClassVar[bool] = False


class ManifestError(ReconcilerError):
    """One or more manifests are wrong; ``problems`` holds all of them, sorted."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


class InvalidValue(ReconcilerError, ValueError):
    """A value contradicts itself; ``faults`` are (path within the value, message) pairs."""

    def __init__(self, faults: Iterable[tuple[tuple[str | int, ...], str]]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(message for _, message in self.faults))


class SourceError(ReconcilerError):
    """The manifests cannot be read as a whole, so nothing can be concluded from them."""


class NoMatch(SourceError):
    """A glob of the manifests matches no file."""


class NotFound(ReconcilerError):
    """There is no object of that name or id."""


class PlanFileError(ReconcilerError):
    """A saved plan cannot be read, or is not what was saved; the message says how to go on."""


class Refused(ReconcilerError):
    """A guard says no; the message carries the numbers and the way out."""

    exit_code = 3


class StalePlan(ReconcilerError):
    """The live side moved after the plan was made."""

    exit_code = 4


class WorkspaceError(ReconcilerError):
    """The live side cannot be read or written."""


class WorkspaceBusy(WorkspaceError):
    """Somebody else holds the workspace; trying again helps."""

    retriable = True


class SessionLost(WorkspaceError):
    """Another runner has ended this one's session: it must begin anew before it writes again."""

    retriable = True


class WorkspaceFull(WorkspaceError):
    """The disk under the workspace is full; it recovers once there is space."""

    retriable = True


class WorkspaceUnreachable(WorkspaceError):
    """The database does not answer, or has just ended the connection."""

    retriable = True


class SchemaMismatch(WorkspaceError):
    """The workspace was written by another version of this program."""


class DatastoreError(ReconcilerError):
    """A datastore cannot be listed or read; the message says what to do."""

    retriable = True


class FileChanged(ReconcilerError):
    """A file of a datastore is not in the state any more that a run was made for."""


class ExecutorError(ReconcilerError):
    """A step cannot be started."""


class ForgeError(ReconcilerError):
    """GitHub or GitLab refuses, or cannot be reached; the message says what to do."""


class ForgeUnsure(ForgeError):
    """A comment was sent, and it is not known whether it was made; look before another try."""

    retriable = True
