"""The other records that pass through a workspace's ports; those a plan reads are in ``live``.

All instants are microseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.live import (
    CodeTree,
    DisabledBy,
    Hold,
    Live,
    Owner,
    Provenance,
    PublishedPipeline,
    RegisteredDatastore,
    RegisteredSchedule,
)

__all__ = [
    "ApplyRecord",
    "Arming",
    "Arrival",
    "Clockwork",
    "CodeTree",
    "DisabledBy",
    "DueTimer",
    "Experiment",
    "FileFacts",
    "Hold",
    "Live",
    "LoggedChange",
    "Owner",
    "Poll",
    "Provenance",
    "PublishedPipeline",
    "RegisteredDatastore",
    "RegisteredSchedule",
    "Session",
    "TimerMove",
    "Unfinished",
    "Watch",
    "WatchState",
    "Watching",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """The name under which runs are grouped."""

    id: str
    name: str
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clockwork:
    """Arms a schedule for the clock. ``initial`` asks for one immediate run."""

    next_due: int | None
    processed_to: int
    initial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """Arms a schedule for data: from the present end of the directory's change log on."""

    datastore: str
    path: str


Arming = Clockwork | Watching


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRecord:
    """One line of the append-only history of applies."""

    id: int
    owner: Owner
    commit: str | None
    author: str | None
    applied_at: int
    summary: str
    plan: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTimer:
    """A schedule whose timer has come due."""

    schedule_id: str
    revision: int
    next_due: int
    processed_to: int
    initial: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerMove:
    """Where a timer goes: all up to ``processed_to`` is decided, ``next_due`` None is the end."""

    schedule_id: str
    next_due: int | None
    processed_to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A schedule's runs that are not over: ids, Running and NotStarted, the oldest first."""

    running: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


class WatchState(StrEnum):
    """Whether a watch knows yet what was there at its beginning."""

    BASELINING = "baselining"
    READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One watched directory of one datastore, shared by every schedule on it.

    ``poll_seq`` and ``change_seq`` are the last used numbers; ``next_poll`` is an instant;
    ``schedule_ids`` are the active schedules on it.
    """

    id: int
    datastore: str
    path: str
    state: WatchState
    poll_seq: int
    change_seq: int
    next_poll: int
    failures: int
    schedule_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """One file as a listing saw it. ``name`` is bytes: file names are not always text."""

    name: bytes
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedChange:
    """One line of a watch's change log; ``change`` is ``added``, ``modified`` or ``deleted``."""

    watch_id: int
    seq: int
    poll_seq: int
    change: str
    file: FileFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """What one look at a directory found. ``error`` is empty when the listing was complete."""

    watch_id: int
    poll_seq: int
    polled_at: int
    listed: int
    changed: int
    state: WatchState
    next_poll: int
    note: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An active schedule that lags behind its watch's change log."""

    schedule_id: str
    revision: int
    watch_id: int
    cursor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One runner's right to write; ``fence`` grows with each, and an older one writes nothing."""

    id: str
    fence: int
