import pytest

from tests.journeys.checkout import Checkout, fill


@pytest.fixture
def empty(tmp_path, monkeypatch, capfd):
    """A folder without anything."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("RECONCILER_WORKSPACE", raising=False)
    return Checkout(folder, capfd)


@pytest.fixture
def shop(empty):
    """A committed project with a pipeline, a clock schedule, a data schedule and a datastore."""
    fill(empty)
    return empty
