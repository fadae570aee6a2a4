from __future__ import annotations

import sys

import pytest

from reconciler.errors import SourceError
from reconciler.live import Provenance
from reconciler.source.base import Descent
from reconciler.source.git import open_commit, open_source
from tests.source.opened import by, git, opened, repository
from tests.source.repositories import Repository
from tests.source.test_directory import readable_by_all

__all__ = ["git", "readable_by_all", "repository"]


def test_each_file_has_the_last_commit_that_changed_it(repository):
    first = repository.commit({"a.yml": "1", "-b.yml": "1", "new\nline.yml": "1"})
    expected = {"-b.yml": by(repository, "-b.yml", first)}
    expected["new\nline.yml"] = by(repository, "new\nline.yml", first)
    second = repository.commit({"a.yml": "2"})
    expected["a.yml"] = by(repository, "a.yml", second)
    repository.commit({"other": "3"})
    repository.write("a.yml", "not committed")
    repository.write("b.yml", "untracked")
    expected["b.yml"] = Provenance(file="b.yml")
    source = opened(repository)
    assert source.provenance(expected) == expected
    assert source.provenance(["a.yml"]) == {"a.yml": expected["a.yml"]}
    assert source.provenance([]) == {}


def test_a_staged_file_is_not_committed_yet(repository):
    repository.commit()
    repository.write("a.yml")
    repository.git("add", "a.yml")
    assert opened(repository).provenance(["a.yml"])["a.yml"].commit is None


def test_a_change_of_mode_is_a_change(repository):
    repository.commit({"a.sh": "1"})
    repository.write("a.sh", "1", mode=0o755)
    second = repository.commit()
    assert opened(repository).provenance(["a.sh"])["a.sh"].commit == second


def test_many_files_are_looked_up_in_one_pass(repository, monkeypatch):
    names = [f"m/{number}.yml" for number in range(250)]
    first = repository.commit(dict.fromkeys(names, "1"))
    second = repository.commit({"m/7.yml": "2"})
    source = opened(repository)
    asked = []
    monkeypatch.setattr(
        "reconciler.source.history._command",
        lambda arguments, real=sys.modules["reconciler.source.history"]._command: (
            asked.append(arguments[0]) or real(arguments)
        ),
    )
    found = source.provenance(names)
    assert {name for name in names if found[name].commit == second} == {"m/7.yml"}
    assert sum(found[name].commit == first for name in names) == 249
    assert asked.count("log") == 1


