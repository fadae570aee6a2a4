"""Other programs that plan, each in its own way on as many objects: octoDNS and dbt-jobs-as-code.

They come from PyPI into a virtual environment of their own under ``build/``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path(__file__).resolve().parents[2] / "build" / "peers"
PACKAGES = ("octodns==1.22.0", "dbt-jobs-as-code==1.22.0")
ZONE = 1_000  # records in a zone
PAGE = 100  # jobs in an answer, as dbt Cloud gives at most


def install() -> Path | None:
    """Give the folder of the other programs; None where they cannot be had."""
    programs = HOME / "bin"
    if not (programs / "octodns-sync").exists() or not (programs / "dbt-jobs-as-code").exists():
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
        pip = [
            str(programs / "pip"),
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *PACKAGES,
        ]
        if subprocess.run(pip, check=False).returncode:
            return None
    return programs


def octodns(programs: Path, folder: Path, count: int) -> list[str]:
    """Write zones with ``count`` records, one of which differs, and give the dry run's command."""
    names = [f"zone-{at}.test." for at in range(0, count, ZONE)]
    for side in ("declared", "live"):
        (folder / side).mkdir(parents=True)
        for at, name in enumerate(names):
            numbers = range(at * ZONE, min((at + 1) * ZONE, count))
            rows = [_record(n, changed=side == "live" and n == count // 2) for n in numbers]
            (folder / side / f"{name}yaml").write_text("---\n" + "".join(rows))
    provider = "class: octodns.provider.yaml.YamlProvider, default_ttl: 300, enforce_order: false"
    zones = "".join(f"  {name}: {{sources: [declared], targets: [live]}}\n" for name in names)
    config = folder / "config.yaml"
    config.write_text(
        "providers:\n"
        f"  declared: {{{provider}, directory: {folder}/declared}}\n"
        f"  live: {{{provider}, directory: {folder}/live}}\n"
        f"zones:\n{zones}"
    )
    return [str(programs / "octodns-sync"), f"--config-file={config}"]


def _record(n: int, *, changed: bool) -> str:
    last = 255 if changed else n % 250 + 1
    return f"record-{n}:\n  type: A\n  ttl: 300\n  values: [10.0.{n // 250 % 250}.{last}]\n"


def dbt(programs: Path, folder: Path, count: int) -> list[str]:
    """Write a file of ``count`` jobs, and give the plan's command; it asks :func:`dbt_cloud`."""
    folder.mkdir(parents=True)
    jobs = {f"job-{n}": _job(n) for n in range(count)}
    file = folder / "jobs.yml"
    file.write_text("jobs:\n" + "".join(f"  {k}: {json.dumps(job)}\n" for k, job in jobs.items()))
    return [str(programs / "dbt-jobs-as-code"), "plan", str(file)]


def _job(n: int, threads: int = 4) -> dict[str, object]:
    return {
        "account_id": 1,
        "project_id": 1,
        "environment_id": 1,
        "name": f"Score region {n}",
        "description": f"Score the transactions of region {n}",
        "settings": {"threads": threads, "target_name": "production"},
        "execution": {"timeout_seconds": 0},
        "run_generate_sources": False,
        "execute_steps": ["dbt build"],
        "generate_docs": False,
        "schedule": {"cron": f"{n % 60} {n // 60 % 24} * * 1,4"},
        "triggers": {
            "github_webhook": False,
            "git_provider_webhook": False,
            "schedule": True,
            "on_merge": False,
        },
    }


@contextmanager
def dbt_cloud(count: int) -> Iterator[dict[str, str]]:
    """Answer as dbt Cloud would that has these jobs, one of them different; on loopback alone.

    Gives the environment that leads there.
    """
    jobs = [
        _job(n, 5 if n == count // 2 else 4)
        | {"id": n + 1, "name": f"Score region {n} [[job-{n}]]", "state": 1}
        for n in range(count)
    ]

    class Cloud(BaseHTTPRequestHandler):
        """Lists jobs by pages; no job has variables of its own."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            answer: dict[str, object] = {"data": {}}
            if asked.path.endswith("/jobs/"):
                offset = int(parse_qs(asked.query).get("offset", ["0"])[0])
                answer = {
                    "data": jobs[offset : offset + PAGE],
                    "extra": {
                        "filters": {"limit": PAGE, "offset": offset},
                        "pagination": {"total_count": count},
                    },
                }
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        yield {"DBT_BASE_URL": url, "DBT_API_KEY": "none", "NO_PROXY": "127.0.0.1"}
    finally:
        server.shutdown()
        server.server_close()
