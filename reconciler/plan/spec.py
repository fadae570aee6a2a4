"""The one canonical form in which both sides are compared."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, TypeVar

from reconciler.manifest.emit import from_data, to_data

if TYPE_CHECKING:
    from reconciler.pipeline import Pipeline
    from reconciler.schedule import Datastore, Schedule

T = TypeVar("T")

# Part of every content digest: a change of the YAML dialect or of the canonical form must not let
# an old digest stand for new content.
DIALECT = 1


def spec_text(value: Schedule | Pipeline | Datastore) -> str:
    """Write a value as canonical JSON; equal text means equal value."""
    return json.dumps(to_data(value), sort_keys=True, separators=(",", ":"))


def spec_value(cls: type[T], text: str) -> T:
    """Read a canonical spec back.

    Raises:
        InvalidValue: the text was not written by :func:`spec_text`.
    """
    return from_data(cls, json.loads(text))


def content_digest(spec: str, code_digest: str | None) -> str:
    """Give the digest that identifies a pipeline's content: 64 hex digits of SHA-256."""
    whole = json.dumps([DIALECT, spec, code_digest])
    return hashlib.sha256(whole.encode()).hexdigest()
