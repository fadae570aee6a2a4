"""What the steps of a run that was made for files see of them: a real folder, real programs."""

import json
import os
from pathlib import Path

import pytest

from reconciler.cli.group import invoke
from reconciler.data import FileChange
from reconciler.run import Decision, RunState
from reconciler.runner.given import DATA_VARIABLE, STORE_VARIABLE
from reconciler.trigger.arrivals import Change, Rewrite
from reconciler.trigger.snapshot import Files, pages
from reconciler.workspace.records import Poll, WatchState
from tests.runner.test_data import LANDING, settle
from tests.runner.test_watching import by_data
from tests.site import site

# It prints what it was given, NUL between, as bytes.
SHOW = """
kind: Pipeline
name: show
parameters: {file: {type: datapath}}
steps:
  - name: say
    command:
      - python
      - -c
      - |
        import os, sys
        data = os.environb
        out = (sys.argv[1].encode(errors="surrogateescape"), data[b"RECONCILER_PARAM_file"],
               data[b"RECONCILER_DATA"], data[b"RECONCILER_DATASTORE"])
        sys.stdout.buffer.write(b"\\0".join(out))
      - "${{ parameters.file }}"
"""


@pytest.fixture
def landing(place):
    folder = place.project / "landing" / "in"
    folder.mkdir(parents=True)
    return folder


def arriving(**fields):
    return by_data("on-arrival", data_path_parameter_name="file", **fields)


def said(place, run):
    """Give (argument, variable, facts, opening) as the step saw them."""
    raw = Path(place.executor.log_path(f"{run.id}/say/1")).read_bytes()
    argument, variable, data, store = raw.split(b"\0")
    return argument, variable, json.loads(data), json.loads(store)


def work(place, run):
    return place.folder / "work" / run.id


def test_a_step_is_told_all_about_its_file_and_how_to_open_it(place, landing):
    place.apply(a=SHOW, b=LANDING, c=arriving())
    place.poll()
    (landing / "x.csv").write_text("data")
    (run,) = settle(place)
    argument, variable, facts, opening = said(place, run)
    assert argument == variable == os.fsencode(landing / "x.csv")
    assert facts == dict(run.facts)
    assert facts["url"] == (landing / "x.csv").as_uri()
    assert {"path", "size", "mtime_ns", "state", "poll", "change"} <= facts.keys()
    assert opening["datastore"]["url"].startswith("file:///")
    assert opening["credentials"] == {}


def test_by_choice_a_step_sees_the_path_in_the_datastore_and_the_choice_is_the_runs(place, landing):
    place.apply(a=SHOW, b=LANDING, c=arriving(data_path="datastore", changes=["added"]))
    place.poll()
    (landing / "x.csv").write_text("data")
    place.daemon._launcher.launch, launch = lambda *_, **__: None, place.daemon._launcher.launch
    place.forward(60)
    place.poll()
    place.forward(3)
    place.poll()
    # What the schedule says by now is for later fires.
    place.apply(c=arriving(changes=["added"]))
    place.daemon._launcher.launch = launch
    (run,) = place.finish()
    assert said(place, run)[0] == b"landing/in/x.csv"


@pytest.mark.parametrize(
    "name",
    [b"two\nlines", b"$(touch pwned)", b"'quo\"ted'", b"-rf", b"\xff\xfe", b"%2e%2e", b"a\\"],
)
def test_a_hostile_name_is_one_argument_one_variable_and_one_fact(place, landing, name):
    place.apply(a=SHOW, b=LANDING, c=arriving())
    place.poll()
    (landing / os.fsdecode(name)).write_text("mine")
    (run,) = settle(place)
    argument, variable, facts, _ = said(place, run)
    assert argument == variable == os.fsencode(landing) + b"/" + name
    assert os.fsencode(facts["path"]) == b"in/" + name
    assert facts["url"].isascii()


