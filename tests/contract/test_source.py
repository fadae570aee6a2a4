"""What every source of manifests does, whether or not Git knows the files."""

from __future__ import annotations

import os

import pytest

from reconciler.errors import SourceError
from reconciler.live import Provenance
from reconciler.source.base import Descent, SourceState
from reconciler.source.directory import DirectorySource
from reconciler.source.git import CommitSource, WorkTreeSource, open_commit, open_source
from tests.source.repositories import Repository, steady, write

HOSTILE = [
    "with space.yml",
    "quote'\".yml",
    "$(touch owned).yml",
    "new\nline.yml",
    "-leading.yml",
    "ünï — 中文.yml",
    "back\\slash.yml",
    "tab\there.yml",
    "a" * 250 + ".yml",
]


@pytest.fixture(autouse=True)
def git(monkeypatch):
    steady(monkeypatch)


class Project:
    """A project on the disk that can be opened at any time."""

    kind = DirectorySource

    def __init__(self, folder):
        self.folder = folder
        write(folder, "reconciler.yml", "project: wine\n")

    def write(self, path, content=b"x", mode=0o644):
        return write(self.folder, path, content, mode)

    def open(self):
        source = open_source(str(self.folder))
        assert type(source) is self.kind
        return source


class Untracked(Project):
    kind = WorkTreeSource

    def __init__(self, folder):
        Repository(folder)
        super().__init__(folder)


class Committed(Project):
    kind = WorkTreeSource

    def __init__(self, folder):
        self.repository = Repository(folder)
        super().__init__(folder)

    def open(self):
        self.repository.commit()
        return super().open()


class AtCommit(Committed):
    kind = CommitSource

    def open(self):
        self.repository.commit()
        source = open_commit(str(self.folder), "HEAD")
        assert type(source) is self.kind
        return source


class Nested(Committed):
    """A project in a folder of a repository, whose name is no friendlier than its files'."""

    def __init__(self, folder):
        self.repository = Repository(folder)
        Project.__init__(self, folder / "-ml\n ü")
        write(folder, "manifests/outside.yml")

    def open(self):
        self.repository.commit()
        return Project.open(self)


