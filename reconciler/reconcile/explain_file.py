"""Why did a file, or did it not, make a schedule fire? One chain of evidence, link by link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.data import DatastoreChange, Depth, FileChange, Initial
from reconciler.fields import duration_text
from reconciler.live import DisabledBy, RegisteredSchedule
from reconciler.reconcile.fate import Fate, Outcome
from reconciler.reconcile.looks import Standing, moment, place
from reconciler.run import Fire, Run, RunState
from reconciler.schedule import Status
from reconciler.trigger.arrivals import display, ignored_because
from reconciler.trigger.decide import held_by
from reconciler.trigger.snapshot import moved_only, size_of
from reconciler.workspace.records import LoggedChange, Poll, WatchState

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A line of the change log about the file, and what it came to.

    ``polled_at`` is the instant of its poll, None where that is not kept. ``runs`` are the run of
    its fire and those that ran it anew; ``waits`` says what the last of them waits for.
    """

    line: LoggedChange
    polled_at: int | None
    outcome: Outcome
    runs: tuple[Run, ...] = ()
    waits: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What the store itself says now: ``facts`` None where the file is not there.

    ``marked`` tells whether the marker that the file needs is there. With an ``error`` nothing is
    known: it could not be asked, or was not.
    """

    facts: bytes | None = None
    marked: bool = True
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known about one file and one schedule.

    ``path`` is the file's in the datastore, None where what was asked for is not in it; ``name`` is
    counted from the watched directory, None where it is not below that. ``known`` are the facts
    that the last looks took down, None for none. ``seen`` is the newest first; ``fires`` are
    decisions about it that belong to no line of the present watch's log. ``first`` is the oldest
    poll that is kept. ``standing`` is None where nothing is watched for the schedule.
    """

    here: RegisteredSchedule
    trigger: DatastoreChange
    now: int
    asked: str
    registered: bool = True
    path: bytes | None = None
    name: bytes | None = None
    standing: Standing | None = None
    known: bytes | None = None
    seen: tuple[Seen, ...] = ()
    fires: tuple[Fire, ...] = ()
    first: Poll | None = None
    present: Present = Present(error="not asked, for it lies outside what is watched")


@dataclass(frozen=True, slots=True)
class Link:
    """One step of the chain; ``code`` is stable, ``text`` is for people."""

    step: str
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAnswer:
    """The answer in one sentence, the chain whose last link decides, and what the store says."""

    code: str
    answer: str
    chain: tuple[Link, ...]
    store: str


_FIRED = {
    RunState.NOT_STARTED: "waiting",
    RunState.RUNNING: "running",
    RunState.FINISHED: "finished",
    RunState.FAILED: "failed",
    RunState.CANCELED: "canceled",
}
_NO = "It did not fire"
_NOT_YET = "It has not fired yet"
# How the answer begins, by the code of the link that decides.
BEGINNINGS = {
    "no_datastore": _NO,
    "other_datastore": _NO,
    "elsewhere": _NO,
    "below": _NO,
    "other_file": _NO,
    "ignored": _NO,
    "disabled": _NO,
    "not_watched": _NO,
    "baselining": _NOT_YET,
    "failing": _NOT_YET,
    "waits_for_marker": _NOT_YET,
    "settling": _NOT_YET,
    "not_looked": _NOT_YET,
    "absent": _NO,
    "unseen": _NO,
    "existing": _NO,
    "pruned": "Nobody knows whether it fired",
    "earlier": _NO,
    "unknown": "Nobody knows whether it fired",
    "undecided": _NOT_YET,
    "held": _NOT_YET,
    "skipped": _NO,
    "passed_over": _NO,
    "fired": "It fired",
    **dict.fromkeys(_FIRED.values(), "It fired"),
}
# Where a runner has something to do yet.
WAITING = frozenset(code for code, begin in BEGINNINGS.items() if begin is _NOT_YET) | {"waiting"}
_BY = {
    None: "",
    DisabledBy.GIT: " in its manifest",
    DisabledBy.MISSING: ", for its manifest is gone",
    DisabledBy.OPERATOR: " by an operator",
}


def explain_file(found: Evidence) -> FileAnswer:
    """Say why a file did, or did not, make a schedule fire."""
    chain = tuple(_chain(found))
    last = chain[-1]
    return FileAnswer(
        code=last.code,
        answer=f"{BEGINNINGS[last.code]}: {last.text}.",
        chain=chain,
        store=_store(found),
    )


