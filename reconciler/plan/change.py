"""A plan and its parts: frozen, sorted, serializable, without callables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconciler.live import Owner

FORMAT = 1

# Covariant, so that a list of names is plain data too.
Plain = str | int | float | bool | None | Sequence["Plain"] | Mapping[str, "Plain"]


class Action(StrEnum):
    """What would be done to one object."""

    CREATE = "create"
    UPDATE = "update"
    ENABLE = "enable"
    DISABLE = "disable"
    REMOVE = "remove"

    @property
    def symbol(self) -> str:
        """The sign that stands before the word in a printed plan."""
        return {"create": "+", "disable": "-", "remove": "-"}.get(self.value, "~")


class Cause(StrEnum):
    """Why a change is in the plan."""

    DECLARED = "declared"
    EDITED = "edited"
    PIPELINE_MOVED = "pipeline_moved"
    RESTORED = "restored"
    DRIFTED = "drifted"
    MISSING = "missing"


class Kind(StrEnum):
    """The kinds of object, in the order in which a plan lists and an apply writes them."""

    DATASTORE = "Datastore"
    PIPELINE = "Pipeline"
    SCHEDULE = "Schedule"


KINDS = tuple(Kind)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs; ``path`` is dotted, None stands for absent."""

    path: str
    old: Plain
    new: Plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What would be done to one object, and why.

    ``id`` and ``revision`` name the live object and its state when the plan was made, both None
    for a create. ``before`` and ``after`` are canonical specs (JSON text), None where there is
    none. A pipeline's ``digest`` and ``code_digest`` cover its content. A schedule's binding is
    ``pipeline_id`` for a version that exists, else ``digest`` for one the same plan publishes,
    else neither for ``@latest``.
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
    before: str | None = None
    after: str | None = None
    digest: str | None = None
    code_digest: str | None = None
    pipeline_id: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything an apply would do to one workspace on behalf of one owner.

    ``changes`` are sorted by kind and name; ``refusals`` are the guards that block it, each with
    its numbers and the way out; ``dirty`` are uncommitted files that the plan includes.
    """

    owner: Owner
    workspace: str
    changes: tuple[Change, ...]
    unchanged: int
    refusals: tuple[str, ...] = ()
    commit: str | None = None
    dirty: tuple[str, ...] = ()

    def count(self, *actions: Action) -> int:
        """Count the changes with one of these actions."""
        return sum(change.action in actions for change in self.changes)

    @property
    def empties(self) -> bool:
        """Whether nothing is declared any more, and so everything would be taken away."""
        return (
            bool(self.changes) and not self.unchanged and all(c.after is None for c in self.changes)
        )

    @property
    def summary(self) -> str:
        """The plan in one line."""
        added = self.count(Action.CREATE)
        changed = self.count(Action.UPDATE, Action.ENABLE)
        disabled = self.count(Action.DISABLE)
        removed = self.count(Action.REMOVE)
        removals = f", {removed} to remove" if removed else ""
        return (
            f"{added} to add, {changed} to change, {disabled} to disable{removals}, "
            f"{self.unchanged} unchanged."
        )
