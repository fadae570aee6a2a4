"""The layers are held by a machine, and the machine does notice."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lint(folder):
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=folder,
        env={"PATH": "", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "reconciler", tmp_path / "reconciler", ignore=ignored)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("trigger/zones.py", "import reconciler.plan", "every room has its floor BROKEN"),
        ("plan/diff.py", "import os", "touch nothing outside BROKEN"),
        ("runner/tick.py", "import reconciler.workspace.sql", "names adapters BROKEN"),
        ("attic.py", "", "attic"),
    ],
)
def test_breaking_a_layer_fails_the_check(copy, file, line, broken):
    with (copy / "reconciler" / file).open("a") as code:
        code.write(f"\n{line}\n")
    done = lint(copy)
    assert done.returncode != 0
    assert broken in done.stdout + done.stderr


def test_the_layers_are_kept(copy):
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr
