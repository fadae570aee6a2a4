"""Making very many small values at once."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def bulk() -> Iterator[None]:
    """Keep the collector of cycles out of the block.

    Values that refer to nothing above them make no cycles, and looking for some among a million of
    them takes a third of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
