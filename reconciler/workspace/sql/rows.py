r"""Rows to records and back, in one place for every statement.

Mappings are stored as JSON in ASCII with sorted keys. Free text may quote a file name that is not
text; what cannot be stored as UTF-8 is written as ``\udc80``.
"""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reconciler.data import Depth, Watched
from reconciler.retries import Retries
from reconciler.run import Attempt, AttemptState, Decision, Fire, Gate, Run, RunState
from reconciler.schedule import Missed, OnUnknown, Status
from reconciler.workspace.records import (
    Alarm,
    Alert,
    Applied,
    ApplyRecord,
    Arrival,
    Declaration,
    DisabledBy,
    Experiment,
    Folder,
    Hold,
    LoggedChange,
    Lost,
    Outcome,
    Owner,
    OwnerRecord,
    Poll,
    Provenance,
    PublishedPipeline,
    RegisteredDatastore,
    RegisteredSchedule,
    Watch,
    WatchState,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIRE_FIELDS = tuple(f.name for f in fields(Fire))
RUN_FIELDS = tuple(f.name for f in fields(Run))
ATTEMPT_FIELDS = tuple(f.name for f in fields(Attempt))
ALERT_FIELDS = tuple(f.name for f in fields(Alert))
POLL_FIELDS = tuple(f.name for f in fields(Poll))
CHANGE_FIELDS = tuple(f.name for f in fields(LoggedChange))
ARRIVAL_FIELDS = tuple(f.name for f in fields(Arrival))
WATCH_COLUMNS = (
    *("id", "datastore", "path", "depth", "done_marker", "state", "poll_seq", "change_seq"),
    *("next_poll", "failures", "place"),
)
DECLARATION_FIELDS = tuple(f.name for f in fields(Declaration))
APPLY_COLUMNS = (
    *("id", "owner_project", "owner_target", "source_commit", "source_author", "applied_at"),
    *("summary", "plan", "actor", "outcome", "error", "plan_digest", "approval_digest", "chain"),
)

_encode = json.JSONEncoder(sort_keys=True).encode


def plain(text: str) -> str:
    """Make a text storable as UTF-8; nearly every text is already. PostgreSQL takes no NUL."""
    storable = text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
    return storable.replace("\0", "\\x00")


def owner_columns(owner: Owner | None) -> dict[str, Any]:
    """Spread an owner over its columns."""
    return {
        "owner_project": owner.project if owner else None,
        "owner_target": owner.target if owner else None,
    }


def source_columns(provenance: Provenance) -> dict[str, Any]:
    """Spread a provenance over its columns."""
    return {
        "source_file": provenance.file and plain(provenance.file),
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
    """Read a row of ``queries.SCHEDULES``."""
    _, identity, name, spec, pipeline_id, status, disabled_by, project, target = row[:9]
    created_at, updated_at, revision, protected = row[14:18]
    since, until, catchup, next_due, processed_to, initial = row[23:29]
    return RegisteredSchedule(
        id=identity,
        name=name,
        spec=spec,
        pipeline_id=pipeline_id,
        status=Status(status),
        disabled_by=disabled_by and DisabledBy(disabled_by),
        owner=_owner(project, target),
        provenance=_provenance(row[9:14]),
        created_at=created_at,
        updated_at=updated_at,
        revision=revision,
        hold=None
        if since is None
        else Hold(who=row[21], why=row[22], since=since, until=until, catchup=Missed(catchup)),
        next_due=next_due,
        processed_to=processed_to,
        initial=bool(initial),
        protected=bool(protected),
        applied=_applied(row[18:21]),
        declared=bool(row[32]),
    )


def pipeline(row: Sequence[Any]) -> PublishedPipeline:
    """Read a row of ``queries.PIPELINES``."""
    version, digest, code_digest, declared = row[29:33]
    return PublishedPipeline(
        id=row[1],
        name=row[2],
        version=version,
        spec=row[3],
        digest=digest,
        code_digest=code_digest,
        status=Status(row[5]),
        disabled_by=row[6] and DisabledBy(row[6]),
        owner=_owner(*row[7:9]),
        provenance=_provenance(row[9:14]),
        created_at=row[14],
        revision=row[16],
        protected=bool(row[17]),
        applied=_applied(row[18:21]),
        declared=bool(declared),
    )


def datastore(row: Sequence[Any]) -> RegisteredDatastore:
    """Read a row of ``queries.DATASTORES``."""
    return RegisteredDatastore(
        name=row[2],
        spec=row[3],
        owner=_owner(*row[7:9]),
        provenance=_provenance(row[9:14]),
        created_at=row[14],
        revision=row[16],
        protected=bool(row[17]),
        applied=_applied(row[18:21]),
    )


def lost(row: Sequence[Any]) -> Lost:
    """Read a row of ``queries.LOST``."""
    return Lost(owner=Owner(*row[7:9]), kind=row[1], name=row[2], file=row[9], line=row[10])


def owner_record(row: Sequence[Any]) -> OwnerRecord:
    """Read a row of ``queries.OWNERS``."""
    return OwnerRecord(
        owner=Owner(*row[7:9]),
        root_commit=row[1],
        project_path=row[9],
        commit=row[11],
        applied_at=row[14],
        inputs=row[30],
    )


def _applied(columns: Sequence[Any]) -> Applied | None:
    spec, status, pipeline_id = columns
    if spec is None:
        return None
    return Applied(
        spec=spec, status=Status(status) if status else Status.ACTIVE, pipeline_id=pipeline_id
    )


def declaration_values(declaration: Declaration) -> tuple[Any, ...]:
    """Spread a declaration over DECLARATION_FIELDS."""
    return (
        declaration.kind,
        declaration.name,
        plain(declaration.file),
        declaration.line,
        declaration.spec,
        declaration.revision,
        declaration.status.value,
        declaration.pipeline_id,
        declaration.digest,
        declaration.code and plain(declaration.code),
        declaration.pipeline,
        _encode(declaration.datastores),
        declaration.protected,
    )


def declaration(row: Sequence[Any]) -> Declaration:
    """Read DECLARATION_FIELDS."""
    values = dict(zip(DECLARATION_FIELDS, row, strict=True))
    values["status"] = Status(values["status"])
    values["datastores"] = tuple(json.loads(values["datastores"]))
    values["protected"] = bool(values["protected"])
    return Declaration(**values)


def folder_values(path: str, folder: Folder) -> tuple[str, str, str]:
    """Spread a folder over (folder, key, entries).

    A path need not be text, so it stands in the JSON too; and two lists are read in half the time
    of a mapping.
    """
    content = [path, list(folder.entries), list(folder.entries.values())]
    return plain(path), folder.key, _encode(content)


def folder(key: str, entries: str) -> tuple[str, Folder]:
    """Read (key, entries); gives the path too."""
    path, names, keys = json.loads(entries)
    return path, Folder(key=key, entries=dict(zip(names, keys, strict=True)))


def experiment(row: Sequence[Any]) -> Experiment:
    """Read experiments.*."""
    return Experiment(id=row[0], name=row[1], created_at=row[2])


def apply_values(record: ApplyRecord) -> tuple[Any, ...]:
    """Spread a line of the history over APPLY_COLUMNS without ``id`` and ``chain``."""
    return (
        record.owner.project,
        record.owner.target,
        record.commit,
        record.author and plain(record.author),
        record.applied_at,
        plain(record.summary),
        plain(record.plan),
        plain(record.actor),
        record.outcome.value,
        plain(record.error),
        record.plan_digest,
        record.approval_digest,
    )


def apply_record(row: Sequence[Any]) -> ApplyRecord:
    """Read APPLY_COLUMNS."""
    identity, project, target, commit, author, applied_at, summary, plan, actor, outcome = row[:10]
    error, plan_digest, approval_digest, chain = row[10:]
    return ApplyRecord(
        id=identity,
        owner=Owner(project, target),
        commit=commit,
        author=author,
        applied_at=applied_at,
        summary=summary,
        plan=plan,
        actor=actor,
        outcome=Outcome(outcome),
        error=error,
        plan_digest=plan_digest,
        approval_digest=approval_digest,
        chain=chain,
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
        fire.gate.value,
    )


def fire(row: Sequence[Any]) -> Fire:
    """Read FIRE_FIELDS."""
    values = dict(zip(FIRE_FIELDS, row, strict=True))
    values["decision"] = Decision(values["decision"])
    values["gate"] = Gate(values["gate"])
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
        run.continue_on_step_failure,
        run.state.value,
        plain(run.reason),
        run.due_at,
        run.created_at,
        run.started_at,
        run.ended_at,
        run.cancel_requested,
        None if run.facts is None else _encode(run.facts),
        run.number,
        run.retry_of,
        run.not_before,
        None if run.retries is None else _retries_text(run.retries),
        run.on_unknown.value,
        run.pool,
        run.start_by,
        run.finish_by,
    )


@lru_cache(maxsize=256)
def _retries_text(retries: Retries) -> str:
    return _encode([retries.max, retries.backoff // timedelta(microseconds=1)])


def _retries(text: str | None) -> Retries | None:
    if text is None:
        return None
    most, backoff = json.loads(text)
    return Retries(max=most, backoff=timedelta(microseconds=backoff))


def run(row: Sequence[Any]) -> Run:
    """Read RUN_FIELDS."""
    values = dict(zip(RUN_FIELDS, row, strict=True))
    values["state"] = RunState(values["state"])
    values["parameters"] = _mapping(values["parameters"])
    values["facts"] = _mapping(values["facts"])
    values["continue_on_step_failure"] = bool(values["continue_on_step_failure"])
    values["retries"] = _retries(values["retries"])
    values["on_unknown"] = OnUnknown(values["on_unknown"])
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
        attempt.node,
    )


def attempt(row: Sequence[Any]) -> Attempt:
    """Read ATTEMPT_FIELDS."""
    values = dict(zip(ATTEMPT_FIELDS, row, strict=True))
    values["state"] = AttemptState(values["state"])
    return Attempt(**values)


def watch(row: Sequence[Any], schedule_ids: tuple[str, ...], *, existing: bool) -> Watch:
    """Read WATCH_COLUMNS."""
    identity, datastore, path, depth, done_marker, state, *numbers, place = row
    poll_seq, change_seq, next_poll, failures = numbers
    return Watch(
        id=identity,
        watched=Watched(
            datastore=datastore, path=path, depth=Depth(depth), done_marker=done_marker
        ),
        state=WatchState(state),
        poll_seq=poll_seq,
        change_seq=change_seq,
        next_poll=next_poll,
        failures=failures,
        place=place,
        schedule_ids=schedule_ids,
        existing=existing,
    )


def watched_values(watched: Watched) -> dict[str, str]:
    """Spread what is watched over its columns."""
    return {
        "datastore": watched.datastore,
        "path": watched.path,
        "depth": watched.depth.value,
        "done_marker": watched.done_marker,
    }


def arrival(row: Sequence[Any]) -> Arrival:
    """Read ARRIVAL_FIELDS."""
    return Arrival(**dict(zip(ARRIVAL_FIELDS, row, strict=True)))


def poll_values(poll: Poll) -> tuple[Any, ...]:
    """Spread a poll over POLL_FIELDS."""
    values = {name: getattr(poll, name) for name in POLL_FIELDS}
    values |= {"state": poll.state.value, "note": plain(poll.note), "error": plain(poll.error)}
    return tuple(values.values())


def poll(row: Sequence[Any]) -> Poll:
    """Read POLL_FIELDS."""
    values = dict(zip(POLL_FIELDS, row, strict=True))
    values["state"] = WatchState(values["state"])
    return Poll(**values)


def change(row: Sequence[Any]) -> LoggedChange:
    """Read CHANGE_FIELDS."""
    return LoggedChange(**dict(zip(CHANGE_FIELDS, row, strict=True)))


def alert_values(alert: Alert) -> tuple[Any, ...]:
    """Spread an alert over ALERT_FIELDS."""
    text = plain(alert.text)
    return alert.key, alert.alarm.value, alert.at, text, alert.schedule_id, alert.run_id


def alert(row: Sequence[Any]) -> Alert:
    """Read ALERT_FIELDS."""
    values = dict(zip(ALERT_FIELDS, row, strict=True))
    values["alarm"] = Alarm(values["alarm"])
    return Alert(**values)


def json_text(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Write JSON as it is stored."""
    return _encode(value)
