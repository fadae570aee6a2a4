"""Files that count once another file says that they are complete."""

import pytest

from reconciler.trigger import snapshot
from tests.runner.lookout import lookout


@pytest.fixture
def place(tmp_path):
    with lookout(tmp_path) as made:
        yield made


@pytest.mark.parametrize("marker", ["_SUCCESS", "{name}.done", "zz"])
def test_a_file_waits_for_its_marker_and_counts_at_the_look_that_finds_it(place, marker):
    place.watch(done_marker=marker, settle=0)
    place.look()
    place.put("data")
    place.later()
    assert (place.rows()[-1].listed, place.rows()[-1].waiting) == (1, 1)
    assert place.changes() == []
    place.later()
    assert place.rows()[-1].waiting == 1
    own = marker.replace("{name}", "data")
    place.put(own)
    place.later()
    assert place.changes() == [f"added {name}" for name in sorted([own, "data"])]
    assert place.rows()[-1].waiting == 0


def test_a_marker_that_has_been_known_for_long_is_enough(place):
    place.watch(done_marker="_SUCCESS", settle=0)
    place.put("_SUCCESS")
    for number in range(300):
        place.put(f"old{number}")
    place.look()
    place.put("zz")
    place.later()
    assert place.changes() == ["added zz"]


def test_a_marker_that_goes_while_the_file_comes_is_none(place):
    place.watch(done_marker="_SUCCESS", settle=0)
    marker = place.put("_SUCCESS")
    place.look()
    marker.unlink()
    place.put("data")
    place.later()
    assert place.changes() == ["deleted _SUCCESS"]
    assert place.rows()[-1].waiting == 1


def test_a_file_that_settles_is_looked_at_with_its_marker(place):
    place.watch(done_marker="_SUCCESS")
    place.look()
    place.put("data")
    place.later()
    place.put("_SUCCESS")
    place.later(2)
    assert place.rows()[-1].listed == 1
    assert place.changes() == ["added data"]
    place.later()
    place.later(2)
    assert place.changes() == ["added data", "added _SUCCESS"]


def test_a_marker_is_found_beyond_what_one_look_takes(place, monkeypatch):
    monkeypatch.setattr(snapshot, "MOST_CHANGES", 4)
    monkeypatch.setattr(snapshot, "_WINDOW", 4)
    place.watch(done_marker="zz", settle=0)
    place.look()
    for number in range(9):
        place.put(f"{number}")
    place.put("zz")
    place.later()
    assert place.changes() == [*(f"added {number}" for number in range(9)), "added zz"]


def test_where_very_many_wait_for_their_markers_the_row_says_that_others_wait_for_them(
    place, monkeypatch
):
    monkeypatch.setattr(snapshot, "MOST_CHANGES", 4)
    monkeypatch.setattr(snapshot, "_WINDOW", 4)
    place.watch(done_marker="{name}.done", settle=0)
    place.look()
    for number in range(6):
        place.put(f"{number}")
    place.later()
    note = "4 files wait for their done-marker, and those after them too"
    assert (len(place.rows()), place.rows()[-1].note) == (2, note)
    for number in range(6):
        place.put(f"{number}.done")
    place.later()
    place.later()
    assert {f"added {number}" for number in range(6)} <= set(place.changes())


def test_in_a_tree_the_marker_lies_beside_the_file(place):
    place.watch(done_marker="_SUCCESS", recursive=True, settle=0)
    place.look()
    place.put("a/data")
    place.put("b/data")
    place.put("b/_SUCCESS")
    place.later()
    assert place.changes() == ["added b/_SUCCESS", "added b/data"]
