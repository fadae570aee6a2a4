"""What people see of files that arrive: on folders and on a real object store, with a real runner."""

import json
import os
import re
import shlex
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.settings import read_runner_config
from tests.processes import RunnerProcess, until

GUIDE = Path(__file__).parents[2] / "docs" / "data-triggers.md"
BLOCKS = dict(
    re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
)
COMMANDS = re.findall(r"^\$ reconciler (.*)$", GUIDE.read_text(), re.MULTILINE)
PIPELINE = """
kind: Pipeline
name: show
parameters: {file: {type: datapath}}
steps: [{name: say, command: [reconciler, get, --to, "-"]}]
"""
FOLDER = "kind: Datastore\nname: landing\nurl: file:landing\n"


def arrivals(name="arrivals", **fields):
    fields = {"datastore": "landing", "polling_interval": 0.01, "settle": "0s", **fields}
    trigger = {"datastore_change": {"data_path_parameter_name": "file", **fields}}
    return f"kind: Schedule\nname: {name}\npipeline: show\ntrigger: {json.dumps(trigger)}\n"


@pytest.fixture
def desk(empty):
    empty.write("reconciler.yml", "project: desk\n")
    empty.write("schedules/show.yml", PIPELINE)
    Path("landing").mkdir()
    return empty


@contextmanager
def running(desk, *arguments):
    workspace = desk.path / ".reconciler/workspace.db"
    runner = RunnerProcess(workspace, Path("runner.log"), *arguments)
    try:
        yield runner
    finally:
        runner.kill()


def ask(desk, *arguments):
    done = desk(*arguments, "--output", "json")
    assert done.code == 0, done.err
    return done.data


def declare(desk, *manifests):
    desk.write("schedules/data.yml", "---\n".join(manifests))
    desk.apply()


def ready(desk, *arguments):
    done = desk("apply", "--wait", "--yes")
    assert done.code == 0, done.err


def finished(desk, count=1):
    return until(lambda: len(found := desk("runs", "--state", "Finished", "--output", "json").data) >= count and found)  # fmt: skip


# The guide ----------------------------------------------------------------------------------


@pytest.fixture
def guide(desk):
    Path("schedules/show.yml").unlink()
    for name in ("incoming", "days", "bulk"):
        Path("landing", name).mkdir()
    for file, text in BLOCKS.items():
        desk.write(file, text.replace("file:///data/landing", "file:landing"))
    return desk


def test_the_manifests_of_the_guide_are_valid_and_their_secrets_are_in_its_configuration(guide):
    done = guide("validate")
    assert done.code == 0, done.err
    assert done.out.startswith("OK: 3 schedules, 2 pipelines, 5 datastores in 7 files")
    wanted = set(re.findall(r"secret\.(\w+)", "".join(BLOCKS.values())))
    assert set(read_runner_config("runner.yml").secrets) == wanted


def test_every_command_of_the_guide_does_what_it_says(guide):
    assert len(COMMANDS) == len(set(COMMANDS)) >= 12
    guide.apply()
    with running(guide):
        ready(guide)
        Path("landing/incoming/2026-03-08.csv").write_text("1,2,3\n")
        finished(guide)
        for command in COMMANDS:
            done = guide(*shlex.split(command))
            assert (done.code, "error" in done.err) == (0, False), (command, done.err)
            assert done.out or "apply" in command, command
        # The file and its three refires.
        finished(guide, 4)


# A folder -----------------------------------------------------------------------------------


def test_before_the_first_look_it_is_said_when_that_is_due(desk):
    declare(desk, FOLDER, arrivals())
    done = desk("polls", "arrivals")
    assert done.out == (
        "landing is baselining; nobody has looked yet; first look due now\nNo polls yet.\n"
    )
    assert done.err.startswith("note: no runner is active; start one: ")
    Path("landing/x.csv").write_text("1")
    done = desk("explain", "arrivals", "--file", "x.csv")
    assert done.out.startswith("It has not fired yet: what lies there before the first complete ")
    assert "\nnote: no runner is active" in done.err
    assert "It does not fire now: what is there already" in desk("explain", "arrivals").out
    facts = ask(desk, "explain", "arrivals", "--file", "x.csv")
    assert (facts["code"], facts["runner"]) == ("baselining", False)
    assert facts["chain"][-1]["code"] == "baselining"
    assert facts["store"]["file"]["size"] == 1
    assert "baselining, 0 files known" in desk("show", "arrivals").out
    assert "1 baselining" in desk("list", "datastores").out


