"""The object stores as fixtures: each server starts when it is first asked for, once a session."""

from __future__ import annotations

import pytest

from tests.servers.stores import Azurite, FakeGcs, SeaweedFS


def _session(kind):
    @pytest.fixture(scope="session", name=kind.__name__.lower())
    def server(tmp_path_factory):
        started = kind(tmp_path_factory.mktemp(kind.__name__.lower()))
        yield started
        started.close()

    return server


azurite, seaweedfs, fakegcs = map(_session, (Azurite, SeaweedFS, FakeGcs))
