"""A plan and its parts: frozen, sorted, serializable, without callables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconciler.live import Hold, Owner
from reconciler.plan.impact import Impact

# Readers ignore keys they do not know; the part before the dot grows when they could not go on.
FORMAT = "2.1"
# The guard of what runs at once.
FIRES_ON_APPLY = "fires_on_apply"

# Covariant, so that a list of names is plain data too.
Plain = str | int | float | bool | None | Sequence["Plain"] | Mapping[str, "Plain"]


class Action(StrEnum):
    """What would be done to one object."""

    CREATE = "create"
    UPDATE = "update"
    ENABLE = "enable"
    DISABLE = "disable"
    ADOPT = "adopt"
    RENAME = "rename"
    REMOVE = "remove"

    @property
    def symbol(self) -> str:
        """The sign that stands before the word in a printed plan."""
        return _SYMBOLS.get(self.value, "~")


_SYMBOLS = {"create": "+", "disable": "-", "remove": "-", "adopt": ">", "rename": "»"}


class Cause(StrEnum):
    """Why a change is in the plan."""

    DECLARED = "declared"
    EDITED = "edited"
    PIPELINE_MOVED = "pipeline_moved"
    RESTORED = "restored"
    DRIFTED = "drifted"
    LOST = "lost"
    MISSING = "missing"
    ADOPTED = "adopted"
    RENAMED = "renamed"


class Side(StrEnum):
    """Who made a field differ: Git since the last apply, somebody on the live object, or both."""

    GIT = "git"
    LIVE = "live"
    BOTH = "both"


class Kind(StrEnum):
    """The kinds of object, in the order in which a plan lists and an apply writes them."""

    DATASTORE = "Datastore"
    PIPELINE = "Pipeline"
    SCHEDULE = "Schedule"


KINDS = tuple(Kind)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs; ``path`` is dotted, None stands for absent.

    ``old`` is the live value and ``new`` the declared one. ``applied`` is what was applied last
    and differs from ``old`` only where somebody touched the object.
    """

    path: str
    old: Plain
    new: Plain
    applied: Plain
    side: Side = Side.GIT

    @classmethod
    def by_git(cls, path: str, old: Plain, new: Plain) -> FieldChange:
        """Make one of an object that nobody touched."""
        return cls(path, old, new, old)


class Reason(StrEnum):
    """Why a difference is not a change.

    ``ignored``: ``ignore_drift`` leaves the field to others. ``already_live``: Git now says what
    somebody had set on the live object. ``kept``: the manifest is gone and ``on_missing`` is keep.
    """

    IGNORED = "ignored"
    ALREADY_LIVE = "already_live"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A difference that a plan leaves alone, of one field of one object."""

    address: str
    path: str
    reason: Reason
    live: Plain
    desired: Plain


@dataclass(frozen=True, slots=True)
class Files:
    """How many files of a data path that is new to the schedule are there already.

    ``matching`` is None where the path cannot be seen from here, and the least number where there
    are ``more`` than anybody counts. ``fires`` is how many runs they make at once when the plan is
    applied: none unless the schedule asks for that (``initial``), and None where nobody can tell.
    """

    place: str
    matching: int | None
    more: bool = False
    initial: bool = False
    fires: int | None = 0


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PlanWarning:
    """Something to look at that blocks nothing: its id, what to check, and where.

    ``objects`` are the addresses of what takes part, in the order in which the message has them.
    """

    file: str
    line: int
    column: int
    id: str
    message: str
    objects: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What would be done to one object, and why.

    ``id`` and ``revision`` name the live object and its state when the plan was made, both None
    for a create; ``fingerprint`` is a digest of what it says. ``before`` and ``after`` are
    canonical specs (JSON text), None where there is none. A pipeline's ``digest`` and
    ``code_digest`` cover its content. A schedule's binding is ``pipeline_id`` for a version that
    exists, else ``digest`` for one the same plan publishes, else neither for ``@latest``.
    ``formerly`` is the name that a rename takes away, or the owner that an adoption does.
    """

    action: Action
    kind: Kind
    name: str
    cause: Cause
    fields: tuple[FieldChange, ...] = ()
    file: str | None = None
    line: int | None = None
    id: str | None = None
    revision: int | None = None
    fingerprint: str | None = None
    before: str | None = None
    after: str | None = None
    digest: str | None = None
    code_digest: str | None = None
    pipeline_id: str | None = None
    formerly: str | None = None
    protected: bool = False
    notes: tuple[str, ...] = ()
    impact: Impact | None = None
    files: Files | None = None

    @property
    def address(self) -> str:
        """The object's ``Kind.name``."""
        return f"{self.kind}.{self.name}"


@dataclass(frozen=True, slots=True)
class Guard:
    """Something that blocks a plan: its id, its numbers, and the way out.

    ``allowable`` says that ``--allow ID`` lifts it; the others need another change in Git.
    """

    id: str
    message: str
    allowable: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A schedule of the owner that is held: a plan shows it and an apply leaves it so."""

    name: str
    hold: Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything an apply would do to one workspace on behalf of one owner.

    ``changes`` are sorted by kind and name; ``guards`` block it, ``warnings`` do not; ``dirty`` are
    uncommitted files that it includes; ``as_of`` is the instant it was made at, the only clock it
    knows; ``tool`` is the version that made it. ``base`` is the commit that stood for the workspace
    in an offline plan, which nobody can approve or apply; None where the workspace itself was read.
    """

    owner: Owner
    workspace: str
    changes: tuple[Change, ...]
    unchanged: int
    as_of: int = 0
    tool: str = ""
    guards: tuple[Guard, ...] = ()
    warnings: tuple[PlanWarning, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    held: tuple[Held, ...] = ()
    commit: str | None = None
    dirty: tuple[str, ...] = ()
    base: str | None = None

    def count(self, *actions: Action) -> int:
        """Count the changes with one of these actions."""
        return sum(change.action in actions for change in self.changes)

    def blocking(self, allowed: frozenset[str] = frozenset()) -> tuple[Guard, ...]:
        """Give the guards that still block the plan when those in ``allowed`` are lifted."""
        return tuple(
            guard for guard in self.guards if not (guard.allowable and guard.id in allowed)
        )

    @property
    def fires_on_apply(self) -> int:
        """How many runs start at once when it is applied, as far as anybody can tell."""
        by_clock = sum(change.impact.fires_on_apply for change in self.changes if change.impact)
        return by_clock + sum(change.files.fires or 0 for change in self.changes if change.files)

    @property
    def runs_per_day(self) -> tuple[float, float]:
        """How many runs a day its changes take away and add, as (before, after)."""
        impacts = [change.impact for change in self.changes if change.impact]
        sides = ([i.before for i in impacts], [i.after for i in impacts])
        before, after = (sum(t.per_day for t in side if t is not None) for side in sides)
        return before, after

    @property
    def summary(self) -> str:
        """The plan in one line."""
        added = self.count(Action.CREATE)
        changed = self.count(Action.UPDATE, Action.ENABLE)
        disabled = self.count(Action.DISABLE)
        seldom = {
            "adopt": self.count(Action.ADOPT),
            "rename": self.count(Action.RENAME),
            "remove": self.count(Action.REMOVE),
        }
        others = "".join(f", {count} to {word}" for word, count in seldom.items() if count)
        return (
            f"{added} to add, {changed} to change, {disabled} to disable{others}, "
            f"{self.unchanged} unchanged."
        )
