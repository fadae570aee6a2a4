"""What becomes of the files that a data schedule finds: one occurrence for each, or for a poll."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from reconciler.data import Batch
from reconciler.fields import Scalar
from reconciler.run import Decision, Gate
from reconciler.schedule import Overlap
from reconciler.trigger.arrivals import EXISTING, display
from reconciler.trigger.cause import Cause, listed
from reconciler.trigger.decide import data_key, poll_key
from reconciler.trigger.overlap import Verdict, choose
from reconciler.workspace.records import LoggedChange

if TYPE_CHECKING:
    from reconciler.runner.held import Page
    from reconciler.trigger.decide import Policy
    from reconciler.workspace.records import Unfinished


@dataclass(frozen=True, slots=True)
class Due:
    """One occurrence of one schedule that is to be written down.

    ``files`` is the list of the files that its run is made for, where they are several.
    """

    key: str
    at: int
    decision: Decision
    reason: str
    gate: Gate
    not_before: int | None = None
    facts: Mapping[str, Scalar] | None = None
    parameters: Mapping[str, Scalar] | None = None
    files: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """Changes that one run is for; ``called`` names them where another takes their place."""

    key: str
    called: str
    said: str
    changes: Sequence[LoggedChange]


def arrivals_of(
    page: Page, cause: Cause, policy: Policy, unfinished: Unfinished, now: int
) -> tuple[list[Due], bool]:
    """Decide about each occurrence of a page.

    Tells, too, whether the schedule's unfinished runs are to be canceled.
    """
    running, waiting = list(unfinished.running), list(unfinished.waiting)
    cancel = False
    dues: list[Due] = []
    per_poll = cause.trigger.batch is Batch.PER_POLL
    occurrences = list(_polls(page) if per_poll else _files(page))
    for one in occurrences:
        if policy.overlap is Overlap.CANCEL_RUNNING and one is not occurrences[-1]:
            # Nothing is started only to be canceled in the same breath.
            text = f"skipped: {occurrences[-1].called} replaces it (overlap: {policy.overlap})"
            verdict = Verdict(Decision.SKIP, text, gate=Gate.OVERLAP)
        else:
            verdict = choose(policy.overlap, policy.max_active_runs, running, waiting)
            (running if verdict.decision is Decision.LAUNCH else waiting).append(one.key)
        cancel |= verdict.cancel
        files = [cause.file(c.name, c.change, c.facts) for c in one.changes]
        poll = one.changes[0].poll_seq
        facts = cause.of_many(len(files), poll) if per_poll else cause.of_one(files[0], poll)
        said = verdict.reason or one.said
        dues.append(
            Due(
                one.key,
                now,
                verdict.decision,
                f"{page.held}; {said}" if page.held else said,
                Gate.HOLD if page.held and verdict.gate is Gate.DUE else verdict.gate,
                facts=facts,
                parameters=cause.parameters(facts),
                files=listed(files) if per_poll else None,
            )
        )
    return dues, cancel


def _files(page: Page) -> Iterator[_Occurrence]:
    for change in page.changes:
        key, called = data_key(change.watch_id, change.seq), display(change.name)
        what = "was there before" if change.change == EXISTING else f"was {change.change}"
        yield _Occurrence(key, called, f"{called} {what}", [change])


def _polls(page: Page) -> Iterator[_Occurrence]:
    for poll, found in groupby(page.changes, key=lambda change: change.poll_seq):
        # One that was there before may have changed at that very poll.
        changes = list({change.name: change for change in found}.values())
        counts = Counter(change.change for change in changes)
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        many = "1 file" if len(changes) == 1 else f"{len(changes)} files"
        key = poll_key(changes[0].watch_id, poll, page.begun.get(poll, 0))
        yield _Occurrence(key, f"poll {poll}", f"{many} in poll {poll}: {kinds}", changes)
