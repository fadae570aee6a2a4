"""Times as people write them."""

import pytest

from reconciler.cli.instant import parse_end
from reconciler.errors import ReconcilerError


def test_an_end_that_cannot_be_read_is_answered_with_both_ways_to_write_it():
    with pytest.raises(ReconcilerError, match=r"'5x' is not a time; .*, or a duration from now"):
        parse_end("5x", "UTC", 0)
