"""A project at a commit that need not be checked out."""

from __future__ import annotations

import pytest

from reconciler.errors import SourceError
from reconciler.source.base import SourceState
from reconciler.source.git import CommitSource, open_commit
from tests.source.opened import by, files, git, repository
from tests.source.repositories import WHO, Repository, write

__all__ = ["git", "repository"]


def at(repository, revision, folder=""):
    source = open_commit(str(repository.folder / folder), revision)
    assert type(source) is CommitSource
    return source


def test_a_commit_is_read_whatever_the_work_tree_and_the_index_hold(repository):
    first = repository.commit({"m/a.yml": "1", "m/b.yml": "1", "train/a.py": "1"})
    said = by(repository, "m/a.yml", first)
    repository.commit({"m/a.yml": "2"})
    repository.write("m/c.yml", "staged")
    repository.git("add", "m/c.yml")
    (repository.folder / "m/b.yml").unlink()
    source = at(repository, first)
    assert [(d.file, d.text) for d in source.manifests(["m/*.yml"])] == [
        ("m/a.yml", b"1"),
        ("m/b.yml", b"1"),
    ]
    assert source.state() == SourceState(commit=first, author=WHO, committed_at=said.committed_at)
    assert source.code("train").entries == (("a.py", 0o100644, b"1"),)
    assert source.provenance(["m/a.yml"]) == {"m/a.yml": said}
    assert source.folders().key("") == repository.git("rev-parse", f"{first}^{{tree}}")


def test_a_commit_goes_by_all_the_names_that_git_knows(repository):
    first = repository.commit()
    repository.git("tag", "--annotate", "v1", "--message=x")
    repository.git("branch", "with/slash")
    repository.commit({"a.yml": "1"})
    for name in [first, first[:9], "v1", "HEAD~1", "HEAD^", "with/slash", "main@{1}"]:
        assert at(repository, name).state().commit == first


@pytest.mark.parametrize(
    "revision",
    [
        "",
        "nowhere",
        "--all",
        "-x",
        "--batch",
        "main..main",
        "HEAD:m",
        "a b",
        "main\nmain",
        "\0",
        "f" * 40,
        "^main",
    ],
)
def test_what_is_no_commit_is_one_clear_line(repository, revision):
    repository.commit({"m/a.yml": "1"})
    with pytest.raises(SourceError) as caught:
        at(repository, revision)
    assert str(caught.value) == f"{revision!r} names no commit here; correct it, or run: git fetch"


def test_before_the_first_commit_there_is_none_to_read(repository):
    with pytest.raises(SourceError, match="'HEAD' names no commit here"):
        at(repository, "HEAD")


def test_outside_git_there_are_no_commits(tmp_path):
    write(tmp_path, "reconciler.yml")
    with pytest.raises(SourceError, match="is in no Git repository, so it has no commits to read"):
        open_commit(str(tmp_path), "HEAD")


def test_a_repository_that_git_does_not_take_for_one_has_no_commits(repository):
    repository.commit()
    (repository.folder / ".git/HEAD").write_text("garbage\n")
    with pytest.raises(SourceError, match="Git finds no work tree here"):
        at(repository, "HEAD")


def test_a_commit_without_the_project_has_nothing_to_read(tmp_path):
    repository = Repository(tmp_path / "repository")
    repository.commit({"other.txt": "1"})
    repository.commit({"ml/reconciler.yml": "project: wine", "ml/a.yml": "1"})
    assert at(repository, "HEAD", "ml").state().project_path == "ml"
    assert files(at(repository, "HEAD", "ml").manifests(["*.yml"])) == ["a.yml"]
    before = at(repository, "HEAD~1", "ml")
    assert before.folders().key("") is None
    with pytest.raises(SourceError, match=r"'reconciler.yml' does not exist in the project"):
        before.project_file()


