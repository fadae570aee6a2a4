"""What every datastore does with the files that land in it, on real stores."""

from __future__ import annotations

import os
import re
from functools import reduce
from io import BytesIO
from operator import or_
from pathlib import Path
from urllib.parse import quote

import pytest

from reconciler.data import Depth, Watched
from reconciler.datastore import objects
from reconciler.datastore.local import LocalDatastore
from reconciler.errors import DatastoreError, FileChanged
from reconciler.trigger.snapshot import told
from tests.processes import until

CONTROL = {b"\x1b[31mred", b"bell\x07"}
LONG = {b"n" * 1_000}
DOTS = {b"../up", b"in/./dot", b"a/../../b"}
EMPTY = {b"a//b", b"/lead"}

HOSTILE = {
    b"plain.csv",
    b"with space",
    b"new\nline",
    b"return\rtab\t",
    b"\x7fdelete",
    b"'quote\"",
    b"$(touch owned)",
    b"`touch owned`",
    b";rm -rf *",
    b"-rf",
    b"%2e%2e%2fetc",
    b"a%2Fb",
    b"p+q&r=s?t#u",
    b"{}[]<>^|~*!@,:",
    b"...",
    b"trailing.",
    b"trailing ",
    b" leading",
    "中文 ü".encode(),
    "é".encode(),
    "e\u0301".encode(),  # another name that looks the same
    "p\u0430ypal".encode(),  # the same with a Cyrillic letter
    "\u202egpj.exe".encode(),
    "\u2028".encode(),
    "\U0010ffff".encode(),
    b"n" * 255,
}


class Local:
    """A folder that files land in, its own name as hostile as theirs."""

    # What only bytes can say, and what a file system has no room for.
    names = HOSTILE | CONTROL | {b"\xff\xfe not text", b"back\\slash"}
    places = True

    def __init__(self, folder):
        self.root = folder / os.fsdecode(b"landing %41\n\xff")
        self.root.mkdir()

    def open(self):
        return LocalDatastore("file://" + quote(bytes(self.root)))

    def path(self, name):
        return self.root / os.fsdecode(name)

    def write(self, name, content=b"x"):
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_bytes(content)

    def remove(self, name):
        self.path(name).unlink()


class Remote:
    """A container, and a prefix in it as hostile as the names below it."""

    places = False
    prefix = "landing %41/ü"

    def __init__(self, server):
        self.container = server.container()

    def open(self):
        return self.container.open(quote(self.prefix))

    def write(self, name, content=b"x"):
        self.container.put(f"{self.prefix}/{name.decode()}", content)

    def remove(self, name):
        self.container.remove(f"{self.prefix}/{name.decode()}")


class AzureBlobs(Remote):
    # Azurite answers 500 to a listing with a control character that XML has no way to write.
    names = HOSTILE | LONG | DOTS | EMPTY


class S3Objects(Remote):
    # SeaweedFS keeps files in folders: it takes no dots for names, and no segment over 255 bytes.
    names = HOSTILE | CONTROL | {b"n/" * 480 + b"n"}


class GcsObjects(Remote):
    # fake-gcs-server has no way to write control characters in a listing; GCS has.
    names = HOSTILE | LONG | DOTS | EMPTY | {b"back\\slash"}


@pytest.fixture(params=[Local, AzureBlobs, S3Objects, GcsObjects], ids=lambda it: it.__name__)
def store(request, tmp_path):
    server = {AzureBlobs: "azurite", S3Objects: "seaweedfs", GcsObjects: "fakegcs"}
    if request.param is Local:
        return Local(tmp_path)
    return request.param(request.getfixturevalue(server[request.param]))


def watched(path="", depth=Depth.DIRECTORY):
    return Watched(datastore="landing", path=path, depth=depth)


def listed(store, path="", depth=Depth.DIRECTORY):
    """List, and see to it that it comes as the port promises."""
    pieces = list(store.open().scan(watched(path, depth)))
    names = [name for piece in pieces for name in piece.names]
    assert names == sorted(set(names))
    return reduce(or_, (dict(zip(*piece, strict=True)) for piece in pieces), {})


def test_a_place_without_files_has_none(store):
    if store.places:
        store.path(b"in").mkdir()
    assert listed(store, "in") == {}
    assert listed(store, "in", Depth.TREE) == {}


def test_every_name_is_told_and_read_byte_for_byte(store):
    for name in store.names:
        store.write(b"in/" + name, name)
    tree = listed(store, "in", Depth.TREE)
    assert set(tree) == store.names
    flat = listed(store, "in")
    assert set(flat) == {name for name in store.names if b"/" not in name}
    assert flat.items() <= tree.items()
    opened = store.open()
    assert opened.look(watched("in", Depth.TREE), store.names) == tree
    for name, facts in tree.items():
        into = BytesIO()
        opened.read(b"in/" + name, facts, into)
        assert into.getvalue() == name
        assert told(facts)["size"] == len(name)


def test_a_file_of_any_name_is_watched_alone(store):
    for name in store.names - EMPTY - DOTS:
        path = b"in/" + name
        if _text(path) is not None:
            store.write(path, name)
            found = listed(store, os.fsdecode(path), Depth.FILE)
            assert list(found) == [path.rpartition(b"/")[2]]


def _text(name):
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def test_an_address_is_plain_text_and_no_two_names_share_it(store):
    addresses = {store.open().url(b"in/" + name) for name in store.names}
    assert len(addresses) == len(store.names)
    for address in addresses:
        assert re.fullmatch(r"(file|az|s3|gs)://[A-Za-z0-9/._~%-]+", address), address


