"""What the system tells of changes in folders; waits are for what is told, and never a sleep."""

from __future__ import annotations

import logging
import os
import shutil
import threading

import pytest

from reconciler.data import Depth, Watched
from reconciler.datastore import events
from reconciler.datastore.events import Waker
from reconciler.datastore.local import LocalDatastore
from tests.processes import until


def watched(path="in", depth=Depth.DIRECTORY):
    return Watched(datastore="landing", path=path, depth=depth)


class Heard:
    """A waker, and all it told of so far: names by key, and how often of anything."""

    def __init__(self, store):
        self.store = store
        self.poked = threading.Event()
        self.waker = Waker(self.poked.set)
        self.names, self.anything = {}, {}

    def watch(self, key, what):
        """Watch, until it is listened to."""
        before = self.anything.get(key, 0)
        self.waker.watch(key, self.store, what)
        self.until(lambda: self.anything.get(key, 0) > before)

    def until(self, condition):
        for _ in range(600):
            self.take()
            if condition():
                return
            self.poked.wait(0.1)
            self.poked.clear()
        raise AssertionError((self.names, self.anything))

    def take(self):
        for key, names in self.waker.taken().items():
            if names is None:
                self.anything[key] = self.anything.get(key, 0) + 1
            else:
                self.names.setdefault(key, set()).update(names)

    def hears(self, key, *names):
        self.until(lambda: self.names.get(key, set()).issuperset(names))


@pytest.fixture
def heard(tmp_path):
    (tmp_path / "in").mkdir()
    made = Heard(LocalDatastore(tmp_path.as_uri()))
    yield made
    made.waker.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "events"]


def test_files_that_come_change_and_go_are_told_by_name(heard, tmp_path):
    heard.watch(1, watched())
    names = [b"a b", b"new\nline", "é".encode(), "e\u0301".encode(), b"-rf", b"$(x)", b"n" * 255]
    for name in names:
        (tmp_path / "in" / os.fsdecode(name)).write_bytes(b"x")
    heard.hears(1, *names)
    for change in (lambda file: file.write_bytes(b"y"), os.utime, os.unlink):
        heard.names.clear()
        change(tmp_path / "in/a b")
        heard.hears(1, b"a b")
    assert heard.names == {1: {b"a b"}}


