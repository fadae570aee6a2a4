"""What an incremental plan must know of the last apply, in one statement."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from reconciler.schedule import Status
from reconciler.workspace.records import Glance, OwnerRecord, Pin
from reconciler.workspace.sql import rows
from reconciler.workspace.sql.queries import GONE, OWN_D, OWN_S, OWN_T, RENAMED, TOUCHED, named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.workspace.records import Folder, Owner
    from reconciler.workspace.sql.driver import Driver

_OUTSIDE = """
SELECT 'outside' AS part, 'Pipeline' AS a, name AS b, id AS c, status AS d, NULL AS e,
  revision AS m, CASE WHEN declared_revision IS NULL THEN 0 ELSE 1 END AS n FROM pipelines
WHERE owner_project IS NULL OR owner_project <> :project OR owner_target <> :target
UNION ALL SELECT 'outside', 'Datastore', name, '', '', NULL, revision, 0 FROM datastores
WHERE owner_project IS NULL OR owner_project <> :project OR owner_target <> :target
"""
_OWNED = f"SELECT count(*) FROM schedules AS s WHERE {OWN_S}"  # noqa: S608  (constants)

# An object that was taken away and made anew by hand is there, but does not bear the mark.
_UNMARKED = {
    kind: gone.removesuffix(")") + " AND x.declared_revision IS NOT NULL)"
    for kind, gone in GONE.items()
}
# Of the owner's, in use or held, and not declared.
_STRAY = f"""EXISTS (SELECT 1 FROM mine WHERE status = 'Active' AND owned <> known)
  OR EXISTS (SELECT 1 FROM held AS t WHERE {OWN_T} AND NOT EXISTS (
    SELECT 1 FROM declarations AS d WHERE {OWN_D} AND d.kind = 'Schedule' AND d.name = t.name))
  OR EXISTS (SELECT 1 FROM pipelines AS t WHERE {OWN_T} AND t.status = 'Active' AND NOT EXISTS (
    SELECT 1 FROM declarations AS d WHERE {OWN_D} AND d.kind = 'Pipeline' AND d.name = t.name))
  OR EXISTS (SELECT 1 FROM datastores AS t WHERE {OWN_T} AND NOT EXISTS (
    SELECT 1 FROM declarations AS d WHERE {OWN_D} AND d.kind = 'Datastore' AND d.name = t.name))
"""  # noqa: S608  (constants)
# CROSS JOIN makes SQLite begin with what is short.
_GLANCE = f"""
WITH
mine (status, owned, known) AS MATERIALIZED (
  SELECT s.status, count(*), count(s.declared_revision) FROM schedules AS s
  WHERE {OWN_S} GROUP BY s.status
),
declared (number) AS MATERIALIZED (
  SELECT count(*) FROM declarations AS d WHERE {OWN_D} AND d.kind = 'Schedule'
),
touched AS MATERIALIZED (
  {TOUCHED["Schedule"]} UNION ALL {TOUCHED["Pipeline"]} UNION ALL {TOUCHED["Datastore"]}
),
held AS MATERIALIZED (
  SELECT owner_project, owner_target, 'Schedule' AS kind, name, source_file
  FROM holds CROSS JOIN schedules WHERE id = schedule_id
),
missed AS MATERIALIZED (
  SELECT 1 AS one FROM declared WHERE {RENAMED}
    OR number <> (SELECT coalesce(sum(known), 0) FROM mine)
)
{_OUTSIDE}
UNION ALL SELECT 'owner', root_commit, project_path, source_commit, inputs, outside, applied_at,
  owned FROM owners
