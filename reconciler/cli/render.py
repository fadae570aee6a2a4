"""``reconciler render``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.say import document
from reconciler.cli.scope import Scope, output, scoped
from reconciler.errors import ManifestError, NotFound
from reconciler.manifest.emit import inline, to_data, to_yaml
from reconciler.manifest.load import KINDS, Declared
from reconciler.reconcile.read import load_target, read_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.manifest.origin import Origin

_KINDS = {kind.lower(): kind for kind in KINDS}
_WIDEST = 60
# The path as people read it, the path in the document, and the value.
_Entry = tuple[tuple[str, ...], tuple[str | int, ...], Any]


@click.command("render", epilog="Example: reconciler render schedule nightly-scoring --explain")
@click.argument("kind", required=False, type=click.Choice(list(_KINDS)))
@click.argument("name", required=False)
@click.option("--defaults", is_flag=True, help="With json: fields at their default too.")
@click.option("--explain", is_flag=True, help="Say where each value comes from, file and line.")
@output
@scoped
def command(  # noqa: PLR0913  (its options)
    scope: Scope,
    *,
    as_json: bool,
    kind: str | None,
    name: str | None,
    defaults: bool,
    explain: bool,
) -> None:
    """Print the manifests, or those of a KIND, or one, in their canonical form.

    They are those of the target, with its variables, defaults and overrides; --target is needed
    only where targets differ. Needs no workspace.
    """
    if defaults and (explain or not as_json):
        raise click.UsageError("--defaults needs --output json, and is in --explain anyway.")
    source = scope.files()
    loaded = load_target(source, read_project(source), scope.target)
    if loaded.problems:
        raise ManifestError(loaded.problems)
    declared: list[Declared[Any]] = [
        *loaded.datastores.values(),
        *loaded.pipelines.values(),
        *loaded.schedules.values(),
    ]
    found = [
        one
        for one in declared
        if kind in {None, one.value.KIND.lower()} and name in {None, one.value.name}
    ]
    if name is not None and not found:
        raise NotFound(f"no {kind} '{name}' is declared")
    if explain and as_json:
        document([_explained(one) for one in found])
    elif explain:
        click.echo("\n\n".join("\n".join(_explanation(one)) for one in found))
    elif as_json:
        values = (one.value for one in found)
        document([{"kind": value.KIND, **to_data(value, defaults=defaults)} for value in values])
    else:
        click.echo("---\n".join(to_yaml(one.value) for one in found), nl=False)


def _explanation(declared: Declared[Any]) -> Iterator[str]:
    value = declared.value
    yield f"{value.KIND} {value.name}  {declared.file}:{declared.line}"
    lines = [
        (f"  {'.'.join(path)}: {inline(one)}", origin) for path, one, origin in _origins(declared)
    ]
    width = min(max(len(text) for text, _ in lines), _WIDEST)
    for text, origin in lines:
        yield f"{text:{width}}  {origin or '(default)'}"


def _explained(declared: Declared[Any]) -> dict[str, Any]:
    return {
        "kind": declared.value.KIND,
        "name": declared.value.name,
        "file": declared.file,
        "line": declared.line,
        "values": [
            {"path": list(path), "value": value, "origin": origin and _facts(origin)}
            for path, value, origin in _origins(declared)
        ],
    }


def _facts(origin: Origin) -> dict[str, Any]:
    places = {"over": origin.over, "used_at": origin.used_at}
    return {
        **_place(origin.file, origin.line, origin.column),
        "how": origin.how or "manifest",
        **{name: place and _place(*place) for name, place in places.items()},
    }


def _place(file: str, line: int, column: int) -> dict[str, Any]:
    return {"file": file, "line": line, "column": column}


def _origins(declared: Declared[Any]) -> Iterator[tuple[tuple[str, ...], Any, Origin | None]]:
    """Give each effective value; of those that nobody wrote, the ones that say something."""
    for path, written, value in _entries((), (), to_data(declared.value, defaults=True)):
        origin = declared.origin(*written)
        if origin or value not in (None, "", [], {}):
            yield path, value, origin


def _entries(
    path: tuple[str, ...], written: tuple[str | int, ...], data: dict[str, Any]
) -> Iterator[_Entry]:
    for key, value in data.items():
        here, there = (*path, key), (*written, key)
        if isinstance(value, dict) and value:
            yield from _entries(here, there, value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for at, item in enumerate(value):
                yield from _entries((*here, item["name"]), (*there, at), item)
        else:
            yield here, there, value
