"""A part of a manifest as it is written, to be merged into manifests before they are built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from reconciler.manifest.yaml12 import Node, resolve

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Fragment(Generic[T]):
    """Some keys of the manifest of a ``T``; two that say the same are equal.

    Its keys and scalars were checked where they stand. Whether they make a manifest is known only
    once they are merged with the rest of it.
    """

    node: Node

    @property
    def data(self) -> Any:  # noqa: ANN401  (plain data)
        """What is written, as dicts, lists, texts, numbers, booleans and None."""
        return plain(self.node)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fragment) and repr(self.data) == repr(other.data)

    def __hash__(self) -> int:
        return hash(repr(self.data))


def plain(node: Node) -> Any:  # noqa: ANN401  (plain data)
    """Give what a tree says, without its places.

    Raises:
        ValueError: as :func:`reconciler.manifest.yaml12.resolve`.
    """
    value = node.value
    if isinstance(value, dict):
        return {key: plain(child) for key, (_, _, child) in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value if node.style else resolve(value)
