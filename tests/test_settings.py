from pathlib import Path

import pytest

from reconciler.clock import FixedClock
from reconciler.data import Datastore
from reconciler.errors import ManifestError, NotFound, SourceError, WorkspaceError
from reconciler.live import Provenance
from reconciler.plan.spec import spec_text
from reconciler.runner.config import RunnerConfig
from reconciler.runner.secrets import Secret, Secrets
from reconciler.settings import (
    migrate_workspace,
    open_datastore,
    open_reader,
    open_runner,
    open_source,
    open_workspace,
    read_runner_config,
    runner_active,
    shown_url,
    workspace_path,
)


def test_a_workspace_is_counted_from_a_folder_unless_it_is_absolute(tmp_path):
    assert workspace_path("sqlite:a/b.db", "/base").as_posix() == "/base/a/b.db"
    assert workspace_path("sqlite:/a/b.db", "/base").as_posix() == "/a/b.db"


def test_another_kind_of_workspace_is_named_with_the_way_out():
    with pytest.raises(
        WorkspaceError, match=r"'mysql:\.\.\.' is not known; write sqlite:PATH or p"
    ):
        workspace_path("mysql://x", ".")


def test_a_workspace_is_a_file_and_may_lie_in_a_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert workspace_path("sqlite:~/b.db", "/base").as_posix() == "/home/ada/b.db"
    assert workspace_path("sqlite:~nobody-here/b.db", "/base").name == "b.db"
    for url in ("sqlite:", "sqlite::memory:"):
        with pytest.raises(WorkspaceError, match="is no file; write sqlite:PATH"):
            workspace_path(url, "/base")


def test_a_workspace_is_made_only_on_request(tmp_path):
    with pytest.raises(NotFound, match="`reconciler apply` creates it"):
        open_workspace("sqlite:ws.db", str(tmp_path))
    opened = open_workspace("sqlite:ws.db", str(tmp_path), create=True)
    assert opened.folder == str(tmp_path)
    assert opened.registry.live().schedules == ()
    with pytest.raises(NotFound, match="datastore 'x' is not registered"):
        open_datastore(opened.ledger, "x", Secrets({}))


def test_a_runner_keeps_the_connections_of_a_datastore_until_it_is_another_one(tmp_path):
    opened = open_workspace("sqlite:ws.db", str(tmp_path), create=True)

    def put(url, revision=None):
        spec = spec_text(Datastore(name="landing", url=url))
        with opened.registry.transaction() as write:
            write.put_datastore(
                owner=None, name="landing", spec=spec, provenance=Provenance(), revision=revision
            )

    put("file:///a")
    daemon = open_runner(opened, RunnerConfig())
    datastore = daemon._observer._datastore
    first = datastore("landing")
    assert datastore("landing") is first
    put("file:///b", opened.ledger.datastores()["landing"].revision)
    assert datastore("landing").url(b"x") == "file:///b/x"
    daemon.close()
    daemon._executor.close()


def test_a_plan_may_read_a_workspace_that_does_not_exist_and_makes_none(tmp_path):
    reader = open_reader("sqlite:ws.db", str(tmp_path), FixedClock(7))
    assert (reader.now(), reader.live().pipelines) == (7, ())
    assert list(tmp_path.iterdir()) == []
    open_workspace("sqlite:ws.db", str(tmp_path), create=True)
    assert open_reader("sqlite:ws.db", str(tmp_path)).live().pipelines == ()


def test_a_workspace_may_be_a_postgres_database(databases, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RECONCILER_HOME", raising=False)
    url = databases.empty()
    assert open_reader(url).live().pipelines == ()
    opened = open_workspace(url, create=True)
    assert opened.registry.live().schedules == ()
    assert opened.url == shown_url(url) == url
    assert Path(opened.folder).parent == tmp_path / ".local" / "share" / "reconciler"
    assert not runner_active(url)
    opened.ledger.begin_session(host="h", pid=1)
    assert runner_active(url)
    opened.ledger.end_session()
    assert not runner_active(url)
    assert len(set(migrate_workspace(url))) == 1
    monkeypatch.setenv("RECONCILER_HOME", str(tmp_path / "home"))
    assert open_workspace(url).folder == str(tmp_path / "home")
    databases.drop(url)


def test_a_url_is_shown_whole_and_without_its_password(tmp_path):
    assert shown_url("sqlite:a.db", str(tmp_path)) == f"sqlite:{tmp_path}/a.db"
    assert shown_url("postgresql://ann:pw@host/db") == "postgresql://ann@host/db"


def test_a_folder_without_a_project_is_no_source(tmp_path):
    with pytest.raises(SourceError):
        open_source(str(tmp_path))


def test_the_runners_configuration_is_found_in_its_places(tmp_path, monkeypatch):
    monkeypatch.delenv("RECONCILER_RUNNER_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_runner_config(None) == RunnerConfig()
    home = tmp_path / ".config" / "reconciler"
    home.mkdir(parents=True)
    (home / "runner.yml").write_text("max_steps: 3\n")
    assert read_runner_config(None).max_steps == 3
    (tmp_path / "named.yml").write_text("secrets: {TOKEN: {env: TOKEN}}\ndrain: 5m\n")
    monkeypatch.setenv("RECONCILER_RUNNER_CONFIG", str(tmp_path / "named.yml"))
    assert read_runner_config(None).secrets == {"TOKEN": Secret(env="TOKEN")}
    (tmp_path / "given.yml").write_text("max_steps: 5\n")
    assert read_runner_config(str(tmp_path / "given.yml")).max_steps == 5


def test_a_configuration_that_was_asked_for_must_be_there_and_be_right(tmp_path):
    with pytest.raises(NotFound, match="no runner configuration at"):
        read_runner_config(str(tmp_path / "none.yml"))
    (tmp_path / "bad.yml").write_text("max_step: 5\nsecrets: {A: {}}\n")
    with pytest.raises(ManifestError) as caught:
        read_runner_config(str(tmp_path / "bad.yml"))
    assert len(caught.value.problems) == 2


def test_a_runner_is_put_together_and_let_go(tmp_path):
    opened = open_workspace("sqlite:ws.db", str(tmp_path), create=True)
    runner = open_runner(opened, RunnerConfig())
    runner.close()


def test_a_machine_that_takes_another_ones_place_and_name_is_not_the_node_that_the_other_was(
    tmp_path,
):
    opened = open_workspace("sqlite:ws.db", str(tmp_path), create=True)
    nodes = []
    for emptied in (False, False, True):
        if emptied:
            (tmp_path / "attempts").rename(tmp_path / "away")
        runner = open_runner(opened, RunnerConfig())
        nodes.append(runner._node)
        runner.close()
    assert nodes[0] == nodes[1] != nodes[2]
