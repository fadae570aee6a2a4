"""Manifests laid out on the disk."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.reconcile import disk

MESSY = "# why\nname: 'nightly'  # which\nkind: Schedule\npipeline:   scoring\n"
NEAT = "# why\nkind: Schedule\nname: nightly  # which\npipeline: scoring\n"


@pytest.fixture
def messy(shop):
    """A project of which one file is not laid out."""
    shop.write("schedules/nightly.yml", MESSY)
    assert (
        shop(
            "fmt",
            "schedules/scoring.yml",
            "schedules/arrivals.yml",
            "schedules/landing.yml",
            "reconciler.yml",
        ).code
        == 0
    )
    return shop


def test_all_files_of_the_project_are_laid_out_and_then_none(messy):
    Path("schedules/other.txt").write_text(MESSY)
    done = messy("fmt")
    assert (done.code, done.out, done.err) == (
        0, "laid out schedules/nightly.yml\n1 file laid out, 4 unchanged\n", "",
    )  # fmt: skip
    assert Path("schedules/nightly.yml").read_text() == NEAT
    assert Path("schedules/other.txt").read_text() == MESSY
    assert messy("fmt").out == "0 files laid out, 5 unchanged\n"


def test_a_new_project_is_laid_out(empty):
    empty("init")
    assert empty("fmt", "--check").out == "0 files would change, 2 unchanged\n"


def test_check_names_the_files_and_writes_nothing(messy):
    done = messy("fmt", "--check")
    assert (done.code, done.out, done.err) == (
        1,
        "would change schedules/nightly.yml\n1 file would change, 4 unchanged\n",
        "error: 1 file not laid out; run: reconciler fmt\n",
    )
    assert Path("schedules/nightly.yml").read_text() == MESSY


def test_diff_shows_what_git_can_apply_and_writes_nothing(messy):
    Path("schedules/nightly.yml").write_bytes(
        MESSY.replace("\n", "\r\n").encode().removesuffix(b"\r\n")
    )
    done = messy("fmt", "--diff")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("--- a/schedules/nightly.yml\n+++ b/schedules/nightly.yml\n@@ ")
    assert "\\ No newline at end of file\n" in done.out
    assert Path("schedules/nightly.yml").read_bytes().endswith(b"scoring")
    subprocess.run(["git", "apply", "-"], input=done.out.encode(), check=True)
    assert Path("schedules/nightly.yml").read_text() == NEAT
    assert messy("fmt", "--diff", "--check").code == 0


def test_a_folder_stands_for_what_is_declared_in_it(messy):
    messy.write("schedules/deep/again.yml", MESSY)
    done = messy("fmt", "schedules/deep", "schedules/deep/again.yml")
    assert done.out == "laid out schedules/deep/again.yml\n1 file laid out, 0 unchanged\n"
    assert Path("schedules/nightly.yml").read_text() == MESSY


def test_a_file_of_no_project_is_laid_out_only_where_it_is_named(messy):
    messy.write("other.yml", MESSY)
    messy.write("../outside.yml", MESSY)
    assert "other.yml" not in messy("fmt", "--check").out
    named = ("other.yml", "../outside.yml", "reconciler.yml", "schedules/nightly.yml")
    done = messy("fmt", "--only-declared", "--check", *named)
    assert done.out == "would change schedules/nightly.yml\n1 file would change, 1 unchanged\n"
    assert messy("fmt", *named).out.splitlines()[-1] == "3 files laid out, 1 unchanged"
    assert Path("other.yml").read_text() == Path("../outside.yml").read_text() == NEAT


def test_what_cannot_be_read_is_told_and_the_rest_is_laid_out(messy):
    messy.write("schedules/broken.yml", "kind: Schedule\nname: [\n")
    done = messy("fmt")
    assert (done.code, done.out, done.err) == (
        1,
        "laid out schedules/nightly.yml\n1 file laid out, 5 unchanged\n",
        "schedules/broken.yml:3:1: a value is expected here\nerror: 1 problem in 1 file\n",
    )
    assert Path("schedules/broken.yml").read_text() == "kind: Schedule\nname: [\n"


def test_programs_get_json(messy):
    messy.write("schedules/broken.yml", "kind: Schedul\n")
    done = messy("fmt", "--check", "--diff", "--output", "json")
    problem = {"file": "schedules/broken.yml", "line": 1, "column": 7}
    assert done.code == 1
    assert [one | problem for one in done.data["problems"]] == done.data["problems"]
    assert [one["file"] for one in done.data["changed"]] == ["schedules/nightly.yml"]
    assert done.data["changed"][0]["diff"].startswith("--- a/schedules/nightly.yml\n")
    assert (done.data["unchanged"], done.data["written"]) == (5, False)
    assert messy("fmt", "--output", "json").data["changed"] == [{"file": "schedules/nightly.yml"}]


def test_a_file_keeps_its_mode_and_leaves_nothing_beside_it(messy):
    file = Path("schedules/nightly.yml")
    file.chmod(0o640)
    before = sorted(Path("schedules").iterdir())
    assert messy("fmt").code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(Path("schedules").iterdir()) == before


def test_an_interrupted_write_leaves_the_file_as_it_was(messy, monkeypatch):
    def interrupted(handle):
        raise KeyboardInterrupt

    before = sorted(Path("schedules").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(disk.os, "fsync", interrupted)
        assert messy("fmt").code == 130
    assert Path("schedules/nightly.yml").read_text() == MESSY
    assert sorted(Path("schedules").iterdir()) == before


def test_a_symbolic_link_is_refused_where_it_is_named(messy):
    Path("link.yml").symlink_to("schedules/nightly.yml")
    done = messy("fmt", "link.yml")
    said = "error: link.yml is a symbolic link; name the file that it leads to\n"
    assert (done.code, done.err) == (1, said)
    assert Path("link.yml").is_symlink()
    assert Path("schedules/nightly.yml").read_text() == MESSY


def test_json_stays_json(messy):
    text = '{\n  "name": "a",\n  "kind": "Schedule"\n}\n'
    Path("a.json").write_text(text)
    assert messy("fmt", "a.json").out == "0 files laid out, 1 unchanged\n"
    assert Path("a.json").read_text() == text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gone.yml"], "error: gone.yml is not there, or is no file\n"),
        (["fifo"], "error: fifo is not there, or is no file\n"),
    ],
)
def test_a_path_that_is_no_file_is_told(messy, arguments, said):
    os.mkfifo("fifo")
    done = messy("fmt", *arguments)
    assert (done.code, done.err) == (1, said)


def test_a_folder_outside_of_any_project_is_told(empty):
    done = empty("fmt")
    assert done.code == 1
    assert "no reconciler.yml in" in done.err


def test_a_project_file_with_problems_is_told(messy):
    messy.edit("reconciler.yml", "project: shop", "projekt: shop")
    done = messy("fmt", "--only-declared", "schedules/nightly.yml")
    assert done.code == 1
    assert "reconciler.yml:1:1:" in done.err


def test_colours_are_for_terminals_alone(messy):
    program = "import sys; from reconciler.cli import execute; sys.exit(execute(['fmt', '--diff']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert b"\x1b[" not in done.stdout
