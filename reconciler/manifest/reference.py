"""The reference of all manifests, as Markdown written from the fields' own declarations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.data import Datastore
from reconciler.manifest.emit import plain
from reconciler.manifest.project import Project
from reconciler.manifest.shape import (
    Choice,
    Leaf,
    ListOf,
    MapOf,
    Member,
    OneOf,
    Partial,
    Record,
    Shape,
    record_of,
)
from reconciler.pipeline import Pipeline
from reconciler.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPENING = """\
# The manifests

Written by `make schemas` from the declarations in the code, which the loader, the JSON Schemas and
this page share. A manifest is a YAML document that starts with `kind:`; a file may hold several,
parted by `---`. The dialect is YAML 1.2: `18:30` and `on` are text, duplicate and unknown keys are
errors, and every problem is told as `file:line:col: what is wrong, what to do`. In any scalar,
`${{ variables.NAME }}` stands for a variable of `reconciler.yml`;
[environments](environments.md) tells how a project's targets differ.
"""


def reference_text() -> str:
    """Write the whole page."""
    return "\n".join([_OPENING, *_pages()])


def _pages() -> Iterator[str]:
    for cls in (Schedule, Pipeline, Datastore):
        yield from _page(f"kind: {cls.KIND}", record_of(cls))
    yield from _page("reconciler.yml", record_of(Project))


def _page(title: str, record: Record) -> Iterator[str]:
    yield f"## {title}\n"
    yield _opening(record)
    yield from _table(record)
    for member in record.members:
        yield from _parts(member.name, member.shape)


def _parts(path: str, shape: Shape) -> Iterator[str]:
    """Describe what stands under a key that holds more keys."""
    if isinstance(shape, ListOf):
        yield from _parts(f"{path}[]", shape.item)
    elif isinstance(shape, MapOf):
        yield from _parts(f"{path}.NAME", shape.value)
    elif isinstance(shape, OneOf):
        for tag, record in shape.records.items():
            yield from _parts(f"{path}.{tag}", record)
    elif isinstance(shape, Record):
        yield f"### {path}\n"
        yield _opening(shape)
        yield from _table(shape)
        for member in shape.members:
            yield from _parts(f"{path}.{member.name}", member.shape)


def _opening(record: Record) -> str:
    return (record.cls.__doc__ or "").split("\n\n")[0].replace("\n", " ") + "\n"


def _table(record: Record) -> Iterator[str]:
    yield "| key | what it takes | default | meaning |"
    yield "|--|--|--|--|"
    for member in record.members:
        takes = _cell(_words(member.shape))
        yield f"| `{member.name}` | {takes} | {_default(member)} | {_meaning(member)} |"
    yield ""


def _words(shape: Shape) -> str:  # noqa: PLR0911  (an answer for each shape)
    match shape:
        case Leaf():
            return shape.value
        case Choice(enum):
            return ", ".join(f"`{word}`" for word in enum)
        case ListOf(item):
            return f"a list of: {_words(item)}"
        case MapOf(value):
            return f"a mapping of names to: {_words(value)}"
        case OneOf(records):
            return "exactly one of: " + ", ".join(f"`{tag}`" for tag in records)
        case Partial(record):
            return f"some keys of a {record.kind}, without its name"
    return "a mapping, see below"


def _default(member: Member) -> str:
    if member.required:
        return "required"
    value = plain(member.shape, member.default)
    return "" if value in (None, "", [], {}) else _code(value)


def _meaning(member: Member) -> str:
    examples = ", ".join(_code(example) for example in member.about.examples)
    return _cell(member.about.text) + (f" Example: {examples}." if examples else "")


def _code(value: Any) -> str:  # noqa: ANN401  (plain data)
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
