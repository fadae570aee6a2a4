"""What a poll of an object store costs beside obstore's bare listing of it, in the same run.

Run: ``.venv/bin/python benchmarks/listing.py [OBJECTS]`` (100,000 by default). A SeaweedFS
server is started and filled; a poll is the listing, its order and the comparison with the snapshot
before it. Times are seconds, the best of several rounds that take turns; the bar is a ratio of 1.5.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import obstore

from reconciler.data import Depth, Watched
from reconciler.trigger.snapshot import compare, pages
from tests.servers.stores import SeaweedFS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from obstore.store import ObjectStore

    from reconciler.datastore.objects import ObjectDatastore

OBJECTS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
CHANGES = OBJECTS // 100
ROUNDS = 5
AT_ONCE = 64
FOLDER = "landing/incoming"
WATCHED = Watched(datastore="landing", path=FOLDER)
TREE = Watched(datastore="landing", path=FOLDER, depth=Depth.TREE)


def name(number: int) -> str:
    return f"{FOLDER}/orders-{number:07d}.parquet"


async def write(store: ObjectStore, numbers: Iterable[int], content: bytes) -> None:
    """Write many objects, some at a time."""
    rest = iter(numbers)

    async def some() -> None:
        for number in rest:
            await obstore.put_async(store, name(number), content, use_multipart=False)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


def bare(store: ObjectStore) -> int:
    return sum(map(len, obstore.list(store, FOLDER, chunk_size=1_000)))


def poll(reader: ObjectDatastore, watched: Watched, known: list[bytes]) -> int:
    """Poll as the runner does; give how many stretches differ."""
    return len(compare(known, reader.scan(watched)).differing)


def timed(*calls: Callable[[], int]) -> list[tuple[float, float, int]]:
    """Give each call's best seconds, its processor's seconds then, and its answer."""
    best = [(float("inf"), 0.0, 0)] * len(calls)
    for _ in range(ROUNDS):
        for place, call in enumerate(calls):
            wall, busy = perf_counter(), process_time()
            answer = call()
            best[place] = min(best[place], (perf_counter() - wall, process_time() - busy, answer))
    return best


def show(server: SeaweedFS) -> None:
    container: Any = server.container()  # type: ignore[no-untyped-call]  # tests are untyped
    reader: ObjectDatastore = container.open()
    store = reader._objects  # noqa: SLF001  (the very client that a poll uses)
    start = perf_counter()
    asyncio.run(write(store, range(OBJECTS), b"content"))
    print(f"{OBJECTS:,} objects written in {perf_counter() - start:.0f} s")
    known = list(chain.from_iterable(map(pages, reader.scan(WATCHED))))
    listing, still, tree = timed(
        lambda: bare(store),
        lambda: poll(reader, WATCHED, known),
        lambda: poll(reader, TREE, known),
    )
    asyncio.run(write(store, range(0, OBJECTS, OBJECTS // CHANGES), b"other content"))
    again, changed = timed(lambda: bare(store), lambda: poll(reader, WATCHED, known))
    rows = [
        ("obstore's bare listing", listing, listing),
        ("poll, nothing changed", still, listing),
        ("poll of the tree, nothing changed", tree, listing),
        ("obstore's bare listing again", again, again),
        (f"poll, {CHANGES:,} changed", changed, again),
    ]
    print(f"{'':36}{'seconds':>9}{'cpu':>8}{'ratio':>8}")
    for label, (wall, busy, _), (base, _, _) in rows:
        print(f"{label:36}{wall:9.2f}{busy:8.2f}{wall / base:8.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MB")


def main() -> None:
    with TemporaryDirectory() as folder:
        server = SeaweedFS(Path(folder))  # type: ignore[no-untyped-call]  # the same
        try:
            show(server)
        finally:
            server.close()  # type: ignore[no-untyped-call]  # the same


if __name__ == "__main__":
    main()
