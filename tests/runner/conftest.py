import pytest

from tests.site import site


@pytest.fixture
def place(tmp_path):
    with site(tmp_path) as made:
        yield made
