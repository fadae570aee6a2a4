"""Which version of the time zone data this machine has, and when that changes."""

from __future__ import annotations

import re
import zoneinfo
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.clock import MINUTE
from reconciler.trigger.zones import forget

if TYPE_CHECKING:
    from collections.abc import Iterator

_VERSION = re.compile(rb"# version (\w+)")


def in_use() -> tuple[str, str]:
    """Find which time zone data zoneinfo reads here: version and folder, both '' if not known."""
    for file, _ in _files():
        return _version(Path(file)), str(Path(file).parent)
    return "", ""


class ZoneData:
    """Looks once a minute. What was read of a zone before a change is forgotten."""

    def __init__(self) -> None:
        self._looked: int | None = None
        self._seen: tuple[str, int] | None = None
        self.version = ""

    def changed(self, now: int) -> bool:
        """Tell whether the data are not those of the last look; true at the first one."""
        if self._looked is not None and 0 <= now - self._looked < MINUTE:
            return False
        self._looked = now
        seen = next(_files(), None)
        if seen == self._seen:
            return False
        self._seen = seen
        self.version = "" if seen is None else _version(Path(seen[0]))
        forget()
        return True


def _files() -> Iterator[tuple[str, int]]:
    """Give the files that name the version, with their times, in zoneinfo's own order."""
    package = find_spec("tzdata")
    places = list(zoneinfo.TZPATH)
    if package is not None and package.origin is not None:
        places.append(str(Path(package.origin).parent / "zoneinfo"))
    for place in places:
        file = Path(place, "tzdata.zi")
        try:
            yield str(file), file.stat().st_mtime_ns
        except OSError:
            continue


def _version(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            found = _VERSION.match(opened.readline(100))
    except OSError:
        return ""
    return "" if found is None else found[1].decode("ascii")
