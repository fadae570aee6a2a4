"""What a plan reads, as plain SQL: one statement each, and none of them needs SQLAlchemy.

The statements are one text for all kinds of SQL (see ``driver``). ``json_each`` opens a list that
is one parameter, and the list in ``declarations.datastores``. Every object comes as one row
of ``_LAYOUT``, so that one statement reads them all in one consistent moment. Nothing of a
declaration is transferred but for objects that were touched.
"""

from __future__ import annotations

import json
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from reconciler.errors import NotFound
from reconciler.workspace.records import CodeTree, Live
from reconciler.workspace.sql import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from reconciler.workspace.records import Declaration, Experiment, Owner
    from reconciler.workspace.sql.driver import Driver

_LAYOUT = {
    "id": "TEXT",
    "name": "TEXT",
    "spec": "TEXT",
    "pipeline_id": "TEXT",
    "status": "TEXT",
    "disabled_by": "TEXT",
    "owner_project": "TEXT",
    "owner_target": "TEXT",
    "source_file": "TEXT",
    "source_line": "INTEGER",
    "source_commit": "TEXT",
    "source_author": "TEXT",
    "source_committed_at": "BIGINT",
    "created_at": "BIGINT",
    "updated_at": "BIGINT",
    "revision": "INTEGER",
    "protected": "BOOLEAN",
    "applied_spec": "TEXT",
    "applied_status": "TEXT",
    "applied_pipeline_id": "TEXT",
    "who": "TEXT",
    "why": "TEXT",
    "since": "BIGINT",
    "until": "BIGINT",
    "catchup": "TEXT",
    "next_due": "BIGINT",
    "processed_to": "BIGINT",
    "initial": "BOOLEAN",
    "version": "INTEGER",
    "digest": "TEXT",
    "code_digest": "TEXT",
    "declared": "BOOLEAN",
}
_OBJECT = [
    *("name", "spec", "owner_project", "owner_target", "source_file", "source_line"),
    *("source_commit", "source_author", "source_committed_at", "created_at", "revision"),
    "protected",
]
_READ: dict[str, Callable[[Sequence[Any]], Any]] = {
    "Schedule": rows.schedule,
    "Pipeline": rows.pipeline,
    "Datastore": rows.datastore,
    "lost": rows.lost,
    "owner": rows.owner_record,
}


def _of(table: str, names: Iterable[str]) -> dict[str, str]:
    return {name: f"{table}.{name}" for name in names}


def _select(part: str, columns: dict[str, str], rest: str) -> str:
    """Write a SELECT of one part of a UNION ALL; what the part does not have is NULL."""
    cells = [
        columns.get(name) or f"CAST(NULL AS {kind})"  # PostgreSQL wants to know the type.
        for name, kind in _LAYOUT.items()
    ]
    return f"SELECT '{part}' AS part, {', '.join(cells)} {rest}"


def _touched(table: str, kind: str, *names: str, same: str = "") -> dict[str, str]:
    """Write what was applied to a row that was changed since, or that was made anew.

    CASE spares all others the search.
    """
    return {
        f"applied_{name}": f"""CASE WHEN coalesce({table}.declared_revision, 0) <> {table}.revision
        THEN (
          SELECT d.{name} FROM declarations AS d WHERE d.kind = '{kind}' AND d.name = {table}.name
          AND d.owner_project = {table}.owner_project AND d.owner_target = {table}.owner_target
          {same}
        ) END"""  # noqa: S608  (constants)
        for name in names
    }


