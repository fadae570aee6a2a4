"""Which changes of a directory count, and for which schedule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reconciler.clock import SECOND
from reconciler.data import DatastoreChange, FileChange
from reconciler.trigger.arrivals import (
    EXISTING,
    Change,
    Unsettled,
    display,
    follow,
    ignored_because,
    judge,
)
from reconciler.trigger.snapshot import compare, first_of, moved_only
from tests.strategies import examples
from tests.trigger.listings import batches, facts, held, listings, names, small, written

ADDED, MODIFIED, DELETED = FileChange
A, B = b"1 10@100", b"2 20@100"


def rewritten(now, rewrites):
    """Do what a ledger does with rewrites."""
    known = {first_of(page): page for page in now}
    rewrites = list(rewrites)
    for one in rewrites:
        if one.replaces is not None:
            del known[one.replaces]
    for one in rewrites:
        for page in one.pages:
            assert first_of(page) not in known
            known[first_of(page)] = page
    return [page for _, page in sorted(known.items())]


def look(known, listing, unsettled=(), now=0, settle=0, **more):
    found = compare(written(known), batches(listing))
    return judge(found.differing, dict(unsettled), now, settle, **more)


def looks(known, listings, settle):
    """Look at each listing in turn, a second apart; give the names that counted each time."""
    pages, unsettled, seen = written(known), {}, []
    for number, listing in enumerate(listings):
        found = compare(pages, batches(listing))
        seen_now = judge(found.differing, unsettled, number * SECOND, settle)
        unsettled, pages = seen_now.unsettled, rewritten(pages, seen_now.rewrites)
        seen.append([change.name for change in seen_now.changes])
    return seen


# Kinds of change


def test_added_modified_and_deleted_files_are_told_in_the_order_of_their_names():
    known = {b"b": A, b"c": A, b"d": A}
    assert look(known, {b"d": B, b"b": A, b"a": A}).changes == (
        Change(b"a", ADDED, A),
        Change(b"c", DELETED, A),
        Change(b"d", MODIFIED, B),
    )


@pytest.mark.parametrize("version", [b"2 10@100", b"1 11@100", b"1 10@101"])
def test_size_time_or_inode_alone_is_a_modification(version):
    assert look({b"a": A}, {b"a": version}).changes == (Change(b"a", MODIFIED, version),)


def test_a_rename_is_a_deletion_and_an_addition():
    assert [change.kind for change in look({b"a": A}, {b"b": A}).changes] == [DELETED, ADDED]


def test_a_listing_that_is_known_changes_and_rewrites_nothing():
    found = look({b"a": A}, {b"a": A})
    assert (found.changes, found.rewrites, found.look_again) == ((), (), None)


# Settling


def test_without_settling_a_change_counts_at_once():
    assert looks({}, [{b"a": A}, {b"a": A}, {b"a": B}], settle=0) == [[b"a"], [], [b"a"]]


def test_a_file_counts_once_it_was_seen_unchanged_for_long_enough():
    growing = [{b"a": b"%d %d@1" % (size, size)} for size in (1, 2, 3, 3, 3, 3)]
    assert looks({}, growing, settle=2 * SECOND) == [[], [], [], [], [b"a"], []]


def test_a_file_that_vanishes_before_it_settled_never_was():
    assert looks({}, [{b"a": A}, {}, {b"a": A}, {b"a": A}], settle=SECOND) == [[], [], [], [b"a"]]


def test_a_file_that_goes_back_before_it_settled_has_not_changed():
    assert looks({b"a": A}, [{b"a": B}, {b"a": A}, {b"a": A}], settle=SECOND) == [[], [], []]


def test_a_file_that_goes_there_and_back_counts_each_time():
    there_and_back = [{b"a": B}, {b"a": A}, {b"a": B}]
    assert looks({b"a": A}, there_and_back, settle=0) == [[b"a"], [b"a"], [b"a"]]


def test_a_file_that_is_deleted_and_comes_again_as_it_was_counts_again():
    assert looks({b"a": A}, [{}, {b"a": A}], settle=0) == [[b"a"], [b"a"]]


def test_a_deletion_counts_at_once():
    found = look({b"a": A}, {}, settle=SECOND)
    assert [change.kind for change in found.changes] == [DELETED]
    assert found.look_again is None


def test_a_file_that_was_not_listed_and_is_not_gone_stays_as_it_is_known():
    known = {b"a": A, b"b": A, b"c": A, b"d": A}
    found = look(known, {b"a": B, b"e": A}, gone={b"c"}.__contains__)
    kinds = [(change.name, change.kind) for change in found.changes]
    assert kinds == [(b"a", MODIFIED), (b"c", DELETED), (b"e", ADDED)]
    assert held(rewritten(written(known), found.rewrites)) == {b"a": B, b"b": A, b"d": A, b"e": A}


def test_the_next_look_is_when_the_first_file_can_have_settled():
    early = {b"a": Unsettled(A, 5 * SECOND), b"b": Unsettled(A, 6 * SECOND)}
    found = look({}, {b"a": A, b"b": A, b"c": A}, early, 7 * SECOND, 3 * SECOND)
    assert found.changes == ()
    assert found.look_again == 8 * SECOND
    assert found.unsettled == {**early, b"c": Unsettled(A, 7 * SECOND)}


def test_a_clock_that_went_back_does_not_keep_a_file_for_ever():
    early = {b"a": Unsettled(A, 1000 * SECOND)}
    assert look({}, {b"a": A}, early, 5 * SECOND, 2 * SECOND).look_again == 7 * SECOND


def test_a_file_without_its_marker_waits_and_the_others_do_not():
    found = look({b"c": A}, {b"a": A, b"b": A, b"c": B}, complete={b"b"}.__contains__)
    assert found.changes == (Change(b"b", ADDED, A),)
    assert found.unmarked == 2
    assert (found.unsettled, found.look_again) == ({}, None)
    assert held(rewritten(written({b"c": A}), found.rewrites)) == {b"b": A, b"c": A}


class Watching(RuleBasedStateMachine):
    """A directory changes while it is looked at; what is reported is what it went through."""

    @initialize(known=listings, settle=st.sampled_from([0, 2 * SECOND]))
    def begin(self, known, settle):
        self.files = dict(known)
        self.pages, self.told = written(known, size=3), dict(known)
        self.unsettled, self.marked = {}, set()
        self.now, self.settle = 0, settle

    @rule(name=names, content=facts)
    def write(self, name, content):
        self.files[name] = content

    @rule(name=names)
    def delete(self, name):
        self.files.pop(name, None)

    @rule(name=names)
    def mark(self, name):
        self.marked.add(name)

    @rule(name=names)
    def unmark(self, name):
        self.marked.discard(name)

    @rule(seconds=st.integers(-3, 5))
    def wait(self, seconds):
        self.now += seconds * SECOND

    @rule()
    def look(self):
        with small():
            found = compare(self.pages, batches(self.files))
            seen = judge(
                found.differing,
                self.unsettled,
                self.now,
                self.settle,
                complete=self.marked.__contains__,
            )
            self.pages = rewritten(self.pages, seen.rewrites)
        for change in seen.changes:
            self.count(change)
        for name, one in seen.unsettled.items():
            assert self.files[name] == one.facts
            assert self.now - one.since < self.settle
        self.unsettled = seen.unsettled

    def count(self, change):
        """A change counts once, in the state that is there, and only when it may."""
        old = self.told.get(change.name)
        if change.kind is DELETED:
            assert change.name not in self.files
            assert self.told.pop(change.name) == change.facts
            return
        assert change.kind is (ADDED if old is None else MODIFIED)
        assert change.facts == self.files[change.name] != old
        assert change.name in self.marked
        if self.settle:
            assert self.unsettled[change.name].facts == change.facts
            assert self.now - self.unsettled[change.name].since >= self.settle
        self.told[change.name] = change.facts

    @rule()
    def remount(self):
        if len(self.files) < 2 or self.unsettled:
            return
        self.files = {name: b"%b@9" % one.partition(b"@")[0] for name, one in self.files.items()}
        with small():
            before = held(self.pages)
            self.pages = rewritten(self.pages, follow(self.pages, batches(self.files)))
        after = held(self.pages)
        for name, old in before.items():
            new = self.files.get(name, old)
            assert after.pop(name) == (new if moved_only(old, new) else old)
        assert not after
        self.told = held(self.pages)

    @invariant()
    def what_is_known_is_what_was_told(self):
        assert held(self.pages) == self.told

    def teardown(self):
        """Whatever was left over counts once there is time and every marker."""
        if not hasattr(self, "files"):
            return
        self.marked = {*self.files}
        for _ in range(40):
            self.now += 2 * SECOND
            self.look()
        assert self.told == self.files


TestWatching = Watching.TestCase
TestWatching.settings = examples(100)


def test_where_no_inode_was_taken_down_any_will_do_and_is_taken_down_then():
    known = {b"a": b"1 10", b"b": b"1 10", b"c": A}
    found = look(known, {b"a": b"1 10@7", b"b": b"1 11@7", b"c": A})
    assert found.changes == (Change(b"b", MODIFIED, b"1 11@7"),)
    assert held(rewritten(written(known), found.rewrites))[b"a"] == b"1 10@7"


def test_a_directory_that_is_mounted_anew_is_followed_where_its_files_only_moved():
    known = {b"%02d" % number: b"1 1@%d" % number for number in range(9)}
    listing = {name: b"1 1@7%b" % name for name in known} | {b"00": b"2 2@9", b"new": A}
    del listing[b"01"]
    with small():
        now = rewritten(written(known, size=3), follow(written(known, size=3), batches(listing)))
    assert held(now) == {
        **{name: one for name, one in listing.items() if name in known},
        b"00": b"1 1@0",
        b"01": b"1 1@1",
    }


# Which schedule it counts for


def trigger(**said):
    return DatastoreChange(datastore="landing", **said)


@pytest.mark.parametrize(
    ("name", "said", "reason"),
    [
        (b"a.csv", {}, None),
        (b"a.csv", {"include": ("*.csv",), "ignore": ("*.tmp",)}, None),
        (b"a.tmp", {}, "ignore: *.tmp"),
        (b".hidden", {}, "ignore: .*"),
        (b"a.txt", {"include": ("*.csv", "*.parquet")}, "include: *.csv, *.parquet"),
        (b"a.CSV", {"include": ("*.csv",)}, "include: *.csv"),
        (b"a.tmp", {"include": ("*.tmp",)}, "ignore: *.tmp"),
        (b"data-7.csv", {"include": ("data-[0-9].csv",)}, None),
        (b"\xff\n.csv", {"include": ("*.csv",)}, None),
        ("Größe.csv".encode(), {"include": ("Gr??e.csv",)}, None),
        (b"2026/a.csv", {"recursive": True, "include": ("a.*",)}, None),
        (b"2026/.a", {"recursive": True}, "ignore: .*"),
        (b".git/a", {"recursive": True}, None),
        (b".git/a", {"recursive": True, "ignore": (".git/*",)}, "ignore: .git/*"),
        (b"2026/x/a.csv", {"recursive": True, "include": ("2026/*.csv",)}, None),
        (b"2025/a.csv", {"recursive": True, "include": ("2026/*.csv",)}, "include: 2026/*.csv"),
        (b"_SUCCESS", {"done_marker": "_SUCCESS"}, "done_marker: _SUCCESS"),
        (b"a.done", {"done_marker": "{name}.done"}, "done_marker: {name}.done"),
        (b".done", {"done_marker": "{name}.done", "ignore": ()}, None),
        (b".prices.tmp", {"file": ".prices.tmp"}, None),
    ],
)
def test_rules_say_which_names_count(name, said, reason):
    assert ignored_because(trigger(**said), name) == reason


@pytest.mark.parametrize(
    ("change", "said", "reason"),
    [
        (ADDED, {}, None),
        (MODIFIED, {}, None),
        (DELETED, {}, "changes: added, modified"),
        (DELETED, {"changes": (DELETED,)}, None),
        (ADDED, {"changes": (DELETED,)}, "changes: deleted"),
        (EXISTING, {"changes": (MODIFIED,)}, None),
        (ADDED, {"min_size": 11}, "min_size: 11"),
        (ADDED, {"min_size": 10}, None),
        (EXISTING, {"min_size": 11}, "min_size: 11"),
        (DELETED, {"changes": (DELETED,), "min_size": 11}, None),
        (ADDED, {"file": "a", "min_size": 11}, "min_size: 11"),
    ],
)
def test_rules_say_which_changes_count(change, said, reason):
    assert ignored_because(trigger(**said), b"a", change, b"10 1@1") == reason


# Names


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
