"""``reconciler completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion", epilog="Example: reconciler completion zsh")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, *, shell: str) -> None:
    r"""Print the completion script of a shell.

    \b
    bash: eval "$(reconciler completion bash)"    in ~/.bashrc
    zsh:  eval "$(reconciler completion zsh)"     in ~/.zshrc
    fish: reconciler completion fish | source     in ~/.config/fish/config.fish
    """
    made = get_completion_class(shell)
    assert made is not None, "click knows these shells"  # noqa: S101  (the choice above)
    click.echo(made(ctx.find_root().command, {}, "reconciler", "_RECONCILER_COMPLETE").source())