def _chain(found: Evidence) -> Iterator[Link]:
    trigger, name = found.trigger, found.name
    store = trigger.datastore
    if not found.registered:
        yield Link("datastore", "no_datastore", f"datastore '{store}' is not registered")
        return
    yield Link("datastore", "registered", f"{store} is registered")
    stopped = _outside(found)
    if stopped is not None or name is None:
        yield stopped or Link("place", "elsewhere", f"it is not below {place(trigger.watched)}")
        return
    yield Link("place", "within", f"it lies within what is watched, {place(trigger.watched)}")
    why = ignored_because(trigger, name)
    if why is not None:
        yield _ignored(why)
        return
    yield Link("filter", "counts", "its name counts")
    if found.standing is None:
        disabled = found.here.status is Status.DISABLED
        yield _disabled(found) if disabled else Link("watch", "not_watched", "nothing looks for it")
        return
    yield from _watched(found, found.standing, name)


def _outside(found: Evidence) -> Link | None:
    """Tell why a file is not among those that are watched, if it is not."""
    watched = found.trigger.watched
    if found.path is None:
        text = f"{display(_bytes(found.asked))} is not in datastore {watched.datastore}"
        return Link("place", "other_datastore", text)
    name = found.name
    path = display(found.path)
    if name is None:
        text = f"{path} is not below {place(watched)}, which is what is watched"
        return Link("place", "elsewhere", text)
    if watched.depth is Depth.FILE and found.path != _bytes(watched.path):
        text = f"{path} is not the one file that is watched, {display(_bytes(watched.path))}"
        return Link("place", "other_file", text)
    if watched.depth is Depth.DIRECTORY and b"/" in name:
        text = f"{path} lies in a directory below {place(watched)}; `recursive: true` counts those"
        return Link("place", "below", text)
    return None


def _watched(found: Evidence, standing: Standing, name: bytes) -> Iterator[Link]:
    """Go on with a file that is looked at."""
    yield Link("watch", standing.state, _looks(standing))
    if standing.watch.state is WatchState.BASELINING and (not found.seen or _moved_on(found)):
        yield _before_the_first_look(found, standing)
        return
    if _moved_on(found):
        yield _next_state(found, standing, name)
    elif (newest := _newest(found)) is not None:
        yield from _logged(found, newest)
    else:
        yield _never_logged(found, standing, name)


def _before_the_first_look(found: Evidence, standing: Standing) -> Link:
    told = found.trigger.initial is Initial.TRIGGER and standing.watch.existing
    fires = "fires then" if told else "never does"
    text = f"what lies there before the first complete look {fires}"
    if standing.error:
        return Link("look", "failing", f"{text}, and {_failing(standing)}")
    return Link("look", "baselining", f"{text}, and that one is due {_next(standing, found)}")


def _moved_on(found: Evidence) -> bool:
    """Tell whether the store has the file in a state that no look has taken down."""
    now, known = found.present.facts, found.known
    if found.present.error or now == known:
        return False
    if now is None:
        return FileChange.DELETED in found.trigger.changes
    return known is None or not moved_only(known, now)


def _next_state(found: Evidence, standing: Standing, name: bytes) -> Link:
    """Tell what a state waits for that no look has taken down."""
    now = found.present.facts
    change = FileChange.ADDED if found.known is None else FileChange.MODIFIED
    if now is None:
        change = FileChange.DELETED
    why = ignored_because(found.trigger, name, change, now)
    if why is not None:
        return _ignored(why)
    if found.here.status is Status.DISABLED:
        return _disabled(found)
    was = f"it was {change} and is not taken down yet"
    if standing.error:
        return Link("look", "failing", f"{was}: {_failing(standing)}")
    marker = found.trigger.watched.marker_of(name)
    if marker is not None and now is not None and not found.present.marked:
        return Link("look", "waits_for_marker", f"{was}: it waits for its marker {display(marker)}")
    last = standing.last
    if last is not None and last.waiting:
        many = "1 changed file" if last.waiting == 1 else f"{last.waiting} changed files"
        text = (
            f"{was}: poll {last.poll_seq} at {moment(last.polled_at)} left {many} to wait until "
            f"seen unchanged{_settle(found.trigger)}; the next look is due {_next(standing, found)}"
        )
        return Link("look", "settling", text)
    since = f"the last look was at {moment(last.polled_at)}" if last else "nobody has looked yet"
    return Link("look", "not_looked", f"{was}: {since}, the next is due {_next(standing, found)}")


def _newest(found: Evidence) -> Seen | None:
    """Give the newest line that concerns the schedule; one for others only where there is none."""
    mine = [one for one in found.seen if not one.outcome.for_others]
    return next(iter(mine or found.seen), None)


