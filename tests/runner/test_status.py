"""What a runner tells over HTTP, and what it counts."""

import json
import socket
import urllib.error
import urllib.request
from contextlib import closing

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconciler.errors import InvalidValue, WorkspaceUnreachable
from reconciler.runner import status as module
from reconciler.runner.metrics import NOBODY, Prometheus
from reconciler.runner.status import Health, StatusServer, parse_address
from reconciler.workspace.sql.backup import open_upkeep
from tests.processes import runner, until
from tests.site import HELLO, minutely, site
from tests.workspace.make import poll


class Asked:
    """A server's answers."""

    def __init__(self, port):
        self.port = port

    def __call__(self, path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self):
        """All samples, as {name{label,...}: value}."""
        code, text = self("/metrics")
        assert code == 200
        return {
            sample.name + "".join(f"{{{value}}}" for _, value in sorted(sample.labels.items())): (
                sample.value
            )
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def metrics():
    return Prometheus()


@pytest.fixture
def place(tmp_path, metrics):
    with site(tmp_path) as made:
        made.metrics = metrics
        made.restart()
        yield made


@pytest.fixture
def upkeep(place):
    with closing(open_upkeep(str(place.folder / "ws.db"), place.clock)) as opened:
        yield opened


@pytest.fixture
def asked(metrics, upkeep):
    server = StatusServer(("127.0.0.1", 0), metrics, upkeep)
    yield Asked(server.port)
    server.close()


@pytest.fixture
def at_any_time(monkeypatch):
    monkeypatch.setattr(module, "FRESH", 0.0)


def test_what_the_runner_did_is_counted(place, asked, at_any_time, metrics):
    place.apply(
        p=HELLO,
        s=minutely(),
        d=f"kind: Datastore\nname: landing\nurl: file://{place.folder}\n---\n"
        "kind: Schedule\nname: data\npipeline: hello\n"
        "trigger: {datastore_change: {datastore: landing, path_on_datastore: in}}\n",
    )
    place.forward(90)
    place.finish()
    place.poll()
    found = asked.metrics()
    assert found["reconciler_fires_total{launch}{due}"] == 1
    assert found["reconciler_decision_lag_seconds_sum"] == 30
    assert found["reconciler_start_lag_seconds_sum"] == 30
    assert found["reconciler_runs_ended_total{Finished}"] == 1
    assert found["reconciler_attempts_ended_total{Finished}"] == 1
    assert found["reconciler_polls_total{error}"] >= 1
    assert found["reconciler_poll_seconds_count"] >= 1
    assert found["reconciler_runs{NotStarted}"] == found["reconciler_runs{Running}"] == 0
    assert found["reconciler_overdue_seconds"] == 0
    assert found["reconciler_ledger_up"] == 1
    assert any(name.startswith("process_cpu") for name in found)


def test_a_fire_that_waits_is_seen_from_outside(place, asked, at_any_time):
    place.apply(p=HELLO, s=minutely())
    place.forward(90)
    assert asked.metrics()["reconciler_overdue_seconds"] == 30


def test_the_ledger_is_asked_once_in_a_while_only(place, asked):
    assert asked.metrics()["reconciler_overdue_seconds"] == 0
    place.apply(p=HELLO, s=minutely())
    place.forward(90)
    assert asked.metrics()["reconciler_overdue_seconds"] == 0


def test_one_that_stands_by_is_alive_and_not_ready(asked):
    assert asked("/healthz") == (200, "standing by\n")
    assert asked("/readyz") == (503, "standing by\n")
    assert asked.metrics()["reconciler_ready"] == 0


def test_one_that_goes_round_is_ready_until_it_stops_to(place, asked, metrics, monkeypatch):
    metrics.session(held=True)
    assert asked("/healthz") == (200, "begins\n")
    assert asked("/readyz") == (503, "begins\n")
    place.daemon._guarded(place.step)
    assert asked("/readyz") == (200, "ready\n")
    assert asked("/healthz")[0] == 200
    metrics.beat -= module.ALIVE + 1
    code, said = asked("/healthz")
    assert (code, said.startswith("the last pass was 61")) == (503, True)
    assert asked("/readyz")[0] == 503


def test_a_pass_that_fails_is_not_ready_and_says_why(place, asked, metrics, monkeypatch):
    metrics.session(held=True)

    def fail():
        raise WorkspaceUnreachable("the database is gone")

    place.daemon._guarded(fail)
    assert asked("/readyz") == (503, "the database is gone\n")
    assert asked("/healthz")[0] == 200
    assert asked.metrics()["reconciler_passes_failed_total"] == 1


def test_a_session_that_is_lost_is_counted(place, asked, metrics):
    metrics.session(held=True)
    metrics.session(held=False, lost=True)
    found = asked.metrics()
    assert found["reconciler_sessions_begun_total"] == found["reconciler_sessions_lost_total"] == 1
    assert asked("/readyz")[0] == 503


def test_a_ledger_that_does_not_answer_leaves_the_rest_of_the_metrics(metrics, upkeep, at_any_time):
    def gone():
        raise WorkspaceUnreachable("no answer")

    upkeep.check = gone
    metrics.session(held=True)
    metrics.passed(0.1)
    health = Health(metrics, upkeep)
    assert health.ready() == (False, "no answer")
    assert [f.name for f in module.Ledgers(health).collect()] == [
        "reconciler_ledger_up",
        "reconciler_ready",
    ]


def test_it_answers_nothing_else(asked):
    assert asked("/")[0] == 404
    assert asked("/metrics", "POST")[0] == 501
    assert asked("/healthz?x=1", "HEAD") == (200, "")


def test_nobody_counts_nothing():
    NOBODY.session(held=True)
    NOBODY.passed(1.0)
    NOBODY.fired([])
    NOBODY.started([], 0)
    NOBODY.ended([])
    NOBODY.learned([])
    NOBODY.polled(poll(1, 1))
    NOBODY.degraded(1)
    assert vars(NOBODY) == {}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:9464", ("0.0.0.0", 9464)),
        ("[::1]:9464", ("::1", 9464)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_an_address_without_a_host_is_this_machine_alone(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "host", "host:", "host:x", "1:2:3", "h:99999", "h:1/x", "u@h:1"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InvalidValue, match="is not HOST:PORT"):
        parse_address(text)


def test_ipv6_is_listened_on_where_it_is_asked_for(metrics, upkeep):
    if not socket.has_ipv6:
        return
    try:
        server = StatusServer(("::1", 0), metrics, upkeep)
    except OSError:  # a machine without the address
        return
    server.close()


def test_a_runner_tells_how_it_is(tmp_path):
    path, log = tmp_path / "ws.db", tmp_path / "log"
    with runner(path, log, "--create", "--listen", "0", "--log-format", "json") as process:
        until(lambda: process.said("runner started"))
        (line,) = [line for line in log.read_text().splitlines() if "listening" in line]
        asked = Asked(json.loads(line)["message"].rpartition(" ")[2])
        assert until(lambda: asked("/readyz") == (200, "ready\n"))
        assert asked.metrics()["reconciler_pass_seconds_count"] > 0
        assert process.stop() == 0
