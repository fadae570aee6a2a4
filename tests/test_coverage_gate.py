from __future__ import annotations

import json

import pytest

from tests.coverage_gate import PURE, main


def file(covered_lines, statements, covered_branches=0, branches=0):
    return {
        "summary": {
            "covered_lines": covered_lines,
            "num_statements": statements,
            "covered_branches": covered_branches,
            "num_branches": branches,
        }
    }


FULL = {f"reconciler/{room}.py": file(1, 1) for room in PURE}


@pytest.mark.parametrize(
    ("files", "code", "line"),
    [
        ({"reconciler/cli/a.py": file(85, 100)}, 0, "cli 85.0 %"),
        ({"reconciler/cli/a.py": file(84, 100)}, 1, "cli 84.0 % below 85 %"),
        (
            {"/x/reconciler/cli/a.py": file(100, 100, 0, 20)},
            1,
            "cli 83.3 % below 85 %",
        ),
        (
            {"reconciler/cli/a.py": file(1, 2), "reconciler/cli/b/c.py": file(18, 18)},
            0,
            "cli 95.0 %",
        ),
        ({"reconciler/plan/a.py": file(9999, 10000)}, 1, "plan 99.9 % below 100 %"),
        ({"reconciler/plan/__init__.py": file(0, 0)}, 0, "plan 100.0 %"),
    ],
)
def test_a_room_below_what_it_must_reach_fails(tmp_path, capsys, files, code, line):
    report = tmp_path / "coverage.json"
    report.write_text(json.dumps({"files": FULL | files}), "utf-8")
    assert main(report) == code
    printed = capsys.readouterr().out.splitlines()
    assert line in [" ".join(row.split()) for row in printed]


def test_a_pure_room_that_was_not_measured_fails(tmp_path, capsys):
    report = tmp_path / "coverage.json"
    files = {path: summary for path, summary in FULL.items() if path != "reconciler/plan.py"}
    report.write_text(json.dumps({"files": files}), "utf-8")
    assert main(report) == 1
    assert "not measured: plan" in capsys.readouterr().out
