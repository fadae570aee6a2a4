from hypothesis import given
from hypothesis import strategies as st

from reconciler.plan.components import components
from tests.strategies import examples

graphs = st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 11), max_size=4), max_size=10)


def reach(edges, start):
    """Give what can be reached from a vertex in one step or more."""
    seen, todo = set(), [start]
    while todo:
        fresh = {one for one in edges[todo.pop()] if one in edges} - seen
        seen |= fresh
        todo += fresh
    return seen


@given(graphs)
@examples(300)
def test_they_are_the_sets_that_reach_each_other_and_themselves(edges):
    reached = {vertex: reach(edges, vertex) for vertex in edges}
    expected = {
        frozenset(other for other in reached[vertex] if vertex in reached[other])
        for vertex in edges
        if vertex in reached[vertex]
    }
    found = [frozenset(one) for one in components(edges)]
    assert set(found) == expected
    assert len(found) == len(expected)


def test_a_very_long_way_round_is_no_deep_recursion():
    edges = {vertex: [(vertex + 1) % 100_000] for vertex in range(100_000)}
    (found,) = components(edges)
    assert len(found) == 100_000