WHERE owner_project = :project AND owner_target = :target AND applied_at IS NOT NULL
UNION ALL SELECT 'folder', folder, key, entries, NULL, NULL, NULL, NULL FROM folders
WHERE owner_project = :project AND owner_target = :target
UNION ALL SELECT 'Pipeline', d.name, d.digest, d.file, d.code, NULL, NULL, NULL
FROM declarations AS d WHERE {OWN_D} AND d.kind = 'Pipeline'
UNION ALL SELECT 'Datastore', d.name, d.file, NULL, NULL, NULL, NULL, NULL
FROM declarations AS d WHERE {OWN_D} AND d.kind = 'Datastore'
UNION ALL SELECT 'mine', status, NULL, NULL, NULL, NULL, owned, NULL FROM mine
UNION ALL SELECT 'declared', NULL, NULL, NULL, NULL, NULL, number,
  CASE WHEN {_STRAY} THEN 1 ELSE 0 END FROM declared
UNION ALL SELECT 'unsettled', file, NULL, NULL, NULL, NULL, NULL, NULL FROM (
  SELECT coalesce(d.file, t.source_file) AS file
  FROM (SELECT * FROM touched UNION ALL SELECT * FROM held) AS t LEFT JOIN declarations AS d
  ON {OWN_D} AND d.kind = t.kind AND d.name = t.name WHERE {OWN_T}
  UNION SELECT d.file FROM missed CROSS JOIN declarations AS d
  WHERE {OWN_D} AND d.kind = 'Schedule' AND {_UNMARKED["Schedule"]}
  UNION SELECT d.file FROM declarations AS d
  WHERE {OWN_D} AND d.kind = 'Pipeline' AND {_UNMARKED["Pipeline"]}
  UNION SELECT d.file FROM declarations AS d
  WHERE {OWN_D} AND d.kind = 'Datastore' AND {_UNMARKED["Datastore"]}
) AS files WHERE file IS NOT NULL
"""  # noqa: S608  (constants)


def glance(raw: Driver, owner: Owner) -> Glance | None:
    """Read what an incremental plan must know; None before a first apply."""
    record: OwnerRecord | None = None
    folders: dict[str, Folder] = {}
    pipelines: dict[str, Pin] = {}
    datastores: dict[str, str] = {}
    unsettled: list[str] = []
    active = owned = expected = schedules = 0
    stray = False
    outside_then = ""
    outside: list[tuple[str, str, str, int, str, int]] = []
    for part, a, b, c, d, e, m, n in raw.execute(_GLANCE, named(owner)):
        match part:
            case "owner":
                record = OwnerRecord(
                    owner=owner,
                    root_commit=a,
                    project_path=b,
                    commit=c,
                    inputs=d,
                    applied_at=m,
                )
                outside_then, expected = e, n
            case "folder":
                path, folder = rows.folder(b, c)
                folders[path] = folder
            case "Pipeline":
                pipelines[a] = Pin(digest=b, file=c, code=d)
            case "Datastore":
                datastores[a] = b
            case "mine":
                owned += m
                active += m if a == Status.ACTIVE.value else 0
            case "declared":
                schedules, stray = m, bool(n)
            case "unsettled":
                unsettled.append(a)
            case _:
                outside.append((a, b, c, m, d, n))
    if record is None:
        return None
    return Glance(
        record=record,
        folders=folders,
        pipelines=pipelines,
        datastores=datastores,
        schedules=schedules,
        unsettled=tuple(sorted(unsettled)),
        owned=owned,
        expected=expected,
        active=active,
        stray=stray,
        outside=_digest(outside),
        outside_then=outside_then,
    )


def taken_now(raw: Driver, owner: Owner) -> tuple[int, str]:
    """Give ``expected`` and ``outside_then`` as a glance will compare with them."""
    (owned,) = raw.execute(_OWNED, named(owner)).fetchone()
    found = raw.execute(_OUTSIDE, named(owner))
    return owned, _digest((a, b, c, m, d, n) for _, a, b, c, d, _, m, n in found)


def _digest(outside: Iterable[tuple[str, str, str, int, str, int]]) -> str:
    """Hash (kind, name, id, revision, status, declared) rows, SHA-256 in hex."""
    return hashlib.sha256(json.dumps(sorted(outside)).encode()).hexdigest()