def _logged(found: Evidence, seen: Seen) -> Iterator[Link]:
    line, came = seen.line, seen.outcome
    at = "" if seen.polled_at is None else f" at {moment(seen.polled_at)}"
    size = "" if line.change == FileChange.DELETED else f", {_size(line.facts)}"
    yield Link("log", "logged", f"poll {line.poll_seq}{at} logged it as {line.change}{size}")
    if came.fate is Fate.FIRED:
        yield from _fired(found, seen)
    elif came.fate is Fate.IGNORED:
        yield Link("filter", "ignored", came.why) if came.for_others else _ignored(came.why)
    elif came.fate is not Fate.UNDECIDED:
        yield Link("decision", came.fate.value, came.why)
    elif found.here.status is Status.DISABLED:
        yield _disabled(found)
    elif found.here.hold is not None and found.here.hold.active(found.now):
        rule = f"(catchup: {found.here.hold.catchup})"
        text = f"the schedule is {held_by(found.here.hold)}; decided when that is over {rule}"
        yield Link("decision", "held", text)
    else:
        yield Link("decision", "undecided", "a runner decides about it at its next pass")


def _fired(found: Evidence, seen: Seen) -> Iterator[Link]:
    fire = seen.outcome.fire
    assert fire is not None, "what fired was decided"  # noqa: S101  (see Outcome)
    said = f"{fire.decision}ed" if fire.decision == "launch" else f"{fire.decision}d"
    decided = f"{said} at {moment(fire.decided_at)}, {fire.reason}"
    if not seen.runs:
        yield Link("decision", "fired", f"{decided}; its run is not kept any more")
        return
    yield Link("decision", "fired", decided)
    run = seen.runs[-1]
    tries = f" (try {len(seen.runs)})" if len(seen.runs) > 1 else ""
    named = f"run {run.id[:8]}{tries}"
    code = _FIRED[run.state]
    if run.state is RunState.NOT_STARTED:
        yield Link("run", code, f"{named} has not started, it {seen.waits}")
    elif run.state is RunState.RUNNING:
        yield Link("run", code, f"{named} is running since {moment(run.started_at or found.now)}")
    else:
        why = f", {run.reason}" if run.reason else ""
        yield Link("run", code, f"{named} {code} at {moment(run.ended_at or found.now)}{why}")


def _never_logged(found: Evidence, standing: Standing, name: bytes) -> Link:
    """Explain a file of which the log holds nothing, and that has no state to be taken down."""
    trigger = found.trigger
    first = found.first
    if found.known is not None:
        if trigger.initial is Initial.TRIGGER and standing.watch.existing:
            text = f"the next look, which fires for what was there, is due {_next(standing, found)}"
            return Link("log", "not_looked", text)
        if first is not None and first.poll_seq > 1:
            text = (
                f"no change of it is logged since poll {first.poll_seq} at "
                f"{moment(first.polled_at)}, and what was before is not kept"
            )
            return Link("log", "pruned", text)
        text = "it was there when the watch began, and has not changed since"
        if trigger.initial is Initial.IGNORE:
            text = f"{text}; only `initial: trigger` counts that"
        return Link("log", "existing", text)
    if standing.error:
        return Link("look", "failing", f"no look has seen it, and {_failing(standing)}")
    if not found.present.error:
        return Link("look", "absent", "it is not there, and no look that is kept has seen it")
    text = f"no look has taken it down; the next is due {_next(standing, found)}"
    marker = trigger.watched.marker_of(name)
    if marker is not None:
        text = f"{text}; it counts once its marker {display(marker)} lies beside it"
    return Link("look", "unseen", text)


def _store(found: Evidence) -> str:
    """Say how the store has the file now."""
    present, standing = found.present, found.standing
    if present.error:
        return present.error
    if present.facts is None:
        return "it is not there now"
    said = f"it is there now with {_size(present.facts)}"
    if standing is None or standing.last is None:
        return said
    if present.facts == found.known:
        return f"{said}, as it is known"
    return (
        f"{said}, not looked at since {moment(standing.last.polled_at)}; "
        f"the next look is due {_next(standing, found)}"
    )


def _ignored(why: str) -> Link:
    return Link("filter", "ignored", f"{why} leaves it out")


def _disabled(found: Evidence) -> Link:
    by = _BY[found.here.disabled_by]
    return Link("watch", "disabled", f"the schedule is Disabled{by}, so nothing looks for it")


def _looks(standing: Standing) -> str:
    if standing.error:
        return _failing(standing)
    if standing.last is None:
        return "nobody has looked yet"
    return f"the last look was at {moment(standing.last.polled_at)}"


def _failing(standing: Standing) -> str:
    since = "" if standing.failing_since is None else f" since {moment(standing.failing_since)}"
    return f"looks fail{since}: {standing.error}"


def _next(standing: Standing, found: Evidence) -> str:
    due = standing.watch.next_poll
    return "now" if due <= found.now else f"at {moment(due)}"


def _settle(trigger: DatastoreChange) -> str:
    if trigger.settle is None:
        return ""
    return f" for {duration_text(trigger.settle)}"


def _size(facts: bytes) -> str:
    size = size_of(facts)
    return "1 byte" if size == 1 else f"{size} bytes"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
