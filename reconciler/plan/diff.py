"""Which fields differ between two specs of one kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.manifest.emit import to_data
from reconciler.pipeline import Pipeline
from reconciler.plan.change import FieldChange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.plan.change import Plain
    from reconciler.schedule import Datastore, Schedule


def field_changes(
    old: Schedule | Pipeline | Datastore, new: Schedule | Pipeline | Datastore
) -> tuple[FieldChange, ...]:
    """List the fields in which two values of one class differ, sorted by path.

    A list of plain values is one field; steps are compared by name, so that
    editing one names it (``steps.score.timeout``) and moving one is one change of their order.
    """
    # Imported where it is needed: it costs more than the rest of a plan without changes.
    from deepdiff import DeepDiff  # noqa: PLC0415

    before, after = _comparable(old), _comparable(new)
    # Without the threshold it would give up on two mappings that share few keys.
    tree = DeepDiff(before, after, view="tree", threshold_to_diff_deeper=0)
    paths = {_field(node.path(output_format="list")) for nodes in tree.values() for node in nodes}
    changes = [
        FieldChange(".".join(path), _look_up(before, path), _look_up(after, path))
        for path in sorted(paths)
    ]
    if isinstance(old, Pipeline) and isinstance(new, Pipeline):
        names = [[step.name for step in side.steps] for side in (old, new)]
        if names[0] != names[1] and sorted(names[0]) == sorted(names[1]):
            changes.append(FieldChange("steps (order)", *names))
    return tuple(changes)


def _comparable(value: Schedule | Pipeline | Datastore) -> dict[str, Any]:
    data = to_data(value, defaults=True)
    if isinstance(value, Pipeline):
        data["steps"] = {step["name"]: step for step in data["steps"]}
    return data


def _field(path: Sequence[str | int]) -> tuple[str, ...]:
    """Cut a path off where it enters a list."""
    keys: list[str] = []
    for key in path:
        if isinstance(key, int):
            break
        keys.append(key)
    return tuple(keys)


def _look_up(data: Plain, path: tuple[str, ...]) -> Plain:
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return None
        data = data[key]
    return data
