import pytest

from tests.crash.nursery import Nursery
from tests.crash.world import STORES, World


@pytest.fixture(scope="module")
def nursery():
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(params=sorted(STORES))
def world(request, tmp_path, nursery):
    def databases():
        return request.getfixturevalue("databases")  # a server is not begun for nothing

    return World(tmp_path, STORES[request.param](tmp_path, databases), nursery)