# The mark of a row that was touched since may be another name's.
_DECLARED = """CASE WHEN s.declared_revision = s.revision THEN TRUE ELSE EXISTS (
  SELECT 1 FROM declarations AS d WHERE d.kind = 'Schedule' AND d.name = s.name
  AND d.owner_project = s.owner_project AND d.owner_target = s.owner_target
) END"""
SCHEDULES = _select(
    "Schedule",
    _of("s", [*_OBJECT, "id", "pipeline_id", "status", "disabled_by", "updated_at"])
    | _touched("s", "Schedule", "spec", "status", "pipeline_id")
    | {"declared": _DECLARED}
    | _of("h", ["who", "why", "since", "until", "catchup"])
    | _of("t", ["next_due", "processed_to", "initial"]),
    """FROM schedules AS s LEFT JOIN holds AS h ON h.schedule_id = s.id
    LEFT JOIN timers AS t ON t.schedule_id = s.id""",
)
PIPELINES = _select(
    "Pipeline",
    _of("p", [*_OBJECT, "id", "status", "disabled_by", "version", "digest", "code_digest"])
    | _touched("p", "Pipeline", "spec", "status", same="AND d.digest = p.digest")
    | {"declared": "p.declared_revision IS NOT NULL"},
    "FROM pipelines AS p",
)
DATASTORES = _select(
    "Datastore", _of("b", _OBJECT) | _touched("b", "Datastore", "spec"), "FROM datastores AS b"
)
LOST = _select(
    "lost",
    _of("d", ["name", "owner_project", "owner_target"])
    | {"id": "d.kind", "source_file": "d.file", "source_line": "d.line"},
    "FROM declarations AS d",
)
GONE = {
    "Schedule": """NOT EXISTS (SELECT 1 FROM schedules AS x WHERE x.name = d.name
      AND x.owner_project = d.owner_project AND x.owner_target = d.owner_target)""",
    "Pipeline": """NOT EXISTS (SELECT 1 FROM pipelines AS x
      WHERE x.name = d.name AND x.digest = d.digest)""",
    "Datastore": "NOT EXISTS (SELECT 1 FROM datastores AS x WHERE x.name = d.name)",
}
OWNERS = _select(
    "owner",
    {
        "owner_project": "owner_project",
        "owner_target": "owner_target",
        "id": "root_commit",
        "source_file": "project_path",
        "source_commit": "source_commit",
        "created_at": "applied_at",
        "digest": "inputs",
    },
    "FROM owners WHERE applied_at IS NOT NULL",
)

# SQLite looks for touched rows in their small index only where nothing else tempts it, so the owner
# is asked for afterwards; and CROSS JOIN makes it begin with the list, which is short.
TOUCHED = {
    kind: f"""SELECT owner_project, owner_target, '{kind}' AS kind, name, source_file FROM {kind}s
      WHERE revision <> declared_revision"""  # noqa: S608  (constants)
    for kind in ("Schedule", "Pipeline", "Datastore")
}
# As long as the numbers agree no schedule is lost, and counting costs far less than looking; but
# for one that was renamed by hand.
RENAMED = """EXISTS (SELECT 1 FROM touched AS t WHERE t.kind = 'Schedule' AND NOT EXISTS (
    SELECT 1 FROM declarations AS d WHERE d.kind = 'Schedule' AND d.name = t.name
    AND d.owner_project = t.owner_project AND d.owner_target = t.owner_target))"""
_LIVE = f"""
WITH
touched AS MATERIALIZED ({TOUCHED["Schedule"]}),
missed AS MATERIALIZED (
  SELECT 1 AS one WHERE {RENAMED} OR (SELECT count(*) FROM declarations WHERE kind = 'Schedule')
   <> (SELECT count(declared_revision) FROM schedules)
)
{SCHEDULES} UNION ALL {PIPELINES} UNION ALL {DATASTORES}
UNION ALL {LOST.replace("FROM", "FROM missed CROSS JOIN")}
  WHERE d.kind = 'Schedule' AND {GONE["Schedule"]}
UNION ALL {LOST} WHERE d.kind = 'Pipeline' AND {GONE["Pipeline"]}
UNION ALL {LOST} WHERE d.kind = 'Datastore' AND {GONE["Datastore"]}
UNION ALL {OWNERS}
"""  # noqa: S608  (constants)