def test_a_branch_whose_change_the_merge_dropped_did_not_make_the_file(repository):
    repository.commit({"a.yml": "1", "b.yml": "1"})
    repository.git("switch", "--quiet", "--create=side")
    side = repository.commit({"b.yml": "side"})
    repository.git("switch", "--quiet", "main")
    ours = repository.commit({"a.yml": "main"})
    repository.git("switch", "--quiet", "side")
    repository.commit({"a.yml": "dropped"})
    repository.git("switch", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-commit", "--strategy-option=ours", "side")
    repository.commit()
    found = opened(repository).provenance(["a.yml", "b.yml"])
    assert (found["a.yml"].commit, found["b.yml"].commit) == (ours, side)


def test_a_merge_that_changes_a_file_itself_is_its_commit(repository):
    repository.commit({"a.yml": "1"})
    repository.git("switch", "--quiet", "--create=side")
    repository.commit({"a.yml": "side"})
    repository.git("switch", "--quiet", "main")
    repository.commit({"a.yml": "main"})
    repository.git("merge", "--quiet", "--no-commit", "--strategy-option=ours", "side")
    merge = repository.commit({"a.yml": "both"})
    assert opened(repository).provenance(["a.yml"])["a.yml"].commit == merge


def test_what_people_configure_for_git_log_changes_nothing(repository):
    first = repository.commit({"a.yml": "1"})
    for setting in [
        ("log.showSignature", "true"),
        ("log.follow", "true"),
        ("log.decorate", "full"),
        ("color.ui", "always"),
        ("i18n.logOutputEncoding", "ISO-8859-1"),
        ("status.showUntrackedFiles", "no"),
        ("status.branch", "true"),
        ("status.relativePaths", "false"),
        ("diff.renames", "copies"),
        ("diff.noprefix", "true"),
    ]:
        repository.git("config", *setting)
    repository.write("b.yml")
    source = opened(repository)
    assert source.provenance(["a.yml"]) == {"a.yml": by(repository, "a.yml", first)}
    assert source.state().dirty == ("b.yml",)


def test_an_author_with_any_name_is_told_as_they_write_it(repository):
    repository.write("a.yml")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message=x", "--author=/:Ünï \t 中文 <->")
    source = opened(repository)
    assert source.state().author == "/:Ünï \t 中文 <->"
    assert source.provenance(["a.yml"])["a.yml"].author == "/:Ünï \t 中文 <->"


# Descent


def descent(repository, ours, theirs):
    return open_commit(str(repository.folder), ours).descent(theirs)


@pytest.fixture(params=[500, 2])
def reach(request, monkeypatch):
    """Once by the walk alone, once by Git's own search after it."""
    monkeypatch.setattr("reconciler.source.history._NEAR", request.param)


def test_how_two_commits_stand_to_each_other(repository, reach):
    first = repository.commit({"a.yml": "1"})
    repository.commit({"a.yml": "2"})
    repository.git("switch", "--quiet", "--create=side")
    side = repository.commit({"b.yml": "side"})
    repository.git("switch", "--quiet", "main")
    for number in range(3, 9):
        main = repository.commit({"a.yml": f"{number}"})
    repository.git("merge", "--quiet", "--no-edit", "side")
    merge = repository.git("rev-parse", "HEAD")
    assert descent(repository, main, main) is Descent.SAME
    assert descent(repository, main, first) is Descent.DESCENDANT
    assert descent(repository, first, main) is Descent.ANCESTOR
    assert descent(repository, main, side) is Descent.DIVERGED
    assert descent(repository, side, main) is Descent.DIVERGED
    assert descent(repository, merge, side) is Descent.DESCENDANT
    assert descent(repository, side, merge) is Descent.ANCESTOR
    assert opened(repository).descent(main) is Descent.DESCENDANT


def test_histories_without_a_common_commit_have_diverged(repository, tmp_path, reach):
    repository.commit()
    repository.git("switch", "--quiet", "--orphan", "other")
    other = repository.commit({"reconciler.yml": "x"})
    assert descent(repository, "main", other) is Descent.DIVERGED


def test_a_shallow_clone_cannot_tell_what_lies_beyond_its_edge(repository, tmp_path, reach):
    first = repository.commit({"a.yml": "1"})
    commits = [repository.commit({"a.yml": f"{number}"}) for number in range(2, 8)]
    url = repository.folder.as_uri()
    repository.git("clone", "--quiet", "--depth=6", url, str(tmp_path / "clone"))
    source = open_source(str(tmp_path / "clone"))
    assert source.shallow()
    assert source.descent(first) is Descent.UNKNOWN
    assert source.descent(commits[2]) is Descent.DESCENDANT
    repository.git("switch", "--quiet", "--create=side", first)
    side = repository.commit({"b.yml": "side"})
    clone = Repository(tmp_path / "clone", new=False)
    clone.git("fetch", "--quiet", "--depth=1", "origin", "side")
    assert source.descent(side) is Descent.UNKNOWN


@pytest.mark.parametrize("other", ["0" * 40, "HEAD", "main", "", "x\ny", "--all", "0" * 64])
def test_of_what_is_no_commit_here_nothing_is_said(repository, other):
    repository.commit({"a.yml": "1"})
    source = opened(repository)
    assert source.descent(other) is Descent.UNKNOWN
    assert source.descent(repository.git("rev-parse", "HEAD:a.yml")) is Descent.UNKNOWN
    assert not source.shallow()


def test_before_the_first_commit_nothing_is_said(repository):
    source = opened(repository)
    assert source.descent("0" * 40) is Descent.UNKNOWN
    assert source.root_commit() is None
    assert not source.shallow()


def test_a_search_that_cannot_be_made_is_an_error(repository, monkeypatch):
    monkeypatch.setattr("reconciler.source.history._NEAR", 1)
    first = repository.commit({"a.yml": "1"})
    second = repository.commit({"a.yml": "2"})
    last = repository.commit({"a.yml": "3"})
    path = repository.folder / ".git/objects" / second[:2] / second[2:]
    path.unlink()
    with pytest.raises(SourceError, match="Git cannot read"):
        descent(repository, last, first)
