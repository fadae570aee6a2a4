"""A plan judges itself: what about it must not happen without somebody saying so."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from reconciler.data import DatastoreChange
from reconciler.manifest.syntax import one_line
from reconciler.plan.change import FIRES_ON_APPLY, Action, Guard, Kind
from reconciler.plan.spec import spec_value
from reconciler.schedule import Schedule, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.live import Live
    from reconciler.manifest.terms import Limits
    from reconciler.plan.change import Change, Plan
    from reconciler.plan.desired import Desired

# So many names stand in a message; the plan itself has them all.
_SOME = 5
# Rates are sums of fractions, which a number in the machine holds nearly.
_INEXACT = 1e-6


def guards(plan: Plan, desired: Desired, live: Live) -> Iterator[Guard]:
    """Give every guard that blocks ``plan``, in no particular order."""
    yield from _empty(plan, desired)
    yield from _limits(plan, desired, live)
    yield from _protected(plan, live)
    yield from foreign(desired, live)
    yield from _still_used(plan, live)


def matches(address: str, patterns: Iterable[str]) -> bool:
    """Tell whether ``Kind.name`` matches one of these patterns."""
    return any(fnmatchcase(address, pattern) for pattern in patterns)


def _empty(plan: Plan, desired: Desired) -> Iterator[Guard]:
    declared = desired.kept.objects or desired.schedules or desired.pipelines or desired.datastores
    if plan.changes and not declared:
        count = len(plan.changes)
        text = f"nothing is declared any more, and all {count} objects would be taken away"
        yield Guard("empty", f"{text}; put the manifests back or add --allow empty", allowable=True)


def _limits(plan: Plan, desired: Desired, live: Live) -> Iterator[Guard]:
    limits = desired.terms.limits
    gone = [change for change in plan.changes if change.kind is Kind.SCHEDULE and _takes(change)]
    where = "raise it in reconciler.yml"
    if len(gone) > limits.disables:
        text = f"{_schedules(len(gone))} would be disabled ({_names(gone)}), more than the limit"
        yield _limit("disables", f"{text} of {limits.disables}; {where}")
    if limits.disabled_percent is not None:
        active = desired.kept.active + sum(
            here.status is Status.ACTIVE and here.owner == plan.owner for here in live.schedules
        )
        percent = 100 * len(gone) / active if active else 0
        if percent > limits.disabled_percent:
            text = f"{len(gone)} of {active} Active schedules would be disabled, {percent:.1f} %"
            limit = f"more than the limit of {_number(limits.disabled_percent)} %"
            yield _limit("disabled_percent", f"{text}, {limit}; {where}")
    before, after = plan.runs_per_day
    change = after - before
    if limits.runs_per_day is not None and abs(change) > limits.runs_per_day + _INEXACT:
        text = f"the changes take {_number(before)} runs a day to {_number(after)}"
        sign = "+" if change > 0 else ""
        limit = f"more than the limit of {_number(limits.runs_per_day)}"
        yield _limit("runs_per_day", f"{text} ({sign}{_number(change)}), {limit}; {where}")
    yield from at_once(plan, limits)


def at_once(plan: Plan, limits: Limits) -> Iterator[Guard]:
    """Give the guards about what runs at once: one for too much, and one for what nobody can tell.

    They hang on the files that each change knows of.
    """
    where = "raise it in reconciler.yml"
    asking = [c.files for c in plan.changes if c.files is not None and c.files.initial]
    by_files = sum(files.fires or 0 for files in asking)
    by_clock = plan.fires_on_apply - by_files
    if plan.fires_on_apply > limits.fires_on_apply:
        text, way = f"{_schedules(by_clock)} would run at once", "give them first_run: aligned"
        if by_clock == 1:
            way = "give it first_run: aligned"
        if by_files:
            more = "more than " if any(files.more for files in asking) else ""
            files = f"{more}{by_files} run{'' if by_files == 1 else 's'} for files that are there"
            also = f"{_schedules(by_clock)} and " if by_clock else ""
            text, way = f"{also}{files} would start at once", "leave out initial: trigger"
        text = f"{text}, more than the limit of {limits.fires_on_apply}"
        yield _limit(FIRES_ON_APPLY, f"{text}; {way}, {where}")
    unseen = sorted({files.place for files in asking if files.fires is None})
    if unseen:
        places = ", ".join(map(one_line, unseen[:_SOME])) + (", ..." if len(unseen) > _SOME else "")
        text = f"how many files would start runs at once cannot be told from here ({places})"
        yield _limit(FIRES_ON_APPLY, f"{text}; plan where they can be seen")


def _schedules(count: int) -> str:
    return f"{count} schedule{'' if count == 1 else 's'}"


def _takes(change: Change) -> bool:
    """Whether a change disables or removes its object, be it on the way of a rename."""
    off = (field.path == "status" and field.new == Status.DISABLED for field in change.fields)
    return change.action is Action.REMOVE or any(off)


def _limit(guard: str, text: str) -> Guard:
    return Guard(guard, f"{text} or add --allow {guard}", allowable=True)


def _number(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _protected(plan: Plan, live: Live) -> Iterator[Guard]:
    schedules = {here.id for here in live.schedules if here.protected}
    others = {f"{Kind.PIPELINE}.{here.name}" for here in live.pipelines if here.protected}
    others |= {f"{Kind.DATASTORE}.{here.name}" for here in live.datastores if here.protected}
    for change in plan.changes:
        if _takes(change) and (change.id in schedules or change.address in others):
            done = "removed" if change.action is Action.REMOVE else "disabled"
            text = f"{change.kind} '{change.name}' is protected and would be {done}"
            way = "take it out of `protected` in reconciler.yml and apply that first"
            yield Guard("protected", f"{text}; {way}")


def foreign(desired: Desired, live: Live) -> Iterator[Guard]:
    """Name what is declared here and belongs to somebody else, unless it is to be adopted."""
    for store in live.datastores:
        if store.name in desired.datastores and store.owner != desired.owner:
            yield from _foreign(Kind.DATASTORE, store.name, store.owner, desired)
    others = {
        version.name: version.owner for version in live.pipelines if version.owner != desired.owner
    }
    for name, owner in others.items():
        if desired.declares(name):
            yield from _foreign(Kind.PIPELINE, name, owner, desired)


def _foreign(kind: Kind, name: str, owner: object, desired: Desired) -> Iterator[Guard]:
    address = f"{kind}.{name}"
    if address not in desired.adopt:
        whose = f"belongs to {owner}" if owner else "was made through the SDK"
        way = f"give yours another name, or take it over: --adopt {address}"
        yield Guard("foreign_owner", f"{kind} '{name}' {whose}; {way}")


def _still_used(plan: Plan, live: Live) -> Iterator[Guard]:
    """Others' active schedules that use what this apply would take away."""
    taken = [change for change in plan.changes if _takes(change)]
    names = {change.name for change in taken if change.kind is Kind.PIPELINE}
    stores = {change.name for change in taken if change.kind is Kind.DATASTORE}
    gone = {version.id: version.name for version in live.pipelines if version.name in names}
    # One that is bound at each fire has no version's id.
    gone |= {f"{name}@latest": name for name in names}
    if not gone and not stores:
        return
    for schedule in live.schedules:
        if schedule.status is not Status.ACTIVE or schedule.owner == plan.owner:
            continue
        whose = f"schedule '{schedule.name}' of {schedule.owner or 'nobody (made by SDK)'}"
        spec = spec_value(Schedule, schedule.spec)
        used = gone.get(schedule.pipeline_id or spec.pipeline)
        if used is not None:
            text = f"pipeline '{used}' would be disabled, but {whose} uses it; disable that first"
            yield Guard("still_used", text)
        trigger = spec.trigger
        if isinstance(trigger, DatastoreChange) and trigger.datastore in stores:
            text = f"datastore '{trigger.datastore}' would be removed, but {whose} watches it"
            yield Guard("still_used", f"{text}; disable that first")


def _names(changes: list[Change]) -> str:
    names = ", ".join(change.name for change in changes[:_SOME])
    return names + (", ..." if len(changes) > _SOME else "")
