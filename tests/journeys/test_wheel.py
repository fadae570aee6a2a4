"""The wheel, alone: what is in it, and that it works where nothing else of the project is."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", ".gitignore")
FOLDERS = ("reconciler", "schemas", "schedules")


def call(*command, cwd, env=None):
    """Run a program, and give what it wrote to its standard output."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(source, folder):
    """Build the wheel of the project in ``source``."""
    module = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder)
    call(*module, cwd=source)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_the_wheel_holds_what_is_declared_and_nothing_that_a_run_left_behind(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, source / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    left_behind = (
        "reconciler/cli/__pycache__/demo.pyc",
        "schedules/.reconciler/workspace.db",
        "schedules/data/landing/mine.csv",
        "schedules/data/models/wine.json",
        "schedules/data/results/by-file/mine.csv.scores.csv",
        "schedules/train/__pycache__/wine.pyc",
    )
    for name in left_behind:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("left behind")
    with zipfile.ZipFile(build(source, tmp_path / "dist")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    tracked = call("git", "ls-files", *FOLDERS, cwd=ROOT).splitlines()
    untracked = call("git", "ls-files", "--others", "--exclude-standard", *FOLDERS, cwd=ROOT)
    declared = {
        name if name.startswith("reconciler/") else f"reconciler/_data/{name}"
        for name in (*tracked, *untracked.splitlines())
        if (ROOT / name).exists()
    }
    assert names == declared


@pytest.mark.timeout(600)
def test_the_wheel_alone_tells_the_story_in_a_fresh_environment(tmp_path):
    """Builds, installs with all dependencies from the package registry, and uses it elsewhere."""
    wheel = build(ROOT, tmp_path / "dist")
    fresh, elsewhere = tmp_path / "fresh", tmp_path / "elsewhere"
    elsewhere.mkdir()
    call(sys.executable, "-m", "venv", "--without-pip", fresh, cwd=tmp_path)
    python = fresh / "bin" / "python"
    install = ("-m", "pip", "--python", python, "--disable-pip-version-check", "install", "--quiet")
    call(sys.executable, *install, wheel, cwd=tmp_path)
    # Neither the checkout nor its environment is in reach.
    hidden = ("PYTHON", "COVERAGE_", "VIRTUAL_ENV")
    env = {name: text for name, text in os.environ.items() if not name.startswith(hidden)}
    env |= {"TMPDIR": str(elsewhere)}
    program = fresh / "bin" / "reconciler"

    assert call(program, "--version", cwd=elsewhere, env=env).startswith("reconciler ")
    where = "from importlib.resources import files; print(files('reconciler') / '_data')"
    data = Path(call(python, "-c", where, cwd=elsewhere, env=env).strip())
    assert data.is_relative_to(fresh)
    shipped = {path.name: path.read_bytes() for path in (data / "schemas").iterdir()}
    assert shipped == {path.name: path.read_bytes() for path in (ROOT / "schemas").iterdir()}
    story = call(program, "demo", cwd=elsewhere, env=env)
    assert "The end. All of it happened" in story
    assert list(elsewhere.iterdir()) == []
