from __future__ import annotations

import os
import subprocess
import sys

import pytest

from reconciler.errors import SourceError
from reconciler.live import Provenance
from reconciler.source.base import SourceState
from reconciler.source.directory import DirectorySource
from reconciler.source.git import WorkTreeSource, find_project, open_source
from tests.source.opened import by, files, git, opened, repository
from tests.source.repositories import WHO, Repository, write
from tests.source.test_directory import Nobody, readable_by_all

__all__ = ["git", "readable_by_all", "repository"]


# The state


def test_the_state_names_the_commit_its_author_and_the_first_commit(repository):
    first = repository.commit()
    second = repository.commit()
    assert opened(repository).state() == SourceState(
        commit=second,
        author=WHO,
        committed_at=repository.seconds * 1_000_000,
    )
    assert opened(repository).root_commit() == first


def test_a_repository_without_commits_has_no_commit(repository):
    repository.write("m/a.yml")
    source = opened(repository)
    assert source.state() == SourceState(dirty=("m/a.yml", "reconciler.yml"))
    assert source.provenance(["m/a.yml"]) == {"m/a.yml": Provenance(file="m/a.yml")}
    assert files(source.manifests(["m/*.yml"])) == ["m/a.yml"]


def test_everything_that_differs_from_the_commit_is_dirty(repository):
    repository.write(".gitignore", "*.log\n")
    for name in ["changed", "deleted", "moved", "staged", "same", "mode"]:
        repository.write(f"m/{name}.yml", f"{name}\n" * 9)
    repository.commit()
    repository.write("m/changed.yml", "other")
    repository.write("m/staged.yml", "other")
    repository.git("add", "m/staged.yml")
    (repository.folder / "m/deleted.yml").unlink()
    repository.git("mv", "m/moved.yml", "m/new name\n.yml")
    (repository.folder / "m/mode.yml").chmod(0o755)
    repository.write("m/-untracked.yml")
    repository.write("m/ignored.log")
    names = ["-untracked", "changed", "deleted", "mode", "moved", "new name\n", "staged"]
    source = opened(repository)
    assert source.state().dirty == tuple(f"m/{name}.yml" for name in names)
    here = ["-untracked", "changed", "mode", "new name\n", "same", "staged"]
    assert files(source.manifests(["m/*"])) == [f"m/{name}.yml" for name in here]


def test_files_in_conflict_are_dirty_and_read_once(repository):
    repository.commit({"a.yml": "one"})
    repository.git("switch", "--quiet", "--create=side")
    repository.commit({"a.yml": "two"})
    repository.git("switch", "--quiet", "main")
    repository.commit({"a.yml": "three"})
    subprocess.run(
        ["git", "merge", "side"], cwd=repository.folder, capture_output=True, check=False
    )
    source = opened(repository)
    assert source.state().dirty == ("a.yml",)
    assert files(source.manifests(["*.yml"])) == ["a.yml"]


def test_reading_leaves_the_repository_as_it_was(repository):
    repository.commit({"a.yml": "one"})
    repository.write("a.yml", "one")  # the same content with a new time, which status would note
    before = (repository.folder / ".git/index").read_bytes()
    source = opened(repository)
    source.manifests(["*.yml"])
    assert source.state().dirty == ()
    assert (repository.folder / ".git/index").read_bytes() == before


def test_a_source_answers_for_the_moment_it_was_first_asked(repository):
    first = repository.commit()
    source = opened(repository)
    assert source.state().commit == first
    repository.commit()
    assert source.state().commit == first


# What is read


def test_files_that_git_ignores_are_not_read(repository):
    repository.write(".gitignore", "local.yml\nout/\n")
    for path in ["m/a.yml", "m/local.yml", "train/a.py", "train/out/b.py"]:
        repository.write(path)
    source = opened(repository)
    assert files(source.manifests(["m/*.yml"])) == ["m/a.yml"]
    assert [path for path, _, _ in source.code("train").entries] == ["a.py"]


def test_a_tracked_file_is_read_although_it_would_be_ignored(repository):
    repository.write("m/a.yml")
    repository.commit()
    repository.write(".gitignore", "m/\n")
    assert files(opened(repository).manifests(["m/*.yml"])) == ["m/a.yml"]


