"""What the program says of itself, and what it loads to say it."""

import shlex
import subprocess
import sys
from importlib import import_module

import click
import pytest

from reconciler import __version__
from reconciler.cli import execute
from reconciler.cli.group import reconciler
from reconciler.cli.table import COMMANDS, SECTIONS, help_text

# What Python itself loads to start and to write a text, and these of ours. Whoever adds a line
# here makes every `reconciler --help` slower.
OURS = {"reconciler", "reconciler.cli", "reconciler.cli.table"}
HEAVY = {
    "alembic",
    "click",
    "deepdiff",
    "git",
    "jsonschema",
    "psutil",
    "rich",
    "sqlalchemy",
    "yaml",
}
PROBE = """
import sys
before = set(sys.modules)
import reconciler.cli
assert reconciler.cli.execute(["--help"]) == 0
print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""


def loaded(arguments):
    program = PROBE.replace('["--help"]', repr(arguments))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_help_loads_nothing_but_itself():
    assert loaded(["--help"]) - {"__future__"} == OURS


def test_the_help_of_a_command_loads_no_heavy_module():
    for name in COMMANDS:
        assert loaded([name, "--help"]) & (HEAVY - {"click", "yaml"}) == set(), name


def test_help_lists_every_command_in_its_group(capsys):
    for arguments in ([], ["-h"], ["--help"], ["--debug", "--help"]):
        assert execute(arguments) == 0
        assert capsys.readouterr().out == help_text()
    for section, commands in SECTIONS.items():
        assert f"\n{section}:\n" in help_text()
        for name, text in commands.items():
            assert f"  {name} " in help_text()
            assert text in help_text()
    options = {option for parameter in reconciler.params for option in parameter.opts}
    assert all(option in help_text() for option in options)


def test_the_version_is_told_with_and_without_click(capsys):
    for arguments in (["--version"], ["--debug", "--version"]):
        assert execute(arguments) == 0
        assert capsys.readouterr().out == f"reconciler {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    command = import_module(f"reconciler.cli.{name}").command
    assert command.name == name
    assert command.help
    assert execute([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: reconciler {name} ")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[-1] in out


def commands():
    """Give each command that does something, with the words it is called by."""
    for name in COMMANDS:
        command = import_module(f"reconciler.cli.{name}").command
        inner = command.commands if isinstance(command, click.Group) else {}
        yield from [([name, sub], inner[sub]) for sub in inner] or [([name], command)]


@pytest.mark.parametrize(
    ("words", "command"), [pytest.param(*one, id=" ".join(one[0])) for one in commands()]
)
def test_the_help_of_every_command_ends_with_an_example_that_it_takes(words, command):
    head, *example = shlex.split(command.epilog)
    assert [head, *example[: 1 + len(words)]] == ["Example:", "reconciler", *words]
    command.make_context(words[-1], example[1 + len(words) :])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_the_program_back(shell, capsys):
    assert execute(["completion", shell]) == 0
    assert "_RECONCILER_COMPLETE" in capsys.readouterr().out


def test_completion_proposes_commands(monkeypatch, capsys):
    monkeypatch.setenv("_RECONCILER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "reconciler re")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit, match="0"):
        execute([])
    assert capsys.readouterr().out.split() == [
        "plain,render",
        "plain,refire",
        "plain,release",
        "plain,restore",
    ]
