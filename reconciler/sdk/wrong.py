"""What is wrong with an argument."""

from __future__ import annotations

from reconciler.errors import InvalidValue


def wrong(key: str, message: str) -> InvalidValue:
    """Say what is wrong with one argument."""
    return InvalidValue([((key,), message)])
