"""What is known about a file, from a real ledger that a real runner wrote, and a real folder."""

import os

import pytest

from reconciler.data import Depth, Watched
from reconciler.errors import DatastoreError, ReconcilerError
from reconciler.reconcile import operate
from reconciler.reconcile.evidence import gather, name_in, paths_meant
from reconciler.reconcile.explain_file import explain_file
from reconciler.schedule import Missed
from tests.runner.test_data import LANDING, SHOW, on_arrival
from tests.site import HELLO, minutely


@pytest.fixture
def landing(place):
    folder = place.project / "landing" / "in"
    folder.mkdir(parents=True)
    return folder


def look(place, seconds=60):
    place.forward(seconds)
    place.poll()


def about(place, file, name="on-arrival", opened=None):
    here = operate.find_schedule(place.registry.live(), name)
    now = place.registry.now()
    open_store = opened or place.datastore
    return gather(place.ledger, here, file, str(place.project), now, open_store)


def told(place, file, **more):
    return explain_file(about(place, file, **more))


def begin(place, *, more="", **fields):
    place.apply(a=SHOW, b=LANDING, c=on_arrival(**{"settle": "0s", **fields}) + more)
    place.poll()


def test_a_file_is_followed_from_the_store_to_its_run(place, landing):
    (landing / "old.csv").write_text("old")
    place.apply(a=SHOW, b=LANDING, c=on_arrival(settle="10s"))
    assert told(place, "old.csv").code == "baselining"
    place.poll()
    assert told(place, "old.csv").code == "existing"
    assert told(place, "x.csv").code == "absent"
    (landing / "x.csv").write_text("data")
    found = told(place, "x.csv")
    assert (found.code, found.chain[-1].step) == ("not_looked", "look")
    assert "the next look is due at 2026-03-02 12:0" in found.store
    look(place)
    assert told(place, "x.csv").code == "settling"
    look(place, 11)
    place.finish()
    found = told(place, "x.csv")
    assert found.code == "finished"
    assert found.store == "it is there now with 4 bytes, as it is known"
    evidence = about(place, "x.csv")
    assert (evidence.path, evidence.name) == (b"in/x.csv", b"x.csv")
    assert [one.line.change for one in evidence.seen] == ["added"]
    assert evidence.fires == ()
    (landing / "x.csv").write_text("other")
    assert told(place, "x.csv").code == "not_looked"
    (landing / "x.csv").unlink()
    assert told(place, "x.csv").code == "finished"


def test_what_was_done_about_a_file_again_by_hand_is_told_beside_it(place, landing):
    begin(place)
    (landing / "x.csv").write_text("data")
    look(place)
    place.finish()
    place.apply(c=on_arrival(settle="0s", done_marker="_OK"))
    place.poll()
    # It is another watch, whose log holds nothing of it.
    found = about(place, "x.csv")
    assert (explain_file(found).code, len(found.fires)) == ("existing", 1)
    assert found.fires[0].facts["path"] == "in/x.csv"
    place.apply(c=on_arrival(settle="0s", done_marker="_OK") + "status: Disabled\n")
    found = about(place, "x.csv")
    assert (explain_file(found).code, len(found.fires)) == ("disabled", 1)


def test_a_run_that_waits_says_for_what(place, landing):
    begin(place, more="max_active_runs: 1\npool: none\n")
    (landing / "x.csv").write_text("data")
    look(place)
    found = told(place, "x.csv")
    assert found.code == "waiting"
    assert "pool" in found.answer


def test_a_marker_that_is_missing_is_named(place, landing):
    begin(place, done_marker="'{name}.ok'")
    (landing / "x.csv").write_text("data")
    assert told(place, "x.csv").chain[-1].text.endswith("it waits for its marker x.csv.ok")
    (landing / "x.csv.ok").write_text("")
    assert told(place, "x.csv").code == "not_looked"
    assert (
        told(place, "x.csv.ok").answer == "It did not fire: done_marker: {name}.ok leaves it out."
    )
    look(place)
    place.finish()
    assert told(place, "x.csv").code == "finished"


def test_one_file_alone_is_looked_at_and_no_other(place, landing):
    begin(place, file="x.csv")
    for name in ("x.csv", "y.csv"):
        (landing / name).write_text(name)
    look(place)
    place.finish()
    (landing / "x.csv").unlink()
    assert told(place, "x.csv").code == "finished"
    other = told(place, "y.csv")
    assert (other.code, other.store) == (
        "other_file", "not asked, for it lies outside what is watched",
    )  # fmt: skip


def test_where_nothing_is_known_a_name_means_what_it_says_first(place, landing):
    begin(place)
    assert told(place, "landing/out/x.csv").code == "elsewhere"
    assert told(place, "/nowhere/x.csv").code == "other_datastore"
    (landing / "landing").mkdir()
    assert told(place, "landing/in/x.csv").code == "absent"
    assert about(place, "landing/in/x.csv").path == b"in/x.csv"


def test_files_of_one_poll_share_its_run(place, landing):
    begin(place, batch="per_poll")
    for name in ("a", "b", "c.tmp"):
        (landing / name).write_text(name)
    look(place)
    place.finish()
    ids = {about(place, name).seen[0].runs[0].id for name in ("a", "b")}
    assert len(ids) == 1
    assert told(place, "a").code == "finished"
    assert told(place, "c.tmp").code == "ignored"


