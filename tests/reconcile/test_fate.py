"""What a line of the change log comes to, by the rows of decisions and else by the rules."""

import pytest

from reconciler.data import DatastoreChange
from reconciler.reconcile.fate import Decisions, Fate, outcome
from reconciler.run import Decision, Fire
from reconciler.workspace.records import Arrival, LoggedChange

WATCH = 3


def line(seq=4, poll_seq=2, change="added", name=b"x.csv"):
    return LoggedChange(
        watch_id=WATCH, seq=seq, poll_seq=poll_seq, change=change, name=name, facts=b"3 1@1"
    )


def fire(key, decision=Decision.LAUNCH):
    return Fire(
        schedule_id="s", occurrence_key=key, due_at=0, decided_at=0, decision=decision,
        reason=key, revision=1,
    )  # fmt: skip


def at(cursor, existing=0):
    return Arrival(schedule_id="s", revision=1, watch_id=WATCH, cursor=cursor, existing=existing)


def fate(*fires, logged=None, standing=None, earlier=False, **fields):
    trigger = DatastoreChange(datastore="landing", **fields)
    standing = standing or at(9)
    decisions = Decisions(WATCH, fires)
    found = outcome(logged or line(), trigger, standing, decisions, earlier=earlier)
    return found.fate, found.why


@pytest.mark.parametrize(
    ("decision", "came"),
    [
        (Decision.LAUNCH, Fate.FIRED),
        (Decision.QUEUE, Fate.FIRED),
        (Decision.SKIP, Fate.SKIPPED),
        (Decision.MISS, Fate.SKIPPED),
    ],
)
def test_a_row_about_the_file_is_what_happened_whatever_the_rules_say_now(decision, came):
    assert fate(fire("d:3:4", decision), include=("*.txt",)) == (came, "d:3:4")


def test_rows_of_another_watch_and_of_the_clock_say_nothing():
    others = map(fire, ("d:2:4", "p:2:2", "g:2:1/9", "m:3", "i:", "r:2026-03-08T07:30:00Z"))
    gap = fire("g:2026-03-08T07:30:00Z/2026-03-08T08:30:00Z", Decision.GAP)
    assert fate(*others, gap)[0] is Fate.UNKNOWN


def test_a_poll_that_was_decided_in_parts_has_each_file_in_its_part():
    parts = [fire(key) for key in ("p:3:2", "p:3:2:4", "p:3:2:8", "p:3:1:3")]
    whys = [fate(*parts, logged=line(seq))[1] for seq in (1, 4, 5, 8, 9)]
    assert whys == ["p:3:2", "p:3:2", "p:3:2:4", "p:3:2:4", "p:3:2:8"]


def test_a_poll_that_fired_left_out_what_the_rules_leave_out():
    assert fate(fire("p:3:2"), logged=line(name=b"x.tmp")) == (Fate.IGNORED, "ignore: *.tmp")


def test_what_was_passed_over_is_in_the_row_of_a_gap():
    gap = fire("g:3:2/4", Decision.GAP)
    assert fate(gap)[0] is Fate.PASSED_OVER
    assert fate(gap, logged=line(5))[0] is Fate.UNKNOWN
    assert fate(gap, logged=line(1))[0] is Fate.UNKNOWN


def test_without_a_row_it_depends_on_how_far_the_schedule_has_read():
    assert fate(standing=at(3))[0] is Fate.UNDECIDED
    assert fate(standing=at(4))[0] is Fate.UNKNOWN
    assert fate(standing=at(4), earlier=True)[0] is Fate.EARLIER


def test_a_file_that_was_there_before_counts_for_who_asked():
    was = line(change="existing")
    decisions = Decisions(WATCH, ())
    trigger = DatastoreChange(datastore="landing")
    assert fate(logged=was, standing=at(3, existing=2))[0] is Fate.UNDECIDED
    for standing in (at(3, existing=1), at(9), None):
        found = outcome(was, trigger, standing, decisions, earlier=False)
        assert (found.fate, found.for_others) == (Fate.IGNORED, True)
    assert outcome(line(), trigger, None, decisions, earlier=True).fate is Fate.EARLIER
