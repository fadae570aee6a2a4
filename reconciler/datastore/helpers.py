"""Processes that ask for the facts of many files beside the runner."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, TYPE_CHECKING

from reconciler.datastore import stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def helped(
    folder: int, batches: Iterable[list[bytes]], helpers: int
) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Give batches of names in an open folder with their facts, in order; see ``stats.facts``.

    What a helper does not answer, for whatever reason, is asked for here: helpers are never the
    reason why facts are wrong, or not to be had.

    Raises:
        OSError: the system does not tell.
    """
    rest = iter(batches)
    with ExitStack() as stack:
        ready = [stack.enter_context(_helper(folder)) for _ in range(helpers)]
        # Each is asked one thing at a time: were both sides to write, neither would read.
        asked = deque(
            (helper, _ask(helper, batch)) for helper, batch in zip(ready, rest, strict=False)
        )
        while asked:
            helper, batch = asked.popleft()
            facts = _answer(helper, len(batch)) or stats.facts(folder, batch)
            if (following := next(rest, None)) is not None:
                asked.append((helper, _ask(helper, following)))
            yield batch, facts
    for batch in rest:
        yield batch, stats.facts(folder, batch)


_Pipes = tuple[IO[bytes], IO[bytes]] | None


@contextmanager
def _helper(folder: int) -> Iterator[_Pipes]:
    """Start a helper; None where that cannot be."""
    command = [sys.executable, "-I", "-S", stats.__file__, str(folder)]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(  # noqa: S603  (this very interpreter)
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, pass_fds=(folder,)
        )
    except OSError:
        yield None
        return
    assert process.stdin is not None, "it was asked for"  # noqa: S101
    assert process.stdout is not None, "it was asked for"  # noqa: S101
    try:
        yield process.stdin, process.stdout
    finally:
        process.kill()
        with suppress(OSError):  # what it did not read
            process.stdin.close()
        process.stdout.close()
        process.wait()


def _ask(helper: _Pipes, names: list[bytes]) -> list[bytes]:
    if helper is not None:
        with suppress(OSError):  # it ended, and so gives no answer
            stats.send(helper[0], names)
    return names


def _answer(helper: _Pipes, count: int) -> list[bytes] | None:
    """Give its answer; None where there is none."""
    if helper is None:
        return None
    try:
        facts = stats.receive(helper[1])
    except (EOFError, OSError):
        return None
    return facts if len(facts) == count else None
