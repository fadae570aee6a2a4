"""What several commands say of watched files: how a watch stands, and its polls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.cli.facts import data
from reconciler.cli.say import utc
from reconciler.clock import iso, parse_instant
from reconciler.data import name_bytes
from reconciler.reconcile.looks import place
from reconciler.trigger.arrivals import display
from reconciler.trigger.snapshot import told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.fields import Scalar
    from reconciler.reconcile.looks import Standing
    from reconciler.workspace.records import LoggedChange, Poll

POLL_HEAD = ("POLL", "AT", "LISTED", "ADDED", "MODIFIED", "DELETED", "WAITING", "TOOK", "NOTE")


def poll_data(poll: Poll) -> dict[str, Any]:
    """Give a poll as plain data."""
    facts: dict[str, Any] = data(poll)
    return {**facts, "changed": poll.changed}


def poll_cells(poll: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the cells of a poll, as data, below :data:`POLL_HEAD`; a failed one has no counts."""
    changes = (str(poll[word] or "") for word in ("added", "modified", "deleted", "waiting"))
    counts = ("",) * 5 if poll["error"] else (str(poll["listed"]), *changes)
    left_out = f"{poll['skipped']} before it left out" if poll["skipped"] else ""
    note = (poll["error"] and f"failed: {poll['error']}", poll["note"], left_out)
    return (
        str(poll["poll_seq"]),
        utc(parse_instant(poll["polled_at"])),
        *counts,
        took(poll["took"]),
        "; ".join(filter(None, note)),
    )


def took(span: int) -> str:
    """Write a short span of microseconds: ``4ms``, ``1.2s``."""
    if span < 1_000_000:
        return f"{-(-span // 1_000)}ms"
    return f"{span / 1_000_000:.1f}s"


def standing_data(found: Standing) -> dict[str, Any]:
    """Give how a watch stands as plain data."""
    watch = found.watch
    facts: dict[str, Any] = data(watch)
    return {
        **facts.pop("watched"),
        **facts,
        "state": found.state,
        "last_poll": None if found.last is None else poll_data(found.last),
        "failing_since": None if found.failing_since is None else iso(found.failing_since),
        "error": found.error,
    }


def standing_text(found: Standing, now: int) -> str:
    """Say in one line how a watch stands."""
    watch, last = found.watch, found.last
    said = [f"{display(name_bytes(place(watch.watched)))} is {found.state}"]
    if found.failing_since is not None:
        said.append(f"looks fail since {utc(found.failing_since)}: {found.error}")
    said.append(f"last look {utc(last.polled_at)}" if last else "nobody has looked yet")
    due = "now" if watch.next_poll <= now else utc(watch.next_poll)
    said.append(f"{'next' if last else 'first'} look due {due}")
    return "; ".join(said)


def line_data(line: LoggedChange, folder: str) -> dict[str, Any]:
    """Give a line of a change log as plain data; ``folder`` is the one its name counts from."""
    name = line.name.decode("utf-8", "surrogateescape")
    return {
        "name": name,
        "display": display(line.name),
        "path": f"{folder}/{name}" if folder else name,
        "change": line.change,
        "poll": line.poll_seq,
        "seq": line.seq,
        **told(line.facts),
    }


def about_data(facts: Mapping[str, Scalar] | None) -> str:
    """Say which files a run is for; nothing for a run that is for none."""
    if not facts or "datastore" not in facts:
        return ""
    path = display(name_bytes(f"{facts['datastore']}/{facts.get('path', '')}".rstrip("/")))
    if "files" in facts:
        return f"{facts['files']} files of {path}" if facts["files"] != 1 else f"1 file of {path}"
    return path


def counted(counts: Mapping[str, int], words: Sequence[str] = ()) -> str:
    """Write counts by word: ``3 fired, 1 ignored``; the given ``words`` come first."""
    order = [*words, *(word for word in counts if word not in words)]
    return ", ".join(f"{counts[word]} {word}" for word in order if counts.get(word))
