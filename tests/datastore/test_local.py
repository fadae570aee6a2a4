from __future__ import annotations

import io
import os
import re
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.data import Depth, Watched
from reconciler.datastore import local
from reconciler.datastore.local import LocalDatastore
from reconciler.errors import DatastoreError, FileChanged


@pytest.fixture
def store(tmp_path):
    return LocalDatastore(tmp_path.as_uri())


def watched(path="", depth=Depth.DIRECTORY):
    return Watched(datastore="landing", path=path, depth=depth)


def listed(store, path="", depth=Depth.DIRECTORY):
    """List it, and see that names are in order and each there once."""
    names, facts = [], []
    for files in store.scan(watched(path, depth)):
        names += files.names
        facts += files.facts
    assert names == sorted(set(names))
    return dict(zip(names, facts, strict=True))


def facts_of(path):
    status = path.stat()
    return b"%d %d@%d" % (status.st_size, status.st_mtime_ns, status.st_ino)


def names_in(folder):
    return {os.fsencode(path.name) for path in folder.iterdir()}


def put(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# The address


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
    assert LocalDatastore(url).local_path(b"") == path


@pytest.mark.parametrize(
    "url", ["file:data", "file://host/data", "file:", "s3://bucket/a", "/data", "file:///a%00b", ""]
)
def test_any_other_url_is_refused(url):
    with pytest.raises(DatastoreError, match="write file:///absolute/path"):
        LocalDatastore(url)


def test_the_address_of_a_file_holds_nothing_but_plain_text():
    store = LocalDatastore("file:///data/a%20b")
    assert store.url(b"in/\xff 1%#?~") == "file:///data/a%20b/in/%FF%201%25%23%3F~"


# What counts as a file


def test_a_link_to_a_file_counts_as_that_file(store, tmp_path):
    real = put(tmp_path / "real.csv", b"12345")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link.csv").symlink_to("../real.csv")
    expected = {b"link.csv": facts_of(real)}
    assert listed(store, "in") == expected
    assert store.look(watched("in"), [b"link.csv"]) == expected


def test_links_that_lead_nowhere_and_what_is_no_file_are_left_out(store, tmp_path):
    put(tmp_path / "a")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "below-a-file").symlink_to("a/b")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "too-long").symlink_to("n" * 300)
    (tmp_path / "folder").mkdir()
    (tmp_path / "linked-folder").symlink_to("folder")
    os.mkfifo(tmp_path / "pipe")
    assert set(listed(store)) == {b"a"}
    assert set(listed(store, depth=Depth.TREE)) == {b"a"}
    assert set(store.look(watched(), names_in(tmp_path))) == {b"a"}


