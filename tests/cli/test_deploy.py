"""The files in docs/deploy say only what this program understands."""

import configparser
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from reconciler.cli.group import reconciler
from reconciler.runner.status import parse_address
from tests.workspace.make import ROOT

DEPLOY = ROOT / "docs" / "deploy"
# The keys of systemd.exec(5), systemd.service(5), systemd.unit(5) and systemd.kill(5) in use.
UNIT = {"Description", "Wants", "After"}
INSTALL = {"WantedBy"}


def unit():
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str
    parsed.read_string((DEPLOY / "reconciler-runner.service").read_text())
    return parsed


def understood(words):
    """Take a command line apart with the program's own parser; gives the options."""
    assert Path(words[0]).name == "reconciler"
    command, words = reconciler, words[1:]
    ctx = click.Context(command)
    while isinstance(command, click.Group):
        command = command.get_command(ctx, words[0])
        assert command is not None, words[0]
        words = words[1:]
    return command.make_context("start", list(words)).params


def container():
    text = re.sub(r"\\\n", "", (DEPLOY / "Containerfile").read_text())
    return [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] != "#"]


def test_the_unit_starts_a_runner_with_options_that_there_are():
    service = unit()["Service"]
    options = understood(shlex.split(service["ExecStart"]))
    assert (options["log_format"], options["create"]) == ("json", True)
    assert parse_address(options["listen"]) == ("127.0.0.1", 9464)
    assert service["Restart"] == "always"
    assert service["KillMode"] == "process"


def test_the_unit_has_no_section_or_key_twice_or_in_the_wrong_place():
    parsed = unit()
    assert parsed.sections() == ["Unit", "Service", "Install"]
    assert set(parsed["Unit"]) == UNIT
    assert set(parsed["Install"]) == INSTALL
    text = (DEPLOY / "reconciler-runner.service").read_text()
    keys = re.findall(r"^(\w+)=", text, re.MULTILINE)
    assert sorted({key for key in keys if keys.count(key) > 1}) == ["Environment"]


def test_the_container_starts_a_runner_with_options_that_there_are():
    lines = dict(reversed(container()))
    words = [*yaml.safe_load(lines["ENTRYPOINT"])[2:], *yaml.safe_load(lines["CMD"])]
    options = understood(words)
    assert parse_address(options["listen"]) == ("0.0.0.0", int(lines["EXPOSE"]))
    assert lines["USER"] == "10001"


@pytest.mark.parametrize(
    "names", [text.split()[:-1] for kind, text in container() if kind == "COPY"]
)
def test_what_the_container_copies_is_there(names):
    assert names[0] == "--from=build" or all((ROOT / name).exists() for name in names)


def test_two_runners_share_a_database_and_keep_folders_of_their_own():
    services = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]
    one, other = services["runner-a"], services["runner-b"]
    assert one["environment"] == other["environment"]
    assert one["volumes"] != other["volumes"]
    assert one["hostname"] != other["hostname"]
    assert "fsync=on" in services["postgres"]["command"]
    assert "PASSWORD" not in one["environment"]["RECONCILER_WORKSPACE"].upper()
