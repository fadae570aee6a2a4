r"""Rows to records and back, in one place for every statement.

Mappings are stored as JSON in ASCII with sorted keys. Free text may quote a file name that is not
text; what cannot be stored as UTF-8 is written as ``\udc80``.
"""

from __future__ import annotations

import json
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reconciler.run import Attempt, AttemptState, Decision, Fire, Run, RunState
from reconciler.schedule import Status
from reconciler.workspace.records import (
    ApplyRecord,
    DisabledBy,
    Experiment,
    FileFacts,
    Hold,
    LoggedChange,
    Owner,
    Poll,
    Provenance,
    PublishedPipeline,
    RegisteredDatastore,
    RegisteredSchedule,
    WatchState,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIRE_FIELDS = tuple(f.name for f in fields(Fire))
RUN_FIELDS = tuple(f.name for f in fields(Run))
ATTEMPT_FIELDS = tuple(f.name for f in fields(Attempt))
POLL_FIELDS = tuple(f.name for f in fields(Poll))

_encode = json.JSONEncoder(sort_keys=True).encode


def plain(text: str) -> str:
    """Make a text storable as UTF-8; nearly every text is already."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def owner_columns(owner: Owner | None) -> dict[str, Any]:
    """Spread an owner over its columns."""
    return {
        "owner_project": owner.project if owner else None,
        "owner_target": owner.target if owner else None,
    }


def source_columns(provenance: Provenance) -> dict[str, Any]:
    """Spread a provenance over its columns."""
    return {
        "source_file": provenance.file,
        "source_line": provenance.line,
        "source_commit": provenance.commit,
        "source_author": provenance.author,
        "source_committed_at": provenance.committed_at,
    }


@lru_cache(maxsize=256)
def _owner(project: str | None, target: str | None) -> Owner | None:
    return None if project is None or target is None else Owner(project, target)


def _provenance(columns: Sequence[Any]) -> Provenance:
    file, line, commit, author, committed_at = columns
    return Provenance(file=file, line=line, commit=commit, author=author, committed_at=committed_at)


def schedule(row: Sequence[Any]) -> RegisteredSchedule:
    """Read (schedules.*, who, why, since, until, next_due, processed_to, initial)."""
    identity, name, spec, pipeline_id, status, disabled_by, project, target = row[:8]
    created_at, updated_at, revision, who, why, since, until, *timer = row[13:]
    next_due, processed_to, initial = timer
    return RegisteredSchedule(
        id=identity,
        name=name,
        spec=spec,
        pipeline_id=pipeline_id,
        status=Status(status),
        disabled_by=disabled_by and DisabledBy(disabled_by),
        owner=_owner(project, target),
        provenance=_provenance(row[8:13]),
        created_at=created_at,
        updated_at=updated_at,
        revision=revision,
        hold=None if who is None else Hold(who=who, why=why, since=since, until=until),
        next_due=next_due,
        processed_to=processed_to,
        initial=bool(initial),
    )


def pipeline(row: Sequence[Any]) -> PublishedPipeline:
    """Read pipelines.*."""
    identity, name, version, spec, digest, code_digest, status, disabled_by = row[:8]
    return PublishedPipeline(
        id=identity,
        name=name,
        version=version,
        spec=spec,
        digest=digest,
        code_digest=code_digest,
        status=Status(status),
        disabled_by=disabled_by and DisabledBy(disabled_by),
        owner=_owner(*row[8:10]),
        provenance=_provenance(row[10:15]),
        created_at=row[15],
        revision=row[16],
    )


def datastore(row: Sequence[Any]) -> RegisteredDatastore:
    """Read datastores.*."""
    return RegisteredDatastore(
        name=row[0],
        spec=row[1],
        owner=_owner(*row[2:4]),
        provenance=_provenance(row[4:9]),
        created_at=row[9],
        revision=row[10],
    )


def experiment(row: Sequence[Any]) -> Experiment:
    """Read experiments.*."""
    return Experiment(id=row[0], name=row[1], created_at=row[2])


def apply_record(row: Sequence[Any]) -> ApplyRecord:
    """Read applies.*."""
    return ApplyRecord(
        id=row[0],
        owner=Owner(row[1], row[2]),
        commit=row[3],
        author=row[4],
        applied_at=row[5],
        summary=row[6],
        plan=row[7],
    )


def _mapping(text: str | None) -> Any:  # noqa: ANN401  (what JSON holds)
    return None if text is None else json.loads(text)


def fire_values(fire: Fire) -> tuple[Any, ...]:
    """Spread a fire over FIRE_FIELDS."""
    return (
        fire.schedule_id,
        fire.occurrence_key,
        fire.due_at,
        fire.decided_at,
        fire.decision.value,
        plain(fire.reason),
        fire.revision,
        fire.run_id,
        fire.count,
        None if fire.facts is None else _encode(fire.facts),
    )


def fire(row: Sequence[Any]) -> Fire:
    """Read FIRE_FIELDS."""
    values = dict(zip(FIRE_FIELDS, row, strict=True))
    values["decision"] = Decision(values["decision"])
    values["facts"] = _mapping(values["facts"])
    return Fire(**values)


def run_values(run: Run) -> tuple[Any, ...]:
    """Spread a run over RUN_FIELDS."""
    return (
        run.id,
        run.schedule_id,
        run.schedule_name,
        run.occurrence_key,
        run.pipeline_id,
        run.experiment_name,
        _encode(run.parameters),
        int(run.continue_on_step_failure),
        run.state.value,
        plain(run.reason),
        run.due_at,
        run.created_at,
        run.started_at,
        run.ended_at,
        run.cancel_requested,
        None if run.facts is None else _encode(run.facts),
    )


def run(row: Sequence[Any]) -> Run:
    """Read RUN_FIELDS."""
    values = dict(zip(RUN_FIELDS, row, strict=True))
    values["state"] = RunState(values["state"])
    values["parameters"] = _mapping(values["parameters"])
    values["facts"] = _mapping(values["facts"])
    values["continue_on_step_failure"] = bool(values["continue_on_step_failure"])
    return Run(**values)


def attempt_values(attempt: Attempt) -> tuple[Any, ...]:
    """Spread an attempt over ATTEMPT_FIELDS."""
    return (
        attempt.run_id,
        attempt.step,
        attempt.number,
        attempt.state.value,
        plain(attempt.reason),
        attempt.exit_code,
        attempt.created_at,
        attempt.started_at,
        attempt.ended_at,
    )


def attempt(row: Sequence[Any]) -> Attempt:
    """Read ATTEMPT_FIELDS."""
    values = dict(zip(ATTEMPT_FIELDS, row, strict=True))
    values["state"] = AttemptState(values["state"])
    return Attempt(**values)


def poll_values(poll: Poll) -> dict[str, Any]:
    """Spread a poll over its columns."""
    values = {name: getattr(poll, name) for name in POLL_FIELDS}
    return values | {
        "state": poll.state.value,
        "note": plain(poll.note),
        "error": plain(poll.error),
    }


def poll(row: Sequence[Any]) -> Poll:
    """Read POLL_FIELDS."""
    values = dict(zip(POLL_FIELDS, row, strict=True))
    values["state"] = WatchState(values["state"])
    return Poll(**values)


def file_values(watch_id: int, file: FileFacts) -> tuple[Any, ...]:
    """Spread a file over (watch_id, name, size, mtime_ns, inode)."""
    return watch_id, file.name, file.size, str(file.mtime_ns), str(file.inode)


def file(row: Sequence[Any]) -> FileFacts:
    """Read (name, size, mtime_ns, inode)."""
    name, size, mtime_ns, inode = row
    return FileFacts(name=name, size=size, mtime_ns=int(mtime_ns), inode=int(inode))


def change_values(change: LoggedChange) -> tuple[Any, ...]:
    """Spread a change over (watch_id, seq, poll_seq, change, name, size, mtime_ns, inode)."""
    _, *facts = file_values(change.watch_id, change.file)
    return change.watch_id, change.seq, change.poll_seq, change.change, *facts


def change(row: Sequence[Any]) -> LoggedChange:
    """Read changes.*."""
    return LoggedChange(
        watch_id=row[0], seq=row[1], poll_seq=row[2], change=row[3], file=file(row[4:])
    )


def json_text(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Write JSON as it is stored."""
    return _encode(value)
