"""What differs between two plans of one target: why one is stale, or no longer what was approved.

It compares what an approval covers, so it is empty where the approval digests are equal, and only
there.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from reconciler.plan.change import KINDS, Action, Kind
from reconciler.plan.codec import approved
from reconciler.plan.render import leaves, printable, shown
from reconciler.schedule import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.plan.change import Change, Plain, Plan

_DONE = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.ENABLE: "enabled",
    Action.DISABLE: "disabled",
    Action.ADOPT: "adopted",
    Action.RENAME: "renamed",
    Action.REMOVE: "removed",
}
_BARE = re.compile(r"[\w@:./+-]+")
_LONGEST = 80


def difference(reviewed: Plan, present: Plan) -> tuple[str, ...]:
    """Tell in one line per object how ``present`` differs from the plan that was reviewed."""
    return (*_places(reviewed, present), *_objects(reviewed, present), *_guards(reviewed, present))


def _places(reviewed: Plan, present: Plan) -> Iterator[str]:
    for word, was, now in (
        ("project", reviewed.owner.project, present.owner.project),
        ("target", reviewed.owner.target, present.owner.target),
        ("workspace", reviewed.workspace, present.workspace),
    ):
        if was != now:
            yield f"The {word} is {_word(now)}, not {_word(was)}"


def _objects(reviewed: Plan, present: Plan) -> Iterator[str]:
    was = {(change.kind, change.name): change for change in reviewed.changes}
    now = {(change.kind, change.name): change for change in present.changes}
    for key in sorted(was.keys() | now.keys(), key=_order):
        kind, name = key
        subject = f"{kind.value} '{printable(name)}'"
        if key not in now:
            yield f"{subject} is no longer {_DONE[was[key].action]}"
        elif key not in was:
            yield f"{subject} would now be {_DONE[now[key].action]} too"
        elif approved(was[key]) != approved(now[key]):
            yield f"{subject}{_change(was[key], now[key])}"


def _order(key: tuple[Kind, str]) -> tuple[int, str]:
    return KINDS.index(key[0]), key[1]


def _change(was: Change, now: Change) -> str:
    """Say how one object's change differs, as what follows the object's name."""
    parts = [part for part in (_moved(was, now), _turned(was, now)) if part]
    declared = ", ".join(_moves(_desired(was, now), _desired(now, was)))
    line = f" {'; '.join(parts)}" if parts else ""
    if declared or not parts:
        line += f"{';' if parts else ':'} {declared or 'what is declared is written otherwise'}"
    return line


def _moved(was: Change, now: Change) -> str:
    """Say how the live object moved between the two plans."""
    if (was.before, was.fingerprint) == (now.before, now.fingerprint):
        return ""
    if was.before is None or now.before is None:
        return f"is {'there' if was.before is None else 'gone'} since the plan was made"
    moves = ", ".join(_moves(_live(was), _live(now))) or "somebody wrote it"
    return f"moved: {moves} since the plan was made"


def _turned(was: Change, now: Change) -> str:
    if was.action is now.action:
        return ""
    return f"would now be {_DONE[now.action]}, not {_DONE[was.action]}"


def _live(change: Change) -> dict[str, object]:
    """Give what is live, by path; a status that no field names is the declared one."""
    named = {field.path: field.old for field in change.fields}
    declared = json.loads(change.after or "{}").get("status", Status.ACTIVE.value)
    return {**_spec(change.before), "status": named.get("status", declared)}


def _desired(change: Change, other: Change) -> dict[str, object]:
    """Give what is declared, by path, with the bindings that an apply would make."""
    content = change.digest if change.kind is Kind.SCHEDULE else None
    bound = {
        "pipeline content": content and content[:12],
        "code (content)": change.code_digest and change.code_digest[:12],
        "pipeline version": _version(change, other),
        "formerly": change.formerly,
        "protected": change.protected,
    }
    return {**_spec(change.after), **bound}


def _version(change: Change, other: Change) -> Plain:
    """Name the version bound to; where it stays, the other plan may know what it is called."""
    mine, others = (
        next((f for f in one.fields if f.path.endswith("version")), None) for one in (change, other)
    )
    if mine is not None:
        return mine.new
    if others is not None and change.fingerprint == other.fingerprint:
        return others.old
    if others is not None and change.pipeline_id == other.pipeline_id is not None:
        return others.new
    return change.pipeline_id


def _spec(text: str | None) -> dict[str, object]:
    return dict(leaves(json.loads(text or "{}")))


def _moves(was: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    for path in sorted(was.keys() | now.keys()):
        old, new = was.get(path), now.get(path)
        if repr(old) != repr(new):
            yield f"{printable(path)} {_word(old)} -> {_word(new)}"


def _word(value: object) -> str:
    """Write a value on one line, without quotes where it is one plain word."""
    bare = isinstance(value, str) and len(value) <= _LONGEST and _BARE.fullmatch(value)
    return str(value) if bare else shown(value, _LONGEST)


def _guards(reviewed: Plan, present: Plan) -> Iterator[str]:
    was, now = ({guard.id: guard for guard in plan.guards} for plan in (reviewed, present))
    for name in sorted(was.keys() | now.keys()):
        if name not in now:
            yield f"Guard {printable(name)} no longer blocks"
        elif name not in was:
            yield f"Guard {printable(name)} blocks now: {printable(now[name].message)}"