def test_code_that_git_ignores_altogether_is_refused(repository):
    repository.write(".gitignore", "train/\n")
    repository.write("train/a.py")
    with pytest.raises(SourceError, match="holds no file that Git does not ignore"):
        opened(repository).code("train")


def test_a_tracked_folder_that_became_a_link_is_refused(repository):
    repository.commit({"m/a.yml": "kind: Schedule"})
    (repository.folder / "m").rename(repository.folder.parent / "elsewhere")
    (repository.folder / "m").symlink_to("../elsewhere")
    for ignored in ["", "m\n"]:
        (repository.folder / ".git/info/exclude").write_text(ignored)
        with pytest.raises(SourceError, match="'m' is a symbolic link"):
            opened(repository).manifests(["m/*.yml"])


def test_a_tracked_folder_that_became_a_link_to_a_file_is_gone(repository):
    repository.commit({"m/x/a.yml": "x", "m/b.yml": "x"})
    (repository.folder / "m/x/a.yml").unlink()
    (repository.folder / "m/x").rmdir()
    (repository.folder / "m/x").symlink_to("b.yml")
    assert files(opened(repository).manifests(["m/**/*.yml"])) == ["m/b.yml"]


def test_a_tracked_file_that_became_a_folder_gives_way_to_what_is_in_it(repository):
    repository.commit({"m/a.yml": "x"})
    (repository.folder / "m/a.yml").unlink()
    repository.write("m/a.yml/b.yml")
    assert files(opened(repository).manifests(["m/**/*.yml"])) == ["m/a.yml/b.yml"]


def test_a_tracked_folder_that_became_a_file_takes_its_files_with_it(repository):
    repository.commit({"m/x/a.yml": "x"})
    (repository.folder / "m/x/a.yml").unlink()
    (repository.folder / "m/x").rmdir()
    repository.write("m/x")
    repository.write("m/b.yml")
    assert files(opened(repository).manifests(["m/**/*.yml"])) == ["m/b.yml"]


@pytest.mark.parametrize("how", ["submodule", "nested"])
def test_a_repository_within_is_refused_where_it_could_hold_something(repository, tmp_path, how):
    other = Repository(tmp_path / "other")
    other.commit({"a.yml": "x"})
    repository.write("m/b.yml")
    repository.write("train/a.py")
    for place in ["m/sub", "train/sub"]:
        if how == "submodule":
            allow = ["-c", "protocol.file.allow=always"]
            repository.git(*allow, "submodule", "--quiet", "add", str(other.folder), place)
        else:
            repository.git("clone", "--quiet", str(other.folder), place)
    source = opened(repository)
    assert files(source.manifests(["m/*.yml"])) == ["m/b.yml"]
    for folder in ["train", "train/sub"]:
        with pytest.raises(SourceError, match="'train/sub' is a repository of its own"):
            source.code(folder)
    with pytest.raises(SourceError, match="'m/sub' is a repository of its own"):
        source.manifests(["m/**/*.yml"])


def test_what_a_sparse_checkout_leaves_out_is_read_from_the_commit(repository):
    repository.commit({"m/a.yml": "x", "n/b.yml": "y", "n/c/d.yml": "z"})
    repository.git("sparse-checkout", "set", "m")
    assert not (repository.folder / "n").exists()
    source = opened(repository)
    assert files(source.manifests(["*/*.yml"])) == ["m/a.yml", "n/b.yml"]
    assert source.code("n/c").entries == (("d.yml", 0o100644, b"z"),)
    assert source.state().dirty == ()


def test_a_folder_git_may_not_read_is_an_error_and_not_empty(readable_by_all, monkeypatch):
    repository = Repository(readable_by_all / "repository")
    repository.write("reconciler.yml")
    repository.commit({"m/a.yml": "x"})
    repository.write("m/closed/b.yml")
    (repository.folder / "m/closed").chmod(0)
    # Nobody must also be trusted with root's repository.
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "*")
    with Nobody(), pytest.raises(SourceError, match="could not open directory 'm/closed/'"):
        opened(repository).manifests(["m/**/*.yml"])


