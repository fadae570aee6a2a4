"""The options of the commands that plan.

Nothing here makes a plan, so that a command can let Git begin before it imports what does.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.plan.allowable import ALLOWABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.cli.scope import Scope
    from reconciler.source.base import Source
    from reconciler.source.signatures import (
        Rule,  # noqa: TC004  (nobody asks for a field's type)
        Verifier,
    )

R = TypeVar("R")

FORMATS = ("text", "json", "markdown", "github", "gitlab")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the planning options say."""

    now: int | None = None
    full: bool = False
    adopt: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    rule: Rule | None = None

    def source(self, scope: Scope, commit: str | None = None) -> Source:
        """Open what is to be planned; where signatures are required that is a commit, verified.

        Nothing in it is read before that. ``commit`` is HEAD then where none is given.

        Raises:
            SourceError: there is none, or its signature does not count.
        """
        if self.rule is None:
            return scope.source(commit)
        source = scope.source(commit or "HEAD")
        self.verifier(source).head()
        return source

    def verifier(self, source: Source) -> Verifier:
        """Give what verifies a source's commits; a rule must have been given."""
        from reconciler.source.signatures import Verifier  # noqa: PLC0415  (seldom asked for)

        assert self.rule is not None, "nothing is verified without a rule"  # noqa: S101  (the caller's duty)
        return Verifier(source, self.rule)


def _addresses(
    _ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """See that each value names an object as a plan does, ``Schedule.nightly``."""
    return tuple(map(_address, values))


def _address(value: str) -> str:
    from reconciler.plan.change import Kind  # noqa: PLC0415  (seldom asked for)

    kind, _, name = value.partition(".")
    if kind not in set(Kind) or not name:
        kinds = ", ".join(f"{one}.NAME" for one in Kind)
        raise click.BadParameter(f"'{value}' is none of {kinds}.")
    return value


def planning(function: Callable[..., R]) -> Callable[..., R]:
    """Add the planning options to a command; it gets them as ``asked``."""

    @click.option(
        "--full", is_flag=True, help="Read every file, whatever the last apply is known to be."
    )
    @click.option("--now", metavar="TIME", help="Plan as of this instant (ISO time with offset).")
    @click.option(
        "--adopt",
        multiple=True,
        metavar="KIND.NAME",
        callback=_addresses,
        help="Take this object over from others.",
    )
    @click.option(
        "--allow",
        multiple=True,
        metavar="GUARD",
        type=click.Choice(ALLOWABLE),
        help=f"Lift a guard: {', '.join(ALLOWABLE)}.",
    )
    @click.option("--allow-dirty", is_flag=True, help="Apply files that are not committed.")
    @click.option("--allow-empty", is_flag=True, help="Apply a project that declares nothing.")
    @click.option(
        "--allow-diverged", is_flag=True, help="Apply a commit that lacks what was applied last."
    )
    @click.option("--rollback", is_flag=True, help="Apply a commit older than the last applied.")
    @click.option(
        "--require-signed",
        type=click.Choice(["off", "head", "all"]),
        default="off",
        envvar="RECONCILER_REQUIRE_SIGNED",
        show_envvar=True,
        help="Read only a commit that is signed; all: and those since the last applied one.",
    )
    @click.option(
        "--allowed-signers",
        metavar="FILE",
        envvar="RECONCILER_ALLOWED_SIGNERS",
        show_envvar=True,
        help="The SSH keys that count, as for ssh-keygen.",
    )
    @click.option(
        "--revoked-signers",
        metavar="FILE",
        envvar="RECONCILER_REVOKED_SIGNERS",
        show_envvar=True,
        help="SSH keys that no longer count.",
    )
    @click.option(
        "--gpg-home",
        metavar="DIR",
        envvar="GNUPGHOME",
        show_envvar=True,
        help="The keyring whose keys count.",
    )
    @functools.wraps(function)
    def command(*arguments: Any, **given: Any) -> R:  # noqa: ANN401  (the command's own options)
        allowed = set(given.pop("allow"))
        for flag in ("dirty", "empty", "diverged"):
            allowed |= {flag} if given.pop(f"allow_{flag}") else set()
        allowed |= {"rollback"} if given.pop("rollback") else set()
        now, rule = given.pop("now"), _rule(given)
        asked = Asked(
            now=None if now is None else _instant(now),
            full=given.pop("full"),
            adopt=frozenset(given.pop("adopt")),
            allowed=frozenset(allowed),
            rule=rule,
        )
        return function(*arguments, asked=asked, **given)

    return command


def _rule(given: dict[str, Any]) -> Rule | None:
    """Take what was said about signatures out of the options."""
    required, signers = given.pop("require_signed"), given.pop("allowed_signers")
    revoked, keyring = given.pop("revoked_signers"), given.pop("gpg_home")
    if required == "off":
        return None
    from reconciler.source.signatures import Required, Rule  # noqa: PLC0415  (the same)

    return Rule(required=Required(required), signers=signers, revoked=revoked, keyring=keyring)


def _instant(text: str) -> int:
    from reconciler.cli.instant import parse_when  # noqa: PLC0415  (seldom asked for)

    return parse_when(text, "UTC")


def _forms(
    _ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Read ``FORMAT`` and ``FORMAT=FILE``; gives the format by file, by "" for standard output."""
    forms: dict[str, str] = {}
    for value in values or ("text",):
        form, equals, file = value.partition("=")
        if form not in FORMATS:
            raise click.BadParameter(f"'{form}' is none of {', '.join(FORMATS)}.")
        if equals and not file:
            raise click.BadParameter(f"'{value}' names no file; leave out = for standard output.")
        if file in forms:
            where = f"the file {file}" if file else "standard output"
            raise click.BadParameter(f"two formats for {where}; write FORMAT=FILE for one of them.")
        forms[file] = form
    return forms


forms = click.option(
    "--output",
    "forms",
    multiple=True,
    metavar="FORMAT[=FILE]",
    callback=_forms,
    help=f"{', '.join(FORMATS)}; several at once, each but one to a file.  [default: text]",
)
