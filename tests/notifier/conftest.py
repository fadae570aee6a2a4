import pytest

from reconciler.notifier.environment import Ci, Kind
from reconciler.notifier.github import GitHub
from reconciler.notifier.gitlab import GitLab
from tests.servers.forge import TOKEN, ForgeServer


@pytest.fixture
def server():
    forge = ForgeServer()
    yield forge
    forge.close()


class Waits(list):
    """Remembers how long it was to wait, and does not."""

    def __call__(self, seconds):
        self.append(seconds)


@pytest.fixture
def waits():
    return Waits()


def job(server, kind, **fields):
    hub = kind == "github"
    facts = {
        "kind": Kind(kind),
        "api": server.url if hub else f"{server.url}/api/v4",
        "repository": "acme/shop" if hub else "7",
        "token": TOKEN,
        "token_name": "GITHUB_TOKEN" if hub else "GITLAB_TOKEN",
    }
    return Ci(**{**facts, **fields})


def open_forge(server, kind, waits, **fields):
    adapter = GitHub if kind == "github" else GitLab
    return adapter(job(server, kind, **fields), waits)


@pytest.fixture(params=["github", "gitlab"])
def forge(request, server, waits):
    return open_forge(server, request.param, waits)


@pytest.fixture
def github(server, waits):
    return open_forge(server, "github", waits)
