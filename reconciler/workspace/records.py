"""The other records that pass through a workspace's ports; those a plan reads are in ``live``.

All instants are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciler.data import Watched
from reconciler.live import (
    Applied,
    CodeTree,
    DisabledBy,
    Hold,
    Live,
    Lost,
    Owner,
    OwnerRecord,
    Provenance,
    PublishedPipeline,
    RegisteredDatastore,
    RegisteredSchedule,
)
from reconciler.schedule import Status

__all__ = [
    "Alarm",
    "Alert",
    "Applied",
    "ApplyRecord",
    "Arming",
    "Arrival",
    "Clockwork",
    "CodeTree",
    "Declaration",
    "DisabledBy",
    "DueTimer",
    "Experiment",
    "Folder",
    "Glance",
    "Hold",
    "Lease",
    "Live",
    "LoggedChange",
    "Lost",
    "Outcome",
    "Owner",
    "OwnerRecord",
    "Pin",
    "Poll",
    "Pool",
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
    """Arms a schedule for data: from the present end of the watch's change log on.

    With ``existing`` the files that are there are logged for it first, at the next poll.
    """

    watched: Watched
    existing: bool = False


Arming = Clockwork | Watching


class Outcome(StrEnum):
    """How an apply ended."""

    APPLIED = "applied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRecord:
    """One line of the append-only history of applies.

    ``actor`` is who ran it, ``plan`` the plan's JSON, ``error`` says why it failed. ``chain`` is
    the SHA-256 over the line before (its ``chain``) and this one: a line that is changed or taken
    out later shows. ``id`` and ``chain`` are given by the registry.
    """

    owner: Owner
    commit: str | None
    author: str | None
    applied_at: int
    summary: str
    plan: str
    actor: str = ""
    outcome: Outcome = Outcome.APPLIED
    error: str = ""
    plan_digest: str = ""
    approval_digest: str = ""
    id: int = 0
    chain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What an owner applied last for one object: the third side of a plan, and its key.

    ``revision`` is the live object's right after that apply. ``digest`` is a pipeline's content
    digest, ``code`` its code folder within the project. ``pipeline`` and ``datastores`` name what
    the object refers to.
    """

    kind: str
    name: str
    file: str
    line: int
    spec: str
    revision: int
    status: Status = Status.ACTIVE
    pipeline_id: str | None = None
    digest: str | None = None
    code: str | None = None
    pipeline: str | None = None
    datastores: tuple[str, ...] = ()
    protected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder of a project as the last apply read it; see ``source.base.Folders``.

    ``entries`` gives each name's key, a sub-folder's name ends with ``/``; it is empty for a code
    folder, whose key alone counts.
    """

    key: str
    entries: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A pipeline as its owner declared it last: content, manifest, and code folder if any."""

    digest: str
    file: str
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What an incremental plan must know of the last apply, read without reading the objects.

    ``folders`` are as they were applied, ``pipelines`` (by name) and ``datastores`` (name to file
    of the manifest) all that were declared, ``schedules`` how many were. ``unsettled`` are the
    files of own declarations whose live object was touched since, is held or is lost. ``owned``
    counts the owner's schedules, ``active`` the Active ones; ``expected`` is what ``owned`` was
    right after the apply. ``stray`` tells that something of the owner's is in use or held that its
    last apply did not declare. ``outside`` is a digest over all pipelines and datastores that are
    not the owner's, ``outside_then`` what it was at the apply.
    """

    record: OwnerRecord
    folders: Mapping[str, Folder]
    pipelines: Mapping[str, Pin]
    datastores: Mapping[str, str]
    schedules: int
    unsettled: tuple[str, ...]
    owned: int
    expected: int
    active: int
    stray: bool
    outside: str
    outside_then: str

    @property
    def settled(self) -> bool:
        """Whether what others do is as it was right after the apply."""
        return self.owned == self.expected and self.outside == self.outside_then


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to apply for one owner until an instant; an older ``fence`` writes nothing."""

    owner: Owner
    holder: str
    fence: int
    until: int


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
    """A schedule's runs that are not over: ids, Running and NotStarted, the oldest first.

    Those of backfills stand apart: a long one must not keep the schedule's own fires from being
    launched. ``backfills`` are the Running ones, beside which nothing starts that may not; those
    that wait are left out.
    """

    running: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    backfills: tuple[str, ...] = ()


class WatchState(StrEnum):
    """Whether a watch knows yet what was there at its beginning."""

    BASELINING = "baselining"
    READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Files of one datastore that are looked at together, shared by every schedule on them.

    ``poll_seq`` and ``change_seq`` are the last used numbers; ``next_poll`` is an instant;
    ``failures`` counts the polls that failed in a row; ``place`` is what the last complete listing
    was of. ``schedule_ids`` are the active schedules on it; with ``existing`` one of them asked for
    the files that are there.
    """

    id: int
    watched: Watched
    state: WatchState
    poll_seq: int
    change_seq: int
    next_poll: int
    failures: int
    place: str
    schedule_ids: tuple[str, ...]
    existing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedChange:
    """One line of a watch's change log.

    ``change`` is ``added``, ``modified``, ``deleted`` or ``existing``; ``facts`` are as
    ``reconciler.trigger.snapshot`` has them.
    """

    watch_id: int
    seq: int
    poll_seq: int
    change: str
    name: bytes
    facts: bytes


@dataclass(frozen=True, slots=True)
class Undecided:
    """``count`` changes that were for a schedule; all lie at the places ``first`` to ``last``."""

    watch_id: int
    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """What one look at watched files found. ``error`` is empty when the listing was complete.

    ``listed`` files were looked at, in ``took`` microseconds; ``waiting`` of them changed and do
    not count yet. ``skipped`` polls were due and left out before it, because the one before took
    too long.
    """

    watch_id: int
    poll_seq: int
    polled_at: int
    listed: int
    state: WatchState
    next_poll: int
    added: int = 0
    modified: int = 0
    deleted: int = 0
    waiting: int = 0
    took: int = 0
    skipped: int = 0
    note: str = ""
    error: str = ""

    @property
    def changed(self) -> int:
        """How many changes it logged."""
        return self.added + self.modified + self.deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An active schedule that lags behind its watch's change log.

    ``existing`` is the poll whose lines about existing files are meant for it, 0 for none.
    """

    schedule_id: str
    revision: int
    watch_id: int
    cursor: int
    existing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One runner's right to write; ``fence`` grows with each, and one that is over writes nothing.

    ``node`` names the place whose programs it can see: the host and the folder of its attempts.
    """

    id: str
    fence: int
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Places that runs of different schedules share; ``used`` counts the runs Running in it."""

    name: str
    slots: int
    used: int = 0


class Alarm(StrEnum):
    """What an alert is about; ``waiting``: a run waits for what nobody gives by itself."""

    LATE_START = "late_start"
    LATE_FINISH = "late_finish"
    PAUSED = "paused"
    BREAKER = "breaker"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that somebody should know, told once: ``key`` is unique in the workspace."""

    key: str
    alarm: Alarm
    at: int
    text: str
    schedule_id: str | None = None
    run_id: str | None = None
