"""The observer on real object stores: what appears there is whole, and counts at once."""

import pytest

from reconciler.trigger.snapshot import Files
from tests.runner.lookout import lookout


@pytest.fixture(params=["seaweedfs", "azurite"])
def bucket(request):
    return request.getfixturevalue(request.param).container()


@pytest.fixture
def place(tmp_path, bucket):
    with lookout(tmp_path) as made:
        made.open = lambda _: bucket.open("landing")
        made.restart()
        yield made


def test_objects_count_at_the_first_look_that_lists_them(place, bucket):
    bucket.put("landing/in/old")
    bucket.put("landing/in/sub/deeper")
    place.watch()
    place.look()
    assert place.rows()[-1].note == "baseline: 1 files were there before"
    bucket.put("landing/in/new")
    bucket.put("landing/in/old", b"longer")
    bucket.put("landing/in/sub/other")
    place.later()
    assert place.changes() == ["added new", "modified old"]
    assert (place.rows()[-1].listed, place.rows()[-1].waiting) == (2, 0)
    bucket.remove("landing/in/new")
    place.later()
    assert place.changes()[2:] == ["deleted new"]
    place.later()
    assert len(place.changes()) == 3


class Forgetful:
    """A store whose listing leaves out some names, as long as it is told to."""

    def __init__(self, reader):
        self._reader = reader
        self.leaves_out = set()

    def __getattr__(self, name):
        return getattr(self._reader, name)

    def scan(self, watched):
        for files in self._reader.scan(watched):
            kept = [pair for pair in zip(*files, strict=True) if pair[0] not in self.leaves_out]
            yield Files([name for name, _ in kept], [facts for _, facts in kept])


def test_an_object_that_a_listing_leaves_out_is_neither_deleted_nor_new_once_it_is_back(
    place, bucket
):
    for name in "abcd":
        bucket.put(f"landing/in/{name}")
    reader = Forgetful(bucket.open("landing"))
    place.open = lambda _: reader
    place.restart()
    place.watch()
    place.look()
    bucket.remove("landing/in/c")
    reader.leaves_out = {b"a", b"b", b"d"}
    place.later()
    assert place.changes() == ["deleted c"]
    assert place.rows()[-1].note.startswith("the store listed all but 3 files")
    reader.leaves_out = set()
    bucket.put("landing/in/b", b"longer")
    place.later()
    assert place.changes() == ["deleted c", "modified b"]
    assert place.known() == [b"a", b"b", b"d"]


def test_an_object_settles_where_that_is_asked_for_and_only_it_is_looked_at_again(place, bucket):
    for number in range(5):
        bucket.put(f"landing/in/old{number}")
    place.watch(settle=10)
    place.look()
    bucket.put("landing/in/new")
    place.later()
    assert (place.rows()[-1].listed, place.rows()[-1].waiting) == (6, 1)
    place.later(10)
    assert place.rows()[-1].listed == 1
    assert place.changes() == ["added new"]


def test_an_object_waits_for_its_marker(place, bucket):
    place.watch(done_marker="_SUCCESS", recursive=True)
    place.look()
    bucket.put("landing/in/day=1/part-0")
    place.later()
    assert (place.changes(), place.rows()[-1].waiting) == ([], 1)
    bucket.put("landing/in/day=1/_SUCCESS", b"")
    place.later()
    assert place.changes() == ["added day=1/_SUCCESS", "added day=1/part-0"]


def test_nothing_is_concluded_from_a_container_that_is_gone(place, bucket):
    for name in ("a", "b"):
        bucket.put(f"landing/in/{name}")
    place.watch()
    place.look()
    bucket.drop()
    place.later()
    assert place.rows()[-1].error
    assert place.changes() == []
    assert place.known() == [b"a", b"b"]
    bucket.server.make(bucket.name)
    bucket.put("landing/in/b", b"another")
    place.later()
    assert place.changes() == ["deleted a", "modified b"]
