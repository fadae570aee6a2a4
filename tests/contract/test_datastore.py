"""What every datastore does with the files that land in it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest

from reconciler.datastore.local import LocalDatastore
from reconciler.errors import DatastoreError
from reconciler.trigger.arrivals import FileVersion


class Local:
    """A folder that files land in, its own name as hostile as theirs."""

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


@pytest.fixture(params=[Local])
def store(request, tmp_path):
    return request.param(tmp_path)


HOSTILE = [
    b"plain.csv",
    b"with space",
    b"new\nline",
    b"'quote\"",
    b"$(touch owned)",
    b"`touch owned`",
    b";rm -rf *",
    b"-rf",
    b"\xff\xfe not text",
    "中文 ü".encode(),
    b"%2e%2e%2fetc",
    b"back\\slash",
    b"...",
    b"\x1b[31mred",
    b"n" * 255,
]


def test_an_empty_folder_holds_no_files(store):
    assert store.open().list("").files == {}


def test_every_name_is_told_byte_for_byte(store):
    for name in HOSTILE:
        store.write(name)
    assert set(store.open().list("").files) == set(HOSTILE)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_path_a_program_is_given_opens_the_file(store, name):
    store.write(b"in/" + name, name)
    assert Path(store.open().local_path("in/" + os.fsdecode(name))).read_bytes() == name


def test_only_files_directly_in_the_folder_count(store):
    for name in [b"top", b"in/a", b"in/b", b"in/deep/c", b"inner/d"]:
        store.write(name)
    assert set(store.open().list("in").files) == {b"a", b"b"}
    assert set(store.open().list("in/deep/").files) == {b"c"}
    assert set(store.open().list("").files) == {b"top"}


def test_a_changed_file_has_another_version_and_an_unchanged_one_the_same(store):
    store.write(b"a", b"one")
    store.write(b"b", b"one")
    before = store.open().list("").files
    assert before[b"a"].size == 3
    store.write(b"a", b"longer")
    after = store.open().list("").files
    assert after[b"a"] != before[b"a"]
    assert after[b"b"] == before[b"b"]


def test_a_file_that_was_removed_is_gone(store):
    store.write(b"a")
    store.write(b"b")
    opened = store.open()
    assert set(opened.list("").files) == {b"a", b"b"}
    store.path(b"a").unlink()
    assert set(opened.list("").files) == {b"b"}


def test_a_missing_folder_is_an_error_and_not_empty(store):
    with pytest.raises(DatastoreError, match="does not exist; create it"):
        store.open().list("nowhere")


@pytest.mark.parametrize("path", ["..", "in/../..", "../landing", "in/..", "/etc", "/", "in/\0"])
def test_no_path_leaves_the_datastore(store, path):
    store.write(b"in/a")
    for call in (store.open().list, store.open().local_path):
        with pytest.raises(DatastoreError, match="leaves the datastore"):
            call(path)


def test_a_path_need_not_exist_to_be_given_to_a_program_that_writes(store):
    opened = store.open()
    assert opened.local_path("new/model.json") == str(store.root / "new/model.json")
    assert opened.local_path("./new//folder/") == str(store.root / "new/folder")
    assert opened.local_path("") == str(store.root)


def test_a_version_is_size_modification_time_and_inode(store):
    store.write(b"a", b"12345")
    os.utime(store.path(b"a"), ns=(1, 1_700_000_000_123_456_789))
    inode = store.path(b"a").stat().st_ino
    expected = FileVersion(size=5, mtime_ns=1_700_000_000_123_456_789, inode=inode)
    assert store.open().list("").files == {b"a": expected}
