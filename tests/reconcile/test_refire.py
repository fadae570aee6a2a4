"""Runs for files that are known already: a real folder and ledger."""

import json

import pytest

from reconciler.cli.group import invoke
from reconciler.clock import iso
from reconciler.errors import NotFound, Refused
from reconciler.reconcile.refire import plan_refire, write_refire
from reconciler.run import Decision, Gate
from tests.runner.test_watching import PIPELINE, STORE, World, by_data
from tests.site import HELLO, minutely


@pytest.fixture
def world(place):
    made = World(place)
    made.mine(ignore=["*.no"])
    return made


def files(runs):
    return sorted(run.facts["path"] for run in runs)


def refire(world, token="t", why="", **chosen):
    planned = plan_refire(world.place.registry, world.place.ledger, "mine", **chosen)
    return write_refire(world.place.ledger, planned, token, "ann", why)


def test_a_file_is_fired_for_as_it_is_known_now(world):
    world.file("a")
    world.file("b")
    world.file("a", "changed since")
    (run,) = refire(world, asked=["a"], why="bad model")
    assert (run.facts["change"], run.facts["size"]) == ("refired", len("changed since"))
    world.look()
    (fire,) = [fire for fire in world.place.fires("mine") if fire.gate is Gate.ASKED]
    assert (fire.decision, fire.reason) == (Decision.LAUNCH, "fired again by ann: bad model")
    assert fire.facts == run.facts
    assert world.place.ledger.run(run.id).state.over


def test_a_file_may_be_named_in_every_way_there_is(world):
    world.file("a b")
    path = world.place.project / "landing/in/a b"
    for number, name in enumerate(("a b", "landing/in/a b", str(path), path.as_uri())):
        assert files(refire(world, token=f"t{number}", asked=[name])) == ["in/a b"]


def test_the_same_token_fires_no_file_twice(world):
    world.file("a")
    assert files(refire(world, asked=["a"])) == ["in/a"]
    world.file("b")
    assert files(refire(world)) == ["in/b"]
    assert refire(world) == []


def test_all_means_what_the_schedule_counts_and_a_name_means_the_file(world):
    world.file("a")
    world.file("b.no")
    assert files(refire(world)) == ["in/a"]
    assert files(refire(world, asked=["b.no"])) == ["in/b.no"]


def test_since_means_what_changed_since_and_is_there(world):
    world.file("a")
    world.place.forward(1)
    since = world.place.clock.now()
    world.file("b")
    world.file("c")
    world.file("d.no")
    world.delete("c")
    assert files(refire(world, since=since)) == ["in/b"]
    assert refire(world, since=world.place.clock.now() + 1) == []


def test_what_is_not_known_or_deleted_is_named_and_nothing_fires(world):
    world.file("a")
    world.file("b")
    world.delete("b")
    with pytest.raises(NotFound, match=r"not in landing/in by its last poll: .* \(deleted\)") as it:
        refire(world, asked=["a", "b", "c\n"])
    assert "b (deleted), c%0A (not known)" in str(it.value)
    assert all(fire.gate is not Gate.ASKED for fire in world.place.fires("mine"))


def test_many_files_are_written_a_batch_at_a_time(world, monkeypatch):
    monkeypatch.setattr("reconciler.reconcile.refire.BATCH", 2)
    for name in "abcde":
        world.file(name)
    assert files(refire(world)) == [f"in/{name}" for name in "abcde"]


def test_by_poll_all_files_are_one_run_and_very_many_are_several(world, monkeypatch):
    for name in "abc":
        world.file(name)
    world.mine(batch="per_poll")
    (run,) = refire(world)
    lines = world.place.ledger.files(run.id).splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["in/a", "in/b", "in/c"]
    assert refire(world) == []
    monkeypatch.setattr("reconciler.reconcile.refire.MOST", 2)
    assert [run.facts["files"] for run in refire(world, token="other")] == [2, 1]


def test_a_schedule_that_cannot_be_fired_again_says_why(place):
    place.apply(a=HELLO, b=minutely(), pipe=PIPELINE, store=STORE.format("landing"))
    with pytest.raises(Refused, match="goes by the clock, not by files; `reconciler run`"):
        plan_refire(place.registry, place.ledger, "every-minute")
    place.apply(mine=by_data("mine"))
    with pytest.raises(Refused, match="are yet to be listed for the first time"):
        plan_refire(place.registry, place.ledger, "mine")
    place.apply(mine=by_data("mine", status="Disabled"))
    with pytest.raises(Refused, match="watches nothing while it is disabled; enable it"):
        plan_refire(place.registry, place.ledger, "mine")


def test_deadlines_count_from_the_time_of_asking(place):
    world = World(place)
    place.apply(mine=by_data("mine") + "deadline: {start: 10m, finish: 1h}\n")
    place.poll()
    world.file("a")
    (run,) = refire(world)
    assert run.start_by == place.clock.now() + 600_000_000
    assert run.finish_by == place.clock.now() + 3_600_000_000


# The command


@pytest.fixture
def say(world, capsys):
    def run(*words):
        path = world.place.folder / "ws.db"
        code = invoke(["refire", "mine", *words, "--workspace", f"sqlite:{path}"])
        return code, *capsys.readouterr()

    return run


def test_the_command_says_what_it_made(world, say):
    world.file("a")
    world.file("b")
    code, out, _ = say("--file", "a", "--token", "monday", "--reason", "bad model")
    assert (code, out) == (0, "  a\n1 new run of mine for 1 file; token monday\n")
    code, out, _ = say("--all", "--yes", "--token", "monday")
    assert out == "  a\n  b\n1 new run of mine for 2 files, 1 known before; token monday\n"
    code, out, _ = say("--file", "b", "--output", "json")
    answer = json.loads(out)
    assert answer["files"] == len(answer["runs"]) == 1
    assert answer["runs"][0]["facts"]["path"] == "in/b"


def test_more_than_named_files_need_a_yes(world, say):
    world.file("a")
    world.file("b")
    code, _, err = say("--all")
    assert (code, err) == (3, "error: that is 2 files, 2 runs; add --yes to make them\n")
    code, _, err = say("--since", iso(world.place.clock.now()))
    assert (code, err) == (3, "error: that is 1 file, 1 run; add --yes to make them\n")


@pytest.mark.parametrize("words", [(), ("--all", "--file", "a")])
def test_the_command_needs_to_know_which_files(say, words):
    code, _, err = say(*words)
    assert code == 1
    assert "Give --file PATH (once or more), --since TIME, or --all" in err
