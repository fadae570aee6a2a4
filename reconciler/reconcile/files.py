"""Which files a data trigger would find already there, and which of them would fire."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.data import Batch, Datastore, DatastoreChange, Initial
from reconciler.errors import DatastoreError, InvalidValue
from reconciler.plan.change import FIRES_ON_APPLY, Action, Files, Kind
from reconciler.plan.guards import at_once
from reconciler.plan.impact import matching
from reconciler.plan.spec import spec_value
from reconciler.schedule import Schedule, Status
from reconciler.trigger import snapshot

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from reconciler.data import Watched
    from reconciler.live import Live
    from reconciler.plan.change import Change, Plan
    from reconciler.plan.desired import Desired

# Lists what a datastore holds where a trigger would look; a DatastoreError where that cannot be
# seen.
Look = Callable[[Datastore, "Watched"], "Generator[snapshot.Files]"]
# So many files are looked at for one schedule, and so many for all: a plan must come to an end.
MOST_OF_ONE = 100_000
MOST_OF_ALL = 1_000_000


def with_files(plan: Plan, desired: Desired, live: Live, look: Look | None) -> Plan:
    """Add to each schedule that watches something anew how many files are there already.

    Without ``look`` nothing can be seen. What they do at once is the guards' business, too.
    """
    eyes = _Eyes(desired, live, look)
    back = any(guard.id == "rollback" for guard in plan.guards)
    changes = tuple(_with(change, eyes, back=back) for change in plan.changes)
    if not any(change.files is not None and change.files.initial for change in changes):
        return replace(plan, changes=changes)
    told = replace(plan, changes=changes)
    guards = {guard for guard in plan.guards if guard.id != FIRES_ON_APPLY}
    guards |= set(at_once(told, desired.terms.limits))
    return replace(told, guards=tuple(sorted(guards, key=lambda g: (g.id, g.message))))


class _Eyes:
    """Lists files, up to a limit, in datastores that a plan may look at; each place once."""

    def __init__(self, desired: Desired, live: Live, look: Look | None) -> None:
        self._look = look
        self._left = MOST_OF_ALL
        self._blind: set[str] = set()
        self._listed: dict[Watched, _Listed | None] = {}
        registered = dict(_stores(live))
        declared = {name: store.value for name, store in desired.datastores.items()}
        self._stores = {
            name: store
            for name, store in (registered | declared).items()
            if _trusted(store, registered.get(name))
        }

    def count(self, trigger: DatastoreChange) -> tuple[int, bool] | None:
        """Count the files that match, and tell whether there may be more; None: not to be seen."""
        watched = trigger.watched
        if watched not in self._listed:
            self._listed[watched] = self._list(watched)
        listed = self._listed[watched]
        return None if listed is None else (matching(trigger, listed.files), listed.more)

    def _list(self, watched: Watched) -> _Listed | None:
        store = self._stores.get(watched.datastore)
        if store is None or self._look is None or store.name in self._blind:
            return None
        most = min(MOST_OF_ONE, self._left)
        found: list[snapshot.Files] = []
        try:
            with closing(self._look(store, watched)) as listing:
                for files in listing:
                    room = most - sum(len(one.names) for one in found)
                    found.append(files._replace(names=files.names[:room], facts=files.facts[:room]))
                    if len(files.names) > room:
                        return _Listed(found, more=True)
        except DatastoreError:
            if store.scheme != "file":
                # Where one place does not answer, the next one would be waited for as long.
                self._blind.add(store.name)
            return None
        finally:
            self._left -= sum(len(one.names) for one in found)
        return _Listed(found, more=False)


@dataclass(frozen=True, slots=True)
class _Listed:
    files: Sequence[snapshot.Files]
    more: bool


def _stores(live: Live) -> Iterator[tuple[str, Datastore]]:
    for store in live.datastores:
        # What somebody wrote into the registry by hand need not make sense.
        with suppress(InvalidValue, ValueError):
            yield store.name, spec_value(Datastore, store.spec)


def _trusted(store: Datastore, registered: Datastore | None) -> bool:
    """Whether a plan may ask a store what it holds.

    A plan may be of a change that nobody has reviewed. To ask is to show what opens the store, this
    machine's own identity maybe, and an endpoint may be anybody's: it must have been applied once.
    """
    if store.endpoint is None:
        return True
    return registered is not None and registered.place == store.place


def _with(change: Change, eyes: _Eyes, *, back: bool) -> Change:
    trigger = _watching(change.after) if change.kind is Kind.SCHEDULE else None
    if trigger is None:
        return change
    former = _watching(change.before)
    if former is not None and _seen(trigger) == _seen(former):
        return change
    place = f"{trigger.datastore}/{trigger.watched.path}".rstrip("/")
    count, more = eyes.count(trigger) or (None, False)
    initial = trigger.initial is Initial.TRIGGER and _begins(change, trigger, former, back=back)
    fires: int | None = 0
    if initial:
        fires = None if more and not count else count
        if fires and trigger.batch is Batch.PER_POLL:
            fires = 1
    return replace(change, files=Files(place, count, more, initial, fires))


def _begins(
    change: Change, trigger: DatastoreChange, former: DatastoreChange | None, *, back: bool
) -> bool:
    """Whether files that are there count for a schedule that asks for it, as an apply has it."""
    if change.action is Action.CREATE:
        return True
    elsewhere = former is None or former.watched != trigger.watched
    return change.action is Action.UPDATE and elsewhere and not back


def _watching(spec: str | None) -> DatastoreChange | None:
    # Most schedules go by the clock, and to see that nothing need be built.
    if spec is None or f'"{DatastoreChange.TAG}"' not in spec:
        return None
    schedule = spec_value(Schedule, spec)
    trigger = schedule.trigger
    watches = isinstance(trigger, DatastoreChange) and schedule.status is Status.ACTIVE
    return trigger if watches and isinstance(trigger, DatastoreChange) else None


def _seen(trigger: DatastoreChange) -> tuple[object, ...]:
    """Give what decides which files count."""
    return trigger.watched, trigger.include, trigger.ignore, trigger.min_size
