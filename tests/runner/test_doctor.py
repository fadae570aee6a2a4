"""What the doctor finds, on workspaces and machines that are well and that are not."""

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.clock import DAY, FixedClock, SystemClock
from reconciler.data import Datastore, Watched
from reconciler.datastore.local import LocalDatastore
from reconciler.errors import NotFound, WorkspaceError
from reconciler.plan.spec import spec_text
from reconciler.runner import doctor as module
from reconciler.runner.config import RunnerConfig
from reconciler.runner.doctor import Patient, State, examine, filesystem
from reconciler.runner.secrets import Secret, Secrets
from reconciler.runner.zone_data import ZoneData
from reconciler.settings import open_datastore
from reconciler.workspace.sql import open_workspace
from reconciler.workspace.sql.backup import open_upkeep
from tests.workspace.make import GIT, a_run, edit, on_timer, schedule


@pytest.fixture
def workspace(tmp_path):
    tmp_path.chmod(0o750)
    opened = open_workspace(str(tmp_path / "ws.db"), SystemClock(), create=True)
    yield opened
    opened.close()


@pytest.fixture
def patient(tmp_path, workspace):
    path = str(tmp_path / "ws.db")
    opened = open_upkeep(path, SystemClock(), read_only=True)
    yield Patient(
        clock=SystemClock(),
        file=path,
        folder=str(tmp_path),
        config=str(tmp_path / "runner.yml"),
        upkeep=lambda: opened,
        runner_active=lambda: True,
        read_config=RunnerConfig,
        watched=lambda: {"landing": []},
        datastore=lambda _: LocalDatastore(f"file://{tmp_path}"),
    )
    opened.close()


def found(patient, **changed):
    """All checks by name; of several with one name the last."""
    return {check.name: check for check in examine(replace(patient, **changed))}


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def test_a_workspace_that_is_well_has_nothing_to_do(patient, workspace):
    workspace.ledger.begin_session(host="here", pid=7)
    checks = found(patient)
    assert {check.state for check in checks.values()} <= {State.OK, State.WARN}
    assert all(not check.way_out for check in checks.values() if check.state is State.OK)
    assert checks["runner"].said.startswith("pid 7 on here, since 20")
    assert checks["datastore landing"].said == "its root can be listed"
    watched = ZoneData()
    assert watched.changed(0)
    assert checks["time zone data"].said.startswith(f"version {watched.version}, in /")
    assert list(checks) == [
        "program",
        "folder",
        "file system",
        "disk",
        "secrets",
        "time zone data",
        "workspace",
        "schema",
        "integrity",
        "durability",
        "time zones",
        "clock",
        "runner",
        "datastore landing",
    ]


def test_nothing_is_changed(patient, tmp_path):
    before = (tmp_path / "ws.db").read_bytes()
    found(patient)
    assert (tmp_path / "ws.db").read_bytes() == before


def test_without_a_workspace_the_machine_is_still_looked_at(patient):
    checks = found(patient, upkeep=raising(NotFound("no workspace at x")))
    assert (checks["workspace"].state, checks["workspace"].said) == (
        State.FAIL,
        "no workspace at x",
    )
    assert "schema" not in checks
    assert checks["disk"]


def test_without_a_folder_there_is_nothing_to_measure(patient):
    checks = found(patient, folder="/no/such/folder")
    assert checks["folder"].state is State.FAIL
    assert "disk" not in checks
    served = found(patient, folder="/no/such/folder", file=None)
    assert served["folder"].said == "/no/such/folder is not there; a runner here makes it"


def test_a_schema_of_another_version_fails(patient, tmp_path):
    with closing(sqlite3.connect(tmp_path / "ws.db")) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '0001'")
        raw.commit()
    check = found(patient)["schema"]
    assert check.state is State.FAIL
    assert "workspace migrate" in check.said


def test_rows_that_refer_to_nothing_are_damage(patient, workspace, tmp_path):
    a_run(workspace.ledger)
    with closing(sqlite3.connect(tmp_path / "ws.db")) as raw:
        raw.execute("INSERT INTO attempts SELECT 'gone','s',1,'Failed','',1,1,1,1,1,'' FROM runs")
        raw.commit()
    check = found(patient)["integrity"]
    assert (check.state, check.said) == (State.FAIL, "attempts: a row refers to nothing")
    assert "reconciler restore" in check.way_out


def test_a_database_that_forgets_fails(patient):
    class Careless:
        def __getattr__(self, name):
            return getattr(patient.upkeep(), name)

        def careless(self):
            return ["fsync = off"]

    check = found(patient, upkeep=Careless)["durability"]
    assert check.state is State.FAIL
    assert check.said.startswith("fsync = off: ")


def test_a_zone_that_is_not_known_here_fails(patient, workspace):
    with workspace.registry.transaction() as write:
        edit(write, schedule(write), spec='{"trigger":{"cron":{"time_zone":"Mars/Olympus"}}}')
    check = found(patient)["time zones"]
    assert check.state is State.FAIL
    assert check.said == "'Mars/Olympus' is not known here; 1 schedules that use it do not fire"


