"""Which vertices of a graph lead to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

V = TypeVar("V")


def components(edges: Mapping[V, Sequence[V]]) -> Iterator[list[V]]:
    """Give each largest set of vertices of which every one leads to every other, and to itself.

    What a vertex leads to and is no key of ``edges`` leads nowhere. This is Kosaraju's algorithm
    (Sharir, Comput. Math. Appl. 7, 1981), without recursion: time grows with the edges.
    """
    back: dict[V, list[V]] = {vertex: [] for vertex in edges}
    for vertex, further in edges.items():
        for one in further:
            if one in back:
                back[one].append(vertex)
    seen: set[V] = set()
    for vertex in reversed(list(_finished(edges))):
        if vertex not in seen:
            seen.add(vertex)
            found = [vertex]
            for one in found:
                fresh = [other for other in dict.fromkeys(back[one]) if other not in seen]
                seen.update(fresh)
                found += fresh
            if len(found) > 1 or vertex in edges[vertex]:
                yield found


def _finished(edges: Mapping[V, Sequence[V]]) -> Iterator[V]:
    """Give each vertex after all that it leads to, as far as there is such an order."""
    seen: set[V] = set()
    for root in edges:
        path = [] if root in seen else [(root, iter(edges[root]))]
        seen.add(root)
        while path:
            vertex, further = path[-1]
            one = next((one for one in further if one not in seen and one in edges), None)
            if one is None:
                path.pop()
                yield vertex
            else:
                seen.add(one)
                path.append((one, iter(edges[one])))