@pytest.fixture(params=[Project, Untracked, Committed, AtCommit, Nested])
def project(request, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    made = request.param(folder)
    made.folder = made.folder if request.param is not Nested else folder / "-ml\n ü"
    return made


def files(documents):
    return [document.file for document in documents]


def test_the_project_file_is_read_as_it_is(project):
    project.write("reconciler.yml", b"\xef\xbb\xbfproject: wine\r\n")
    document = project.open().project_file()
    assert (document.file, document.text) == ("reconciler.yml", b"\xef\xbb\xbfproject: wine\r\n")


def test_a_project_is_found_from_a_folder_within_it(project):
    project.write("manifests/deep/a.yml")
    project.open()
    source = open_source(str(project.folder / "manifests" / "deep"))
    assert source.folder == str(project.folder.resolve())
    assert files(source.manifests(["manifests/**/*.yml"])) == ["manifests/deep/a.yml"]


def test_manifests_are_those_that_match_sorted_by_path(project):
    for path in ["m/b.yml", "m/a.yaml", "m/sub/c.yml", "m/B.yml", "m/x.json", "other/d.yml"]:
        project.write(path, path)
    source = project.open()
    assert files(source.manifests(["m/*.yml", "m/*.yaml"])) == ["m/B.yml", "m/a.yaml", "m/b.yml"]
    assert files(source.manifests(["m/**/*.yml"])) == ["m/B.yml", "m/b.yml", "m/sub/c.yml"]
    assert [d.text for d in source.manifests(["./other//?.yml"])] == [b"other/d.yml"]


def test_a_file_that_two_globs_match_is_read_once(project):
    project.write("m/a.yml")
    assert files(project.open().manifests(["m/*.yml", "m/a.*"])) == ["m/a.yml"]


def test_exactly_the_asked_files_are_read_sorted_by_path(project):
    for path in ["m/a.yml", "m/b.yml", "m/x/c.yml", "d.txt"]:
        project.write(path, path)
    source = project.open()
    documents = source.read(["m/x/c.yml", "d.txt", "m/a.yml", "d.txt"])
    assert [(d.file, d.text) for d in documents] == [
        ("d.txt", b"d.txt"),
        ("m/a.yml", b"m/a.yml"),
        ("m/x/c.yml", b"m/x/c.yml"),
    ]
    assert source.read([]) == ()
    assert source.read(["m/b.yml"]) == source.manifests(["m/b.yml"])


@pytest.mark.parametrize(
    "path", ["nowhere", "m", "m/a.yml/b", "nowhere/a.yml", "../a", "/etc/passwd", "m//a.yml", ""]
)
def test_a_file_that_is_asked_for_and_is_not_there_is_an_error(project, path):
    project.write("m/a.yml")
    with pytest.raises(SourceError) as caught:
        project.open().read(["m/a.yml", path])
    assert str(caught.value) == f"{path!r} does not exist in the project"


@pytest.mark.parametrize("path", ["link.yml", "linked/a.yml"])
def test_a_file_that_is_asked_for_is_not_read_through_a_link(project, path):
    project.write("m/a.yml")
    (project.folder / "link.yml").symlink_to("m/a.yml")
    (project.folder / "linked").symlink_to("m")
    source = project.open()
    with pytest.raises(SourceError, match=f"'{path.partition('/')[0]}' is a symbolic link"):
        source.read([path])


def test_what_a_source_says_of_itself_is_in_the_terms_of_the_port(project):
    project.write("m/a.yml")
    source = project.open()
    state, folders = source.state(), source.folders()
    assert isinstance(state, SourceState)
    assert source.shallow() is False
    assert source.descent("0" * 40) is Descent.UNKNOWN
    assert (source.root_commit() is None) is (state.commit is None)
    if state.commit:
        assert source.descent(state.commit) is Descent.SAME
    if folders is not None:
        assert folders.key("m")
        assert folders.key("nowhere") is None
        listed = folders.entries(["", "m", "nowhere"])
        assert listed[""]["m/"] == f"40000 {folders.key('m')}"
        assert list(listed["m"]) == ["a.yml"]
        assert listed["nowhere"] == {}


def test_the_project_file_is_no_manifest(project):
    project.write("a.yml")
    assert files(project.open().manifests(["*.yml"])) == ["a.yml"]


def test_a_glob_that_matches_nothing_is_refused_because_a_typo_would_disable_everything(project):
    project.write("m/a.yml")
    project.write("m/folder.txt/x")
    source = project.open()
    for glob in ["manifets/*.yml", "m/*.txt", "reconciler.yml"]:
        with pytest.raises(SourceError, match="matches no file"):
            source.manifests(["m/*.yml", glob])


def test_yml_and_yaml_of_one_glob_count_as_one(project):
    project.write("m/a.yml")
    assert files(project.open().manifests(["m/**/*.yml", "m/**/*.yaml"])) == ["m/a.yml"]


def test_the_bytes_of_a_manifest_are_those_on_the_disk(project):
    content = bytes(range(256)) + b"\r\n"
    project.write("m/a.yml", content)
    assert project.open().manifests(["m/*"])[0].text == content


@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_name_is_too_hostile(project, name):
    project.write(f"m/{name}", b"kind: Schedule\n")
    source = project.open()
    assert files(source.manifests(["m/*.yml"])) == [f"m/{name}"]
    assert source.code("m").entries == ((name, 0o100644, b"kind: Schedule\n"),)
    assert set(source.provenance([f"m/{name}"])) == {f"m/{name}"}


def test_a_name_that_is_not_utf8_is_refused(project):
    name = os.fsdecode(b"m/\xff.yml")
    project.write(name)
    with pytest.raises(SourceError, match="not UTF-8"):
        project.open().manifests(["m/*.yml"])


def test_a_symbolic_link_to_a_manifest_is_refused(project):
    project.write("elsewhere/a.yml")
    project.write("m/b.yml")
    (project.folder / "m/a.yml").symlink_to("../elsewhere/a.yml")
    with pytest.raises(SourceError, match=r"'m/a.yml' is a symbolic link"):
        project.open().manifests(["m/*.yml"])


def test_a_linked_folder_that_could_hold_manifests_is_refused(project):
    project.write("elsewhere/a.yml")
    project.write("m/b.yml")
    (project.folder / "m/sub").symlink_to("../elsewhere")
    source = project.open()
    assert files(source.manifests(["m/*.yml"])) == ["m/b.yml"]
    with pytest.raises(SourceError, match="'m/sub' is a symbolic link"):
        source.manifests(["m/**/*.yml"])


def test_a_link_that_no_glob_could_reach_is_nobodys_business(project):
    project.write("m/b.yml")
    (project.folder / "dangling.yml").symlink_to("nowhere")
    (project.folder / "rooted").symlink_to("/")
    assert files(project.open().manifests(["m/**/*.yml"])) == ["m/b.yml"]


def test_only_regular_files_count(project):
    project.write("m/a.yml")
    os.mkfifo(project.folder / "m/pipe.yml")
    (project.folder / "m/folder.yml").mkdir()
    source = project.open()
    assert files(source.manifests(["m/*.yml"])) == ["m/a.yml"]
    assert [path for path, _, _ in source.code("m").entries] == ["a.yml"]


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(project):
    project.write("m/a.yml")
    with (project.folder / "m/huge.yml").open("wb") as huge:
        huge.truncate(65 << 20)
    source = DirectorySource(str(project.folder))
    with pytest.raises(SourceError, match=r"more than 64 MiB, reached at 'm/huge.yml'"):
        source.manifests(["m/*.yml"])


def test_code_is_the_files_of_a_folder_with_their_executable_bit(project):
    project.write("train/run.sh", b"#!/bin/sh\r\n", mode=0o755)
    project.write("train/lib/model.py", b"pass\n")
    project.write("trainer/not.py")
    tree = project.open().code("./train/")
    assert tree.entries == (
        ("lib/model.py", 0o100644, b"pass\n"),
        ("run.sh", 0o100755, b"#!/bin/sh\r\n"),
    )
    # Computed apart: printf '100644 lib/model.py\000%s\n100755 run.sh\000%s\n' A B | sha256sum
    assert tree.digest == "665ebd3807635a2a15df6c2fa5454e78442a69d6180919b443abdad135cb158d"


def test_code_may_be_named_from_beside_the_manifest_and_be_the_whole_project(project):
    project.write("manifests/a.yml")
    project.write("train/a.py", b"1")
    source = project.open()
    assert source.code("manifests/../train") == source.code("train")
    assert {path for path, _, _ in source.code(".").entries} >= {"train/a.py", "reconciler.yml"}


@pytest.mark.parametrize("folder", ["..", "../x", "/etc", "train/../../x", "train/../.."])
def test_code_outside_the_project_is_refused(project, folder):
    with pytest.raises(SourceError, match="leaves the project"):
        project.open().code(folder)


@pytest.mark.parametrize("folder", ["nowhere", "reconciler.yml", "nul\0"])
def test_code_in_no_folder_is_refused(project, folder):
    with pytest.raises(SourceError, match="does not exist"):
        project.open().code(folder)


def test_an_empty_code_folder_is_refused_because_git_would_not_keep_it(project):
    (project.folder / "empty").mkdir()
    said = "does not exist" if type(project) is AtCommit else "holds no file"
    with pytest.raises(SourceError, match=said):
        project.open().code("empty")


@pytest.mark.parametrize("target", ["a.py", "/etc/passwd", "nowhere", "lib"])
def test_a_link_within_code_is_refused(project, target):
    project.write("train/a.py")
    project.write("train/lib/b.py")
    (project.folder / "train/link").symlink_to(target)
    with pytest.raises(SourceError, match="'train/link' is a symbolic link"):
        project.open().code("train")


def test_code_below_a_link_is_refused(project):
    project.write("real/train/a.py")
    (project.folder / "linked").symlink_to("real")
    source = project.open()
    for folder in ["linked", "linked/train"]:
        with pytest.raises(SourceError, match="'linked' is a symbolic link"):
            source.code(folder)


def test_what_tools_and_editors_leave_behind_is_no_code(project):
    project.write("train/a.py", b"1")
    left = ["__pycache__/a.cpython-311.pyc", "a.pyc", ".a.py.swp", "a.py~", "#a.py#", ".DS_Store"]
    for path in [*left, ".mypy_cache/x", ".idea/workspace.xml", ".reconciler/workspace.db"]:
        project.write(f"train/{path}", b"dropped")
    (project.folder / "train/.#a.py").symlink_to("ada@host.4711")
    assert project.open().code("train").entries == (("a.py", 0o100644, b"1"),)


def test_code_beyond_the_limit_is_refused(project):
    project.write("train/a.py")
    for name in ["one.bin", "two.bin"]:
        with (project.folder / "train" / name).open("wb") as big:
            big.truncate(33 << 20)
    source = DirectorySource(str(project.folder))
    with pytest.raises(SourceError, match=r"more than 64 MiB, reached at 'train/two.bin'"):
        source.code("train")


def test_a_pointer_of_git_lfs_is_not_taken_for_the_file(project):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    project.write("train/weights.bin", pointer)
    with pytest.raises(SourceError, match=r"'train/weights.bin' is kept by Git LFS"):
        project.open().code("train")


def test_a_file_that_was_never_committed_has_no_commit(project):
    project.open()
    project.write("m/new.yml")
    source = open_source(str(project.folder))
    assert source.provenance(["m/new.yml"]) == {"m/new.yml": Provenance(file="m/new.yml")}


def test_without_a_project_file_there_is_no_project(project):
    project.open()
    (project.folder / "reconciler.yml").unlink()
    with pytest.raises(SourceError, match=r"'reconciler.yml' does not exist in the project"):
        DirectorySource(str(project.folder)).project_file()
    with pytest.raises(SourceError, match="run: reconciler init"):
        open_source(str(project.folder))


def test_a_linked_project_file_is_refused(project):
    project.write("other.yml")
    (project.folder / "reconciler.yml").unlink()
    (project.folder / "reconciler.yml").symlink_to("other.yml")
    with pytest.raises(SourceError, match=r"'reconciler.yml' is a symbolic link"):
        open_source(str(project.folder)).project_file()


def test_a_link_to_a_folder_that_is_not_there_now_is_refused_where_it_could_hold_something(project):
    project.write("m/b.yml")
    (project.folder / "m/mounted").symlink_to("/nowhere/at/all")
    with pytest.raises(SourceError, match="'m/mounted' is a symbolic link"):
        project.open().manifests(["m/**/*.yml"])
