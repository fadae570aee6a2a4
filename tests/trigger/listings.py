"""Listings of directories, and the pages that are known of them."""

from contextlib import contextmanager
from unittest import mock

from hypothesis import strategies as st

from reconciler.trigger import snapshot
from reconciler.trigger.snapshot import Files, join, split

names = st.text("ab./", min_size=1, max_size=3).map(str.encode)
facts = st.builds("{} {}@{}".format, st.integers(0, 1), st.integers(0, 2), st.integers(0, 2)).map(
    str.encode
)
listings = st.dictionaries(names, facts, max_size=24)


@contextmanager
def small(most=4):
    """Make pages and windows so small that few files fill many."""
    with mock.patch.multiple(snapshot, PAGE=3, _WINDOW=4, MOST_CHANGES=most):
        yield


def written(listing, size=snapshot.PAGE):
    """Write a listing into pages of this size."""
    files = sorted(listing.items())
    return [
        join(Files(*zip(*files[start : start + size], strict=True)))
        for start in range(0, len(files), size)
    ]


def held(pages):
    """Read all files in some pages; none may be there twice."""
    files = [pair for page in pages for pair in zip(*split(page), strict=True)]
    assert len(dict(files)) == len(files)
    return dict(files)


def batches(listing, size=5):
    """List it piece by piece, with an empty piece here and there."""
    files = sorted(listing.items())
    for start in range(0, len(files), size):
        yield Files([], [])
        part = files[start : start + size]
        yield Files([name for name, _ in part], [facts for _, facts in part])
