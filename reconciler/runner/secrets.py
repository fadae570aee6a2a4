"""Where a step's secrets come from.

Which names exist, who may use them and where they are is the runner's own configuration, outside
every repository. A value is looked up when a step starts, goes into that step's environment and
nowhere else.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import ExecutorError, InvalidValue
from reconciler.fields import field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.data import Datastore
    from reconciler.live import Owner

_COMMAND_TIMEOUT = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One secret's place: exactly one of an environment variable, a file and a command.

    Raises:
        InvalidValue: none of them, or several.
    """

    env: str | None = field("The variable of the runner's environment that holds it.", default=None)
    file: str | None = field("The file that holds it.", default=None)
    command: tuple[str, ...] = field("The program that prints it.", default=())
    projects: tuple[str, ...] = field(
        "Who may use it, as project/target; everyone by default.",
        default=(),
        examples=(["risk/prod"],),
    )

    def __post_init__(self) -> None:
        """Refuse a secret that is in no place or in several."""
        if (self.env is not None) + (self.file is not None) + bool(self.command) != 1:
            raise InvalidValue([((), "a secret needs exactly one of env, file and command")])


class Secrets:
    """Looks secrets up by name, on behalf of an owner."""

    def __init__(self, declared: Mapping[str, Secret]) -> None:
        self._declared = declared

    def value(self, name: str, *owners: Owner | None) -> str:
        """Give a secret's value, which must be for each of ``owners``.

        Raises:
            ExecutorError: not declared, not for one of the owners, or not there; the message never
                holds any part of a value.
        """
        secret = self._declared.get(name)
        if secret is None:
            raise ExecutorError(f"secret {name} is not declared in the runner's configuration")
        for owner in owners:
            if secret.projects and str(owner) not in secret.projects:
                whom = owner or "objects without a project"
                raise ExecutorError(f"secret {name} is not for {whom}")
        if secret.env is not None:
            return self._from_environment(name, secret.env)
        if secret.file is not None:
            return self._from_file(name, secret.file)
        return self._from_command(name, secret.command)

    def of(self, store: Datastore, *owners: Owner | None) -> dict[str, str]:
        """Give what opens a datastore, by what each value is.

        Raises:
            ExecutorError: as for :meth:`value`.
        """
        return {what: self.value(name, *owners) for what, name in store.secrets.items()}

    def _from_environment(self, name: str, variable: str) -> str:
        try:
            return os.environ[variable]
        except KeyError:
            text = f"secret {name}: the runner's environment has no {variable}"
            raise ExecutorError(text) from None

    def _from_file(self, name: str, file: str) -> str:
        try:
            return Path(file).read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ExecutorError(f"secret {name}: cannot read {file}: {reason}") from None

    def _from_command(self, name: str, command: tuple[str, ...]) -> str:
        try:
            done = subprocess.run(  # noqa: S603  (the operator's own configuration names it)
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_COMMAND_TIMEOUT,
                check=True,
            )
            return done.stdout.decode().rstrip("\n")
        except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
            # The error would quote what the command printed, which may be the secret.
            raise ExecutorError(f"secret {name}: the command {command[0]} failed") from None