def test_a_socket_is_no_file(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert listed(store) == {}


# Links and folders


def test_a_linked_folder_within_the_datastore_is_entered(store, tmp_path):
    put(tmp_path / "real/a")
    (tmp_path / "link").symlink_to("real")
    assert set(listed(store, "link")) == {b"a"}


def test_a_linked_folder_outside_the_datastore_is_refused(tmp_path):
    put(tmp_path / "landing-2/a")
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing/link").symlink_to("../landing-2")
    store = LocalDatastore((tmp_path / "landing").as_uri())
    for call in (
        lambda: listed(store, "link/"),
        lambda: listed(store, "link/a", Depth.FILE),
        lambda: store.look(watched("link"), [b"a"]),
        lambda: store.place(watched("link")),
        lambda: store.local_path(b"link/a"),
        lambda: store.read(b"link/a", b"1 1@1", io.BytesIO()),
    ):
        with pytest.raises(DatastoreError, match="through a symbolic link"):
            call()


def test_the_datastore_itself_may_be_a_link(tmp_path):
    put(tmp_path / "real/in/a")
    (tmp_path / "link").symlink_to("real")
    store = LocalDatastore((tmp_path / "link").as_uri())
    assert set(listed(store, "in")) == {b"a"}
    assert store.local_path(b"in/a") == str(tmp_path / "link/in/a")


def test_a_tree_is_listed_in_the_order_of_whole_names(store, tmp_path):
    for name in ["a/x", "a-b/z", "a.c", "a0", "a/b/y", "z", "a/b-c/y", "é/ü"]:
        put(tmp_path / name)
    (tmp_path / "empty/folder").mkdir(parents=True)
    found = listed(store, depth=Depth.TREE)
    expected = {
        os.fsencode(path.relative_to(tmp_path)): facts_of(path)
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert found == expected
    assert set(listed(store, "a", Depth.TREE)) == {b"x", b"b/y", b"b-c/y"}


def test_a_tree_does_not_follow_links_to_folders(store, tmp_path):
    put(tmp_path / "real/a")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to("../real")
    (tmp_path / "tree/self").symlink_to(".")
    assert listed(store, "tree", Depth.TREE) == {}
    tree = watched("tree", Depth.TREE)
    assert store.look(tree, [b"link/a", b"self/link/a"]) == {}


def test_a_tree_that_is_too_deep_says_so(store, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_DEEPEST", 2)
    put(tmp_path / "1/2/a")
    assert set(listed(store, depth=Depth.TREE)) == {b"1/2/a"}
    put(tmp_path / "1/2/3/a")
    with pytest.raises(DatastoreError, match="'1/2/3/' lies deeper than 2 levels"):
        listed(store, depth=Depth.TREE)


def test_many_files_come_in_many_pieces(store, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_BATCH", 2)
    for number in range(7):
        put(tmp_path / f"{number}")
    put(tmp_path / "3-in/a")
    (tmp_path / "5-nowhere").symlink_to("nowhere")
    pieces = list(store.scan(watched(depth=Depth.TREE)))
    assert max(len(files.names) for files in pieces) == 2
    assert b"".join(name for files in pieces for name in files.names) == b"01233-in/a456"


def test_one_file_is_looked_at_alone(store, tmp_path):
    put(tmp_path / "in/a")
    file = put(tmp_path / "in/b")
    assert listed(store, "in/b", Depth.FILE) == {b"b": facts_of(file)}
    assert listed(store, "in/c", Depth.FILE) == {}
    with pytest.raises(DatastoreError, match="does not exist; create it"):
        listed(store, "out/b", Depth.FILE)


def test_only_the_files_that_are_named_are_looked_at(store, tmp_path):
    here = put(tmp_path / "in/a")
    deep = put(tmp_path / "in/deep/b")
    put(tmp_path / "in/c")
    tree = watched("in", Depth.TREE)
    names = [b"a", b"deep/b", b"deep", b"deep/none", b"none/b", b"a/b"]
    assert store.look(tree, names) == {b"a": facts_of(here), b"deep/b": facts_of(deep)}
    assert store.look(watched("in"), names) == {b"a": facts_of(here)}
    assert store.look(tree, []) == {}


@pytest.mark.parametrize("name", [b"../a", b"deep/../../a", b"/etc/passwd", b"a\0"])
def test_no_name_leaves_the_watched_folder(store, tmp_path, name):
    put(tmp_path / "in/deep/b")
    with pytest.raises(DatastoreError, match="leaves the datastore"):
        store.look(watched("in", Depth.TREE), [name])


# What the system refuses


def test_a_file_in_place_of_a_folder_is_an_error(store, tmp_path):
    put(tmp_path / "file")
    with pytest.raises(DatastoreError, match="is not a folder"):
        listed(store, "file")


def test_a_folder_the_system_refuses_is_an_error_in_its_words(store):
    with pytest.raises(DatastoreError, match="cannot be listed: File name too long"):
        listed(store, "n" * 300)


@contextmanager
def somebody(folder, mode):
    """Be a user for whom a folder has this mode, which root never is."""
    user = os.geteuid()
    folder.chmod(mode)
    os.seteuid(65534 if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o700)


@pytest.fixture
def open_folder():
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_folder_that_may_not_be_read_is_an_error_and_not_empty(open_folder, mode):
    put(open_folder / "closed/a")
    put(open_folder / "closed/deep/b")
    store = LocalDatastore(open_folder.as_uri())
    refused = pytest.raises(DatastoreError, match="cannot be listed: Permission denied")
    with somebody(open_folder / "closed", mode):
        with refused:
            listed(store, "closed")
        with refused:
            listed(store, depth=Depth.TREE)
        with refused:
            store.look(watched("", Depth.TREE), [b"closed/a"])
        with pytest.raises(DatastoreError, match=r"'.*closed/a' cannot be read: Permission denied"):
            store.read(b"closed/a", b"1 1@1", io.BytesIO())


def test_a_link_to_what_may_not_be_seen_leads_nowhere_and_hides_no_other_file(open_folder):
    put(open_folder / "in/a")
    put(open_folder / "closed/b")
    (open_folder / "in/b").symlink_to("../closed/b")
    store = LocalDatastore(open_folder.as_uri())
    with somebody(open_folder / "closed", 0o000):
        assert set(listed(store, "in")) == {b"a"}
        assert set(store.look(watched("in"), [b"a", b"b"])) == {b"a"}


# What changes meanwhile


@pytest.fixture
def meanwhile(monkeypatch):
    """Let something happen once, between reading the names in a folder and looking at the files."""

    def arrange(happens, at=""):
        real = local._entries

        def entries(fd):
            found = real(fd)
            if str(Path(f"/proc/self/fd/{fd}").readlink()).endswith(at):
                monkeypatch.setattr(local, "_entries", real)
                happens()
            return found

        monkeypatch.setattr(local, "_entries", entries)

    return arrange


def test_a_file_that_vanishes_meanwhile_is_left_out(store, tmp_path, meanwhile):
    put(tmp_path / "a")
    put(tmp_path / "b")
    meanwhile((tmp_path / "a").unlink)
    assert set(listed(store)) == {b"b"}


def test_a_folder_that_vanishes_meanwhile_is_an_error_and_not_empty(store, tmp_path, meanwhile):
    put(tmp_path / "in/a")
    meanwhile(lambda: (tmp_path / "in").rename(tmp_path / "out"))
    with pytest.raises(DatastoreError, match="does not exist"):
        listed(store, "in")


def replace(folder):
    folder.rename(folder.with_name("out"))
    folder.mkdir()


def test_a_folder_that_is_replaced_meanwhile_is_an_error_and_not_empty(store, tmp_path, meanwhile):
    put(tmp_path / "in/a")
    meanwhile(lambda: replace(tmp_path / "in"))
    with pytest.raises(DatastoreError, match="was replaced while it was listed"):
        listed(store, "in")


def test_a_folder_of_a_tree_that_is_replaced_meanwhile_is_an_error(store, tmp_path, meanwhile):
    put(tmp_path / "deep/in/a")
    meanwhile(lambda: replace(tmp_path / "deep/in"), at="/deep/in")
    with pytest.raises(DatastoreError, match="folder 'in' was replaced while it was listed"):
        listed(store, depth=Depth.TREE)


def test_a_folder_of_a_tree_that_is_removed_meanwhile_is_gone(store, tmp_path, meanwhile):
    put(tmp_path / "a")
    put(tmp_path / "in/deep/b")

    def remove():
        (tmp_path / "in/deep/b").unlink()
        (tmp_path / "in/deep").rmdir()
        (tmp_path / "in").rmdir()

    meanwhile(remove, at="/deep")
    assert set(listed(store, depth=Depth.TREE)) == {b"a"}
    put(tmp_path / "in/deep/b")
    meanwhile(remove, at="/in")
    assert set(listed(store, depth=Depth.TREE)) == {b"a"}


def test_a_folder_of_a_tree_that_becomes_a_link_meanwhile_is_not_entered(
    store, tmp_path, meanwhile
):
    put(tmp_path / "tree/in/a")
    put(tmp_path / "elsewhere/secret")

    def link():
        (tmp_path / "tree/in").rename(tmp_path / "out")
        (tmp_path / "tree/in").symlink_to("../elsewhere")

    meanwhile(link)
    assert listed(store, "tree", Depth.TREE) == {}


def test_a_listing_that_is_not_taken_to_its_end_leaves_nothing_open(store, tmp_path):
    put(tmp_path / "in/a")
    put(tmp_path / "in/b")
    before = names_in(Path("/proc/self/fd"))
    scan = store.scan(watched(depth=Depth.TREE))
    next(scan)
    scan.close()
    assert names_in(Path("/proc/self/fd")) == before


# Where it lies


def test_the_place_of_a_folder_is_its_mount_and_not_its_own(store, tmp_path):
    (tmp_path / "in").mkdir()
    place = store.place(watched("in"))
    (tmp_path / "in").rename(tmp_path / "out")
    (tmp_path / "in").mkdir()
    assert store.place(watched("in")) == place
    point, kind = re.fullmatch(r"(/.*) \((\S+)\)", place).groups()
    assert str(tmp_path).startswith(point)
    assert kind in Path("/proc/self/mountinfo").read_text()


def test_another_mount_is_another_place_and_the_same_one_mounted_anew_is_not():
    places = {
        path: LocalDatastore(f"file://{path}").place(watched())
        for path in ("/proc", "/proc/self", "/dev/shm", "/")
    }
    assert places["/proc"] == places["/proc/self"] == "/proc (proc)"
    assert len(set(places.values())) == 3


def test_the_place_of_a_folder_that_is_not_there_is_an_error(store):
    with pytest.raises(DatastoreError, match="does not exist; create it"):
        store.place(watched("in"))


def test_where_the_system_tells_of_no_mounts_no_place_is_told(store, monkeypatch):
    def closed(path, mode):
        raise FileNotFoundError(path)

    monkeypatch.setattr(local, "open", closed, raising=False)
    assert store.place(watched()) == ""


# Reading


def read(store, path, facts):
    into = io.BytesIO()
    store.read(path, facts, into)
    return into.getvalue()


def test_a_file_is_read_in_the_state_that_is_asked_for(store, tmp_path):
    content = bytes(range(256)) * 9000
    file = put(tmp_path / "in/a", content)
    assert read(store, b"in/a", facts_of(file)) == content


def rewrite(file):
    file.write_bytes(b"longer")


def make_folder(file):
    file.unlink()
    file.mkdir()


def make_pipe(file):
    file.unlink()
    os.mkfifo(file)


def make_socket(file):
    file.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(file))


def make_loop(file):
    file.unlink()
    file.symlink_to(file.name)


def test_a_state_that_says_nothing_of_the_inode_is_that_of_any(store, tmp_path):
    file = put(tmp_path / "in/a", b"text")
    assert read(store, b"in/a", facts_of(file).partition(b"@")[0]) == b"text"


@pytest.mark.parametrize(
    "change", [rewrite, Path.unlink, Path.touch, make_folder, make_pipe, make_socket, make_loop]
)
def test_a_file_in_another_state_is_not_read(store, tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    file = put(tmp_path / "in/a")
    os.utime(file, ns=(1, 1))
    facts = facts_of(file)
    change(file)
    with pytest.raises(FileChanged, match="is not any more in the state that was asked for"):
        read(store, b"in/a", facts)


def test_a_file_that_changes_while_it_is_read_is_told(store, tmp_path):
    file = put(tmp_path / "a", b"x" * (3 << 20))
    facts = facts_of(file)

    class Into(io.RawIOBase):
        def write(self, block):
            os.utime(file, ns=(1, 1))
            return len(block)

    with pytest.raises(FileChanged):
        store.read(b"a", facts, Into())


def test_what_cannot_be_written_is_no_fault_of_the_file(store, tmp_path):
    file = put(tmp_path / "a")
    with Path("/dev/full").open("wb", buffering=0) as into, pytest.raises(OSError, match="space"):
        store.read(b"a", facts_of(file), into)