def test_a_file_that_came_during_a_hold_is_held_and_then_passed_over(place, landing):
    begin(place)
    operate.hold_schedule(
        place.registry, "on-arrival", who="ann", why="audit", until=None, catchup=Missed.SKIP
    )
    (landing / "x.csv").write_text("data")
    look(place)
    assert told(place, "x.csv").code == "held"
    place.forward(1)
    operate.release_schedule(place.registry, "on-arrival")
    place.step()
    found = told(place, "x.csv")
    assert (found.code, found.chain[-1].step) == ("passed_over", "decision")
    assert "held by ann" in found.answer


def test_a_folder_that_is_gone_is_told_with_its_error(place, landing):
    begin(place)
    landing.rename(landing.parent / "away")
    for _ in range(3):
        look(place, 600)
    found = told(place, "x.csv")
    assert found.code == "failing"
    assert "looks fail since 2026-03-02 12:10:00 UTC: " in found.answer
    assert found.store.startswith("cannot be asked from here: ")


def test_a_store_that_cannot_be_opened_leaves_what_the_ledger_knows(place, landing):
    begin(place)
    (landing / "x.csv").write_text("data")

    def refuse(name):
        raise DatastoreError("secret KEY is not declared")

    found = told(place, "x.csv", opened=refuse)
    assert (found.code, found.store) == (
        "unseen", "cannot be asked from here: secret KEY is not declared",
    )  # fmt: skip
    look(place)
    place.finish()
    assert told(place, "x.csv", opened=refuse).code == "finished"


def test_a_schedule_by_the_clock_and_a_datastore_that_is_gone_are_told(place, landing):
    begin(place)
    place.apply(d=HELLO, e=minutely())
    with pytest.raises(ReconcilerError, match="goes by the clock, not by files; ask with --at"):
        about(place, "x", "every-minute")
    ledger = place.ledger

    class Without:
        def datastores(self):
            return {}

    here = operate.find_schedule(place.registry.live(), "on-arrival")
    found = gather(Without(), here, "x", "/", ledger.now(), place.datastore)
    assert explain_file(found).code == "no_datastore"


@pytest.mark.parametrize("name", [b"two\nlines", b"\xff\xfe", b"50%", b"%41", b"-rf", b"a b"])
def test_names_are_meant_as_they_are_and_as_they_are_printed(place, landing, name):
    begin(place, recursive="true")
    (landing / os.fsdecode(name)).write_text("mine")
    look(place)
    place.finish()
    printed = "".join(
        chr(byte) if 32 <= byte < 127 and byte != 37 else f"%{byte:02X}" for byte in name
    )
    address = place.registry.live().datastores[0].spec
    assert "landing" in address
    for asked in (os.fsdecode(name), printed, f"landing/in/{printed}", f"./landing/in/{os.fsdecode(name)}"):  # fmt: skip
        found = about(place, asked)
        assert (found.name, explain_file(found).code) == (name, "finished"), asked


WATCHED = Watched(datastore="landing", path="in")
HERE = "/home/ann"


@pytest.mark.parametrize(
    ("asked", "url", "paths"),
    [
        ("x.csv", "s3://b/p", [b"in/x.csv"]),
        ("landing/in/x.csv", "s3://b/p", [b"in/x.csv", b"in/landing/in/x.csv"]),
        ("landing/out/x.csv", "s3://b/p", [b"out/x.csv", b"in/landing/out/x.csv"]),
        ("a%20b", "s3://b/p", [b"in/a%20b", b"in/a b"]),
        ("ü", "s3://b/p", ["in/ü".encode()]),
        ("s3://b/p/in/a%20b", "s3://b/p", [b"in/a b"]),
        ("s3://b/other/x", "s3://b/p", []),
        ("s3://b/p", "s3://b/p", []),
        ("az://b/p/in/x", "s3://b/p", []),
        ("a:b", "s3://b/p", [b"in/a:b"]),
        ("in//x/../y", "s3://b/p", [b"in/in//x/../y"]),
        ("x.csv", "file:///data", [b"in/x.csv"]),
        ("sub/../x.csv", "file:///data", [b"in/x.csv"]),
        ("../../x", "file:///data", []),
        ("../out/x", "file:///home/ann/data", []),
        ("../ann/data/in/x", "file:///home/ann/data", [b"in/x"]),
        ("./data/in/x", "file:///home/ann/data", [b"in/x"]),
        ("data/in/x", "file:///home/ann/data", [b"in/data/in/x", b"in/x"]),
        ("/data/in/x", "file:/data", [b"in/x"]),
        ("/data/in/a%20b", "file:///data", [b"in/a%20b"]),
        ("/elsewhere/x", "file:///data", []),
        ("file:///data/in/a%20b", "file:///data", [b"in/a b"]),
        ("file://localhost/data/in/x", "file:///data/", [b"in/x"]),
        ("file:///data/in/x", "s3://b/p", []),
        ("s3://b/p/in/x", "file:///data", []),
    ],
)
def test_a_file_can_be_named_in_every_way_that_people_have(asked, url, paths):
    assert paths_meant(asked, WATCHED, url, HERE) == paths


def test_a_watch_of_the_whole_datastore_counts_names_from_its_top(tmp_path):
    top = Watched(datastore="landing", path="", depth=Depth.TREE)
    assert paths_meant("landing/x", top, "s3://b", HERE) == [b"x", b"landing/x"]
    assert name_in(top, b"a/x") == b"a/x"
    assert name_in(WATCHED, b"in/x") == b"x"
    assert name_in(WATCHED, b"inside/x") is None
    assert name_in(WATCHED, b"in") is None
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    for asked, root in (("link", "data"), ("data", "link")):
        url = f"file://{tmp_path}/{root}"
        assert paths_meant(f"{tmp_path}/{asked}/x", top, url, HERE) == [b"x"]
