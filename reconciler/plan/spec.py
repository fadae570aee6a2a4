"""The one canonical form in which all sides are compared."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from reconciler.manifest.emit import from_data, to_data
from reconciler.schedule import Schedule

if TYPE_CHECKING:
    from reconciler.data import Datastore
    from reconciler.pipeline import Pipeline

T = TypeVar("T")

# Part of every content digest: a change of the YAML dialect or of the canonical form must not let
# an old digest stand for new content.
DIALECT = 1
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def spec_text(value: Schedule | Pipeline | Datastore) -> str:
    """Write a value as canonical JSON; equal text means equal value.

    ``renamed_from`` is left out: it says what to do once, not what the schedule is.
    """
    if isinstance(value, Schedule) and value.renamed_from is not None:
        value = replace(value, renamed_from=None)
    return _canonical(to_data(value))


def spec_value(cls: type[T], text: str) -> T:
    """Read a canonical spec back.

    Raises:
        InvalidValue: the text was not written by :func:`spec_text`.
    """
    return from_data(cls, json.loads(text))


def content_digest(spec: str, code_digest: str | None) -> str:
    """Give the digest that identifies a pipeline's content: 64 hex digits of SHA-256."""
    return _sha256([DIALECT, spec, code_digest])


def fingerprint(*facts: str | bool | None) -> str:
    """Give a digest of what a live object says, to see later whether somebody touched it."""
    return _sha256(list(facts))


def _sha256(data: object) -> str:
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()
