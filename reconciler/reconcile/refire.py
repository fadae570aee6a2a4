"""Runs for files that are known already, because somebody asks for them.

They are runs by hand: their keys come from a token, and the same token again adds what is missing
and doubles nothing. A file is fired for as it is known now; what the schedule ignores is left out,
unless it is named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.data import Batch, Datastore, DatastoreChange, FileChange, name_bytes
from reconciler.errors import NotFound, Refused
from reconciler.fields import Scalar
from reconciler.live import PublishedPipeline, RegisteredSchedule
from reconciler.plan.spec import spec_value
from reconciler.reconcile.ask import bound, check_token, frozen
from reconciler.reconcile.evidence import name_in, paths_meant
from reconciler.reconcile.operate import find_schedule, registered
from reconciler.run import Decision, Fire, Gate, Run, run_id
from reconciler.schedule import Schedule
from reconciler.trigger.arrivals import EXISTING, display, ignored_because
from reconciler.trigger.cause import MOST, REFIRED, Cause, listed
from reconciler.trigger.decide import manual_key
from reconciler.trigger.snapshot import split
from reconciler.workspace.records import WatchState

if TYPE_CHECKING:
    from reconciler.workspace.base import RegistryReader
    from reconciler.workspace.ledger import Ledger
    from reconciler.workspace.records import Watch

# Runs written in one transaction: few enough that a runner need not wait for them.
BATCH = 500
# Of a watch's polls, and of its log, all that is kept.
_ALL = 10_000_000
# So many names are told of those that are not there.
_SOME = 10

Known = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refire:
    """What to fire for. ``files`` are (name, facts), as the poll of that number left them."""

    schedule: RegisteredSchedule
    spec: Schedule
    pipeline: PublishedPipeline
    cause: Cause
    files: Sequence[Known]
    poll: int

    @property
    def runs(self) -> int:
        """How many runs it makes."""
        many = self.cause.trigger.batch is Batch.PER_POLL
        return -(-len(self.files) // MOST) if many else len(self.files)


def plan_refire(  # noqa: PLR0913  (what to fire for)
    registry: RegistryReader,
    ledger: Ledger,
    name: str,
    *,
    asked: Sequence[str] = (),
    since: int | None = None,
    folder: str = ".",
) -> Refire:
    """Find the files to fire for: those ``asked`` for, those that changed ``since``, or all.

    A file is named as ``evidence.paths_meant`` takes it; ``folder`` is the one that local paths are
    counted from. ``since`` is an instant.

    Raises:
        NotFound: no such schedule or pipeline; or a file is not known, or deleted.
        Refused: the schedule goes by the clock, or nobody has looked at its files yet.
    """
    live = registered(registry, name)
    here = find_schedule(live, name)
    spec = spec_value(Schedule, here.spec)
    trigger = spec.trigger
    if not isinstance(trigger, DatastoreChange):
        text = f"schedule '{here.name}' goes by the clock, not by files"
        raise Refused(f"{text}; `reconciler run` and `reconciler backfill` are for those")
    watch, store = ledger.watch_of(here.id), ledger.datastores().get(trigger.datastore)
    if store is None:
        raise NotFound(f"datastore '{trigger.datastore}' is not registered")
    if watch is None:
        raise Refused(f"schedule '{here.name}' watches nothing while it is disabled; enable it")
    if watch.state is WatchState.BASELINING:
        raise Refused(f"the files of '{here.name}' are yet to be listed for the first time")
    cause = Cause(trigger, spec_value(Datastore, store.spec).url)
    if asked:
        files = _named(ledger, watch, cause, asked, folder)
    elif since is None:
        pages = ledger.snapshot(watch.id)
        files = list(_counted(trigger, (file for page in pages for file in _files(page))))
    else:
        changed = _changed(ledger, watch, since)
        files = sorted(_counted(trigger, _known(ledger, watch, changed).items()))
    return Refire(
        schedule=here,
        spec=spec,
        pipeline=bound(live, here),
        cause=cause,
        files=files,
        poll=watch.poll_seq,
    )


def write_refire(ledger: Ledger, planned: Refire, token: str, who: str, why: str) -> list[Run]:
    """Write the runs, ``BATCH`` in a transaction; returns those that are new.

    Raises:
        Refused: the token is none, the pipeline is not Active, or its runs would lack a value.
    """
    check_token(token)
    new: list[Run] = []
    reason = f"fired again by {who}" + (f": {why}" if why else "")
    occurrences = _occurrences(planned, token)
    first = next(occurrences, None)
    if first is None:
        return new
    base = _run(planned, first, ledger.now())
    for some in _batches(first, occurrences):
        now = ledger.now()
        runs = [_like(base, planned, one, now) for one in some]
        fires = [_fire(planned, run, reason) for run in runs]
        with ledger.transaction() as tx:
            written = {fire.run_id for fire in tx.record_fires(fires, runs)}
            fresh = [run for run in runs if run.id in written]
            lists = {
                run.id: one.files
                for run, one in zip(runs, some, strict=True)
                if run.id in written and one.files is not None
            }
            if lists:
                tx.keep_files(lists)
        new += fresh
    return new


@dataclass(frozen=True, slots=True)
class _Occurrence:
    key: str
    facts: dict[str, Scalar]
    files: bytes | None = None


def _occurrences(planned: Refire, token: str) -> Iterator[_Occurrence]:
    cause, files = planned.cause, planned.files
    if cause.trigger.batch is Batch.PER_POLL:
        for number, start in enumerate(range(0, len(files), MOST)):
            some = [cause.file(name, REFIRED, facts) for name, facts in files[start : start + MOST]]
            key = manual_key(f"{token}/{number}" if number else token)
            yield _Occurrence(key, cause.of_many(len(some), planned.poll), listed(some))
        return
    for name, facts in files:
        digest = hashlib.sha256(name).hexdigest()[:32]
        told = cause.of_one(cause.file(name, REFIRED, facts), planned.poll)
        yield _Occurrence(manual_key(f"{token}/{digest}"), told)


def _run(planned: Refire, one: _Occurrence, now: int) -> Run:
    given = planned.cause.parameters(one.facts)
    return frozen(planned.schedule, planned.spec, planned.pipeline, one.key, now, given)


def _like(base: Run, planned: Refire, one: _Occurrence, now: int) -> Run:
    given = planned.cause.parameters(one.facts) or {}
    moved = now - base.created_at
    return replace(
        base,
        id=run_id(planned.schedule.id, one.key),
        occurrence_key=one.key,
        parameters={**base.parameters, **given},
        facts=one.facts,
        due_at=now,
        created_at=now,
        start_by=None if base.start_by is None else base.start_by + moved,
        finish_by=None if base.finish_by is None else base.finish_by + moved,
    )


def _fire(planned: Refire, run: Run, reason: str) -> Fire:
    return Fire(
        schedule_id=planned.schedule.id,
        occurrence_key=run.occurrence_key,
        due_at=run.due_at,
        decided_at=run.created_at,
        decision=Decision.LAUNCH,
        reason=reason,
        revision=planned.schedule.revision,
        run_id=run.id,
        facts=run.facts,
        gate=Gate.ASKED,
    )


def _batches(first: _Occurrence, others: Iterator[_Occurrence]) -> Iterator[list[_Occurrence]]:
    some = [first]
    for one in others:
        if len(some) == BATCH or one.files is not None:
            yield some
            some = []
        some.append(one)
    yield some


def _named(
    ledger: Ledger, watch: Watch, cause: Cause, asked: Sequence[str], folder: str
) -> list[Known]:
    """Find files that somebody names.

    Raises:
        NotFound: some of them are not known; the message says which.
    """
    watched = cause.trigger.watched
    meant = {
        text: [
            name
            for path in paths_meant(text, watched, cause.store, folder)
            if (name := name_in(watched, path)) is not None
        ]
        for text in asked
    }
    known = _known(ledger, watch, {name for names in meant.values() for name in names})
    found: dict[bytes, bytes] = {}
    missing = []
    for text, names in meant.items():
        name = next((name for name in names if name in known), None)
        if name is not None:
            found[name] = known[name]
            continue
        logged = [line for name in names for line in ledger.log(watch.id, name=name, limit=1)]
        gone = any(line.change == FileChange.DELETED for line in logged)
        missing.append(f"{display(name_bytes(text))} ({'deleted' if gone else 'not known'})")
    if missing:
        more = ", ..." if len(missing) > _SOME else ""
        where = "/".join(filter(None, (watched.datastore, watched.path)))
        raise NotFound(f"not in {where} by its last poll: {', '.join(missing[:_SOME])}{more}")
    return sorted(found.items())


def _changed(ledger: Ledger, watch: Watch, since: int) -> set[bytes]:
    """Name the files that polls since an instant have logged."""
    polls = [p.poll_seq for p in ledger.polls(watch.id, _ALL) if p.polled_at >= since and p.changed]
    return {line.name for line in ledger.log(watch.id, polls=polls, limit=_ALL)} if polls else set()


def _counted(trigger: DatastoreChange, files: Iterable[Known]) -> Iterator[Known]:
    for name, facts in files:
        if ignored_because(trigger, name, EXISTING, facts) is None:
            yield name, facts


def _known(ledger: Ledger, watch: Watch, names: set[bytes]) -> dict[bytes, bytes]:
    pages = ledger.pages(watch.id, names) if names else []
    return {name: facts for page in pages for name, facts in _files(page) if name in names}


def _files(page: bytes) -> Iterator[Known]:
    return zip(*split(page), strict=True)
