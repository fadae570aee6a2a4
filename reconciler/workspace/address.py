"""What a workspace's URL says, told from its text alone."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?<=[?&])(?:ssl)?password=[^&]*&?")
_USER = re.compile(r"^(\w+://[^:@/]*):.*@")


def is_postgres(url: str) -> bool:
    """Tell whether a URL names a PostgreSQL database, in either of the two ways libpq knows."""
    return url.startswith(("postgresql://", "postgres://"))


def shown(url: str) -> str:
    """Write a URL without passwords, to be shown, recorded and compared; most have none.

    A password that should have been escaped goes with all that may be a part of it.
    """
    if not is_postgres(url):
        return url
    return _PASSWORD.sub("", _USER.sub(r"\1@", url)).rstrip("?&")
