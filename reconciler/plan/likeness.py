"""A schedule that goes and one that comes, nearly the same: perhaps only the name changed."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.plan.change import Action, Cause, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.plan.change import Change

ALIKE = 0.9
# A fact that more schedules share than this tells nobody apart, and comparing by it is slow.
_COMMON = 50

Fact = tuple[str, str]


def suggest(changes: Sequence[Change]) -> list[Change]:
    """Add a note to each created schedule that is 90 % alike to one that would be disabled."""
    gone = [c for c in changes if c.kind is Kind.SCHEDULE and c.cause is Cause.MISSING]
    if not gone:
        return list(changes)
    facts = {change.name: _facts(change.before) for change in gone}
    holders = defaultdict(list)
    for name, known in facts.items():
        for fact in known:
            holders[fact].append(name)
    return [_noted(change, facts, holders) for change in changes]


def _noted(
    change: Change, facts: dict[str, frozenset[Fact]], holders: dict[Fact, list[str]]
) -> Change:
    if change.kind is not Kind.SCHEDULE or change.action is not Action.CREATE:
        return change
    mine = _facts(change.after)
    # The rarest shared facts find the candidates.
    ranked = sorted((len(holders[fact]), fact) for fact in mine if fact in holders)
    near = Counter(name for count, fact in ranked[:5] for name in holders[fact][:_COMMON])
    best = max(
        ((_likeness(mine, facts[name]), name) for name in sorted(near)),
        key=lambda found: found[0],
        default=(0.0, ""),
    )
    if best[0] < ALIKE:
        return change
    text = f"{best[0]:.0%} like '{best[1]}', which would be disabled"
    way = f"if it is the same under a new name, add: renamed_from: {best[1]}"
    return replace(change, notes=(*change.notes, f"{text}; {way}"))


def _likeness(one: frozenset[Fact], other: frozenset[Fact]) -> float:
    return 2 * len(one & other) / (len(one) + len(other))


def _facts(spec: str | None) -> frozenset[Fact]:
    """Take a spec apart; the name, and an experiment named like it, are no likeness."""
    data = json.loads(spec or "{}")
    if data.get("experiment_name") == data.pop("name", None):
        data.pop("experiment_name", None)
    return frozenset(_leaves(data, ""))


def _leaves(data: object, path: str) -> Iterator[Fact]:
    items: Iterable[tuple[str, object]]
    if isinstance(data, dict):
        items = data.items()
    elif isinstance(data, list):
        items = ((str(at), one) for at, one in enumerate(data))
    else:
        yield path, json.dumps(data)
        return
    for key, value in items:
        yield from _leaves(value, f"{path}/{key}")