def test_the_path_a_program_is_given_opens_the_file_where_there_is_one(store):
    for name in store.names:
        path = store.open().local_path(b"in/" + name)
        if not store.places:
            assert path is None
            continue
        store.write(b"in/" + name, name)
        assert Path(path).read_bytes() == name


def test_only_files_directly_in_the_directory_count_unless_the_tree_is_watched(store):
    names = [b"top", b"in/a", b"in/b", b"in/deep/c", b"in/deep/er/d", b"inner/e", b"in-a"]
    for name in names:
        store.write(name)
    assert set(listed(store)) == {b"top", b"in-a"}
    assert set(listed(store, "in")) == {b"a", b"b"}
    assert set(listed(store, "in/deep")) == {b"c"}
    assert set(listed(store, "", Depth.TREE)) == set(names)
    assert set(listed(store, "in", Depth.TREE)) == {b"a", b"b", b"deep/c", b"deep/er/d"}


def test_a_tree_is_told_in_the_order_of_its_bytes(store):
    names = {b"a-b", b"a/x", b"a/y/z", b"a.b", b"a0", b"a b/c", b"A", "ä".encode(), b"a-b.c"}
    for name in names:
        store.write(b"in/" + name)
    assert set(listed(store, "in", Depth.TREE)) == names


def test_an_empty_file_is_a_file(store):
    store.write(b"in/_SUCCESS", b"")
    store.write(b"in/deep/_SUCCESS", b"")
    assert set(listed(store, "in")) == {b"_SUCCESS"}
    assert set(listed(store, "in", Depth.TREE)) == {b"_SUCCESS", b"deep/_SUCCESS"}
    assert told(listed(store, "in")[b"_SUCCESS"])["size"] == 0


def test_a_changed_file_has_other_facts_and_an_unchanged_one_the_same(store):
    store.write(b"in/a", b"one")
    store.write(b"in/b", b"one")
    before = listed(store, "in")
    store.write(b"in/a", b"two")
    after = listed(store, "in")
    assert after[b"a"] != before[b"a"]
    assert after[b"b"] == before[b"b"]


def test_writing_the_same_again_is_told(store):
    store.write(b"in/a", b"one")
    before = listed(store, "in")

    def again():
        store.write(b"in/a", b"one")
        return listed(store, "in") != before

    # Where there is no more to tell it by than the second of the change, that has to pass.
    until(again)


def test_a_file_removed_and_written_anew_is_told(store):
    store.write(b"in/a", b"one")
    before = listed(store, "in")

    def anew():
        store.remove(b"in/a")
        store.write(b"in/a", b"one")
        return listed(store, "in") != before

    until(anew)


def test_a_file_that_was_removed_is_gone(store):
    store.write(b"in/a")
    store.write(b"in/b")
    assert set(listed(store, "in")) == {b"a", b"b"}
    store.remove(b"in/a")
    assert set(listed(store, "in")) == {b"b"}


def test_looking_at_files_tells_what_a_listing_tells(store):
    for name in (b"in/a", b"in/deep/b", b"in/empty"):
        store.write(name, b"" if name == b"in/empty" else name)
    tree = listed(store, "in", Depth.TREE)
    opened = store.open()
    asked = [b"a", b"deep/b", b"empty", b"missing", b"a/below", b"\xff"]
    assert opened.look(watched("in", Depth.TREE), asked) == tree
    assert opened.look(watched("in"), []) == {}
    assert opened.look(watched("in"), [b"missing"]) == {}


def test_looking_at_very_many_files_tells_the_same(store):
    store.write(b"in/a")
    asked = [b"a", *(b"missing-%d" % number for number in range(2_000))]
    assert store.open().look(watched("in"), asked) == listed(store, "in")


def test_one_file_can_be_watched_whether_it_is_there_or_not(store):
    store.write(b"in/other")
    assert listed(store, "in/a", Depth.FILE) == {}
    store.write(b"in/a", b"one")
    assert listed(store, "in/a", Depth.FILE) == {b"a": listed(store, "in")[b"a"]}
    store.write(b"top", b"one")
    assert set(listed(store, "top", Depth.FILE)) == {b"top"}


def test_a_file_is_read_in_exactly_the_state_that_was_seen(store):
    store.write(b"in/a", b"first")
    seen = listed(store, "in")[b"a"]
    into = BytesIO()
    store.write(b"in/a", b"again")
    with pytest.raises(FileChanged):
        store.open().read(b"in/a", seen, into)
    store.remove(b"in/a")
    for name in (b"in/a", b"in/nothing"):
        with pytest.raises(FileChanged):
            store.open().read(name, seen, into)
    assert into.getvalue() == b""


def test_a_large_file_is_read_to_its_end(store):
    content = bytes(range(256)) * 20_000
    store.write(b"in/large", content)
    into = BytesIO()
    store.open().read(b"in/large", listed(store, "in")[b"large"], into)
    assert into.getvalue() == content


def test_the_place_is_the_same_as_long_as_nobody_changes_it(store):
    store.write(b"in/a")
    assert store.open().place(watched("in")) == store.open().place(watched("in"))


def test_what_is_not_there_at_all_is_an_error_and_not_empty(store, monkeypatch):
    # fake-gcs-server answers 500, which a store that is busy would be asked again for.
    monkeypatch.setattr(objects, "_RETRIES", {"max_retries": 0})
    opened = store.open()
    if store.places:
        store.root.rmdir()
    else:
        store.container.drop()
    for look in (
        lambda: list(opened.scan(watched("in"))),
        lambda: list(opened.scan(watched("in", Depth.TREE))),
        lambda: list(opened.scan(watched("in/a", Depth.FILE))),
        lambda: opened.look(watched("in"), [b"a"]),
    ):
        with pytest.raises(DatastoreError, match=r"\S; \S"):
            look()