def test_a_tracked_file_git_may_not_look_at_is_an_error_and_not_unchanged(
    readable_by_all, monkeypatch
):
    repository = Repository(readable_by_all / "repository")
    repository.write("reconciler.yml")
    repository.commit({"m/a.yml": "x"})
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "*")
    (repository.folder / "m").chmod(0o600)
    with Nobody(), pytest.raises(SourceError, match="m/"):
        opened(repository).manifests(["m/*.yml"])


# Repositories of other shapes


def test_a_project_may_be_a_folder_of_a_repository(tmp_path):
    repository = Repository(tmp_path / "repository")
    repository.write("ml/team/reconciler.yml")
    root = repository.commit({"ml/team/m/a.yml": "1", "m/a.yml": "1"})
    repository.commit({"m/a.yml": "2"})
    repository.write("outside.txt")
    repository.write("ml/team/m/b.yml")
    source = opened(repository, "ml/team")
    state = source.state()
    assert state.project_path == "ml/team"
    assert source.root_commit() == root
    assert state.dirty == ("m/b.yml",)
    assert files(source.manifests(["**/*.yml"])) == ["m/a.yml", "m/b.yml"]
    assert source.provenance(["m/a.yml"])["m/a.yml"].commit == root


def test_a_project_that_was_never_committed_may_lie_in_a_repository_with_commits(tmp_path):
    repository = Repository(tmp_path / "repository")
    root = repository.commit({"other.txt": "1"})
    repository.write("ml/reconciler.yml")
    repository.write("ml/m/a.yml")
    source = opened(repository, "ml")
    assert source.root_commit() == root
    assert source.state().dirty == ("m/a.yml", "reconciler.yml")
    assert source.provenance(["m/a.yml"]) == {"m/a.yml": Provenance(file="m/a.yml")}


def test_a_merged_history_keeps_the_first_commit_of_the_main_line(repository, tmp_path):
    first = repository.commit()
    other = Repository(tmp_path / "other")
    other.commit({"b.txt": "x"})
    repository.git("fetch", "--quiet", str(other.folder), "main")
    repository.git("merge", "--quiet", "--allow-unrelated-histories", "--no-edit", "FETCH_HEAD")
    assert opened(repository).root_commit() == first


def test_a_detached_head_is_a_state_like_any_other(repository):
    first = repository.commit({"a.yml": "1"})
    repository.commit({"a.yml": "2"})
    repository.git("switch", "--quiet", "--detach", first)
    source = opened(repository)
    assert source.state().commit == first
    assert source.provenance(["a.yml"])["a.yml"].commit == first


def test_a_second_work_tree_of_a_bare_repository_is_a_work_tree(repository, tmp_path):
    first = repository.commit({"m/a.yml": "1"})
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    bare = Repository(tmp_path / "bare.git", new=False)
    bare.git("worktree", "add", "--quiet", str(tmp_path / "tree"), "main")
    source = open_source(str(tmp_path / "tree"))
    assert isinstance(source, WorkTreeSource)
    assert source.state().commit == first
    assert files(source.manifests(["m/*.yml"])) == ["m/a.yml"]


def test_a_folder_within_a_bare_repository_is_only_a_folder(repository, tmp_path):
    repository.commit()
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "x" / ".git"))
    write(tmp_path / "x" / ".git" / "project", "reconciler.yml")
    assert type(open_source(str(tmp_path / "x/.git/project"))) is DirectorySource


def test_a_shallow_clone_does_not_guess_what_lies_beyond_its_edge(repository, tmp_path):
    repository.commit({"a.yml": "1", "b.yml": "1"})
    repository.commit({"b.yml": "2"})
    last = repository.commit({"a.yml": "3"})
    url = repository.folder.as_uri()
    repository.git("clone", "--quiet", "--depth=2", url, str(tmp_path / "clone"))
    source = open_source(str(tmp_path / "clone"))
    found = source.provenance(["a.yml", "b.yml", "reconciler.yml"])
    assert found["a.yml"] == by(repository, "a.yml", last)
    assert found["b.yml"] == Provenance(file="b.yml")
    assert found["reconciler.yml"] == Provenance(file="reconciler.yml")
    assert source.state().commit == last
    assert source.root_commit() is None