_MINE = "{0}.owner_project = :project AND {0}.owner_target = :target"
OWN_S, OWN_D, OWN_T = (_MINE.format(table) for table in "sdt")
_LIVE_PART = f"""
WITH
asked_files AS MATERIALIZED (SELECT value FROM json_each(:files)),
asked_schedules AS MATERIALIZED (SELECT value FROM json_each(:schedules)),
asked_pipelines AS MATERIALIZED (SELECT value FROM json_each(:pipelines)),
touched AS MATERIALIZED ({TOUCHED["Schedule"]}),
own_schedules (name) AS MATERIALIZED (
  SELECT value FROM asked_schedules
  UNION SELECT d.name FROM asked_files AS f CROSS JOIN declarations AS d
  WHERE {OWN_D} AND d.kind = 'Schedule' AND d.file = f.value
  UNION SELECT t.name FROM touched AS t
  WHERE {OWN_T} AND t.source_file IN (SELECT value FROM asked_files)
),
some_schedules (id, pipeline_id) AS MATERIALIZED (
  SELECT s.id, s.pipeline_id FROM own_schedules AS n CROSS JOIN schedules AS s
  WHERE {OWN_S} AND s.name = n.name
  UNION SELECT s.id, s.pipeline_id FROM asked_schedules AS a CROSS JOIN schedules AS s
  WHERE s.name = a.value
  UNION SELECT s.id, s.pipeline_id FROM asked_schedules AS a CROSS JOIN schedules AS s
  WHERE s.id = a.value
),
some_pipelines (name) AS MATERIALIZED (
  SELECT value FROM asked_pipelines
  UNION SELECT p.name FROM asked_pipelines AS a CROSS JOIN pipelines AS p WHERE p.id = a.value
  UNION SELECT d.name FROM asked_files AS f CROSS JOIN declarations AS d
  WHERE {OWN_D} AND d.kind = 'Pipeline' AND d.file = f.value
  UNION SELECT d.pipeline FROM own_schedules AS n CROSS JOIN declarations AS d
  WHERE {OWN_D} AND d.kind = 'Schedule' AND d.name = n.name
  UNION SELECT p.name FROM some_schedules AS n CROSS JOIN pipelines AS p
  WHERE p.id = n.pipeline_id
),
some_datastores (name) AS MATERIALIZED (
  SELECT value FROM json_each(:datastores)
  UNION SELECT d.name FROM asked_files AS f CROSS JOIN declarations AS d
  WHERE {OWN_D} AND d.kind = 'Datastore' AND d.file = f.value
  UNION SELECT item.value FROM own_schedules AS n CROSS JOIN declarations AS d
  CROSS JOIN json_each(d.datastores) AS item
  WHERE {OWN_D} AND d.kind = 'Schedule' AND d.name = n.name
  UNION SELECT item.value FROM some_pipelines AS n CROSS JOIN declarations AS d
  CROSS JOIN json_each(d.datastores) AS item
  WHERE {OWN_D} AND d.kind = 'Pipeline' AND d.name = n.name
)
{SCHEDULES} WHERE s.id IN (SELECT id FROM some_schedules)
UNION ALL {PIPELINES} WHERE p.name IN (SELECT name FROM some_pipelines)
UNION ALL {DATASTORES} WHERE b.name IN (SELECT name FROM some_datastores)
UNION ALL {LOST} WHERE {OWN_D} AND d.kind = 'Schedule'
  AND d.name IN (SELECT name FROM own_schedules) AND {GONE["Schedule"]}
UNION ALL {LOST} WHERE {OWN_D} AND d.kind = 'Pipeline'
  AND d.name IN (SELECT name FROM some_pipelines) AND {GONE["Pipeline"]}
UNION ALL {LOST} WHERE {OWN_D} AND d.kind = 'Datastore'
  AND d.name IN (SELECT name FROM some_datastores) AND {GONE["Datastore"]}
"""  # noqa: S608  (constants)

