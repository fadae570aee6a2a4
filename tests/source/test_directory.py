from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from reconciler.errors import SourceError
from reconciler.source.base import SourceState
from reconciler.source.directory import DirectorySource
from tests.source.repositories import write


@pytest.fixture
def readable_by_all():
    """A folder another user may enter; pytest's own temporary folders are the tester's alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


class Nobody:
    """Does what is within it without root's right to read everything."""

    def __enter__(self):
        self.user = os.geteuid()
        if self.user == 0:
            os.seteuid(65534)

    def __exit__(self, *error):
        os.seteuid(self.user)


def test_outside_git_no_commit_is_known(tmp_path):
    source = DirectorySource(str(tmp_path))
    assert source.state() == SourceState()
    assert source.note == ""


def test_the_folder_is_named_by_its_own_path(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert DirectorySource(str(tmp_path / "link")).folder == str((tmp_path / "real").resolve())


def test_only_folders_that_a_glob_could_reach_are_looked_into(readable_by_all):
    write(readable_by_all, "m/a.yml")
    (readable_by_all / "closed").mkdir(mode=0)
    source = DirectorySource(str(readable_by_all))
    with Nobody():
        assert [d.file for d in source.manifests(["m/*.yml"])] == ["m/a.yml"]


def test_a_folder_that_may_not_be_read_is_an_error_and_not_empty(readable_by_all):
    write(readable_by_all, "m/a.yml")
    (readable_by_all / "m/closed").mkdir(mode=0)
    source = DirectorySource(str(readable_by_all))
    with Nobody(), pytest.raises(SourceError, match="'m/closed/' cannot be read: Permission"):
        source.manifests(["m/**/*.yml"])


def test_a_file_that_may_not_be_read_is_an_error_and_not_absent(readable_by_all):
    write(readable_by_all, "m/a.yml", mode=0)
    source = DirectorySource(str(readable_by_all))
    with Nobody(), pytest.raises(SourceError, match=r"'m/a.yml' cannot be read: Permission"):
        source.manifests(["m/*.yml"])
