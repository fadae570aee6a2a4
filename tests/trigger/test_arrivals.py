"""Which files of a directory changed, and which of them have settled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import SECOND
from reconciler.trigger.arrivals import (
    Change,
    ChangeKind,
    FileVersion,
    Unsettled,
    compare,
    display,
    ignored_because,
    look,
)
from tests.strategies import examples

ADDED, MODIFIED, DELETED = ChangeKind
A, B = FileVersion(1, 10, 100), FileVersion(2, 20, 100)


def moved(version):
    return FileVersion(version.size, version.mtime_ns, version.inode + 1)


# Comparing


def test_added_modified_and_deleted_files_are_found_in_the_order_of_their_names():
    known = {b"b": A, b"c": A, b"d": A}
    difference = compare(known, {b"d": B, b"b": A, b"a": A})
    assert difference.changes == (
        Change(b"a", ADDED, A),
        Change(b"c", DELETED, A),
        Change(b"d", MODIFIED, B),
    )
    assert not difference.remounted


@pytest.mark.parametrize(
    "version", [FileVersion(2, 10, 100), FileVersion(1, 11, 100), FileVersion(1, 10, 101)]
)
def test_size_time_or_inode_alone_is_a_modification(version):
    assert compare({b"a": A}, {b"a": version}).changes == (Change(b"a", MODIFIED, version),)


def test_a_rename_is_a_deletion_and_an_addition():
    assert [change.kind for change in compare({b"a": A}, {b"b": A}).changes] == [DELETED, ADDED]


def test_new_inodes_on_most_files_are_a_remount_and_no_change():
    known = {b"a": A, b"b": A, b"c": A}
    difference = compare(known, {b"a": moved(A), b"b": moved(A), b"c": B, b"d": A})
    assert difference.remounted
    assert difference.rebased == {b"a": moved(A), b"b": moved(A)}
    assert [(change.name, change.kind) for change in difference.changes] == [
        (b"c", MODIFIED),
        (b"d", ADDED),
    ]


def test_new_inodes_on_half_of_the_files_or_on_a_single_file_are_modifications():
    known = {b"a": A, b"b": A}
    assert not compare(known, {b"a": moved(A), b"b": A}).remounted
    assert len(compare(known, {b"a": moved(A), b"b": A}).changes) == 1
    assert len(compare({b"a": A}, {b"a": moved(A), b"n": A}).changes) == 2


versions = st.builds(FileVersion, st.integers(0, 2), st.integers(0, 2), st.integers(0, 2))
listings = st.dictionaries(st.binary(min_size=1, max_size=2), versions, max_size=6)


@examples(200)
@given(listings, listings)
def test_changes_and_rebased_files_lead_from_the_known_to_the_listed(known, listing):
    difference = compare(known, listing)
    state = {**known, **difference.rebased}
    for change in difference.changes:
        if change.kind is DELETED:
            del state[change.name]
        else:
            state[change.name] = change.version
    assert state == listing


@examples(200)
@given(listings)
def test_a_listing_that_is_known_changes_nothing(listing):
    difference = compare(listing, listing)
    assert (difference.changes, difference.rebased) == ((), {})


# Settling


def looks(known, listings, settle):
    """Look at each listing in turn, a second apart; give the names that settled each time."""
    unsettled, seen = {}, []
    for number, listing in enumerate(listings):
        found = look(known, unsettled, listing, number * SECOND, settle)
        unsettled = found.unsettled
        seen.append([change.name for change in found.changes])
        known = {**known, **{change.name: change.version for change in found.changes}}
    return seen


def test_without_settling_a_change_counts_at_once():
    assert looks({}, [{b"a": A}, {b"a": A}, {b"a": B}], settle=0) == [[b"a"], [], [b"a"]]


def test_a_file_counts_once_it_was_seen_unchanged_for_long_enough():
    growing = [{b"a": FileVersion(size, size, 1)} for size in (1, 2, 3, 3, 3, 3)]
    assert looks({}, growing, settle=2 * SECOND) == [[], [], [], [], [b"a"], []]


def test_a_file_that_vanishes_before_it_settled_never_was():
    assert looks({}, [{b"a": A}, {}, {b"a": A}, {b"a": A}], settle=SECOND) == [[], [], [], [b"a"]]


def test_a_file_that_goes_back_before_it_settled_has_not_changed():
    assert looks({b"a": A}, [{b"a": B}, {b"a": A}, {b"a": A}], settle=SECOND) == [[], [], []]


def test_a_deletion_counts_at_once():
    found = look({b"a": A}, {}, {}, 0, SECOND)
    assert [change.kind for change in found.changes] == [DELETED]
    assert found.look_again is None


def test_the_next_look_is_when_the_first_file_can_have_settled():
    early = {b"a": Unsettled(A, 5 * SECOND), b"b": Unsettled(A, 6 * SECOND)}
    found = look({}, early, {b"a": A, b"b": A, b"c": A}, 7 * SECOND, 3 * SECOND)
    assert found.changes == ()
    assert found.look_again == 8 * SECOND
    assert found.unsettled == {**early, b"c": Unsettled(A, 7 * SECOND)}


def test_a_clock_that_went_back_does_not_keep_a_file_for_ever():
    found = look({}, {b"a": Unsettled(A, 1000 * SECOND)}, {b"a": A}, 5 * SECOND, 2 * SECOND)
    assert found.look_again == 7 * SECOND


def test_a_look_reports_a_remount():
    found = look({b"a": A, b"b": A}, {}, {b"a": moved(A), b"b": moved(A)}, 0, SECOND)
    assert found.rebased == {b"a": moved(A), b"b": moved(A)}
    assert found.changes == ()


# Filters and names


@pytest.mark.parametrize(
    ("name", "include", "ignore", "reason"),
    [
        (b"a.csv", (), (), None),
        (b"a.csv", ("*.csv",), ("*.tmp",), None),
        (b"a.tmp", (), (".*", "*.tmp", "*.part"), "ignore: *.tmp"),
        (b".hidden", (), (".*", "*.tmp"), "ignore: .*"),
        (b"a.txt", ("*.csv", "*.parquet"), (), "include: *.csv, *.parquet"),
        (b"a.CSV", ("*.csv",), (), "include: *.csv"),
        (b"a.tmp", ("*.tmp",), ("*.tmp",), "ignore: *.tmp"),
        (b"data-7.csv", ("data-[0-9].csv",), (), None),
        (b"\xff\n.csv", ("*.csv",), (), None),
        ("Größe.csv".encode(), ("Gr??e.csv",), (), None),
    ],
)
def test_globs_say_which_files_count(name, include, ignore, reason):
    assert ignored_because(name, include, ignore) == reason


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"plain name.csv", "plain name.csv"),
        ("Größe-日本.csv".encode(), "Größe-日本.csv"),
        (b"100%.csv", "100%25.csv"),
        (b"a\nb\x1b[31m", "a%0Ab%1B[31m"),
        (b"\xff\xfe", "%FF%FE"),
        ("\u202ecsv.exe".encode(), "%E2%80%AEcsv.exe"),
        (b"-rf;$(x)", "-rf;$(x)"),
    ],
)
def test_a_name_is_written_so_that_a_terminal_shows_it_unharmed(name, text):
    assert display(name) == text


@examples(200)
@given(st.lists(st.binary(min_size=1, max_size=5), unique=True, max_size=5))
def test_different_names_are_shown_differently(names):
    shown = {display(name) for name in names}
    assert len(shown) == len(names)
    assert all(text.isprintable() for text in shown)
