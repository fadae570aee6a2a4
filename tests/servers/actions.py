"""Runs a workflow's job as a machine of GitHub's does: its steps in order, its expressions filled in.

What comes from elsewhere is played: ``actions/checkout`` clones a local remote, artifacts are
folders, and steps called Install are left out, because what they install is what is tested.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_WORDS = re.compile(r"'[^']*'|[a-z_]+(?:\.[\w-]+)+|always\(\)|&&|\|\||!=|==|!")
_PYTHON = {"&&": " and ", "||": " or ", "!": " not ", "always()": "True", "==": "==", "!=": "!="}


@dataclass
class Step:
    name: str
    code: int
    out: str


@dataclass
class Machine:
    """``contexts`` are what expressions see: github, vars, secrets, inputs, runner."""

    folder: Path
    remote: Path
    artifacts: Path
    contexts: dict
    environ: dict
    done: list[Step] = field(default_factory=list)

    def run(self, workflow, job, **env):
        """Run a job; gives its steps. ``env`` takes the place of what the job says of services."""
        said = yaml.safe_load((ROOT / ".github/workflows" / workflow).read_text())["jobs"][job]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.contexts = {**self.contexts, "steps": {}, "env": {**said.get("env", {}), **env}}
        if not self.value(said.get("if", "'yes'")):
            return None
        self.environ = {**self.environ, **self.contexts["env"]}
        self._steps(said["steps"])
        return self.done

    def value(self, text):
        """Work out an expression, with or without its braces."""
        whole = _EXPRESSION.fullmatch(str(text).strip())
        return self._evaluate(whole[1] if whole else str(text))

    def filled(self, text):
        return _EXPRESSION.sub(lambda found: _text(self._evaluate(found[1])), str(text))

    def _evaluate(self, expression):
        python = _WORDS.sub(
            lambda word: (
                _PYTHON.get(word[0]) or (word[0] if word[0][0] == "'" else f"look({word[0]!r})")
            ),
            expression.replace("\n", " "),
        )
        return eval(python, {"__builtins__": {}, "look": self._look})

    def _look(self, path):
        found = self.contexts
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return "" if found is None else found

    def _steps(self, steps):
        failed = False
        for step in steps:
            condition = str(step.get("if", ""))
            if (failed and "always()" not in condition) or (
                condition and not self.value(condition)
            ):
                continue
            name = step.get("name", step.get("uses", ""))
            if name == "Install" or "setup-python" in name:
                continue
            if "run" in step:
                code = self._shell(name, step)
            else:
                code = self._use(step["uses"].partition("@")[0], step.get("with", {}))
            outcome = self.contexts["steps"].setdefault(step.get("id", name), {"outputs": {}})
            outcome["outcome"] = "failure" if code else "success"
            failed = failed or (bool(code) and not step.get("continue-on-error"))
        return int(failed)

    def _shell(self, name, step):
        outputs = self.folder.parent / "outputs"
        outputs.write_text("")
        env = {name: self.filled(value) for name, value in step.get("env", {}).items()}
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", self.filled(step["run"])],
            cwd=self.folder,
            env={**self.environ, **env, "GITHUB_OUTPUT": str(outputs)},
            capture_output=True,
            text=True,
            check=False,
        )
        self.done.append(Step(name, ran.returncode, ran.stdout + ran.stderr))
        lines = outputs.read_text().splitlines()
        told = dict(line.split("=", 1) for line in lines)
        self.contexts["steps"][step.get("id", name)] = {"outputs": told}
        return ran.returncode

    def _use(self, action, given):
        given = {name: self.filled(value) for name, value in given.items()}
        if action.startswith("./"):
            return self._composite(action, given)
        play = {
            "actions/checkout": self._checkout,
            "actions/upload-artifact": self._upload,
            "actions/download-artifact": self._download,
        }
        return play[action](given)

    def _composite(self, action, given):
        said = yaml.safe_load((self.folder / action / "action.yml").read_text())
        assert given.keys() <= said["inputs"].keys()
        outer = self.contexts
        defaults = {name: one.get("default", "") for name, one in said["inputs"].items()}
        inputs = {name: self.filled(text) for name, text in {**defaults, **given}.items()}
        self.contexts = {**outer, "inputs": inputs, "steps": {}}
        code = self._steps(said["runs"]["steps"])
        self.contexts = outer
        return code

    def _checkout(self, given):
        path = self.folder / given.get("path", ".")
        git = ["git", "-C", str(path), "-c", "advice.detachedHead=false"]
        ref = given.get("ref") or self._look("github.sha")
        depth = [] if given.get("fetch-depth") == "0" else ["--depth=1"]
        for command in (
            ["git", "init", "-q", str(path)],
            [*git, "fetch", "-q", *depth, f"file://{self.remote}", ref],
            [*git, "checkout", "-q", "FETCH_HEAD"],
        ):
            subprocess.run(command, check=True, env=self.environ)
        return 0

    def _upload(self, given):
        shutil.copytree(
            self.folder / given["path"], self.artifacts / given["name"], dirs_exist_ok=True
        )
        return 0

    def _download(self, given):
        if not (self.artifacts / given["name"]).exists():
            return 1
        shutil.copytree(self.artifacts / given["name"], given["path"])
        return 0


def _text(value):
    return (
        {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else str(value)
    )


def base_environment(folder):
    """What every step sees; the program under test is first on the path."""
    programs = ROOT / ".venv" / "bin"
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(folder),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
    }
