"""What a workspace's URL says, told from its text alone."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def identity(url: str, environment: Mapping[str, str]) -> str:
    """Tell a PostgreSQL workspace from any other on this machine, by where its URL leads.

    That is a hash of server, database and what chooses the schema, as libpq takes them from the
    URL or else from the environment. Who connects does not count.
    """
    parts = urlsplit(shown(url))
    asked = dict(parse_qsl(parts.query))
    asked |= {"host": parts.netloc.rpartition("@")[2], "dbname": parts.path.lstrip("/")} | {
        name: asked[name] for name in ("host", "dbname") if name in asked
    }
    where = [
        asked.get(name) or environment.get(variable, "")
        for name, variable in (
            ("host", "PGHOST"),
            ("port", "PGPORT"),
            ("dbname", "PGDATABASE"),
            ("options", "PGOPTIONS"),
            ("service", "PGSERVICE"),
        )
    ]
    return hashlib.sha256("\n".join(where).encode()).hexdigest()[:16]
