"""Hold each room to its branch coverage: ``python tests/coverage_gate.py coverage.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

PURE = {"manifest", "plan", "trigger", "schedule", "pipeline", "run", "live", "data", "fields"}
REST = 85.0


def rooms(report):
    """Sum (covered, all) lines and branches of each room from the report of ``coverage json``."""
    sums = {}
    for path, file in report["files"].items():
        parts = Path(path).parts
        room = Path(parts[parts.index("reconciler") + 1]).stem
        summary = file["summary"]
        covered, whole = sums.get(room, (0, 0))
        covered += summary["covered_lines"] + summary["covered_branches"]
        whole += summary["num_statements"] + summary["num_branches"]
        sums[room] = (covered, whole)
    return dict(sorted(sums.items()))


def judge(sums):
    """Give (room, percent, percent wanted, whether it is reached) for each room that has code."""
    for room, (covered, whole) in sums.items():
        wanted = 100.0 if room in PURE else REST
        if whole:
            yield room, 100 * covered / whole, wanted, 100 * covered >= wanted * whole


def main(path):
    """Print a line for each room; return 1 if one does not reach what it must."""
    report = json.loads(Path(path).read_text("utf-8"))
    judged = list(judge(rooms(report)))
    for room, percent, wanted, reached in judged:
        short = "" if reached else f"   below {wanted:.0f} %"
        print(f"{room:<12}{int(percent * 10) / 10:>7.1f} %{short}")
    missing = PURE - {room for room, *_ in judged}
    if missing:
        print(f"not measured: {', '.join(sorted(missing))}")
    return int(bool(missing) or not all(reached for *_, reached in judged))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
