"""The port of a forge: where changes are proposed, and where people read comments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A pull request, or a merge request.

    ``head`` is the full id of its last commit, ``base`` the branch that it is for, ``merged_as``
    the commit that it became, where it was merged and the forge tells.
    """

    number: int
    head: str
    base: str
    open: bool
    merged: bool
    merged_as: str | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on a request; ``author`` is the name of an account."""

    id: int
    author: str
    body: str


class Forge(Protocol):
    """One repository of a forge.

    Raises, in every method:
        ForgeError: the forge refuses, or cannot be reached; the message says what to do.
        ForgeUnsure: the same, where it is not known whether a comment was made.
    """

    def author(self) -> str:
        """Tell the account that comments are made with."""
        ...

    def request(self, number: int) -> Request:
        """Read a request."""
        ...

    def brought(self, commit: str) -> tuple[Request, ...]:
        """Find the merged requests that a commit came with."""
        ...

    def proposing(self, owner: str, branch: str) -> tuple[Request, ...]:
        """Find the open requests of a branch; ``owner`` is whose repository the branch is in."""
        ...

    def comments(self, number: int) -> Iterator[Comment]:
        """Give all comments on a request, the oldest first."""
        ...

    def create(self, number: int, body: str) -> None:
        """Comment on a request."""
        ...

    def update(self, number: int, comment: int, body: str) -> None:
        """Put another text in a comment's place."""
        ...

    def label(self, number: int, add: str, remove: Iterable[str]) -> None:
        """Put a label on a request, and take others off; one that is not on it is left out."""
        ...
