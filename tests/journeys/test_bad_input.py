"""Every malformed manifest, through the front door: a line per problem, exit 1, nothing written."""

import re
import shutil
from pathlib import Path

import pytest

BAD = Path(__file__).parents[1] / "manifest" / "bad"
CASES = sorted(path.name for path in BAD.iterdir() if path.suffix != ".txt")
LINE = re.compile(r"schedules/\S+?(:\d+:\d+)?: \S.*|error: \d+ problems? in \d+ files?")


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_manifest_is_answered_in_lines_and_writes_nothing(empty, case):
    empty.write("reconciler.yml", "project: shop\n")
    folder = empty.path / "schedules"
    folder.mkdir()
    for file in sorted((BAD / case).iterdir()) if (BAD / case).is_dir() else [BAD / case]:
        shutil.copy(file, folder)
    done = empty("apply", "--yes")
    assert done.code == 1
    assert done.out == ""
    lines = done.err.splitlines()
    assert len(lines) >= 2
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert sorted(path.name for path in empty.path.iterdir()) == ["reconciler.yml", "schedules"]