def test_looks_are_listed_with_what_they_came_to(desk):
    declare(desk, FOLDER, arrivals())
    with running(desk):
        ready(desk)
        for name in ("a\nb.csv", "x.tmp", "y.part"):
            Path("landing", name).write_text("data")
        finished(desk)
        until(lambda: ask(desk, "explain", "arrivals", "--file", "y.part")["log"])
    (found,) = ask(desk, "polls", "arrivals", "--changed")["watches"]
    assert (found["state"], found["path"], found["depth"]) == ("ready", "", "directory")
    fates = [poll["fates"] for poll in found["polls"]]
    assert sum(one.get("fired", 0) for one in fates) == 1
    assert sum(one.get("ignored", 0) for one in fates) == 2
    rules = [rule for poll in found["polls"] for rule in poll["ignored_by"]]
    assert sorted(rules) == ["ignore: *.part", "ignore: *.tmp"]
    text = desk("polls", "arrivals", "--changed").out
    assert "CAME TO" in text
    assert "1 fired" in text
    number = next(p["poll_seq"] for p in found["polls"] if p["fates"].get("fired"))
    facts = ask(desk, "polls", "arrivals", "--poll", str(number))
    (fired,) = [file for file in facts["files"] if file["fate"] == "fired"]
    assert (fired["name"], fired["display"]) == ("a\nb.csv", "a%0Ab.csv")
    assert (fired["run_state"], fired["size"], fired["change"]) == ("Finished", 4, "added")
    assert "a%0Ab.csv  added" in desk("polls", "arrivals", "--poll", str(number)).out
    assert "CAME TO" not in desk("polls", "landing", "--poll", str(number)).out
    cut = desk("polls", "landing", "--poll", str(number), "--limit", "1")
    assert len(facts["files"]) == 1 or "Cut off after 1 files" in cut.out
    assert len(ask(desk, "polls", "landing", "--limit", "1")["watches"][0]["polls"]) == 1
    assert ask(desk, "polls", "landing", "--errors")["watches"][0]["polls"] == []
    assert "No such polls." in desk("polls", "landing", "--errors").out
    shown = desk("show", "run", fired["run_id"]).out
    assert re.search(r"^  for  +landing/a%0Ab.csv$", shown, re.MULTILINE)
    assert re.search(r"^ +\(poll\) +\d+$", shown, re.MULTILINE)
    assert "landing/a%0Ab.csv" in desk("runs").out
    for words, message in {
        ("arrivals", "--poll", "9999"): "landing has no poll 9999; kept are 1 to ",
        ("nothing",): "no datastore 'nothing'; `reconciler list datastores` shows those",
        ("landing/elsewhere",): "nothing is watched at landing/elsewhere; watched are: landing",
    }.items():
        done = desk("polls", *words)
        assert (done.code, message in done.err) == (1, True), done.err


def test_a_file_is_asked_about_by_its_printed_name_and_its_address(desk):
    declare(desk, FOLDER, arrivals())
    with running(desk):
        ready(desk)
        Path("landing", "a\nb.csv").write_text("data")
        finished(desk)
    for asked in ("a%0Ab.csv", "landing/a%0Ab.csv", f"file://{desk.path}/landing/a%0Ab.csv"):
        done = desk("explain", "arrivals", "--file", asked)
        assert done.out.startswith("It fired: run "), asked
        assert "What looks took down of it\n" in done.out
    facts = ask(desk, "explain", "arrivals", "--file", "a%0Ab.csv")
    (line,) = facts["log"]
    assert (line["fate"], line["runs"][0]["state"]) == ("fired", "Finished")
    assert facts["watch"]["state"] == "ready"
    assert desk("explain", "arrivals", "--file", "x", "--at", "02:00").code == 1
    desk("refire", "arrivals", "--file", "a%0Ab.csv", "--reason", "again")
    again = desk("explain", "arrivals", "--file", "a%0Ab.csv")
    assert "Other decisions about it\n" in again.out
    assert "again" in again.out


def test_files_of_one_run_are_listed(desk):
    desk.edit("schedules/show.yml", '[reconciler, get, --to, "-"]', "[reconciler, get, --all]")
    declare(desk, FOLDER, arrivals(batch="per_poll", polling_interval=0.02))
    with running(desk):
        ready(desk)
        Path("landing/big").write_text("data")
        (run,) = finished(desk)
    assert run["facts"]["files"] == 1
    assert "1 file of landing" in desk("runs").out
    shown = desk("show", "run", run["id"], "--files").out
    assert re.search(r"^big +added +4$", shown, re.MULTILINE)
    (file,) = ask(desk, "show", "run", run["id"], "--files")["files"]
    assert (file["path"], file["size"]) == ("big", 4)
    assert "files" not in ask(desk, "show", "run", run["id"])
    assert desk("show", "arrivals", "--files").code == 1
    other = desk("run", "arrivals", "--param", "file=landing/big", "--output", "json").data["id"]
    done = desk("show", "run", other, "--files")
    assert (done.code, "was not made for a list of files" in done.err) == (1, True)


def test_a_folder_that_cannot_be_looked_at_ends_the_wait_and_is_shown_everywhere(desk):
    declare(desk, FOLDER, arrivals())
    Path("landing").rmdir()
    with running(desk):
        done = desk("apply", "--wait", "--yes")
        assert done.code == 1
        assert "\nerror: applied, but landing cannot be looked at: " in f"\n{done.err}"
    (watch,) = ask(desk, "show", "datastore", "landing")["watches"]
    assert (watch["state"], watch["schedules"]) == ("degraded", ["arrivals"])
    assert watch["failing_since"].endswith("Z")
    assert watch["error"] in desk("show", "datastore", "landing").out
    assert "1 degraded" in desk("list", "datastores").out
    assert "degraded" in desk("show", "arrivals").out
    assert "landing cannot be looked at since" in desk("explain", "arrivals").out
    assert "; looks fail since 2" in desk("polls", "landing", "--errors").out
    assert len(ask(desk, "polls", "landing", "--errors")["watches"][0]["polls"]) >= 3
    assert ask(desk, "polls", "landing", "--changed")["watches"][0]["polls"] == []


