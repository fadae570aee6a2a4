from __future__ import annotations

import os
import socket
import tempfile
from contextlib import nullcontext
from pathlib import Path

import pytest

from reconciler.datastore.local import LocalDatastore
from reconciler.errors import DatastoreError
from reconciler.trigger.arrivals import FileVersion


@pytest.fixture
def store(tmp_path):
    return LocalDatastore(tmp_path.as_uri())


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///data/landing", "/data/landing"),
        ("file:/data/landing/", "/data/landing"),
        ("file://localhost/data", "/data"),
        ("file:///with%20space/%C3%BC", "/with space/ü"),
        ("file:///a#b?c", "/a#b?c"),
        ("file:///", "/"),
        ("file:///a/../b", "/b"),
    ],
)
def test_a_url_names_an_absolute_folder(url, path):
    assert LocalDatastore(url).local_path("") == path


@pytest.mark.parametrize(
    "url", ["file:data", "file://host/data", "file:", "s3://bucket/a", "/data", "file:///a%00b", ""]
)
def test_any_other_url_is_refused(url):
    with pytest.raises(DatastoreError, match="write file:///absolute/path"):
        LocalDatastore(url)


def test_a_link_to_a_file_counts_as_that_file(store, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "real.csv").write_bytes(b"12345")
    (tmp_path / "in/link.csv").symlink_to("../real.csv")
    status = (tmp_path / "real.csv").stat()
    expected = FileVersion(5, status.st_mtime_ns, status.st_ino)
    assert store.list("in").files == {b"link.csv": expected}


def test_links_that_lead_nowhere_and_what_is_no_file_are_left_out(store, tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "below-a-file").symlink_to("a/b")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "linked-folder").symlink_to("folder")
    os.mkfifo(tmp_path / "pipe")
    assert set(store.list("").files) == {b"a"}


def test_a_socket_is_no_file(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert store.list("").files == {}


def test_a_linked_folder_within_the_datastore_is_entered(store, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    assert set(store.list("link").files) == {b"a"}


def test_a_linked_folder_outside_the_datastore_is_refused(tmp_path):
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing-2").mkdir()
    (tmp_path / "landing/link").symlink_to("../landing-2")
    store = LocalDatastore((tmp_path / "landing").as_uri())
    for call in (store.list, store.local_path):
        with pytest.raises(DatastoreError, match="through a symbolic link"):
            call("link/")


def test_the_datastore_itself_may_be_a_link(tmp_path):
    (tmp_path / "real/in").mkdir(parents=True)
    (tmp_path / "real/in/a").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    store = LocalDatastore((tmp_path / "link").as_uri())
    assert set(store.list("in").files) == {b"a"}
    assert store.local_path("in/a") == str(tmp_path / "link/in/a")


def test_a_file_in_place_of_a_folder_is_an_error(store, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(DatastoreError, match="is not a folder"):
        store.list("file")


def test_a_folder_the_system_refuses_is_an_error_in_its_words(store):
    with pytest.raises(DatastoreError, match="cannot be listed: File name too long"):
        store.list("n" * 300)


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_folder_that_may_not_be_read_is_an_error_and_not_empty(mode):
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        folder = Path(made, "closed")
        folder.mkdir()
        (folder / "a").write_bytes(b"x")
        folder.chmod(mode)
        store = LocalDatastore(Path(made).as_uri())
        os.seteuid(65534 if user == 0 else user)
        try:
            with pytest.raises(DatastoreError, match="cannot be listed: Permission denied"):
                store.list("closed")
        finally:
            os.seteuid(user)
            folder.chmod(0o700)


@pytest.fixture
def meanwhile(monkeypatch):
    """Let something happen between reading the names in a folder and looking at the files."""

    def arrange(happens):
        real = os.scandir

        def scandir(path):
            with real(path) as entries:
                names = list(entries)
            happens()
            return nullcontext(names)

        monkeypatch.setattr("reconciler.datastore.local.os.scandir", scandir)

    return arrange


def test_a_file_that_vanishes_meanwhile_is_left_out(store, tmp_path, meanwhile):
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").write_bytes(b"x")
    meanwhile((tmp_path / "a").unlink)
    assert set(store.list("").files) == {b"b"}


def test_a_folder_that_vanishes_meanwhile_is_an_error_and_not_empty(store, tmp_path, meanwhile):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_bytes(b"x")
    meanwhile(lambda: (tmp_path / "in").rename(tmp_path / "out"))
    with pytest.raises(DatastoreError, match="does not exist"):
        store.list("in")


def test_a_folder_that_is_replaced_meanwhile_is_an_error_and_not_empty(store, tmp_path, meanwhile):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_bytes(b"x")

    def replace():
        (tmp_path / "in").rename(tmp_path / "out")
        (tmp_path / "in").mkdir()

    meanwhile(replace)
    with pytest.raises(DatastoreError, match="was replaced while it was listed"):
        store.list("in")
