"""How a watch stands, and what polls came to for a schedule that reads only so much of the log."""

from dataclasses import replace

import pytest

from reconciler.data import Depth, Watched
from reconciler.reconcile import looks, operate
from reconciler.reconcile.fate import Fate
from reconciler.reconcile.looks import Reader, files_known, place, standing, unable
from reconciler.workspace.records import WatchState
from tests.reconcile.test_explain_file import NOW, poll, trigger
from tests.reconcile.test_explain_file import standing as stands
from tests.runner.test_data import LANDING, SHOW, on_arrival


def test_a_row_of_failures_is_told_from_its_first_that_is_kept():
    watch = stands().watch
    assert standing(watch, ()).last is None
    fine = standing(watch, [poll(7), poll(6, error="no")])
    assert (fine.state, fine.failing_since, fine.error, unable(fine)) == ("ready", None, "", "")
    row = [poll(9, error="c"), poll(8, error="b", polled_at=NOW), poll(7), poll(6, error="a")]
    failing = standing(replace(watch, failures=2), row)
    assert (failing.state, failing.failing_since, failing.error) == ("ready", NOW, "c")
    assert unable(failing) == ""
    degraded = standing(replace(watch, failures=3), row)
    assert unable(degraded) == "landing/in cannot be looked at since 2026-03-02 12:10:00 UTC: c"
    new = replace(watch, state=WatchState.BASELINING)
    first = "what is there already is not known before the first complete look"
    assert unable(standing(new, ())) == first
    late = standing(replace(new, failures=1), row[:2])
    assert unable(late) == f"{first}, and looks fail since 2026-03-02 12:10:00 UTC: c"
    assert unable(standing(replace(new, failures=3), ())) == "landing/in cannot be looked at: "


@pytest.mark.parametrize(
    ("watched", "text"),
    [
        (Watched(datastore="landing", path=""), "landing"),
        (Watched(datastore="landing", path="in", depth=Depth.TREE), "landing/in and all below"),
        (Watched(datastore="landing", path="in/x", depth=Depth.FILE), "landing/in/x alone"),
    ],
)
def test_what_is_watched_is_named(watched, text):
    assert place(watched) == text


def test_polls_of_which_a_part_was_not_read_are_told_without_counts(place, monkeypatch):
    monkeypatch.setattr(looks, "MANY", 3)
    folder = place.project / "landing" / "in"
    folder.mkdir(parents=True)
    place.apply(a=SHOW, b=LANDING, c=on_arrival(settle="0s"))
    place.poll()
    for names in ("ab", "cd"):
        for name in names:
            (folder / name).write_text(name)
        place.forward(60)
        place.poll()
    place.finish()
    here = operate.find_schedule(place.registry.live(), "on-arrival")
    watch = place.ledger.watch_of(here.id)
    assert files_known(place.ledger, watch) == 4
    on = trigger(path_on_datastore="in")
    reader = Reader(place.ledger, watch, here, on, place.ledger.fires(here.id))
    newest, older, first = reader.looks(place.ledger.polls(watch.id))
    assert (newest.fates, newest.rules) == ({Fate.FIRED: 2}, {})
    assert (older.fates, first.fates) == (None, None)
    assert reader.looks([]) == []