def test_what_has_no_looks_says_so(desk):
    clock = "kind: Schedule\nname: daily\npipeline: show\npipeline_parameters: {file: landing/x}\ntrigger: {cron: {expression: '0 0 * * *'}}\n"
    other = FOLDER.replace("landing", "other")
    declare(desk, FOLDER, other, arrivals() + "status: Disabled\n", clock)
    for words, message in {
        (
            "polls",
            "arrivals",
        ): "nothing is watched for schedule 'arrivals', which is Disabled; enable",
        ("polls", "daily"): "schedule 'daily' goes by the clock and looks at no files; `reconciler",
        ("polls", "other"): "nothing is watched in datastore 'other'; an Active schedule with a",
        ("show", "datastore", "none"): "no datastore 'none'; `reconciler list datastores` shows",
        ("explain", "daily", "--file", "x"): "goes by the clock, not by files; ask with --at TIME",
    }.items():
        done = desk(*words)
        assert (done.code, message in done.err, done.err.count("\n")) == (1, True, 1), done.err
    assert (
        "Nothing: no Active schedule has a trigger on it." in desk("show", "datastore", "other").out
    )
    done = desk("explain", "arrivals", "--file", "x")
    assert done.out.startswith("It did not fire: the schedule is Disabled")


def test_places_in_one_datastore_are_told_apart(desk):
    Path("landing/a/b").mkdir(parents=True)
    declare(
        desk, FOLDER, arrivals("top"), arrivals("a", path_on_datastore="a", recursive=True),
        arrivals("one", path_on_datastore="a", file="x"),
    )  # fmt: skip
    found = ask(desk, "polls", "landing")["watches"]
    assert sorted((w["path"], w["depth"]) for w in found) == [
        ("", "directory"), ("a", "tree"), ("a/x", "file"),
    ]  # fmt: skip
    assert len(ask(desk, "polls", "landing/a")["watches"]) == 2
    out = desk("polls", "landing").out
    assert "landing/a and all below is baselining" in out
    assert "landing/a/x alone is baselining" in out
    done = desk("polls", "landing", "--poll", "1")
    assert "is watched at several places; name one: landing" in done.err


# An object store ----------------------------------------------------------------------------


def test_an_object_store_is_watched_read_and_explained_and_never_tells_its_key(desk, azurite):
    container = azurite.container()
    store = container.datastore("in box")
    secret, other = azurite.credentials["account_key"], b64encode(b"another" * 9).decode()
    key = desk.path / "key"
    key.write_text(secret)
    desk.write("runner.yml", f"secrets: {{KEY: {{file: '{key}'}}}}\n")
    declare(
        desk,
        f"kind: Datastore\nname: landing\nurl: '{store.url}'\naccount: {store.account}\n"
        f"endpoint: {store.endpoint}\ncredentials: {{account_key: '${{{{ secret.KEY }}}}'}}\n",
        arrivals(recursive=True),
    )
    config = ("--config", "runner.yml")
    said = []

    def tell(*words):
        done = desk(*words)
        assert done.code == 0, done.err
        said.append(done.out + done.err)
        return done.out

    with running(desk, *config):
        ready(desk)
        container.put("in box/day/ü.csv", b"of the store")
        (run,) = finished(desk)
        assert tell("logs", run["id"]).endswith("\nof the store\n")
        url = run["facts"]["url"]
        shown = tell("show", "run", run["id"])
        assert url in shown
        assert run["facts"]["etag"] in shown
        assert re.search(r"\(modified\) +\d{4}-\d\d-\d\dT", shown)
        for asked in ("day/ü.csv", "landing/day/%C3%BC.csv", url):
            out = tell("explain", "arrivals", "--file", asked, *config)
            assert out.startswith("It fired: run "), out
            assert "it is there now with 12 bytes, as it is known" in out
        assert "cannot be asked from here: " in tell("explain", "arrivals", "--file", url)
        tell("polls", "arrivals", "--output", "json")
        assert "account_key ${{ secret.KEY }}" in tell("show", "datastore", "landing")
        key.write_text(other)
        failed = until(lambda: ask(desk, "polls", "arrivals", "--errors")["watches"][0]["polls"])
        assert "the credentials are refused" in failed[0]["error"]
        tell("polls", "arrivals")
        tell("list", "datastores", "--output", "json")
    texts = [*said, Path("runner.log").read_text()]
    raw = Path(".reconciler/workspace.db").read_bytes()
    for it in (secret, other):
        assert not [text for text in texts if it in text]
        assert it.encode() not in raw
    assert os.fsencode(secret) not in b"".join(
        path.read_bytes() for path in Path(".reconciler").rglob("*") if path.is_file()
    )
