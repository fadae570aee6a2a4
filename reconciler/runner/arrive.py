"""What becomes of the files that a data schedule finds: one occurrence for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.fields import Scalar
from reconciler.run import Decision, Gate
from reconciler.schedule import Overlap
from reconciler.trigger.arrivals import display
from reconciler.trigger.decide import data_key
from reconciler.trigger.overlap import Verdict, choose

if TYPE_CHECKING:
    from reconciler.data import DatastoreChange
    from reconciler.runner.held import Page
    from reconciler.trigger.decide import Policy
    from reconciler.workspace.records import Unfinished


@dataclass(frozen=True, slots=True)
class Due:
    """One occurrence of one schedule that is to be written down."""

    key: str
    at: int
    decision: Decision
    reason: str
    gate: Gate
    not_before: int | None = None
    facts: Mapping[str, Scalar] | None = None
    parameters: Mapping[str, Scalar] | None = None


def arrivals_of(
    page: Page, trigger: DatastoreChange, policy: Policy, unfinished: Unfinished, now: int
) -> tuple[list[Due], bool]:
    """Decide about each change of a page.

    Tells, too, whether the schedule's unfinished runs are to be canceled.
    """
    running, waiting = list(unfinished.running), list(unfinished.waiting)
    cancel = False
    dues: list[Due] = []
    for change in page.changes:
        key = data_key(change.watch_id, change.seq)
        if policy.overlap is Overlap.CANCEL_RUNNING and change is not page.changes[-1]:
            # Nothing is started only to be canceled in the same breath.
            text = f"skipped: {display(page.changes[-1].file.name)} replaces it"
            text = f"{text} (overlap: {policy.overlap})"
            verdict = Verdict(Decision.SKIP, text, gate=Gate.OVERLAP)
        else:
            verdict = choose(policy.overlap, policy.max_active_runs, running, waiting)
            (running if verdict.decision is Decision.LAUNCH else waiting).append(key)
        cancel |= verdict.cancel
        path = _data_path(trigger, change.file.name)
        name = trigger.data_path_parameter_name
        said = verdict.reason or f"{display(change.file.name)} was {change.change}"
        dues.append(
            Due(
                key,
                now,
                verdict.decision,
                f"{page.held}; {said}" if page.held else said,
                Gate.HOLD if page.held and verdict.gate is Gate.DUE else verdict.gate,
                facts={
                    "datastore": trigger.datastore,
                    "path": path.partition("/")[2],
                    "change": change.change,
                    "size": change.file.size,
                    "mtime_ns": change.file.mtime_ns,
                    "poll": change.poll_seq,
                },
                parameters=None if name is None else {name: path},
            )
        )
    return dues, cancel


def _data_path(trigger: DatastoreChange, name: bytes) -> str:
    parts = (trigger.datastore, trigger.path_on_datastore, name.decode("utf-8", "surrogateescape"))
    return "/".join(part for part in parts if part)
