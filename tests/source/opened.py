"""A repository with a project in it, opened as a source: what the tests of Git share."""

import pytest

from reconciler.live import Provenance
from reconciler.source.git import WorkTreeSource, open_source
from tests.source.repositories import WHO, Repository, steady


@pytest.fixture(autouse=True)
def git(monkeypatch):
    steady(monkeypatch)


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path / "repository")
    made.write("reconciler.yml", "project: wine\n")
    return made


def opened(repository, folder=""):
    source = open_source(str(repository.folder / folder))
    assert isinstance(source, WorkTreeSource)
    return source


def files(documents):
    return [document.file for document in documents]


def by(repository, file, commit):
    at = repository.seconds * 1_000_000
    return Provenance(file=file, commit=commit, author=WHO, committed_at=at)
