"""Keep the one comment and the one label of a target on a request as they should be.

What is asked for is a state, not a step: each try looks at what is there, so a job that was
cancelled, or that runs twice, leaves one comment.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.errors import ForgeError, ForgeUnsure
from reconciler.notifier.comment import Marker, outdated, parse, same

if TYPE_CHECKING:
    from reconciler.notifier.base import Comment, Forge, Request

_TRIES = 3
_LONGEST_LABEL = 50


class Told(StrEnum):
    """What became of a comment."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"


class Outcome(StrEnum):
    """What a plan comes to, as a label says it."""

    UNCHANGED = "no changes"
    CHANGES = "changes"
    DISABLES = "disables"
    BLOCKED = "blocked"
    FAILED = "failed"


def tell(forge: Forge, number: int, body: str, outcome: Outcome | None = None) -> Told:
    """Make a comment of ours on a request say ``body``, and label the request.

    Where the request's head moved meanwhile, a comment about the present head is left alone, and
    ``body`` is marked as outdated. Where there are several comments of ours, the first is kept up
    to date and the others are marked.

    Raises:
        ForgeError: the forge refuses, or cannot be reached.
    """
    error = None
    for _ in range(_TRIES):
        try:
            return _once(forge, number, body, outcome)
        except ForgeUnsure as unsure:
            error = unsure
    raise ForgeError(f"{error}; tried {_TRIES} times")


def _once(forge: Forge, number: int, body: str, outcome: Outcome | None) -> Told:
    marker = parse(body)
    if marker is None:
        raise ValueError("a comment without its hidden line")
    request = forge.request(number)
    found = ours(forge, number, marker.key)
    if request.head != marker.head:
        if any(mine.head == request.head for _, mine in found):
            return Told.SUPERSEDED
        body, outcome = outdated(body, request.head), None
    told = Told.UNCHANGED
    if not found:
        forge.create(number, body)
        told = Told.CREATED
    for at, (comment, _) in enumerate(found):
        wanted = body if at == 0 else outdated(comment.body, request.head)
        if not same(comment.body, wanted):
            forge.update(number, comment.id, wanted)
            told = Told.UPDATED
    if outcome is not None:
        labels = {one: _label(marker, one) for one in Outcome}
        forge.label(number, labels.pop(outcome), labels.values())
    return told


def ours(forge: Forge, number: int, key: tuple[str, str, str]) -> list[tuple[Comment, Marker]]:
    """Find the comments on a request that the trusted account made of one target."""
    author = forge.author()
    found = []
    for comment in forge.comments(number):
        if comment.author == author:
            marker = parse(comment.body)
            if marker is not None and marker.key == key:
                found.append((comment, marker))
    return found


def _label(marker: Marker, outcome: Outcome) -> str:
    # A comma would make two labels of it on GitLab.
    name = (marker.label or marker.target).replace(",", " ")
    return f"{name[: _LONGEST_LABEL - len(outcome) - 2]}: {outcome}"


def find_brought(forge: Forge, commit: str, branch: str | None) -> Request | None:
    """Find the request that a commit on a branch came with; None where there is none.

    Raises:
        ForgeError: it came with several.
    """
    found = [one for one in forge.brought(commit) if branch is None or one.base == branch]
    exact = [one for one in found if one.merged_as == commit]
    chosen = exact or found
    if len(chosen) > 1:
        numbers = ", ".join(str(one.number) for one in chosen)
        text = f"commit {commit[:12]} came with several requests ({numbers}); name one: --request"
        raise ForgeError(text)
    return chosen[0] if chosen else None


def find_proposing(forge: Forge, proposed: tuple[str, str], head: str) -> Request | None:
    """Find the open request whose last commit is ``head``, of somebody's branch."""
    found = [one for one in forge.proposing(*proposed) if one.open and one.head == head]
    return found[0] if found else None