def test_a_file_that_is_moved_in_is_told(heard, tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    heard.watch(1, watched())
    (tmp_path / "a").rename(tmp_path / "in/b")
    heard.hears(1, b"b")


def test_a_name_that_is_no_text_is_told_as_anything_and_what_follows_by_name(heard, tmp_path):
    heard.watch(1, watched())
    for _ in range(2):
        before = heard.anything[1]
        (tmp_path / "in" / os.fsdecode(b"\xff\xfe")).write_bytes(b"x")
        heard.until(lambda before=before: heard.anything[1] > before)

    def again():
        (tmp_path / "in/a").write_bytes(b"x")
        return b"a" in heard.names.get(1, ())

    heard.until(again)


def test_each_watch_is_told_of_its_own_files(heard, tmp_path):
    (tmp_path / "in/deep").mkdir()
    heard.watch(1, watched())
    heard.watch(2, watched("in/deep"))
    heard.watch(3, watched("in", Depth.TREE))
    heard.watch(4, watched("in/deep", Depth.TREE))
    heard.watch(5, watched("in/deep/b", Depth.FILE))
    heard.watch(6, watched(""))
    for name in ("a", "deep/b", "deep/c"):
        (tmp_path / "in" / name).write_bytes(b"x")
    heard.hears(1, b"a")
    heard.hears(2, b"b", b"c")
    heard.hears(3, b"a", b"deep/b", b"deep/c")
    heard.hears(4, b"b", b"c")
    heard.hears(5, b"b")
    assert heard.names[2] == heard.names[4] == {b"b", b"c"}
    assert heard.names[5] == {b"b"}
    assert 6 not in heard.names


def test_folders_that_are_new_in_a_tree_are_listened_to_and_their_files_told(heard, tmp_path):
    (tmp_path / "made/of/many").mkdir(parents=True)
    (tmp_path / "made/of/many/a").write_bytes(b"x")
    (tmp_path / "made/b").write_bytes(b"x")
    heard.watch(1, watched("in", Depth.TREE))
    (tmp_path / "made").rename(tmp_path / "in/made")
    heard.hears(1, b"made/of/many/a", b"made/b")
    (tmp_path / "in/made/of/many/c").write_bytes(b"x")
    (tmp_path / "in/made/of/d").write_bytes(b"x")
    heard.hears(1, b"made/of/many/c", b"made/of/d")


def test_a_burst_is_told_completely_or_as_anything(heard, tmp_path):
    heard.watch(1, watched())
    before = heard.anything[1]
    for number in range(20_000):
        (tmp_path / f"in/{number}").touch()
    heard.until(lambda: heard.anything[1] > before or len(heard.names.get(1, ())) == 20_000)


def test_more_files_than_are_worth_naming_are_told_as_anything(heard, tmp_path, monkeypatch):
    monkeypatch.setattr(events, "MOST_NAMES", 3)
    heard.watch(1, watched())
    before = heard.anything[1]
    heard.names.clear()
    for number in range(9):
        (tmp_path / f"in/{number}").touch()
    heard.until(lambda: heard.anything[1] > before)


def test_a_folder_that_is_made_again_is_listened_to_again(heard, tmp_path):
    heard.watch(1, watched())
    for gone in (shutil.rmtree, lambda folder: folder.rename(tmp_path / "out")):
        before = heard.anything[1]
        gone(tmp_path / "in")
        heard.until(lambda before=before: heard.anything[1] > before)
        heard.waker.watch(1, heard.store, watched())  # it is not there, which a look will tell
        (tmp_path / "in").mkdir()
        heard.watch(1, watched())
        heard.names.clear()
        (tmp_path / "in/a").write_bytes(b"x")
        heard.hears(1, b"a")


def test_what_is_watched_already_is_not_watched_again(heard, tmp_path):
    heard.watch(1, watched())
    before = dict(heard.anything)
    heard.waker.watch(1, heard.store, watched())
    heard.watch(2, watched())
    (tmp_path / "in/a").write_bytes(b"x")
    heard.hears(2, b"a")
    assert heard.anything == {**before, 2: 1}


def test_nothing_is_missed_while_other_folders_join(heard, tmp_path):
    heard.watch(1, watched())
    for number in range(20):
        (tmp_path / f"other-{number}").mkdir()
        (tmp_path / f"in/{number}-before").touch()
        heard.waker.watch(2 + number, heard.store, watched(f"other-{number}"))
        (tmp_path / f"in/{number}-after").touch()
    heard.hears(1, *(b"%d-%b" % (n, b) for n in range(20) for b in (b"before", b"after")))
    assert heard.anything[1] == 1


def test_who_watches_no_more_is_told_nothing(heard, tmp_path):
    heard.watch(1, watched())
    heard.watch(2, watched())
    heard.waker.unwatch(1)
    heard.waker.unwatch(7)
    heard.names.clear()
    (tmp_path / "in/a").write_bytes(b"x")
    heard.hears(2, b"a")
    assert 1 not in heard.names
    heard.waker.unwatch(2)
    heard.watch(3, watched())
    (tmp_path / "in/b").write_bytes(b"x")
    heard.hears(3, b"b")


def test_a_watch_may_become_one_of_a_whole_tree(heard, tmp_path):
    (tmp_path / "in/deep").mkdir()
    heard.watch(1, watched())
    heard.watch(1, watched("in", Depth.TREE))
    (tmp_path / "in/deep/a").write_bytes(b"x")
    heard.hears(1, b"deep/a")


def test_a_folder_that_cannot_be_watched_does_not_keep_the_others_from_it(heard, tmp_path, caplog):
    odd = os.fsdecode(b"\xff")
    (tmp_path / odd).mkdir()
    heard.watch(1, watched())
    heard.watch(2, watched(odd))
    (tmp_path / "in/a").write_bytes(b"x")
    heard.hears(1, b"a")
    heard.watch(3, watched(""))
    (warned,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "1 folders are looked at by the clock alone" in warned.getMessage()
    assert "\\udcff' cannot be watched" in warned.getMessage()


def test_a_limit_of_the_system_leaves_the_clock(heard, tmp_path, caplog, monkeypatch):
    from watchfiles import _rust_notify

    real = _rust_notify.RustNotify

    def limited(folders, **more):
        if len(folders) > 1:
            raise OSError("OS file watch limit reached")
        return real(folders, **more)

    heard.watch(1, watched())
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(_rust_notify, "RustNotify", limited)
    heard.watch(2, watched("out"))
    assert "2 folders are looked at by the clock alone" in caplog.text
    assert "limit reached" in caplog.text
    monkeypatch.setattr(_rust_notify, "RustNotify", real)
    heard.watch(3, watched())
    (tmp_path / "out/a").write_bytes(b"x")
    heard.hears(2, b"a")


def test_a_folder_that_is_not_there_or_not_on_this_machine_is_left_alone(heard):
    class Elsewhere:
        def local_path(self, path):
            return None

    heard.waker.watch(1, heard.store, watched("nowhere"))
    heard.waker.watch(2, heard.store, watched("../out"))
    heard.waker.watch(3, Elsewhere(), watched())
    assert heard.waker.taken() == {}
    assert not [thread for thread in threading.enumerate() if thread.name == "events"]


def test_a_waker_that_is_closed_watches_nothing(heard, tmp_path):
    heard.watch(1, watched())
    heard.waker.close()
    heard.waker.watch(2, heard.store, watched(""))
    (tmp_path / "in/a").write_bytes(b"x")
    assert heard.waker.taken() == {}
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "events"])