def test_clocks_that_are_apart_or_went_back_are_told(patient, workspace):
    class Apart:
        def __init__(self, ahead):
            self.ahead = ahead

        def __getattr__(self, name):
            return getattr(patient.upkeep(), name)

        def now(self):
            return SystemClock().now() + self.ahead

    on_timer(workspace)
    assert "s away from this machine's" in found(patient, upkeep=lambda: Apart(DAY))["clock"].said
    past = FixedClock(SystemClock().now() - DAY)
    checks = found(patient, clock=past, upkeep=lambda: Apart(-DAY))
    assert checks["clock"].said.endswith("which is yet to come")


def test_a_clock_that_is_moved_meanwhile_is_told(patient):
    class Jumping:
        instant = 0

        def now(self):
            self.instant += DAY
            return self.instant

    assert [c.name for c in examine(replace(patient, clock=Jumping()))][-1] == "clock"


def test_no_runner_is_a_warning(patient):
    check = found(patient, runner_active=lambda: False)["runner"]
    assert (check.state, check.way_out) == (State.WARN, "reconciler runner start")
    broken = found(patient, runner_active=raising(WorkspaceError("no locks here")))["runner"]
    assert (broken.state, broken.said) == (State.FAIL, "no locks here")


def test_a_datastore_that_cannot_be_listed_fails(patient):
    checks = found(
        patient,
        datastore=lambda _: LocalDatastore("file:///no/such/place"),
        watched=lambda: {"a": [Watched(datastore="a", path="in")]},
    )
    assert checks["datastore a"].state is State.FAIL
    checks = found(patient, watched=raising(WorkspaceError("gone")))
    assert checks["datastores"].said == "gone"


def test_each_watched_place_of_a_datastore_is_looked_at(patient, tmp_path):
    places = [Watched(datastore="landing", path=path) for path in ("a", "b", "c")]
    for path in ("a", "b"):
        (tmp_path / path).mkdir()
    gone = [
        check
        for check in examine(replace(patient, watched=lambda: {"landing": places}))
        if check.name == "datastore landing"
    ]
    assert [(check.state, check.said) for check in gone] == [
        (State.FAIL, f"folder '{tmp_path}/c' does not exist; create it")
    ]
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "file").touch()
    checks = found(patient, watched=lambda: {"landing": places})
    assert checks["datastore landing"].said == "3 watched places can be listed"
    checks = found(patient, watched=lambda: {"landing": places[:1] * 21})
    said = "20 watched places can be listed, the first of 21"
    assert checks["datastore landing"].said == said
    checks = found(patient, watched=lambda: {"landing": places[:1]})
    assert checks["datastore landing"].said == "a can be listed"


def test_a_datastore_whose_secret_is_not_to_be_had_fails(patient, workspace):
    key = "${{ secret.KEY }}"
    store = Datastore(
        name="cloud", url="az://box", account="acme", credentials={"account_key": key}
    )
    with workspace.registry.transaction() as write:
        write.put_datastore(
            owner=None, name="cloud", spec=spec_text(store), provenance=GIT, revision=None
        )
    check = found(
        patient,
        watched=lambda: {"cloud": []},
        datastore=lambda name: open_datastore(workspace.ledger, name, Secrets({})),
    )["datastore cloud"]
    assert check.state is State.FAIL
    assert check.said == "secret KEY is not declared in the runner's configuration"


def test_secrets_that_others_may_read_are_a_warning(patient, tmp_path):
    Path(patient.config).touch()
    token = tmp_path / "token"
    token.touch()
    for path in (token, Path(patient.config)):
        path.chmod(0o600)
    config = RunnerConfig(secrets={"A": Secret(file=str(token)), "B": Secret(env="B")})
    assert found(patient, read_config=lambda: config)["secrets"].said == "2 declared"
    token.chmod(0o644)
    check = found(patient, read_config=lambda: config)["secrets"]
    assert (check.state, check.way_out) == (State.WARN, f"chmod o-rwx {token}")
    token.unlink()
    assert found(patient, read_config=lambda: config)["secrets"].said == f"{token} is not there"
    broken = found(patient, read_config=raising(NotFound("no runner configuration")))
    assert broken["configuration"].state is State.FAIL


def test_a_folder_that_everybody_may_write_to_is_a_warning(patient, tmp_path):
    tmp_path.chmod(0o777)
    assert found(patient)["folder"].way_out == f"chmod o-w {tmp_path}"


def test_a_folder_that_cannot_be_written_is_a_warning(patient, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be written" in found(patient)["folder"].said


def test_a_network_file_system_fails_for_a_file_and_not_for_a_server(patient, monkeypatch):
    monkeypatch.setattr(module, "filesystem", lambda _: "nfs4")
    assert found(patient)["file system"].state is State.FAIL
    assert found(patient, file=None)["file system"].state is State.OK


@pytest.mark.parametrize(
    ("free", "state"), [(1 << 40, State.OK), (500 << 20, State.WARN), (1 << 20, State.FAIL)]
)
def test_a_disk_that_fills_is_told_in_time(patient, monkeypatch, free, state):
    usage = shutil._ntuple_diskusage(1 << 41, 0, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert found(patient)["disk"].state is state


def test_the_file_system_is_that_of_the_nearest_mount(monkeypatch):
    assert filesystem("/proc/self") == "proc"
    assert filesystem("/") != ""
    monkeypatch.setattr(Path, "read_text", raising(FileNotFoundError()))
    assert filesystem("/") == ""
