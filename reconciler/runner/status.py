"""What a runner tells whoever asks over HTTP: ``/metrics``, ``/healthz`` and ``/readyz``.

It can be read and nothing else. It listens on this machine alone unless another host is named.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from reconciler.clock import SECOND
from reconciler.errors import InvalidValue, ReconcilerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.runner.metrics import Prometheus
    from reconciler.workspace.upkeep import Standing, Upkeep

LOOPBACK = "127.0.0.1"
# A loop that has not come round for so many seconds is stuck: after errors it rests for 30 at most.
ALIVE = 60.0
# The ledger is not asked more often than this, however often somebody scrapes.
FRESH = 5.0


def parse_address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``, ``[IPV6]:PORT`` or ``PORT``, which means this machine alone.

    Raises:
        InvalidValue: it is none of them.
    """
    with suppress(ValueError):
        parts = urlsplit(f"//{LOOPBACK}:{text}" if text.isdecimal() else f"//{text}")
        host, port = parts.hostname or "", parts.port
        whole = not (parts.path or parts.query or parts.fragment or parts.username)
        if whole and port is not None:
            return host or LOOPBACK, port
    raise InvalidValue([((), f"'{text}' is not HOST:PORT; write for example 127.0.0.1:9464")])


class Health:
    """Tells how a runner and its ledger are; safe to ask from several threads."""

    def __init__(self, metrics: Prometheus, upkeep: Upkeep) -> None:
        self._metrics = metrics
        self._upkeep = upkeep
        self._lock = threading.Lock()
        self._seen: Standing | None = None
        self._why = ""
        self._until = 0.0

    def alive(self) -> tuple[bool, str]:
        """Tell whether the loop goes round; one that stands by or begins has none yet."""
        beat = self._metrics.beat
        if not self._metrics.held or beat is None:
            return True, "begins" if self._metrics.held else "standing by"
        age = monotonic() - beat
        return age <= ALIVE, f"the last pass was {age:.1f} s ago"

    def ready(self) -> tuple[bool, str]:
        """Tell whether it fires: the session is held, the ledger answers, its schema is ours."""
        alive, said = self.alive()
        if not self._metrics.held or self._metrics.beat is None:
            return False, said
        _, why = self.standing()
        why = why or self._metrics.failing or ("" if alive else said)
        return not why, why or "ready"

    def standing(self) -> tuple[Standing | None, str]:
        """Give what is under way, or why that cannot be told; a few seconds old at most."""
        with self._lock:
            if monotonic() >= self._until:
                try:
                    self._upkeep.check()
                    self._seen, self._why = self._upkeep.standing(), ""
                except ReconcilerError as error:
                    self._seen, self._why = None, str(error)
                self._until = monotonic() + FRESH
            return self._seen, self._why


class Ledgers(Collector):
    """The gauges that are read from the ledger when somebody asks."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give what is under way; of a ledger that does not answer only that."""
        standing, _ = self._health.standing()
        yield GaugeMetricFamily(
            "reconciler_ledger_up", "Whether the ledger answers.", value=standing is not None
        )
        ready, _ = self._health.ready()
        yield GaugeMetricFamily("reconciler_ready", "Whether this runner fires.", value=ready)
        if standing is None:
            return
        runs = GaugeMetricFamily("reconciler_runs", "Runs that are not over.", labels=["state"])
        for state in ("NotStarted", "Running"):
            runs.add_metric([state], standing.unfinished.get(state, 0))
        yield runs
        late = max(0, standing.at - standing.next_due) if standing.next_due is not None else 0
        for name, text, value in (
            ("steps_running", "Attempts that are not over.", standing.steps),
            ("schedules_held", "Schedules with a hold.", standing.held),
            ("overdue_seconds", "How long the oldest due fire waits.", late / SECOND),
        ):
            yield GaugeMetricFamily(f"reconciler_{name}", text, value=value)


class StatusServer:
    """Serves the status from threads of its own until it is closed; ``port`` is the real one."""

    def __init__(self, address: tuple[str, int], metrics: Prometheus, upkeep: Upkeep) -> None:
        health = Health(metrics, upkeep)
        metrics.registry.register(Ledgers(health))
        self._server = _Server(address, _handler(metrics, health))
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop to listen."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        import socket  # noqa: PLC0415  (only here)

        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)


def _handler(metrics: Prometheus, health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/metrics":
                    self._say(generate_latest(metrics.registry), CONTENT_TYPE_LATEST)
                case "/healthz":
                    self._tell(*health.alive())
                case "/readyz":
                    self._tell(*health.ready())
                case _:
                    self.send_error(HTTPStatus.NOT_FOUND)

        do_HEAD = do_GET  # noqa: N815  (the library's name)

        def _tell(self, well: bool, said: str) -> None:  # noqa: FBT001  (what health answers)
            self._say(f"{said}\n".encode(), "text/plain; charset=utf-8", well=well)

        def _say(self, body: bytes, kind: str, *, well: bool = True) -> None:
            self.send_response(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: a line for each scrape would drown the others."""

    return Handler