# Without datastores asked for, the columns that list them are not opened.
_DEPENDENTS = f"""
WITH
asked_datastores AS MATERIALIZED (SELECT value FROM json_each(:datastores)),
opened AS MATERIALIZED (SELECT 1 AS one WHERE EXISTS (SELECT 1 FROM asked_datastores))
SELECT d.file FROM json_each(:pipelines) AS a CROSS JOIN declarations AS d
WHERE {OWN_D} AND d.pipeline = a.value
UNION SELECT d.file FROM opened CROSS JOIN declarations AS d
CROSS JOIN json_each(d.datastores) AS item
WHERE {OWN_D} AND d.datastores <> '[]' AND item.value IN (SELECT value FROM asked_datastores)
"""  # noqa: S608  (constants)

_DECLARATIONS = f"""
SELECT {", ".join(rows.DECLARATION_FIELDS)} FROM declarations AS d WHERE {OWN_D}
"""  # noqa: S608  (constants)


def live(raw: Driver) -> Live:
    """Read everything that is registered."""
    return _live(raw.execute(_LIVE))


def live_part(  # noqa: PLR0913  (the port's)
    raw: Driver,
    owner: Owner,
    *,
    files: Iterable[str],
    schedules: Iterable[str],
    pipelines: Iterable[str],
    datastores: Iterable[str],
) -> Live:
    """Read what concerns a part of an owner's objects; owners are left out."""
    asked = {
        "files": among(files),
        "schedules": among(schedules),
        "pipelines": among(pipelines),
        "datastores": among(datastores),
    }
    return _live(raw.execute(_LIVE_PART, named(owner) | asked))


def dependents(
    raw: Driver, owner: Owner, pipelines: Iterable[str], datastores: Iterable[str]
) -> tuple[str, ...]:
    """Name the files whose declarations refer to one of these objects, sorted."""
    asked = {"pipelines": among(pipelines), "datastores": among(datastores)}
    return tuple(sorted(file for (file,) in raw.execute(_DEPENDENTS, named(owner) | asked)))


def declarations(raw: Driver, owner: Owner) -> tuple[Declaration, ...]:
    """List what an owner applied last, sorted by kind and name."""
    found = map(rows.declaration, raw.execute(_DECLARATIONS, named(owner)))
    return tuple(sorted(found, key=attrgetter("kind", "name")))


def experiments(raw: Driver) -> tuple[Experiment, ...]:
    """List experiments, sorted by name."""
    found = raw.execute("SELECT id, name, created_at FROM experiments ORDER BY name")
    return tuple(map(rows.experiment, found))


def code(raw: Driver, digest: str) -> CodeTree:
    """Read a code snapshot.

    Raises:
        NotFound: no such snapshot.
    """
    tree = raw.execute("SELECT entries FROM trees WHERE digest = :digest", {"digest": digest})
    found = tree.fetchone()
    if found is None:
        raise NotFound(f"no code snapshot {digest}")
    entries = json.loads(found[0])
    wanted = {"blobs": among(blob for _, _, blob in entries)}
    data = dict(
        raw.execute(
            "SELECT digest, data FROM blobs WHERE digest IN (SELECT value FROM json_each(:blobs))",
            wanted,
        )
    )
    return CodeTree(
        digest=digest, entries=tuple((path, mode, data[blob]) for path, mode, blob in entries)
    )


def among(values: Iterable[str]) -> str:
    """Give any number of texts as one parameter, to be read by ``json_each``."""
    return json.dumps(list(map(rows.plain, values)))


def named(owner: Owner) -> dict[str, Any]:
    """Give an owner as the parameters ``project`` and ``target``."""
    return {"project": owner.project, "target": owner.target}


def _live(found: Iterable[Sequence[Any]]) -> Live:
    parts: dict[str, list[Any]] = {part: [] for part in _READ}
    for row in found:
        parts[row[0]].append(_READ[row[0]](row))
    return Live(
        schedules=tuple(sorted(parts["Schedule"], key=attrgetter("name", "id"))),
        pipelines=tuple(sorted(parts["Pipeline"], key=attrgetter("name", "version"))),
        datastores=tuple(sorted(parts["Datastore"], key=attrgetter("name"))),
        lost=tuple(sorted(parts["lost"], key=attrgetter("owner", "kind", "name"))),
        owners=tuple(sorted(parts["owner"], key=attrgetter("owner"))),
    )
