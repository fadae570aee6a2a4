"""From one step of one run to the program that an executor starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.clock import iso
from reconciler.errors import ExecutorError, NotFound
from reconciler.executor.base import Launch
from reconciler.pipeline import ParameterType, expand, secrets_in
from reconciler.runner.given import Given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.fields import Scalar
    from reconciler.live import PublishedPipeline
    from reconciler.pipeline import Pipeline, Step
    from reconciler.run import Attempt, Run
    from reconciler.runner.given import Opener
    from reconciler.runner.secrets import Secrets
    from reconciler.runner.workdir import Workdirs
    from reconciler.workspace.ledger import Ledger

# What a step inherits from the runner; everything else it is given by declaration.
INHERITED = ("PATH", "HOME", "LANG", "TZ")


class Composer:
    """Knows where code, datastores and secrets are; writes nothing but working directories."""

    def __init__(
        self, workdirs: Workdirs, secrets: Secrets, ledger: Ledger, open_store: Opener
    ) -> None:
        self._workdirs = workdirs
        self._secrets = secrets
        self._ledger = ledger
        self._open_store = open_store

    def launch(
        self, run: Run, pipeline: Pipeline, step: Step, attempt: Attempt, version: PublishedPipeline
    ) -> Launch:
        """Put a step's program together.

        Raises:
            ExecutorError: a value, a secret, a datastore or the disk is missing; the message says
                which.
        """
        # A version bound at the fire may need more than the schedule was declared with.
        missing = sorted(pipeline.parameters.keys() - run.parameters.keys())
        if missing:
            text = f"pipeline '{pipeline.name}' needs a value for: {', '.join(missing)}"
            raise ExecutorError(text)
        names = {name for _, text in step.texts() for name in secrets_in(text)}
        secrets = {name: self._secrets.value(name, version.owner) for name in sorted(names)}
        data = Given(run, self._ledger, self._secrets, self._open_store, version.owner)
        try:
            files = data.files if data.several else None
            folder = self._workdirs.prepare(run.id, version.code_digest, files)
        except (OSError, NotFound) as error:
            raise ExecutorError(f"cannot make the working directory: {error}") from error
        parameters = {
            name: data.path(name, str(value), folder)
            if pipeline.parameters[name].type is ParameterType.DATAPATH
            else _text(value)
            for name, value in run.parameters.items()
        }
        given = {
            "RECONCILER_RUN_ID": run.id,
            "RECONCILER_SCHEDULE": run.schedule_name,
            "RECONCILER_EXPERIMENT": run.experiment_name,
            "RECONCILER_STEP": step.name,
            "RECONCILER_ATTEMPT": str(attempt.number),
            "RECONCILER_DUE": iso(run.due_at),
            **{f"RECONCILER_PARAM_{name}": value for name, value in parameters.items()},
        }
        inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
        declared = {key: expand(text, parameters, secrets) for key, text in step.env.items()}
        return Launch(
            id=attempt.id,
            argv=_argv(pipeline, step, parameters),
            env={**inherited, **data.environment(folder), **given, **declared},
            cwd=folder,
            timeout=step.timeout,
        )


def _text(value: Scalar) -> str:
    """Write a parameter as a program reads it; a boolean as JSON and YAML do."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _argv(pipeline: Pipeline, step: Step, parameters: Mapping[str, str]) -> tuple[str, ...]:
    if step.shell is not None:
        return ("/bin/sh", "-c", step.shell)
    argv = tuple(expand(argument, parameters, {}) for argument in step.command)
    if argv[0] not in {"python", "python3"}:
        return argv
    python = sys.executable
    if pipeline.environment is not None:
        python = str(Path(pipeline.environment, "bin", "python"))
    return (python, *argv[1:])
