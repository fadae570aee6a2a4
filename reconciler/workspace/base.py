"""The ports of a workspace's registry: what is declared to run.

A workspace's ports are split by who needs them: :class:`Registry` for plan, apply and the SDK,
:class:`~reconciler.workspace.ledger.Ledger` for the runner; one adapter implements both on one
database. A plan is given only a
:class:`RegistryReader`, which has no way to write.

Every write of the registry is compare-and-set on ``revision``. A transaction that is left by an
exception changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from reconciler.data import Watched
    from reconciler.run import Fire
    from reconciler.schedule import Status
    from reconciler.workspace.records import (
        ApplyRecord,
        Arming,
        CodeTree,
        Declaration,
        DisabledBy,
        Experiment,
        Folder,
        Glance,
        Hold,
        Lease,
        Live,
        LoggedChange,
        Owner,
        OwnerRecord,
        Provenance,
        PublishedPipeline,
        Undecided,
        Watching,
    )


class LiveReader(Protocol):
    """What a plan reads of the registry, whether from outside or within a transaction."""

    def now(self) -> int:
        """Give the workspace's present instant, the only clock that decisions use."""
        ...

    def live(self) -> Live:
        """Read everything that is registered, in one consistent moment."""
        ...

    def glance(self, owner: Owner) -> Glance | None:
        """Read what an incremental plan must know, in two statements; None before a first apply."""
        ...

    def live_part(
        self,
        owner: Owner,
        *,
        files: Iterable[str],
        schedules: Iterable[str],
        pipelines: Iterable[str],
        datastores: Iterable[str],
    ) -> Live:
        """Read what concerns a part of an owner's objects, in one statement.

        That is: the owner's schedules declared in ``files``; everybody's schedules of these names
        or ids; all pipelines and datastores (whoever owns them) of these names, of these pipeline
        ids, declared by the owner in ``files``, or bound by those schedules; and what of the
        owner's is lost of all that.
        """
        ...

    def dependents(
        self, owner: Owner, *, pipelines: Iterable[str], datastores: Iterable[str]
    ) -> tuple[str, ...]:
        """Name the files whose declarations refer to one of these objects, sorted."""
        ...


class RegistryReader(LiveReader, Protocol):
    """The registry as a plan sees it: without any way to write."""

    def declarations(self, owner: Owner) -> tuple[Declaration, ...]:
        """List what an owner applied last, sorted by kind and name."""
        ...

    def experiments(self) -> tuple[Experiment, ...]:
        """List experiments, sorted by name."""
        ...

    def code(self, digest: str) -> CodeTree:
        """Read a code snapshot.

        Raises:
            NotFound: no such snapshot.
        """
        ...

    def applies(self, limit: int = 100) -> tuple[ApplyRecord, ...]:
        """List the newest applies first; ``plan`` is left empty, for it is long."""
        ...

    def apply_record(self, number: int) -> ApplyRecord:
        """Read one line of the history whole.

        Raises:
            NotFound: there is none of that number.
        """
        ...

    def broken_chain(self) -> int | None:
        """Give the first line of the history that was changed after it was written, or None."""
        ...


