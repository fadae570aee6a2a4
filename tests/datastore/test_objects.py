"""What only object stores do, on real servers."""

from __future__ import annotations

from io import BytesIO
from urllib.parse import quote

import pytest

from reconciler.data import Watched
from reconciler.datastore import objects
from reconciler.datastore.rest import Rest
from reconciler.errors import FileChanged
from tests.servers.listing import FLAT, MANY, TREE, listing, names
from tests.servers.proxy import Proxy


@pytest.fixture(params=["azurite", "seaweedfs", "fakegcs"])
def container(request):
    return request.getfixturevalue(request.param).container()


def test_marks_that_tools_make_for_folders_are_no_files(container):
    for key in ("in/", "in/folder/", "in/folder/deep/"):
        container.put(key, b"")
    for key in ("in/a", "in/folder/b"):
        container.put(key)
    reader = container.open()
    for _ in range(2):
        assert names(reader) == [b"a"]
        assert names(reader, TREE) == [b"a", b"folder/b"]
    container.put("in/new\nline")  # now it is listed in the other way
    assert names(reader) == [b"a", b"new\nline"]
    assert names(reader, TREE) == [b"a", b"folder/b", b"new\nline"]


def test_of_two_objects_that_differ_in_a_slash_at_the_end_the_one_without_it_is_the_file(azurite):
    container = azurite.container()
    container.put("in/x", b"file")
    container.put("in/x/", b"a mark that is not empty")
    reader = container.open()
    for _ in range(2):
        listed = listing(reader, FLAT)
        assert listed == reader.look(FLAT, [b"x"])
        assert listed[b"x"].startswith(b"4 ")


def test_marks_that_hadoop_makes_for_folders_are_no_files(azurite):
    container = azurite.container()
    container.put("in/folder", b"", **{"x-ms-meta-hdi_isfolder": "true"})
    container.put("in/empty", b"")
    assert names(container.open()) == [b"empty"]
    assert container.open().look(FLAT, [b"folder"]) == {}
    container.put("in/new\nline")
    assert names(container.open()) == [b"empty", b"new\nline"]


def test_empty_files_are_asked_for_once(seaweedfs, monkeypatch):
    container = seaweedfs.container()
    for number in range(4):
        container.put(f"in/{number}", b"")
    with Proxy(seaweedfs.endpoint) as proxy:
        reader = container.open(endpoint=proxy.endpoint)
        assert len(names(reader)) == 4
        asked = len(proxy.asked)
        assert len(names(reader)) == 4
        assert len(proxy.asked) == asked + 1
    monkeypatch.setattr(objects, "_MOST_KNOWN", 2)
    assert len(names(reader := container.open())) == 4
    container.put("in/5", b"")
    assert len(names(reader)) == 5
    assert len(reader._files) < 5


def test_large_folders_below_are_not_walked(container, monkeypatch):
    monkeypatch.setattr(objects, "_CHUNK", 20)
    for folder in ("deep", "deeper"):
        for number in range(50):
            container.put(f"in/{folder}/{number:03d}")
    direct = ["a", "deep-1", "deep.1", "deep0", "deepest", "z"]
    for name in direct:
        container.put(f"in/{name}")
    with Proxy(container.server.endpoint) as proxy:
        reader = container.open(endpoint=proxy.endpoint)
        assert names(reader) == [name.encode() for name in sorted(direct)]
    begun = [path for path in proxy.asked if "start-after" in path]
    delimited = [path for path in proxy.asked if "delimiter" in path]
    kinds = {"az": (0, 1), "s3": (2, 0), "gs": (1, 0)}  # fake-gcs-server takes no start-after
    assert (len(begun), len(delimited)) == kinds[container.server.scheme]
    assert len(names(container.open(), TREE)) == 106


def test_a_listing_of_several_pages_is_whole(full):
    assert names(full.open()) == [b"%05d" % number for number in range(MANY)]
    assert names(full.open(), TREE) == names(full.open())
    assert set(full.open().look(FLAT, names(full.open()))) == set(names(full.open()))


def test_pages_of_hostile_names_follow_one_another(azurite, seaweedfs, full, monkeypatch):
    reader = Rest.open(full.datastore(), full.server.credentials)
    pages = list(reader.pages("in/", deep=True))
    assert len(pages) == 2
    assert sum(map(len, pages)) == MANY
    # Azurite's pages have 5,000 blobs; a marker says where the next one begins.
    container = azurite.container()
    for name in "abc":
        container.put(f"in/{name}\n")
    asked = Rest.request

    def small(self, method, key="", query=None, **more):
        if query and query.get("comp") == "list":
            query = {**query, "maxresults": "1"}
        return asked(self, method, key, query, **more)

    monkeypatch.setattr(Rest, "request", small)
    assert names(container.open()) == [b"a\n", b"b\n", b"c\n"]


def test_a_hostile_file_is_read_only_in_the_state_that_was_seen(seaweedfs):
    container = seaweedfs.container()
    container.put("in/new\nline", b"first")
    reader = container.open()
    seen = listing(reader)[b"new\nline"]
    container.put("in/new\nline", b"second")
    for name in (b"in/new\nline", b"in/no\nfile", b"in/\xff"):
        with pytest.raises(FileChanged, match="is gone, or has been written anew since"):
            reader.read(name, seen, BytesIO())


def test_a_prefix_and_a_path_may_have_any_name(container):
    container.put("a b%/in/x/file")
    reader = container.open(quote("a b%/in"))
    watched = Watched(datastore="landing", path="x")
    assert names(reader, watched) == [b"file"]
    assert reader.url(b"x/file").endswith("/a%20b%25/in/x/file")
    assert names(container.open(), Watched(datastore="landing", path="a b%/in/x")) == [b"file"]


def test_a_path_that_obstore_cannot_say_is_watched_all_the_same(seaweedfs):
    container = seaweedfs.container()
    container.put("new\nline/file")
    watched = Watched(datastore="landing", path="new\nline")
    assert names(container.open(), watched) == [b"file"]


def test_two_containers_have_nothing_in_common(container):
    other = container.server.container()
    container.put("in/a")
    other.put("in/b")
    assert names(container.open()) == [b"a"]
    assert names(other.open()) == [b"b"]