def test_the_files_of_a_poll_are_a_list_in_the_work_folder(place, landing):
    place.apply(a=SHOW, b=LANDING, c=arriving(batch="per_poll"))
    place.poll()
    for name in (b"a", b"b\nc", b"\xff"):
        (landing / os.fsdecode(name)).write_text("data")
    (run,) = settle(place)
    argument, _, facts, _ = said(place, run)
    assert argument == os.fsencode(work(place, run) / "files.jsonl")
    assert facts["list"] == str(work(place, run) / "files.jsonl")
    assert run.parameters == {"file": "landing/in"}
    files = [json.loads(line) for line in Path(os.fsdecode(argument)).read_bytes().splitlines()]
    assert [os.fsencode(file["local"]) for file in files] == [
        os.fsencode(landing) + b"/" + name for name in (b"a", b"b\nc", b"\xff")
    ]
    assert {file["change"] for file in files} == {"added"}
    (fire,) = place.fires("on-arrival")
    assert fire.reason == f"3 files in poll {run.facts['poll']}: 3 added"
    assert fire.occurrence_key == f"p:1:{run.facts['poll']}"


def test_a_pipeline_with_a_list_of_its_own_is_told_so(place, landing):
    (place.project / "code").mkdir()
    (place.project / "code" / "files.jsonl").write_text("mine")
    place.apply(a=SHOW + "code: ./code\n", b=LANDING, c=arriving(batch="per_poll"))
    place.poll()
    (landing / "a").write_text("data")
    (run,) = settle(place)
    assert run.state is RunState.FAILED
    assert "has a file files.jsonl, where the run's files are listed; rename it" in run.reason


REMOTE = """
kind: Datastore
name: landing
url: s3://bucket/team
credentials: {access_key_id: "${{ secret.KEY }}", secret_access_key: "${{ secret.WORD }}"}
"""


