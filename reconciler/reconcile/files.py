"""Which files a data trigger would find already there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.data import Datastore, DatastoreChange
from reconciler.errors import InvalidValue
from reconciler.plan.change import Files, Kind
from reconciler.plan.impact import matching
from reconciler.plan.spec import spec_value
from reconciler.schedule import Schedule, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.live import Live
    from reconciler.plan.change import Change, Plan
    from reconciler.plan.desired import Desired

# Gives the names in a directory of the datastore with that URL; None where it cannot be seen.
Look = Callable[[str, str], Iterable[bytes] | None]


def with_files(plan: Plan, desired: Desired, live: Live, look: Look) -> Plan:
    """Add to each schedule that watches a directory anew how many files are there already."""
    urls = dict(_urls(live))
    urls |= {name: declared.value.url for name, declared in desired.datastores.items()}
    return replace(plan, changes=tuple(_with(change, urls, look) for change in plan.changes))


def _urls(live: Live) -> Iterator[tuple[str, str]]:
    for store in live.datastores:
        # What somebody wrote into the registry by hand need not make sense.
        with suppress(InvalidValue, ValueError):
            yield store.name, spec_value(Datastore, store.spec).url


def _with(change: Change, urls: dict[str, str], look: Look) -> Change:
    trigger = _watching(change.after) if change.kind is Kind.SCHEDULE else None
    if trigger is None or _place(trigger) == _place(_watching(change.before)):
        return change
    url = urls.get(trigger.datastore)
    names = None if url is None else look(url, trigger.path_on_datastore)
    count = None if names is None else matching(trigger, names)
    place = f"{trigger.datastore}/{trigger.path_on_datastore}".rstrip("/")
    return replace(change, files=Files(place, count))


def _watching(spec: str | None) -> DatastoreChange | None:
    # Most schedules go by the clock, and to see that nothing need be built.
    if spec is None or f'"{DatastoreChange.TAG}"' not in spec:
        return None
    schedule = spec_value(Schedule, spec)
    trigger = schedule.trigger
    watches = isinstance(trigger, DatastoreChange) and schedule.status is Status.ACTIVE
    return trigger if watches and isinstance(trigger, DatastoreChange) else None


def _place(trigger: DatastoreChange | None) -> tuple[object, ...]:
    if trigger is None:
        return ()
    return trigger.datastore, trigger.path_on_datastore, trigger.include, trigger.ignore
