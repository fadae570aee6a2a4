"""Where an effective value comes from: which file and line, and what stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.manifest.build import find
from reconciler.manifest.compose import Replaced, merged
from reconciler.manifest.scalars import is_null
from reconciler.manifest.yaml12 import place_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.manifest.compose import Layer
    from reconciler.manifest.yaml12 import Node


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an effective value comes from.

    ``how`` says what stands at the place, empty for the manifest itself; ``over`` is the place of
    the value that it won over, and ``used_at`` the place of the reference to a variable that was
    replaced by it.
    """

    file: str
    line: int
    column: int
    how: str = ""
    over: tuple[str, int, int] | None = None
    used_at: tuple[str, int, int] | None = None

    def __str__(self) -> str:
        """Give ``reconciler.yml:31 (override of target prod, over schedules/nightly.yml:9)``."""
        said = [self.how] if self.how else []
        said += [f"used at {self.used_at[0]}:{self.used_at[1]}"] if self.used_at else []
        said += [f"over {self.over[0]}:{self.over[1]}"] if self.over else []
        return f"{self.file}:{self.line}" + (f" ({', '.join(said)})" if said else "")


def origin(
    file: str, tree: Node, layers: Sequence[Layer], path: Sequence[str | int]
) -> Origin | None:
    """Tell where the value at ``path`` of a composed document comes from.

    ``file`` is the document's; None where nothing is written and the kind's own default holds. A
    null that made it hold is told as what removes the value.
    """
    node = _exactly(tree, path)
    if node is None or is_null(node):
        return _removal(file, layers, path)
    written = node.by if isinstance(node, Replaced) else node
    how, over = "", None
    for at, layer in enumerate(layers):
        if _exactly(layer.tree, path) in {node, written}:
            how, over = layer.how, _under(file, layers[:at], path)
    if not isinstance(node, Replaced):
        return Origin(*_place(file, node), how, over)
    if node.alone:
        place = place_in(file, node.line, node.column)
        return Origin(*place, node.how, over, _place(file, written))
    return Origin(*_place(file, node), f"{how} {node.how}".lstrip(), over)


def _removal(file: str, layers: Sequence[Layer], path: Sequence[str | int]) -> Origin | None:
    for at in range(len(layers) - 1, 0, -1):
        node = _exactly(layers[at].tree, path)
        over = _under(file, layers[:at], path)
        if over and node and is_null(node):
            return Origin(*_place(file, node), f"{layers[at].how or 'manifest'} removes it", over)
    return None


def _under(
    file: str, layers: Sequence[Layer], path: Sequence[str | int]
) -> tuple[str, int, int] | None:
    """Give the place of what these layers say at ``path``."""
    node = _exactly(merged(layers), path) if layers else None
    return None if node is None or is_null(node) else _place(file, node)


def _exactly(node: Node, path: Sequence[str | int]) -> Node | None:
    """Follow ``path``; None where it ends before."""
    for step in path:
        below = find(node, (step,))
        if below is node:
            return None
        node = below
    return node


def _place(file: str, node: Node) -> tuple[str, int, int]:
    node = node.by if isinstance(node, Replaced) else node
    return place_in(file, node.line, node.column)
