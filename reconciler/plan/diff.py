"""Which fields differ between two or three specs of one kind.

Lists have the meaning their declaration gives them: one declared ``unique`` is a set, one of named
parts (steps) goes by name, any other is ordered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.data import Datastore
from reconciler.manifest.emit import from_data, to_data
from reconciler.manifest.shape import ListOf, MapOf, OneOf, Record, record_of
from reconciler.pipeline import Pipeline
from reconciler.plan.change import FieldChange, Reason, Side
from reconciler.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.fields import About
    from reconciler.manifest.shape import Shape
    from reconciler.plan.change import Plain

Value = Schedule | Pipeline | Datastore
V = TypeVar("V", bound=Schedule | Datastore)
Path = tuple[str, ...]
Settled = tuple[str, Reason, Any, Any]


class _Set(list[Any]):
    """A list whose order says nothing."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and sorted(map(repr, self)) == sorted(map(repr, other))

    def __ne__(self, other: object) -> bool:
        return not self == other


def field_changes(
    live: Value, desired: Value, applied: Value | None = None
) -> tuple[FieldChange, ...]:
    """List the fields in which the live value differs from the desired one, sorted by path.

    ``applied`` is what was applied last, None where the live value still is that. Editing a step
    names it (``steps.score.timeout``), moving one is one change of their order.
    """
    sides = _comparable(live), _comparable(desired)
    known = sides[0] if applied is None else _comparable(applied)
    changes = [
        FieldChange(".".join(path), old, new, before, _side(before, old, new))
        for path, old, new in sorted(_differences(*sides, ()), key=lambda found: found[0])
        for before in [_look_up(known, path)]
    ]
    if isinstance(live, Pipeline) and isinstance(desired, Pipeline):
        order = [[step.name for step in side.steps] for side in (live, desired)]
        both = set(order[0]).intersection(order[1])
        if _of(both, order[0]) != _of(both, order[1]):
            changes.append(FieldChange.by_git("steps (order)", order[0], order[1]))
    return tuple(changes)


def _of(names: set[str], order: list[str]) -> list[str]:
    return [name for name in order if name in names]


def settled(live: Value, desired: Value, applied: Value) -> Iterator[Settled]:
    """Give (path, reason, live, desired) of what Git changed and somebody had set already."""
    theirs, ours, known = (_comparable(value) for value in (live, desired, applied))
    for path, _, here in sorted(_differences(known, theirs, ()), key=lambda found: found[0]):
        there = _look_up(ours, path)
        if _same(here, there):
            yield ".".join(path), Reason.ALREADY_LIVE, here, there


def leave(live: V, desired: V, paths: Iterable[str]) -> tuple[V, tuple[Settled, ...]]:
    """Give ``desired`` with the live value at each dotted path, and what that suppressed.

    A path that leads nowhere on the live side leaves nothing alone, nor does the name.

    Raises:
        InvalidValue: the two do not fit together, say because the trigger is of another kind.
    """
    wanted = sorted(set(paths) - {"name"})
    if not wanted:
        return desired, ()
    theirs, ours = _comparable(live), _comparable(desired)
    data = to_data(desired)
    found = []
    for dotted in wanted:
        path = _path(desired, dotted)
        here, there = _look_up(theirs, path), _look_up(ours, path)
        if _look_up(theirs, path[:-1]) is not None and not _same(here, there):
            _put(data, path, here)
            found.append((dotted, Reason.IGNORED, here, there))
    return (from_data(type(desired), data) if found else desired), tuple(found)


def _path(value: Value, dotted: str) -> Path:
    """Take a written path apart; the key of a mapping may hold dots itself."""
    cls: Any = value.__class__
    head, _, rest = dotted.partition(".")
    maps = {one.name for one in record_of(cls).members if isinstance(one.shape, MapOf)}
    return (head, rest) if rest and head in maps else tuple(dotted.split("."))


def _put(data: dict[str, Any], path: Path, value: Any) -> None:  # noqa: ANN401  (plain data)
    *above, last = path
    for key in above:
        data = data.setdefault(key, {})
    if value is None:
        data.pop(last, None)
    else:
        data[last] = value


def _side(applied: Plain, live: Plain, desired: Plain) -> Side:
    if _same(applied, live):
        return Side.GIT
    return Side.LIVE if _same(applied, desired) else Side.BOTH


def _comparable(value: Value) -> dict[str, Any]:
    cls: Any = value.__class__
    data: dict[str, Any] = _semantic(record_of(cls), None, to_data(value, defaults=True))
    data.pop("renamed_from", None)
    return data


def _semantic(shape: Shape, about: About | None, data: Any) -> Any:  # noqa: ANN401  (plain data; an answer for each shape)
    """Give plain data the meaning that its shape declares for lists."""
    match shape:
        case Record(members=members):
            known = {member.name: member for member in members}
            said = {key: value for key, value in data.items() if value is not None}
            return {k: _semantic(known[k].shape, known[k].about, v) for k, v in said.items()}
        case OneOf(records):
            return {tag: _semantic(records[tag], None, value) for tag, value in data.items()}
        case MapOf(value=item):
            return {key: _semantic(item, None, value) for key, value in data.items()}
        case ListOf(item=Record() as item):
            return {one["name"]: _semantic(item, None, one) for one in data}
        case ListOf() if about is not None and about.unique:
            return _Set(data)
    return data


def _differences(old: Any, new: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:  # noqa: ANN401  (plain data)
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), (*path, key))
    elif not _same(old, new):
        yield path, old, new


def _same(old: object, new: object) -> bool:
    """Compare plain data; unlike ``==``, true is not 1."""
    if isinstance(old, _Set):
        return old == new
    return old == new and repr(old) == repr(new)


def _look_up(data: Any, path: Path) -> Any:  # noqa: ANN401  (plain data)
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return None
        data = data[key]
    return data
