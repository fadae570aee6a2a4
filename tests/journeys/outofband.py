"""What people do to a workspace beside Git: straight in its database, or through the SDK."""

import json
import re
import sqlite3
from contextlib import closing

from reconciler.pipeline import Pipeline, Step
from reconciler.plan.spec import content_digest, spec_text
from reconciler.sdk import Datastore, PublishedPipeline, Schedule, ScheduleRecurrence, Workspace
from reconciler.source.snapshot import code_tree
from reconciler.workspace.records import Provenance

DATABASE = ".reconciler/workspace.db"


def sql(statement, *values):
    with closing(sqlite3.connect(DATABASE)) as raw, raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        return raw.execute(statement, values).fetchall()


def change(name, table="schedules", /, **fields):
    """Edit an object's spec; None takes a field away."""
    ((text,),) = sql(f"SELECT spec FROM {table} WHERE name = ?", name)
    spec = {**json.loads(text), **fields}
    spec = {key: value for key, value in spec.items() if value is not None}
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    sql(f"UPDATE {table} SET spec = ? WHERE name = ?", text, name)


def delete(name):
    for table in ("timers", "cursors", "holds"):
        sql(
            f"DELETE FROM {table} WHERE schedule_id IN (SELECT id FROM schedules WHERE name = ?)",
            name,
        )
    sql("DELETE FROM schedules WHERE name = ?", name)


_MASKS = {
    r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b": "ID",
    r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z": "TIME",
    r"\b[0-9a-f]{64}\b": "DIGEST",
    r"\b[0-9a-f]{40}\b|(?<=ommit )[0-9a-f]{12}|(?<=dev  )[0-9a-f]{12}\b|(?<=`)[0-9a-f]{12}(?=`)": "COMMIT",
    r"[^\s\"`]+@\S+ \(pid \d+\)": "SOMEBODY",
    r'(?<="who": ")[^"]*|(?<=paused by )\S+': "SOMEBODY",
}


def masked(text):
    """Replace ids, digests, times and who it was, which no run repeats."""
    for pattern, word in _MASKS.items():
        text = re.sub(pattern, word, text)
    return text


def published(workspace, name):
    return [p for p in PublishedPipeline.list(workspace) if p.name == name][-1]


def schedule(workspace, name, pipeline="scoring", **fields):
    return Schedule.create(
        workspace,
        name,
        published(workspace, pipeline).id,
        "by-hand",
        recurrence=ScheduleRecurrence(frequency="Day", interval=2, hours=[3], minutes=[15]),
        **fields,
    )


def loose(workspace, name="loose", code="./src", text=b"print('loose')\n", **fields):
    """Publish a pipeline that nobody manages."""
    tree = code_tree([("run.py", 0o100644, text), ("bin/go.sh", 0o100755, b"#!/bin/sh\n")])
    step = Step(name="run", command=("python", "run.py"))
    spec = spec_text(Pipeline(name=name, code=code, steps=(step,), **fields))
    with workspace.registry.transaction() as tx:
        return tx.publish(
            owner=None,
            name=name,
            spec=spec,
            digest=content_digest(spec, tree.digest),
            code=tree,
            provenance=Provenance(),
        )


def store(workspace, name="lake"):
    with workspace.registry.transaction() as tx:
        tx.put_datastore(
            owner=None,
            name=name,
            spec=json.dumps({"name": name, "url": f"file:///{name}"}, separators=(",", ":")),
            provenance=Provenance(),
            revision=None,
        )
    return Datastore.get(workspace, name)


def by_hand():
    """Make two schedules, a pipeline and a datastore that nobody manages."""
    workspace = Workspace.from_config()
    schedule(workspace, "adhoc", pipeline_parameters={"batch_size": 7})
    version = loose(workspace)
    lake = store(workspace)
    Schedule.create(workspace, "watch", version.id, "by-hand", datastore=lake)
    return workspace