class RegistryTransaction(LiveReader, Protocol):
    """Writes that become visible together, or not at all.

    It reads what it has written, and nobody else can write meanwhile; ``now`` is the instant that
    it writes with.

    Raises (every method that takes ``revision``):
        StalePlan: the object is no longer at that revision.
    """

    def publish(  # noqa: PLR0913  (a row's worth of facts, all by keyword)
        self,
        *,
        owner: Owner | None,
        name: str,
        spec: str,
        digest: str,
        code: CodeTree | None,
        provenance: Provenance,
    ) -> PublishedPipeline:
        """Publish a pipeline, or return (and make Active again) the version with that digest."""
        ...

    def set_pipeline_status(
        self, pipeline_id: str, revision: int, status: Status, disabled_by: DisabledBy | None
    ) -> None:
        """Activate or disable one published version."""
        ...

    def put_datastore(
        self,
        *,
        owner: Owner | None,
        name: str,
        spec: str,
        provenance: Provenance,
        revision: int | None,
    ) -> None:
        """Register a datastore (``revision`` None) or replace its spec."""
        ...

    def remove_datastore(self, name: str, revision: int) -> None:
        """Unregister a datastore."""
        ...

    def rebaseline(self, name: str) -> None:
        """Forget what the watches of a datastore know: their next listing is a new baseline."""
        ...

    def behind(self, datastore: str) -> tuple[str, ...]:
        """Give the ids of schedules that have yet to decide about changes in a datastore."""
        ...

    def pass_over(
        self, schedule_id: str, counts: Callable[[LoggedChange], bool]
    ) -> Undecided | None:
        """Take a schedule to the end of its watch's log, undecided; None where nothing counted.

        ``counts`` tells which changes its rules let through.
        """
        ...

    def look_soon(self, watching: Watching) -> None:
        """Make the next listing of a watched directory due now."""
        ...

    def create_schedule(  # noqa: PLR0913  (a row's worth of facts, all by keyword)
        self,
        *,
        owner: Owner | None,
        name: str,
        spec: str,
        pipeline_id: str | None,
        status: Status,
        provenance: Provenance,
        arming: Arming | None,
    ) -> str:
        """Register a schedule and return its id; ``arming`` is None for a disabled one."""
        ...

    def update_schedule(  # noqa: PLR0913  (a row's worth of facts, all by keyword)
        self,
        schedule_id: str,
        revision: int,
        *,
        spec: str,
        pipeline_id: str | None,
        status: Status,
        disabled_by: DisabledBy | None,
        provenance: Provenance,
        name: str | None = None,
    ) -> None:
        """Replace a schedule's spec, binding and status; its timer and watch stay as they are.

        ``name`` renames it; None keeps its name.
        """
        ...

    def arm(self, schedule_id: str, arming: Arming | None) -> None:
        """Set what wakes the schedule; None stops its timer (the mark stays) and its watching."""
        ...

    def resume(self, schedule_id: str, watched: Watched, since: int) -> int | None:
        """Arm a schedule for data from where the watch's change log stood at the instant ``since``.

        Gives the number of polls since, or None where nothing was done: what changed since is not
        known, because the watch began anew or what it logged was deleted. Where nobody looked the
        next poll finds all of it.
        """
        ...

    def hold(self, schedule_id: str, hold: Hold | None) -> None:
        """Set or lift the schedule's hold."""
        ...

    def record_gap(self, fire: Fire) -> None:
        """Add the decision row of occurrences that an edit or a pause passed over."""
        ...

    def ensure_experiment(self, name: str) -> Experiment:
        """Return the experiment, created on first use."""
        ...

    def claim(self, kind: str, key: str, revision: int, owner: Owner) -> int:
        """Make an object the owner's: a schedule by id, a datastore or a pipeline by name.

        ``revision`` is that of a pipeline's version in use: its newest Active one, else its
        newest; all versions change hands. What another owner declared of a pipeline or datastore is
        forgotten; a schedule is lost to it.
        Returns the object's revision after it.
        """
        ...

    def declare(self, owner: Owner, declarations: Sequence[Declaration]) -> None:
        """Record what was applied to objects; their live rows carry the same file and line."""
        ...

    def undeclare(self, owner: Owner, kind: str, names: Iterable[str]) -> None:
        """Forget what was applied to objects that are declared no more."""
        ...

    def record_folders(
        self, owner: Owner, changed: Mapping[str, Folder], gone: Iterable[str]
    ) -> None:
        """Record what folders of the project were read as, and forget others."""
        ...

    def record_owner(self, record: OwnerRecord) -> None:
        """Record where an owner applies from and what it applied last.

        The counts and the digest that :class:`Glance` compares with are taken here, so this comes
        after all other writes.
        """
        ...

    def record_apply(self, record: ApplyRecord) -> int:
        """Append to the history of applies; returns the line's number."""
        ...

    def check_lease(self, lease: Lease) -> None:
        """Make sure that a lease still holds, whatever its end says.

        Raises:
            StalePlan: somebody else has taken it since.
        """
        ...


class Registry(RegistryReader, Protocol):
    """The registry for those who may change it."""

    def acquire_lease(self, owner: Owner, holder: str, seconds: int) -> Lease:
        """Take the right to apply for an owner; a lease that has ended is taken over.

        Raises:
            WorkspaceBusy: somebody holds it; the message says who and until when.
        """
        ...

    def renew_lease(self, lease: Lease, seconds: int) -> Lease:
        """Move the end of a lease.

        Raises:
            StalePlan: somebody else has taken it since.
        """
        ...

    def release_lease(self, lease: Lease) -> None:
        """Give a lease back; one that somebody else has taken is left alone."""
        ...

    def transaction(self) -> AbstractContextManager[RegistryTransaction]:
        """Begin writing; commits at the end of the block, rolls back on an exception."""
        ...
