from __future__ import annotations

import random
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.datastore.ordered import ordered
from reconciler.trigger.snapshot import Files

NAMES = st.lists(st.binary(min_size=1, max_size=3).map(lambda it: it.replace(b"\0", b"0")))


def pages(names, size):
    facts = [b"%d of it" % place for place in range(len(names))]
    for start in range(0, len(names), size):
        yield Files(names[start : start + size], facts[start : start + size])


def flat(listing):
    return [(name, fact) for files in listing for name, fact in zip(*files, strict=True)]


@given(NAMES, st.integers(1, 5), st.integers(1, 9))
def test_any_listing_comes_in_order_and_each_name_once_with_what_was_said_last(
    names, size, gathered
):
    listing = list(pages(names, size))
    assert flat(ordered(listing, gathered)) == sorted(dict(flat(listing)).items())


@pytest.mark.parametrize("gathered", [100, 100_000])
def test_a_page_that_comes_twice_does_no_harm(gathered):
    names = [b"%06d" % number for number in range(5_000)]
    listing = list(pages(names, 100))
    again = [*listing[:20], *listing[18:22], *listing[20:]]
    assert flat(ordered(again, gathered)) == flat(listing)


def test_runs_that_overlap_are_merged_in_pieces():
    names = [b"%06d" % number for number in range(20_000)]
    mixed = random.Random(1).sample(names, len(names))
    pieces = list(ordered(pages(mixed, 1_000), 3_000))
    assert [name for name, _ in flat(pieces)] == names
    assert len(pieces) > 3


def test_a_listing_without_files_gives_none():
    assert flat(ordered([])) == []
    assert flat(ordered([Files([], [])])) == []


def test_no_name_is_given_of_a_listing_that_fails_but_that_it_goes_on():
    def failing():
        yield from pages([b"a", b"b"], 1)
        raise OSError

    given = []
    with pytest.raises(OSError, match=r"^$"):
        given.extend(ordered(failing(), 1))
    assert flat(given) == []
    beats = ordered(failing(), 1)
    assert [next(beats), next(beats)] == [Files((), ()), Files((), ())]


def test_what_is_in_order_comes_in_the_pieces_that_were_gathered():
    names = [b"%06d" % number for number in range(10_000)]
    pieces = list(ordered(pages(names, 1_000), 4_000))
    assert list(chain.from_iterable(files.names for files in pieces)) == names
