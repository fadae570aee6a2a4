"""The options that most commands share: which project, which target, which workspace."""

from __future__ import annotations

import functools
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler import settings
from reconciler.errors import NotFound, SourceError
from reconciler.workspace.address import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.manifest.project import Project
    from reconciler.reconcile.read import Reading
    from reconciler.source.base import Source
    from reconciler.workspace.base import RegistryReader

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a workspace is: its URL, and the folder that a relative path in it counts from."""

    url: str
    base: str

    @property
    def shown(self) -> str:
        """The URL without a password: what is printed, recorded and compared."""
        return shown(self.url)

    def open(self, *, create: bool = False) -> settings.Workspace:
        """Open it for reading and writing; see :func:`reconciler.settings.open_workspace`."""
        return settings.open_workspace(self.url, self.base, create=create)

    def reader(self) -> RegistryReader:
        """Open its registry for reading; an absent one is empty."""
        return settings.open_reader(self.url, self.base)

    def has_runner(self) -> bool:
        """Tell whether a runner is at work on it."""
        return settings.runner_active(self.url, self.base)

    def start_hint(self) -> str:
        """Say how to start a runner on it."""
        url = settings.shown_url(self.url, self.base)
        command = f"reconciler runner start --workspace {shlex.quote(url)}"
        return f"no runner is active; start one: {command}"


@dataclass(frozen=True, slots=True)
class Scope:
    """What the shared options say; None where they were not given."""

    folder: str | None
    target: str | None
    workspace: str | None

    def source(self, commit: str | None = None) -> Source:
        """Open the project with its Git history, as it lies here or as it was at a commit.

        Raises:
            SourceError: there is no project here, or no such commit.
        """
        if commit is not None:
            return settings.open_commit(self.folder or ".", commit)
        return settings.open_source(self.folder or ".")

    def files(self) -> Source:
        """Open the project's files alone, without asking Git.

        Raises:
            SourceError: there is no project here.
        """
        return settings.open_folder(self.folder or ".")

    def address_in(self, source: Source, project: Project) -> Address:
        """Tell where the workspace is, for a command that has read the project."""
        from reconciler.reconcile.read import choose_target  # noqa: PLC0415  (Git is started first)

        if self.workspace is not None:
            return Address(self.workspace, ".")
        return Address(
            project.targets[choose_target(project, self.target)].workspace, source.folder
        )

    def address(self) -> Address:
        """Tell where the workspace is; a project is needed only where no option names it.

        Raises:
            NotFound: neither an option nor a project says where.
        """
        from reconciler.reconcile.read import read_project  # noqa: PLC0415  (the same)

        if self.workspace is not None:
            return Address(self.workspace, ".")
        try:
            source = self.files()
        except SourceError as error:
            text = f"{error}; or name a workspace: --workspace URL or $RECONCILER_WORKSPACE"
            raise NotFound(text) from None
        return self.address_in(source, read_project(source))

    def open(self) -> settings.Workspace:
        """Open the workspace."""
        return self.address().open()

    def look(self) -> settings.Workspace:
        """Open the workspace for a command that writes nothing, and may not be allowed to."""
        address = self.address()
        return settings.open_workspace(address.url, address.base, read_only=True)


def check(scope: Scope) -> Iterator[Reading]:
    """Read and check the project for the chosen target, or for all of them; writes nothing.

    Raises:
        ManifestError: with every problem in every file.
    """
    from reconciler.reconcile.read import (  # noqa: PLC0415  (the same)
        choose_target,
        read,
        read_project,
    )

    source = scope.source()
    project = read_project(source)
    chosen = scope.target is not None or scope.workspace is not None
    names = [choose_target(project, scope.target)] if chosen else sorted(project.targets)
    for name in names:
        url = scope.workspace or project.targets[name].workspace
        base = "." if scope.workspace else source.folder
        yield read(source, project, name, settings.open_reader(url, base))


def scoped(function: Callable[..., R]) -> Callable[..., R]:
    """Add the shared options to a command; its first argument is the :class:`Scope`."""

    @click.option(
        "--project",
        "folder",
        metavar="DIR",
        # One that is not there must not lead to the project around it.
        type=click.Path(exists=True, file_okay=False),
        help="The project; by default upward from here.",
    )
    @click.option("--target", metavar="NAME", help="The target of the project.")
    @click.option(
        "--workspace",
        metavar="URL",
        envvar=settings.WORKSPACE_VARIABLE,
        show_envvar=True,
        help="The workspace, instead of the target's; sqlite:PATH counts from here.",
    )
    @click.option(
        "--no-color", is_flag=True, expose_value=False, callback=_no_color, help="No colours."
    )
    @functools.wraps(function)
    def command(**given: Any) -> R:  # noqa: ANN401  (the command's own options)
        scope = Scope(given.pop("folder"), given.pop("target"), given.pop("workspace"))
        return function(scope, **given)

    return command


def _no_color(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001  (click's signature)
    if value:
        # Errors are said by the program itself.
        ctx.color = ctx.find_root().color = False


output = click.option(
    "--output",
    "as_json",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    callback=lambda _ctx, _parameter, value: value == "json",
    help="For people, or for programs.",
)


report = click.option(
    "--output",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="For people, for programs, or for an issue or a pull request.",
)


def kind_and_name(words: tuple[str, ...], kinds: tuple[str, ...]) -> tuple[str, str]:
    """Read ``[KIND] NAME``; the first kind is meant where none is given.

    Raises:
        click.UsageError: anything else.
    """
    kind, name = (kinds[0], words[0]) if len(words) == 1 else words[:2]
    if len(words) > 2 or kind not in kinds:
        raise click.UsageError(f"Give a name, or one of {', '.join(kinds)} and a name.")
    return kind, name