@pytest.mark.parametrize(
    ("target", "refused"),
    [
        ("b.txt", False),
        ("../m/b.txt", False),
        ("../reconciler.yml", False),
        ("nowhere", True),
        ("../n", True),
        ("../../outside", True),
        ("/m/b.txt", True),
        ("link", True),
    ],
)
def test_a_link_is_nobodys_business_where_it_leads_to_a_file_of_the_commit(
    repository, target, refused
):
    repository.write("m/b.txt")
    repository.write("m/a.yml")
    repository.write("n/a.yml")
    (repository.folder / "m/link").symlink_to(target)
    repository.commit()
    (repository.folder / "m/link").unlink()
    source = at(repository, "HEAD")
    if refused:
        with pytest.raises(SourceError, match="'m/link' is a symbolic link"):
            source.manifests(["m/**/*.yml"])
    else:
        assert files(source.manifests(["m/**/*.yml"])) == ["m/a.yml"]


def test_a_submodule_is_refused_where_it_could_hold_something(repository, tmp_path):
    other = Repository(tmp_path / "other")
    other.commit({"a.yml": "x"})
    repository.write("m/a.yml")
    repository.git(
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        str(other.folder),
        "m/sub",
    )
    repository.commit()
    source = at(repository, "HEAD")
    assert files(source.manifests(["m/*.yml"])) == ["m/a.yml"]
    for read in [lambda: source.manifests(["m/**/*.yml"]), lambda: source.code("m")]:
        with pytest.raises(SourceError, match="'m/sub' is a repository of its own"):
            read()
    assert source.folders().key("m/sub") is None
    assert source.folders().entries(["m"])["m"]["sub"].startswith("160000 ")


def test_content_beyond_the_limit_is_refused(repository, monkeypatch):
    monkeypatch.setattr("reconciler.source.git.LIMIT", 5)
    repository.commit({"m/a.yml": "12345", "n/a.py": "123", "n/b.py": "123", "o/a.yml": "123456"})
    source = at(repository, "HEAD")
    assert files(source.manifests(["[mn]/*"])) == ["m/a.yml", "n/a.py", "n/b.py"]
    with pytest.raises(SourceError, match=r"reached at 'n/b.py'"):
        source.code("n")
    with pytest.raises(SourceError, match=r"reached at 'o/a.yml'"):
        source.manifests(["o/*.yml"])


def test_a_repository_of_longer_ids_is_read_alike(tmp_path, git):
    folder = tmp_path / "repository"
    folder.mkdir()
    repository = Repository(folder, new=False)
    repository.git("init", "--quiet", "--initial-branch=main", "--object-format=sha256")
    first = repository.commit({"reconciler.yml": "x", "m/a.yml": "1", "m/x/b.yml": "1"})
    assert len(first) == 64
    source = at(repository, first[:12])
    assert files(source.manifests(["m/**/*.yml"])) == ["m/a.yml", "m/x/b.yml"]
    assert source.folders().key("") == repository.git("rev-parse", "HEAD^{tree}")


def test_what_git_replace_puts_in_an_objects_place_is_not_read(repository):
    repository.commit({"m/a.yml": "true"})
    path = repository.write("other", "false")
    other = repository.git("hash-object", "-w", str(path))
    repository.git("replace", repository.git("rev-parse", "HEAD:m/a.yml"), other)
    assert at(repository, "HEAD").read(["m/a.yml"])[0].text == b"true"


def test_an_author_in_another_encoding_is_told_in_ours(repository):
    repository.git("config", "i18n.commitEncoding", "ISO-8859-1")
    repository.git(
        "commit", "--quiet", "--allow-empty", "--message=x", b"--author=J\xe9r\xf4me <j@x>"
    )
    assert at(repository, "HEAD").state().author == "Jérôme <j@x>"
    repository.git("config", "i18n.commitEncoding", "none-such")
    repository.git("commit", "--quiet", "--allow-empty", "--message=x", b"--author=J\xe9 <j@x>")
    assert at(repository, "HEAD").state().author == "J\udce9 <j@x>"
