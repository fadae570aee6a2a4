"""The looks at watched files: how a watch stands, and what each of its polls came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.clock import to_datetime
from reconciler.reconcile.fate import Decisions, Fate, Outcome, outcome
from reconciler.trigger.snapshot import split
from reconciler.workspace.records import LoggedChange, Poll, Watch, WatchState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.data import DatastoreChange, Watched
    from reconciler.live import RegisteredSchedule
    from reconciler.run import Fire
    from reconciler.workspace.ledger import Ledger

# So many failed looks in a row make a watch degraded.
DEGRADED_AFTER = 3
DEGRADED = "degraded"
# Lines of a change log, and decisions, that are read at once to tell what polls came to.
MANY = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a watch stands.

    ``state`` is ``baselining``, ``ready`` or ``degraded``; ``last`` is the newest poll. While looks
    fail, ``failing_since`` is the instant of the first failed one of this row that is kept, and
    ``error`` what the last one said.
    """

    watch: Watch
    state: str
    last: Poll | None = None
    failing_since: int | None = None
    error: str = ""


def standing(watch: Watch, polls: Sequence[Poll]) -> Standing:
    """Tell how a watch stands, from its newest polls."""
    failed = []
    for poll in polls:
        if not poll.error:
            break
        failed.append(poll)
    degraded = watch.failures >= DEGRADED_AFTER
    return Standing(
        watch=watch,
        state=DEGRADED if degraded else watch.state.value,
        last=polls[0] if polls else None,
        failing_since=failed[-1].polled_at if failed else None,
        error=failed[0].error if failed else "",
    )


def unable(found: Standing) -> str:
    """Say why no file can make a schedule fire now; empty where one can."""
    since = "" if found.failing_since is None else f" since {moment(found.failing_since)}"
    if found.state == DEGRADED:
        return f"{place(found.watch.watched)} cannot be looked at{since}: {found.error}"
    if found.state == WatchState.BASELINING:
        failed = f", and looks fail{since}: {found.error}" if found.error else ""
        return f"what is there already is not known before the first complete look{failed}"
    return ""


def moment(instant: int) -> str:
    """Write an instant in UTC to the second: ``2026-03-02 12:00:05 UTC``."""
    shown = to_datetime(instant) - timedelta(microseconds=instant % 1_000_000)
    return f"{shown:%Y-%m-%d %H:%M:%S} UTC"


def place(watched: Watched) -> str:
    """Write what is watched: ``landing/incoming (and all below)``."""
    where = f"{watched.datastore}/{watched.path}".rstrip("/")
    said = {"directory": "", "tree": " and all below", "file": " alone"}[watched.depth]
    return f"{where}{said}"


def files_known(ledger: Ledger, watch: Watch) -> int:
    """Count the files that a watch knows."""
    return sum(len(split(page).names) for page in ledger.snapshot(watch.id))


@dataclass(frozen=True, slots=True)
class Look:
    """One poll, and what its changes came to for a schedule.

    ``rules`` counts the ignored ones by the rule. Both are None where there is no schedule, or too
    much was logged since to tell.
    """

    poll: Poll
    fates: Mapping[Fate, int] | None = None
    rules: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A changed file, and what it came to for a schedule; None where there is no schedule."""

    line: LoggedChange
    outcome: Outcome | None


class Reader:
    """Knows one schedule's way through its watch's change log; ``fires`` are its newest decisions.

    It reads the log once for each question.
    """

    def __init__(
        self,
        ledger: Ledger,
        watch: Watch,
        here: RegisteredSchedule,
        trigger: DatastoreChange,
        fires: Iterable[Fire],
    ) -> None:
        self._ledger, self._watch, self._here, self._trigger = ledger, watch, here, trigger
        self._standing = ledger.arrival(here.id)
        self._decisions = Decisions(watch.id, fires)

    def looks(self, polls: Sequence[Poll]) -> list[Look]:
        """Tell what the changes of each poll came to."""
        at = {poll.poll_seq: poll.polled_at for poll in polls}
        lines = self._ledger.log(self._watch.id, polls=sorted(at), limit=MANY) if at else []
        fates: dict[int, Counter[Fate]] = {seq: Counter() for seq in at}
        rules: dict[int, Counter[str]] = {seq: Counter() for seq in at}
        for line in lines:
            came = self.outcome(line, at[line.poll_seq])
            fates[line.poll_seq][came.fate] += 1
            if came.fate is Fate.IGNORED:
                rules[line.poll_seq][came.why] += 1
        # The log is read from its end: of the poll in which it was left off a part is missing.
        whole = lines[-1].poll_seq if len(lines) == MANY else 0
        return [
            Look(poll, fates[poll.poll_seq], rules[poll.poll_seq])
            if poll.poll_seq > whole
            else Look(poll)
            for poll in polls
        ]

    def outcome(self, line: LoggedChange, polled_at: int) -> Outcome:
        """Tell what one line came to, of a poll at an instant."""
        return outcome(
            line,
            self._trigger,
            self._standing,
            self._decisions,
            earlier=polled_at < self._here.updated_at,
        )
