"""What a workspace holds, as frozen values: the live side that a plan compares with.

Specs travel as canonical JSON text (``manifest.shape.to_data`` with sorted keys): equal text means
equal value, and a reader turns it into a value only when it needs one. All instants are
microseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.schedule import Missed, Status


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """Who declares an object: a project and one of its targets."""

    project: str
    target: str

    def __str__(self) -> str:
        """Write ``project/target``."""
        return f"{self.project}/{self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an object's present spec comes from.

    ``file`` is relative to the project, with the line of the manifest; ``commit``, ``author`` and
    ``committed_at`` are those of the last commit that changed the file, all None outside a
    repository or while the file is not committed. Objects made through the SDK have no file.
    """

    file: str | None = None
    line: int | None = None
    commit: str | None = None
    author: str | None = None
    committed_at: int | None = None


class DisabledBy(StrEnum):
    """Who or what disabled an object."""

    GIT = "git"
    MISSING = "missing"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """An operator's pause. ``until`` is an instant, or None for without end.

    ``catchup`` says which of the fires that came due meanwhile are made up for when it ends.
    """

    who: str
    why: str
    since: int
    until: int | None = None
    catchup: Missed = Missed.SKIP

    def active(self, now: int) -> bool:
        """Whether the schedule is held at ``now``."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTree:
    """The content of a ``code:`` folder.

    ``entries`` are (path with /, mode 0o100644 or 0o100755, content), sorted by path; ``digest``
    is the SHA-256 over the sorted (mode, path, SHA-256 of content) lines, in hex.
    """

    digest: str
    entries: tuple[tuple[str, int, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an object's owner last applied to it, where somebody changed the object since.

    A pipeline's spec never changes, so only its ``status`` says something.
    """

    spec: str
    status: Status = Status.ACTIVE
    pipeline_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """An object that its owner applied and that is no longer there."""

    owner: Owner
    kind: str
    name: str
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerRecord:
    """Where an owner applies from, and what it applied last.

    ``root_commit`` and ``project_path`` tell the project from a copy of it; both are None or empty
    where the first apply did not come from Git. ``inputs`` is a digest of what all its objects
    share; see :mod:`reconciler.reconcile.narrow`.
    """

    owner: Owner
    root_commit: str | None = None
    project_path: str = ""
    commit: str | None = None
    applied_at: int | None = None
    inputs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPipeline:
    """One immutable version of a pipeline. ``digest`` covers spec and code.

    ``revision`` counts changes of its status only. ``protected`` is stored with what its owner
    applied, and so outlives the manifest. ``applied`` is None where nobody touched the object
    since; both are those of the version that was applied last. ``declared`` tells that this is the
    version its owner declared last, which need not be the newest: a revert goes back to an old one.
    """

    id: str
    name: str
    version: int
    spec: str
    digest: str
    code_digest: str | None
    status: Status
    disabled_by: DisabledBy | None
    owner: Owner | None
    provenance: Provenance
    created_at: int
    revision: int
    protected: bool = False
    applied: Applied | None = None
    declared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredDatastore:
    """A datastore as the workspace knows it; ``protected`` and ``applied`` as for a pipeline."""

    name: str
    spec: str
    owner: Owner | None
    provenance: Provenance
    created_at: int
    revision: int
    protected: bool = False
    applied: Applied | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredSchedule:
    """A schedule as the workspace knows it.

    ``pipeline_id`` is the published version it is bound to, None where the spec says ``@latest``.
    ``created_at`` is the immutable anchor of a recurrence without a start time. ``next_due`` and
    ``processed_to`` are its timer: everything due up to ``processed_to`` has been decided.
    ``initial`` holds until its one immediate run has been decided about. ``declared`` tells that
    its owner's last apply declared one of its name.
    """

    id: str
    name: str
    spec: str
    pipeline_id: str | None
    status: Status
    disabled_by: DisabledBy | None
    owner: Owner | None
    provenance: Provenance
    created_at: int
    updated_at: int
    revision: int
    hold: Hold | None = None
    next_due: int | None = None
    processed_to: int | None = None
    initial: bool = False
    protected: bool = False
    applied: Applied | None = None
    declared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Everything that is registered, read in one consistent moment; each part sorted by name.

    ``pipelines`` holds every version, ordered by (name, version). ``lost`` are sorted by owner,
    kind and name, ``owners`` by owner.
    """

    schedules: tuple[RegisteredSchedule, ...] = ()
    pipelines: tuple[PublishedPipeline, ...] = ()
    datastores: tuple[RegisteredDatastore, ...] = ()
    lost: tuple[Lost, ...] = ()
    owners: tuple[OwnerRecord, ...] = ()
