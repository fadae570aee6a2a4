"""Loading, validating and comparing manifests: this program against the obvious way.

Run: ``.venv/bin/python benchmarks/load.py [DOCUMENTS]``. The obvious way is PyYAML's SafeLoader,
jsonschema with the same schema (the validator is made once) and DeepDiff of each document with its
live twin. Ours does more: it knows lines, refuses duplicate keys and checks zones and triggers.
Every trigger is different, so that none is remembered from another document.
"""

from __future__ import annotations

import gc
import sys
from functools import partial
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

import yaml
from deepdiff import DeepDiff
from jsonschema import Draft202012Validator

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reconciler.manifest.emit import from_data
from reconciler.manifest.load import Document, load
from reconciler.manifest.schema import json_schema
from reconciler.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFEST = """\
kind: Schedule
name: nightly-scoring-{n}
description: Score yesterday's transactions
pipeline: batch-scoring
experiment_name: scoring
status: Active
trigger:
  recurrence:
    frequency: Week
    interval: 1
    start_time: "2026-01-{day:02}T{hour:02}:{minute:02}:00"
    time_zone: {zone}
    week_days: [Monday, Thursday]
    time_of_day: "{hour:02}:{minute:02}"
pipeline_parameters:
  batch_size: 512
  threshold: 0.5
continue_on_step_failure: false
overlap: skip
tags: {{team: risk, tier: gold}}
"""
CHUNK = 200
ZONES = ("Europe/Paris", "America/New_York", "Asia/Tokyo", "UTC")


def manifest(n: int) -> str:
    """Write the n-th manifest of 20 lines."""
    times = {"day": n % 28 + 1, "hour": n // 28 % 24, "minute": n // 672 % 60}
    return MANIFEST.format(n=n, zone=ZONES[n % len(ZONES)], **times)


def obvious(texts: list[str], live: list[object]) -> None:
    """Load, validate and compare with the usual packages."""
    validator = Draft202012Validator(json_schema(Schedule))
    for text, twin in zip(texts, live, strict=True):
        document = yaml.load(text, yaml.SafeLoader)
        validator.validate(document)
        if DeepDiff(document, twin):
            raise AssertionError(text)


def ours(documents: list[Document], live: dict[str, Schedule]) -> None:
    """Load, validate and compare with this program."""
    loaded = load(documents)
    if loaded.problems or any(one.value != live[name] for name, one in loaded.schedules.items()):
        raise AssertionError(loaded.problems)


def timed(work: Callable[[], None]) -> float:
    """Give the processor seconds of ``work``, which a busy machine does not stretch."""
    gc.collect()
    start = process_time()
    work()
    return process_time() - start


def main() -> None:
    """Print microseconds per document for both ways, and their ratio."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    # Time zones are read once per process, whoever comes first.
    load(Document(f"{n}.yml", manifest(n).encode()) for n in range(-len(ZONES), 0))
    spent = {
        "ours: load, validate, compare": 0.0,
        "ours once more, triggers known": 0.0,
        "SafeLoader + jsonschema + DeepDiff": 0.0,
    }
    # In turns, so that a disturbance meets all of them.
    for first in range(0, count, CHUNK):
        texts = [manifest(n) for n in range(first, min(first + CHUNK, count))]
        documents = [Document(f"{n}.yml", text.encode()) for n, text in enumerate(texts)]
        twins = [yaml.load(text, yaml.CSafeLoader) for text in texts]
        live = {twin["name"]: from_data(Schedule, twin) for twin in twins}
        works = (
            partial(ours, documents, live),
            partial(ours, documents, live),
            partial(obvious, texts, twins),
        )
        for name, work in zip(spent, works, strict=True):
            spent[name] += timed(work)
    theirs = max(spent.values())
    print(f"{count:,} documents of {MANIFEST.count(chr(10))} lines; microseconds per document")
    for name, seconds in spent.items():
        print(f"  {name:36}{seconds / count * 1e6:8.1f}  {theirs / seconds:5.1f} times as fast")


if __name__ == "__main__":
    main()
