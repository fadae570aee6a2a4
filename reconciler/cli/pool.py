"""``reconciler pool``."""

from __future__ import annotations

import re

import click

from reconciler.cli.facts import data
from reconciler.cli.say import answer, document, table
from reconciler.cli.scope import Scope, output, scoped
from reconciler.errors import NotFound
from reconciler.fields import NAME_PATTERN

MOST = 100_000


@click.command("pool", epilog="Example: reconciler pool warehouse --slots 4")
@click.argument("name", required=False)
@click.option("--slots", type=click.IntRange(0, MOST), help="Define it, or change its places.")
@click.option("--remove", is_flag=True, help="Remove it: its runs wait until it is there again.")
@output
@scoped
def command(
    scope: Scope, *, as_json: bool, name: str | None, slots: int | None, remove: bool
) -> None:
    """List pools, show one, or say how many runs may be under way in one at the same time.

    A schedule joins a pool with `pool: NAME` in its manifest. With fewer places than runs under
    way nothing is stopped; with 0 nothing new starts.
    """
    if remove and slots is not None:
        raise click.UsageError("Give --slots or --remove, not both.")
    if name is None:
        if remove or slots is not None:
            raise click.UsageError("Name the pool: reconciler pool NAME --slots N.")
        found = scope.look().ledger.pools()
        if as_json:
            document(data(found))
            return
        rows = [(pool.name, str(pool.slots), str(pool.used)) for pool in found]
        hint = "No pools; define one: reconciler pool NAME --slots N."
        table(("POOL", "SLOTS", "USED"), rows, hint)
        return
    if slots is not None and not re.match(NAME_PATTERN, name):
        rule = "start with a letter or digit, then letters, digits, - and _"
        raise click.BadParameter(f"'{name}' is no name; {rule}.", param_hint="'NAME'")
    ledger = (scope.open() if remove or slots is not None else scope.look()).ledger
    if remove:
        ledger.set_pool(name, None)
        answer(f"pool {name} is removed", {"name": name, "slots": None}, as_json=as_json)
        return
    if slots is not None:
        ledger.set_pool(name, slots)
    pool = next((pool for pool in ledger.pools() if pool.name == name), None)
    if pool is None:
        raise NotFound(f"no pool '{name}'; define it: reconciler pool {name} --slots N")
    said = f"pool {name} has {pool.slots} {'place' if pool.slots == 1 else 'places'}"
    answer(f"{said}, {pool.used} in use", data(pool), as_json=as_json)