def logged(place, *names, facts=b'4 "e" 5', change=FileChange.ADDED):
    """Log changes as a poll does; nobody has to reach the store for that."""
    (watch,) = place.ledger.watches()
    poll = Poll(
        watch_id=watch.id,
        poll_seq=watch.poll_seq + 1,
        polled_at=place.clock.now(),
        listed=len(names),
        state=WatchState.READY,
        next_poll=place.clock.now() + 3_600_000_000,
        added=len(names),
    )
    names = sorted(names)
    with place.ledger.transaction() as tx:
        changes = [Change(name, change, facts) for name in names]
        rewrites = [Rewrite(None, tuple(pages(Files(names, [facts] * len(names)))))]
        assert tx.record_poll(poll, changes, rewrites)


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A schedule on a store that nobody reaches; what was logged of it is all there is."""
    from reconciler.runner.config import Secret

    monkeypatch.setenv("A_KEY", "the-key-itself")
    monkeypatch.setenv("A_WORD", "the-word-itself")
    secrets = {"KEY": Secret(env="A_KEY"), "WORD": Secret(env="A_WORD")}
    with site(tmp_path, secrets=secrets) as place:
        place.daemon._observer.observe = lambda _: None
        yield place


def test_of_a_bucket_a_step_sees_the_path_in_it_and_gets_what_opens_it(remote, caplog):
    remote.apply(a=SHOW, b=REMOTE, c=arriving())
    logged(remote, b"x\ny")
    (run,) = remote.finish()
    argument, _, facts, opening = said(remote, run)
    assert argument == b"landing/in/x\ny"
    assert (facts["etag"], facts["modified"]) == ("e", 5)
    assert facts["url"] == "s3://bucket/team/in/x%0Ay"
    assert opening["credentials"] == {
        "access_key_id": "the-key-itself",
        "secret_access_key": "the-word-itself",
    }
    # It was in that environment, and nowhere else.
    stored = b"".join(file.read_bytes() for file in remote.folder.glob("ws.db*"))
    assert b"the-word-itself" not in stored
    assert "the-word-itself" not in caplog.text


def test_a_secret_that_is_not_there_fails_the_step_and_is_named(remote, monkeypatch):
    monkeypatch.delenv("A_WORD")
    remote.apply(a=SHOW, b=REMOTE, c=arriving())
    logged(remote, b"x")
    (run,) = remote.finish()
    assert run.state is RunState.FAILED
    assert "secret WORD: the runner's environment has no A_WORD" in run.reason


@pytest.mark.parametrize(
    ("projects", "why"),
    [
        ([], ""),
        (["test/dev", "other/dev"], ""),
        (["test/dev"], "secret KEY is not for other/dev"),
        (["other/dev"], "secret KEY is not for test/dev"),
    ],
)
def test_what_opens_anothers_datastore_reaches_only_code_that_it_is_for(remote, projects, why):
    from reconciler.runner.config import Secret

    remote.secrets._declared["KEY"] = Secret(env="A_KEY", projects=tuple(projects))
    remote.apply(b=REMOTE)
    remote.project = remote.folder / "other"
    remote.project.mkdir()
    (remote.project / "reconciler.yml").write_text("project: other\ninclude: ['*.yml']\n")
    remote.apply(a=SHOW, c=arriving())
    logged(remote, b"x")
    (run,) = remote.finish()
    assert run.state is (RunState.FAILED if why else RunState.FINISHED)
    assert why in (run.reason or "")


def test_a_local_path_of_a_bucket_cannot_be_had(remote):
    remote.apply(a=SHOW, b=LANDING, c=arriving(data_path="local"))
    logged(remote, b"x", facts=b"4 5@6")
    remote.daemon._launcher.launch, launch = lambda *_, **__: None, remote.daemon._launcher.launch
    remote.step()
    remote.apply(b=REMOTE, c=arriving())
    remote.daemon._launcher.launch = launch
    (run,) = remote.finish()
    assert "datastore 'landing' is no folder, so data_path: local cannot be had" in run.reason


@pytest.mark.parametrize(
    ("overlap", "decisions", "lists"),
    [
        ("allow", ["launch", "launch"], 2),
        ("queue", ["launch", "queue"], 2),
        ("skip", ["launch", "skip"], 1),
        ("cancel_running", ["skip", "launch"], 1),
    ],
)
def test_polls_that_come_together_meet_the_overlap_policy(remote, overlap, decisions, lists):
    spec = arriving(batch="per_poll") + f"overlap: {overlap}\n"
    remote.apply(a=SHOW, b=LANDING, c=spec)
    (remote.project / "landing").mkdir()
    logged(remote, b"a", b"b", facts=b"4 5@6")
    logged(remote, b"c", facts=b"4 5@6")
    remote.finish()
    fires = sorted(remote.fires("on-arrival"), key=lambda fire: fire.occurrence_key)
    assert [str(fire.decision) for fire in fires] == decisions
    assert sum(remote.ledger.files(run.id) is not None for run in remote.runs()) == lists


def test_a_poll_lies_in_as_many_pages_as_it_needs_and_is_one_run(remote, monkeypatch):
    monkeypatch.setattr("reconciler.runner.held.PAGE", 3)
    remote.apply(a=SHOW, b=LANDING, c=arriving(batch="per_poll"))
    for names in ("abcdefg", "hi", "j", "klmn"):
        logged(remote, *(name.encode() for name in names), facts=b"4 5@6")
    remote.finish()
    counts = [run.facts["files"] for run in sorted(remote.runs(), key=lambda r: r.facts["poll"])]
    assert counts == [7, 2, 1, 4]


def test_of_a_very_large_poll_there_are_several_runs(remote, monkeypatch):
    monkeypatch.setattr("reconciler.runner.held.PAGE", 2)
    monkeypatch.setattr("reconciler.runner.held.MOST", 4)
    remote.apply(a=SHOW, b=LANDING, c=arriving(batch="per_poll"))
    logged(remote, *(name.encode() for name in "abcdefghi"), facts=b"4 5@6")
    logged(remote, b"j", facts=b"4 5@6")
    remote.finish()
    fires = sorted(remote.fires("on-arrival"), key=lambda fire: fire.occurrence_key)
    assert [(fire.occurrence_key, fire.facts["files"]) for fire in fires] == [
        ("p:1:1", 4),
        ("p:1:1:4", 4),
        ("p:1:1:8", 1),
        ("p:1:2", 1),
    ]


def test_more_polls_than_may_run_at_once_wait_and_none_is_dropped(remote):
    remote.apply(a=SHOW, b=LANDING, c=arriving(batch="per_poll") + "max_active_runs: 1\n")
    for name in (b"a", b"b", b"c"):
        logged(remote, name, facts=b"4 5@6")
    runs = remote.finish()
    assert {run.state for run in runs} == {RunState.FINISHED}
    decisions = [fire.decision for fire in remote.fires("on-arrival")]
    assert (decisions.count(Decision.LAUNCH), decisions.count(Decision.QUEUE)) == (1, 2)


def test_many_schedules_on_one_directory_are_decided_about_a_few_at_a_time(remote, monkeypatch):
    monkeypatch.setattr("reconciler.runner.tick._MOST_FILES", 4)
    few = {f"s{n}": by_data(f"s{n}", data_path_parameter_name="file") for n in range(5)}
    remote.apply(a=SHOW, b=LANDING, **few)
    logged(remote, b"a", b"b", b"c", facts=b"4 5@6")
    assert remote.daemon._ticker.tick() == 15
    assert all(len(remote.fires(name)) == 3 for name in few)


def test_a_schedule_whose_datastore_is_gone_is_degraded_and_fires_nothing(remote):
    remote.apply(a=SHOW, b=LANDING, c=arriving())
    logged(remote, b"a", facts=b"4 5@6")
    stores = remote.ledger.datastores
    remote.ledger.datastores = dict
    remote.step()
    remote.ledger.datastores = stores
    assert remote.fires("on-arrival") == []
    (alert,) = remote.ledger.alerts()
    assert "datastore 'landing' is not registered" in alert.text


def test_lines_that_others_asked_for_are_no_beginning_of_a_poll(remote):
    remote.allowed = frozenset({"fires_on_apply"})
    remote.apply(a=SHOW, b=LANDING, c=arriving(batch="per_poll"))
    logged(remote, b"a", facts=b"4 5@6")
    remote.finish()
    asking = by_data("asking", batch="per_poll", initial="trigger", data_path_parameter_name="file")
    remote.apply(d=asking)
    logged(remote, b"b", facts=b"4 5@6")
    remote.finish()
    keys = {fire.occurrence_key for fire in remote.fires("on-arrival")}
    assert keys == {"p:1:1", "p:1:2"}
    (fire,) = remote.fires("asking")
    assert fire.reason == "2 files in poll 2: 1 added, 1 existing"


def test_a_run_that_is_run_anew_has_the_list_of_the_first(remote):
    remote.apply(
        a=SHOW.replace("sys.stdout.buffer.write", "sys.exit(1) #"),
        b=LANDING,
        c=arriving(batch="per_poll") + "retries: {max: 1, backoff: 1s}\n",
    )
    logged(remote, b"a", b"b", facts=b"4 5@6")
    for _ in range(1_000):
        remote.step()
        runs = remote.runs()
        if len(runs) == 2 and all(run.state.over for run in runs):
            break
        remote.forward(1)
        remote.daemon.wait(0.2)
    assert {run.number for run in runs} == {1, 2}
    lists = {(work(remote, run) / "files.jsonl").read_bytes() for run in runs}
    assert len(lists) == 1


RUNAWAY = """
kind: Pipeline
name: show
steps:
  - name: say
    command:
      - python
      - -c
      - |
        import os, pathlib, uuid
        for _ in range(3):
            pathlib.Path(FOLDER, uuid.uuid4().hex).touch()
