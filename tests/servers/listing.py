"""Listing a datastore in tests."""

from __future__ import annotations

from reconciler.data import Depth, Watched

FLAT = Watched(datastore="landing", path="in")
TREE = Watched(datastore="landing", path="in", depth=Depth.TREE)
MANY = 1_100  # more than S3 lists in a page


def names(reader, watched=FLAT):
    return [name for files in reader.scan(watched) for name in files.names]


def listing(reader, watched=FLAT):
    return {name: it for files in reader.scan(watched) for name, it in zip(*files, strict=True)}
