"""Whether a commit may be applied: where it stands to the one that was applied last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.plan.change import Guard
from reconciler.source.base import Descent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.live import OwnerRecord
    from reconciler.source.base import Source


def footing(source: Source, record: OwnerRecord | None) -> Iterator[Guard]:
    """Give the guards that come of a project's history.

    A project that was never applied from Git has none.
    """
    state = source.state()
    if record is None or record.commit is None:
        return
    if state.commit is None:
        text = f"the last applied was commit {record.commit[:12]}, and no commit is known of this"
        yield _diverged(f"{text}; apply from a clone, with git installed, else")
        return
    descent = source.descent(record.commit)
    if state.project_path != record.project_path:
        there, here = (f"'{path or '.'}'" for path in (record.project_path, state.project_path))
        yield _copy(record, f"folder {there} of the repository, this is {here}")
    elif descent is Descent.UNKNOWN and not source.shallow():
        root = source.root_commit()
        if root is not None and record.root_commit not in {None, root}:
            yield _copy(record, "another repository, this one has another first commit")
            return
        text = f"the last applied commit {record.commit[:12]} is not in this repository"
        yield _diverged(f"{text}; was history rewritten? If so")
    elif descent is Descent.UNKNOWN:
        text = f"the last applied commit {record.commit[:12]} is not in this shallow clone"
        yield _diverged(f"{text}; fetch all history (actions/checkout: fetch-depth: 0), else")
    elif descent is Descent.DIVERGED:
        text = f"commit {state.commit[:12]} does not contain the last applied {record.commit[:12]}"
        yield _diverged(f"{text} and would undo it; merge or rebase, else")
    elif descent is Descent.ANCESTOR:
        text = f"commit {state.commit[:12]} is older than the last applied {record.commit[:12]}"
        yield Guard("rollback", f"{text}; to go back to it add --rollback", allowable=True)


def _copy(record: OwnerRecord, where: str) -> Guard:
    text = f"{record.owner} was applied from {where}; is it a copy?"
    way = "Give the project another name, or if it moved add --allow other_project"
    return Guard("other_project", f"{text} {way}", allowable=True)


def _diverged(text: str) -> Guard:
    return Guard("diverged", f"{text} add --allow-diverged", allowable=True)