"""


def test_a_schedule_that_feeds_itself_is_paused_and_told_so(tmp_path):
    with site(tmp_path, max_starts=10) as place:
        landing = place.project / "landing" / "in"
        landing.mkdir(parents=True)
        place.apply(
            a=RUNAWAY.replace("FOLDER", repr(str(landing))),
            b=LANDING,
            c=by_data("mine", polling_interval=0.01) + "max_active_runs: 100\n",
        )
        place.poll()
        (landing / "first").touch()
        for _ in range(20):
            place.forward(30)
            place.poll()
            for _ in range(50):
                if not place.ledger.running_runs():
                    break
                place.daemon.wait(0.2)
                place.step()
            if place.schedule("mine").hold is not None:
                break
        hold = place.schedule("mine").hold
        assert hold is not None
        assert "does a step of it write files where it watches?" in hold.why
        assert hold.why.startswith("10 of its runs and more were made in each of 3 minutes on end")


def test_many_files_at_once_are_no_reason_to_pause(tmp_path):
    with site(tmp_path, max_starts=3) as place:
        landing = place.project / "landing" / "in"
        landing.mkdir(parents=True)
        quiet = RUNAWAY.replace("range(3)", "range(0)").replace("FOLDER", repr(str(landing)))
        place.apply(a=quiet, b=LANDING, c=by_data("mine", polling_interval=0.01))
        place.poll()
        for number in range(30):
            (landing / f"{number}").touch()
        place.forward(1)
        place.poll()
        settle(place)
        assert [run.state for run in place.runs()] == [RunState.FINISHED] * 30
        assert place.schedule("mine").hold is None


# `reconciler get`


@pytest.fixture
def step(place, landing, monkeypatch, tmp_path):
    """Be a step of the newest run: its environment, and a working folder."""

    def be(*names, **fields):
        place.apply(a=SHOW, b=LANDING, c=arriving(**fields))
        place.poll()
        for name in names:
            (landing / name).parent.mkdir(exist_ok=True, parents=True)
            (landing / name).write_text(f"data of {name}")
        run = settle(place)[0]
        _, _, facts, opening = said(place, run)
        monkeypatch.setenv(DATA_VARIABLE, json.dumps(facts))
        monkeypatch.setenv(STORE_VARIABLE, json.dumps(opening))
        folder = tmp_path / "cwd"
        folder.mkdir()
        monkeypatch.chdir(folder)
        return folder

    return be


def test_a_step_gets_its_file_under_its_own_name(step, capsys):
    folder = step("x.csv")
    assert invoke(["get"]) == 0
    assert capsys.readouterr().out == "files/x.csv\n"
    assert (folder / "files/x.csv").read_text() == "data of x.csv"
    assert [file.name for file in folder.rglob("*")] == ["files", "x.csv"]
    # A step that is tried again gets it again.
    assert invoke(["get"]) == 0


@pytest.mark.parametrize(("to", "there"), [("new.csv", "new.csv"), ("deep/er/", "deep/er/x.csv")])
def test_a_step_says_where_to(step, to, there):
    folder = step("x.csv")
    assert invoke(["get", "--to", to]) == 0
    assert (folder / there).read_text() == "data of x.csv"


def test_a_step_gets_its_file_on_standard_output(step, capfdbinary):
    step("x.csv")
    assert invoke(["get", "--to", "-"]) == 0
    assert capfdbinary.readouterr().out == b"data of x.csv"


def test_a_file_that_changed_since_is_an_error_and_nothing_is_left_behind(step, landing, capsys):
    folder = step("x.csv")
    (folder / "x.csv").write_text("older")
    (landing / "x.csv").write_text("written anew")
    assert invoke(["get", "--to", "x.csv"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [("x.csv", "older")]


def test_every_file_of_a_poll_is_got_with_its_folders(step, capsys):
    folder = step("a", "sub/a", batch="per_poll", recursive=True)
    assert invoke(["get", "--all", "--to", "all", "--output", "json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert [file["to"] for file in got["files"]] == ["all/a", "all/sub/a"]
    assert (folder / "all/sub/a").read_text() == "data of sub/a"


def test_of_several_files_those_that_changed_are_told_and_the_others_are_got(step, landing, capsys):
    folder = step("a", "b", batch="per_poll")
    (landing / "a").unlink()
    assert invoke(["get", "--all"]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert [file.name for file in folder.joinpath("files").iterdir()] == ["b"]


def test_a_name_that_somebody_chose_takes_no_other_files_place(step, capsys):
    folder = step("a", "score.py", "sub", batch="per_poll")
    (folder / "score.py").write_text("the code")
    (folder / "sub").mkdir()
    assert invoke(["get", "--all", "--to", ".", "--output", "json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["unplaced"] == ["in/score.py", "in/sub"]
    assert [file["to"] for file in json.loads(said.out)["files"]] == ["a"]
    assert said.err.splitlines()[0] == (
        "error: in/score.py cannot be put at score.py: another file is there; name a place for "
        "it: --file PATH --to FILE"
    )
    assert (folder / "score.py").read_text() == "the code"
    assert sorted(file.name for file in folder.iterdir()) == ["a", "score.py", "sub"]
    assert invoke(["get", "--file", "in/score.py", "--to", "score.py"]) == 0
    assert (folder / "score.py").read_text() == "data of score.py"


def test_a_name_that_cannot_be_had_here_keeps_no_other_file_away(step, capsys):
    folder = step("a", "sub/b", batch="per_poll", recursive=True)
    folder.joinpath("to").mkdir()
    folder.joinpath("to/sub").write_text("no folder")
    assert invoke(["get", "--all", "--to", "to"]) == 1
    said = capsys.readouterr()
    assert said.out == "to/a\n"
    assert "in/sub/b cannot be put at to/sub/b: " in said.err
    assert len(said.err.splitlines()) == 1


def test_one_of_several_files_is_got_by_any_of_its_names(step, landing):
    folder = step("a", "b", batch="per_poll")
    for name in ("in/b", "landing/in/b", str(landing / "b"), (landing / "b").as_uri()):
        assert invoke(["get", "--file", name, "--to", "b"]) == 0
        assert (folder / "b").read_text() == "data of b"
        (folder / "b").unlink()


def test_what_cannot_be_got_is_said_in_one_line(step, capsys):
    step("a", "b", batch="per_poll")
    for words, answer in (
        (["get"], "the run was made for 2 files; name one with --file, or get them with --all"),
        (["get", "--file", "in/c"], "the run was not made for in/c"),
        (["get", "--all", "--file", "in/a"], "Give --file or --all, not both"),
        (["get", "--all", "--to", "-"], "--to - is for one file"),
    ):
        assert invoke(words) == 1
        err = capsys.readouterr().err
        assert answer in err
        assert err.count("\n") == 1


def test_outside_of_a_step_there_is_nothing_to_get(capsys):
    assert invoke(["get"]) == 1
    assert "`reconciler get` is for the steps of such a run" in capsys.readouterr().err


def test_a_file_that_was_deleted_cannot_be_got(step, landing, monkeypatch, capsys):
    step("a")
    facts = {**json.loads(os.environ[DATA_VARIABLE]), "change": "deleted"}
    monkeypatch.setenv(DATA_VARIABLE, json.dumps(facts))
    assert invoke(["get"]) == 1
    assert "because in/a was deleted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "there"),
    [("in/..", "%2E%2E"), ("in/.", "%2E"), ("in/", "%2F"), ("in/\udcff\n", "\udcff\n")],
)
def test_no_name_leads_out_of_the_folder(tmp_path, path, there):
    from reconciler.cli.get import _targets, _Task

    task = _Task([{"path": path}], "in", None, {})
    ((_, target),) = _targets(task, task.files, None, many=False)
    assert target == Path("files", there)
    ((_, target),) = _targets(task, task.files, "to", many=True)
    assert target == Path("to", there)


def test_two_files_that_would_have_one_place_are_refused():
    from reconciler.cli.get import _targets, _Task
    from reconciler.errors import ReconcilerError

    task = _Task([{"path": "in/.."}, {"path": "in/%2E%2E"}], "in", None, {})
    with pytest.raises(ReconcilerError, match="would have one place"):
        list(_targets(task, task.files, "to", many=True))


def test_a_step_runs_the_command_itself(place, landing):
    get = (
        "kind: Pipeline\nname: show\nsteps: [{name: say, shell: 'reconciler get --to a && cat a'}]"
    )
    place.apply(a=get, b=LANDING, c=by_data("mine"))
    place.poll()
    (landing / "x").write_text("all of it")
    (run,) = settle(place)
    assert place.log(run, "say") == "a\nall of it"
