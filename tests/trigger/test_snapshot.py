"""How a listing differs from the pages that are known, and how facts are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.trigger import snapshot
from reconciler.trigger.snapshot import (
    PAGE,
    Both,
    Comparison,
    Files,
    compare,
    differing,
    first_of,
    join,
    moved_only,
    pages,
    size_of,
    split,
    stretches,
    told,
)
from tests.strategies import examples
from tests.trigger.listings import batches, held, listings, small, written


def files_of(listing):
    return (
        Files(*map(list, zip(*sorted(listing.items()), strict=True))) if listing else Files((), ())
    )


# Pages


@examples(200)
@given(listings)
def test_a_page_gives_back_the_files_that_were_written(listing):
    page = join(files_of(listing))
    assert dict(zip(*split(page), strict=True)) == listing
    if listing:
        assert first_of(page) == min(listing)
    else:
        assert page == b""


@pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1, 3 * PAGE])
def test_files_take_as_many_pages_as_they_need(count):
    listing = {b"%06d" % number: b"1 1@1" for number in range(count)}
    written_pages = pages(files_of(listing))
    assert len(written_pages) == -(-count // PAGE)
    assert held(written_pages) == listing


# Comparing


def comparison(known, listing):
    return compare(written(known), batches(listing))


def names_in(found):
    return [name for one in found.differing for name in Both(one).names]


def test_a_listing_that_is_known_differs_in_nothing():
    listing = {b"%06d" % number: b"1 1@1" for number in range(1000)}
    found = comparison(listing, listing)
    assert found == Comparison(differing=(), listed=1000, stayed=1000, moved=0, gone=0, more=False)


def test_what_was_added_modified_and_deleted_is_in_the_stretches_that_differ():
    found = comparison(
        {b"b": b"1 1@1", b"c": b"1 1@1", b"d": b"1 1@1"},
        {b"a": b"1 1@1", b"b": b"1 1@1", b"d": b"2 1@1"},
    )
    assert names_in(found) == [b"a", b"c", b"d"]
    assert (found.listed, found.stayed, found.moved, found.gone) == (3, 2, 0, 1)


def test_nothing_known_and_nothing_listed_differ_in_nothing():
    assert comparison({}, {}).differing == ()


@examples(300)
@given(listings, listings)
def test_the_numbers_are_those_of_the_two_sides(known, listing):
    with small():
        found = comparison(known, listing)
    both = known.keys() & listing.keys()
    changed = [name for name in both if known[name] != listing[name]]
    assert (found.listed, found.gone) == (len(listing), len(known.keys() - both))
    assert found.stayed == len(both)
    assert found.moved == sum(moved_only(known[name], listing[name]) for name in changed)
    assert found.vanished == (bool(known) and not both)
    assert found.remounted == (len(both) >= 2 and 2 * found.moved > len(both))


@examples(500)
@given(listings, listings, st.integers(1, 7))
def test_looks_that_each_take_a_part_of_it_come_to_the_listing(known, listing, most):
    """The snapshot is a partition of the names at every moment, and nothing is seen twice."""
    now, seen = written(known, size=3), []
    with small(most=most):
        for _ in range(200):
            found = compare(now, batches(listing))
            now = replaced(now, [(one.replaces, pages_of(one)) for one in found.differing])
            assert [name for page in now for name in split(page).names] == sorted(held(now))
            seen += names_in(found)
            if not found.more:
                break
    assert held(now) == listing
    changed = {name for name, _ in known.items() ^ listing.items()}
    assert sorted(seen) == sorted(changed)


def pages_of(one):
    return tuple(pages(split(one.listed)))


def replaced(now, rewrites):
    """Do what a ledger does with rewrites."""
    known = {first_of(page): page for page in now}
    for replaces, _ in rewrites:
        if replaces is not None:
            del known[replaces]
    for _, new in rewrites:
        for page in new:
            assert first_of(page) not in known
            known[first_of(page)] = page
    return [page for _, page in sorted(known.items())]


def test_a_page_whose_stretch_was_cut_in_three_keeps_what_it_has_behind_an_empty_part():
    known = {b"a": b"1 1@1", b"z": b"1 1@1"}
    listing = {**known, **{b"m%d" % number: b"1 1@1" for number in range(9)}}
    with small(most=1):
        found = comparison(known, listing)
        assert found.more
        now = replaced(written(known), [(one.replaces, pages_of(one)) for one in found.differing])
    assert held(now).keys() >= known.keys()


def test_very_large_pages_end_a_look_as_very_many_changes_do(monkeypatch):
    monkeypatch.setattr(snapshot, "_MOST_BYTES", 1000)
    listing = {b"%06d" % number: b"1 1@1" for number in range(5000)}
    found = comparison({}, listing)
    assert found.more
    assert found.listed == 5000
    assert len(names_in(found)) < 5000


@examples(300)
@given(listings, listings)
def test_stretches_hold_each_known_and_each_listed_file_once(known, listing):
    with small():
        whole = list(stretches(written(known, size=3), batches(listing)))
    assert [name for one in whole for name in split(one.known).names] == sorted(known)
    assert [name for one in whole for name in split(one.listed).names] == sorted(listing)


# Some files alone


@examples(300)
@given(listings, listings, st.data())
def test_some_files_alone_come_to_what_a_listing_says_of_them(known, listing, data):
    all_names = sorted(known.keys() | listing.keys())
    names = data.draw(st.lists(st.sampled_from(all_names), unique=True)) if all_names else []
    with small():
        before = written(known, size=3)
        found = differing(holding(before, names), {name: listing.get(name) for name in names})
        after = replaced(before, [(one.replaces, pages_of(one)) for one in found])
    expected = {
        **{name: facts for name, facts in known.items() if name not in names},
        **{name: listing[name] for name in names if name in listing},
    }
    assert held(after) == expected
    assert all(one.known != one.listed for one in found)


def holding(now, names):
    """Give the pages that a ledger gives for some names."""
    firsts = [first_of(page) for page in now]
    wanted = {max(0, sum(first <= name for first in firsts) - 1) for name in names}
    return [page for number, page in enumerate(now) if number in wanted]


# A directory that is another one


def test_most_files_with_other_inodes_and_nothing_else_are_a_remount():
    known = {b"a": b"1 1@1", b"b": b"1 1@2", b"c": b"1 1@3"}
    moved = {b"a": b"1 1@7", b"b": b"1 1@8", b"c": b"2 1@9"}
    assert comparison(known, moved).remounted
    assert not comparison(known, {**known, b"a": b"1 1@7"}).remounted


def test_one_file_with_another_inode_is_no_remount():
    assert not comparison({b"a": b"1 1@1"}, {b"a": b"1 1@2", b"b": b"1 1@3"}).remounted


def test_nothing_left_of_what_was_known_is_told_from_an_empty_beginning():
    assert comparison({b"a": b"1 1@1"}, {}).vanished
    assert comparison({b"a": b"1 1@1"}, {b"b": b"1 1@1"}).vanished
    assert not comparison({b"a": b"1 1@1"}, {b"a": b"2 1@1"}).vanished
    assert not comparison({}, {b"a": b"1 1@1"}).vanished


@pytest.mark.parametrize(
    ("old", "new", "moved"),
    [
        (b"1 1@1", b"1 1@2", True),
        (b"1 1@1", b"1 1@1", False),
        (b"1 1@1", b"1 2@1", False),
        (b"1 1@1", b"2 1@2", False),
        (b'1 "e" 5', b'1 "e" 6', False),
    ],
)
def test_what_belongs_to_the_mount_comes_after_an_at_sign(old, new, moved):
    assert moved_only(old, new) is moved


# Facts


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (b"12 1700000000123456789@77", {"size": 12, "mtime_ns": 1_700_000_000_123_456_789}),
        (b"0 -5@77", {"size": 0, "mtime_ns": -5}),
        (b"3 #3/L4kq=", {"size": 3, "version": "3/L4kq="}),
        (
            b'3 "0x8D@ \\"q" 1700000000000000',
            {"size": 3, "etag": '0x8D@ \\"q', "modified": 1_700_000_000_000_000},
        ),
    ],
)
def test_facts_are_told_by_the_names_of_what_the_store_has(facts, said):
    assert told(facts) == said
    assert size_of(facts) == said["size"]
