"""How long the command line takes to answer, against a Python that does nothing.

Prints the medians and their ratio to ``python -c pass`` in the same run, taken in turns so that a
busy machine slows all alike. The limit for ``reconciler --help`` is 5 times.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROUNDS = 15
SAMPLE = Path(__file__).parent.parent / "schedules"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "schedules")
        shutil.copytree(SAMPLE, project, ignore=shutil.ignore_patterns(".reconciler"))
        reconciler = [sys.executable, "-m", "reconciler"]
        here = ["--project", str(project)]
        subprocess.run([*reconciler, "apply", "--yes", *here], check=True, capture_output=True)
        name = "retrain"
        programs = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "python -c 'import click'": [sys.executable, "-c", "import click"],
            "reconciler --help": [*reconciler, "--help"],
            "reconciler plan --help": [*reconciler, "plan", "--help"],
            "reconciler next NAME --manifest": [*reconciler, "next", name, "--manifest", *here],
            "reconciler validate": [*reconciler, "validate", *here],
            "reconciler plan": [*reconciler, "plan", *here],
            "reconciler list": [*reconciler, "list", *here],
        }
        took: dict[str, list[float]] = {label: [] for label in programs}
        for _ in range(ROUNDS):
            for label, program in programs.items():
                began = perf_counter()
                subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
                took[label].append(perf_counter() - began)
    floor = statistics.median(took["python -c pass"])
    for label, times in took.items():
        median = statistics.median(times)
        print(f"{label:<32} {median * 1_000:7.1f} ms  {median / floor:5.1f} x")


if __name__ == "__main__":
    main()
