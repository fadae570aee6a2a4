"""What differs from the commit, and what only seems to."""

from __future__ import annotations

import os

import pytest

from reconciler.errors import SourceError
from reconciler.source.git import open_source
from reconciler.source.status import Status
from tests.source.opened import files, git, opened, repository
from tests.source.repositories import Repository, write
from tests.source.test_directory import Nobody, readable_by_all

__all__ = ["git", "readable_by_all", "repository"]


def test_what_is_as_in_the_commit_is_not_dirty_however_the_index_sees_it(repository):
    repository.commit(dict.fromkeys(["staged.yml", "removed.yml", "same.yml"], "1"))
    tree = repository.git("rev-parse", "HEAD^{tree}")
    repository.write("staged.yml", "2")
    repository.write("added.yml", "2")
    repository.git("add", "--all")
    repository.write("staged.yml", "1")
    (repository.folder / "added.yml").unlink()
    repository.git("rm", "--quiet", "--cached", "removed.yml")
    repository.write("same.yml", "1")
    source = opened(repository)
    assert source.state().dirty == ()
    assert source.folders().key("") == tree
    assert len(source.manifests(["*.yml"])) == 3


def test_a_file_that_git_shall_add_later_is_there_now(repository):
    repository.commit()
    repository.write("m/a.yml", "1")
    repository.git("add", "--intent-to-add", "m/a.yml")
    source = opened(repository)
    assert source.state().dirty == ("m/a.yml",)
    assert source.manifests(["m/*.yml"])[0].text == b"1"


def test_a_file_that_was_staged_is_read_as_it_was_staged(repository):
    repository.write(".gitattributes", "*.yml text\n")
    repository.commit({"m/a.yml": "1\n"})
    repository.write("m/a.yml", "2\r\n")
    assert opened(repository).read(["m/a.yml"])[0].text == b"2\r\n"
    repository.git("add", "m/a.yml")
    assert opened(repository).read(["m/a.yml"])[0].text == b"2\n"


def test_what_git_calls_unchanged_is_read_from_the_commit(repository):
    repository.write(".gitattributes", "*.yml text eol=crlf\n")
    repository.commit({"m/a.yml": "1\n"})
    (repository.folder / "m/a.yml").unlink()
    repository.git("checkout", "m/a.yml")
    assert (repository.folder / "m/a.yml").read_bytes() == b"1\r\n"
    source = opened(repository)
    assert source.state().dirty == ()
    assert source.read(["m/a.yml"])[0].text == b"1\n"


def test_a_file_that_is_new_has_the_id_that_git_would_give_it(repository):
    repository.commit()
    path = repository.write("m/a.yml", "new", mode=0o755)
    expected = repository.git("hash-object", str(path))
    source = opened(repository)
    assert source.folders().entries(["m"]) == {"m": {"a.yml": f"100755 {expected}"}}
    assert source.read(["m/a.yml"])[0].text == b"new"


def test_a_tracked_file_that_became_a_pipe_is_gone(repository):
    repository.commit({"m/a.yml": "1", "m/b.yml": "1"})
    (repository.folder / "m/a.yml").unlink()
    os.mkfifo(repository.folder / "m/a.yml")
    source = opened(repository)
    assert files(source.manifests(["m/*.yml"])) == ["m/b.yml"]
    assert list(source.folders().entries(["m"])["m"]) == ["b.yml"]


def test_new_leftovers_are_dirty_and_no_part_of_a_key(repository):
    repository.commit({"m/a.py": "1"})
    before = opened(repository).folders().key("")
    repository.write("m/__pycache__/a.cpython-311.pyc", "x")
    repository.write(".reconciler/workspace.db", "x")
    source = opened(repository)
    assert source.folders().key("") == before
    assert source.state().dirty == (
        ".reconciler/workspace.db",
        "m/__pycache__/a.cpython-311.pyc",
    )


def test_a_file_too_long_to_be_read_is_told_by_its_size_and_time(repository, monkeypatch):
    monkeypatch.setattr("reconciler.source.status.LIMIT", 3)
    repository.commit()
    keys = set()
    for content in ["1234", "12345", "123", "124"]:
        repository.write("m/data.bin", content)
        keys.add(opened(repository).folders().key("m"))
    assert len(keys) == 4


def test_a_file_that_changes_between_its_key_and_its_content_is_refused(repository):
    repository.commit()
    repository.write("m/a.yml", "1")
    source = opened(repository)
    assert source.folders().key("m")
    repository.write("m/a.yml", "2")
    with pytest.raises(SourceError, match=r"'m/a.yml' was changed while it was read"):
        source.read(["m/a.yml"])


def test_a_file_that_goes_between_the_look_and_the_reading_is_an_error_or_absent(repository):
    repository.commit()
    repository.write("m/a.yml", "1")
    status = Status(str(repository.folder), "")
    assert status.entries
    (repository.folder / "m/a.yml").unlink()
    with pytest.raises(SourceError, match=r"'m/a.yml' cannot be read: No such file"):
        status.identify("m/a.yml")
    repository.write("m/a.yml", "1")
    status = Status(str(repository.folder), "")
    assert status.commit
    (repository.folder / "m/a.yml").unlink()
    assert status.entries == {}


def test_a_folder_that_is_closed_after_the_look_is_an_error(readable_by_all):
    repository = Repository(readable_by_all / "repository")
    repository.commit({"reconciler.yml": "x"})
    repository.write("m/a.yml", "1")
    status = Status(str(repository.folder), "")
    assert status.commit
    (repository.folder / "m").chmod(0)
    with Nobody(), pytest.raises(SourceError, match=r"'m/a.yml' cannot be read: Permission"):
        _ = status.entries


def test_a_submodule_that_moved_is_dirty(repository, tmp_path):
    other = Repository(tmp_path / "other")
    other.commit({"a.yml": "x"})
    allow = ["-c", "protocol.file.allow=always"]
    repository.git(*allow, "submodule", "--quiet", "add", str(other.folder), "sub")
    repository.commit({"m/a.yml": "1"})
    before = opened(repository).folders().key("")
    Repository(repository.folder / "sub", new=False).commit({"b.yml": "x"})
    source = opened(repository)
    assert source.state().dirty == ("sub",)
    assert source.folders().key("m")
    assert files(source.manifests(["m/*.yml"])) == ["m/a.yml"]
    assert source.folders().key("") == before


@pytest.mark.parametrize("commit", [True, False])
def test_a_repository_whose_work_tree_is_elsewhere_is_refused(repository, tmp_path, commit):
    repository.write("ml/reconciler.yml", "project: wine")
    if commit:
        repository.commit()
    repository.git("config", "core.worktree", str(tmp_path))
    with pytest.raises(SourceError, match=r"run: git config --unset core.worktree"):
        open_source(str(repository.folder / "ml"))


def test_a_project_may_be_all_that_a_commit_lacks(tmp_path, git):
    repository = Repository(tmp_path / "repository")
    repository.commit({"other.txt": "1"})
    write(repository.folder, "ml\u00e9/reconciler.yml", "project: wine")
    write(repository.folder, "ml\u00e9/m/a.yml", "1")
    source = opened(repository, "ml\u00e9")
    assert source.state().project_path == "ml\u00e9"
    assert files(source.manifests(["m/*.yml"])) == ["m/a.yml"]