def test_a_project_that_git_ignores_is_only_a_folder_and_says_so(repository):
    repository.commit({".gitignore": "scratch/\n"})
    write(repository.folder / "scratch", "reconciler.yml")
    source = open_source(str(repository.folder / "scratch"))
    assert type(source) is DirectorySource
    assert "Git ignores reconciler.yml" in source.note


def test_an_empty_git_folder_is_no_repository(tmp_path):
    write(tmp_path, "reconciler.yml")
    (tmp_path / ".git").mkdir()
    assert type(open_source(str(tmp_path))) is DirectorySource


def test_the_git_variables_of_a_hook_do_not_lead_elsewhere(repository, tmp_path, monkeypatch):
    mine = repository.commit()
    other = Repository(tmp_path / "other")
    other.commit({"x": "y"})
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.folder / ".git/index"))
    assert opened(repository).state().commit == mine


# What stops the work


def test_a_work_tree_whose_repository_is_gone_is_one_clear_line(tmp_path):
    write(tmp_path, "reconciler.yml")
    write(tmp_path, ".git", "gitdir: /nowhere/at/all\n")
    with pytest.raises(SourceError) as caught:
        open_source(str(tmp_path))
    assert str(caught.value) == (
        f"Git cannot read '{tmp_path}': fatal: not a git repository: /nowhere/at/all"
    )


def test_a_repository_of_another_user_is_one_clear_line_with_the_way_out(repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    write(repository.folder, "deeper/reconciler.yml")
    with pytest.raises(SourceError) as caught:
        open_source(str(repository.folder / "deeper"))
    message = str(caught.value)
    assert message.endswith(f"git config --global --add safe.directory {repository.folder}")
    assert "\n" not in message


def test_a_damaged_repository_is_an_error_and_not_one_without_commits(repository):
    first = repository.commit({"a.yml": "1"})
    (repository.folder / ".git/objects" / first[:2] / first[2:]).unlink()
    with pytest.raises(SourceError, match=r"Git cannot read .*: fatal: bad object HEAD"):
        opened(repository)


def test_history_that_cannot_be_read_is_an_error_and_not_an_absent_author(repository):
    first = repository.commit({"a.yml": "1"})
    repository.commit({"b.yml": "1"})
    (repository.folder / ".git/objects" / first[:2] / first[2:]).unlink()
    with pytest.raises(SourceError, match="Git cannot read"):
        opened(repository).provenance(["a.yml"])


def test_a_branch_that_git_cannot_resolve_makes_every_file_differ(repository):
    repository.commit({"a.yml": "1"})
    (repository.folder / ".git/refs/heads/main").write_text("garbage\n")
    assert opened(repository).state() == SourceState(dirty=("a.yml", "reconciler.yml"))


def test_a_repository_that_git_does_not_take_for_one_is_only_a_folder_and_says_so(repository):
    repository.commit()
    (repository.folder / ".git/HEAD").write_text("garbage\n")
    source = open_source(str(repository.folder))
    assert type(source) is DirectorySource
    assert source.note == "Git finds no work tree here, so no commit is known"


def test_without_git_on_the_path_a_project_is_a_folder_and_says_so(repository, tmp_path):
    repository.commit({"m/a.yml": "1"})
    (tmp_path / "bin").mkdir()
    program = (
        "from reconciler.source.git import open_source\n"
        f"source = open_source({str(repository.folder)!r})\n"
        "print(type(source).__name__, source.state().commit, source.note)\n"
        "print([document.file for document in source.manifests(['m/*.yml'])])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.splitlines()
    assert first == "DirectorySource None git is not installed, so no commit is known"
    assert second == "['m/a.yml']"


def test_a_folder_outside_git_is_read_without_loading_gitpython(tmp_path):
    write(tmp_path, "reconciler.yml")
    program = (
        "import sys; from reconciler.source.git import open_source\n"
        f"open_source({str(tmp_path)!r}).project_file()\n"
        "print('git' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("folder", ["nowhere", "file"])
def test_without_a_project_the_way_out_is_named(tmp_path, folder):
    write(tmp_path, "file")
    with pytest.raises(SourceError, match="run: reconciler init"):
        find_project(str(tmp_path / folder))
