"""What an incremental plan must know of the last apply, in one statement."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from reconciler.schedule import Status
from reconciler.workspace.records import Glance, OwnerRecord
from reconciler.workspace.sql import rows
from reconciler.workspace.sql.queries import GONE, OWN_B, OWN_D, OWN_P, OWN_S, named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from reconciler.workspace.records import Folder, Owner

_OUTSIDE = """
SELECT 'outside' AS part, 'pipeline' AS a, name AS b, id AS c, status AS d, NULL AS e,
  revision AS m, NULL AS n FROM pipelines
WHERE owner_project IS NULL OR owner_project <> :project OR owner_target <> :target
UNION ALL SELECT 'outside', 'datastore', name, '', '', NULL, revision, NULL FROM datastores
WHERE owner_project IS NULL OR owner_project <> :project OR owner_target <> :target
"""
_OWNED = f"SELECT count(*) FROM schedules AS s WHERE {OWN_S}"  # noqa: S608  (constants)

# Touched rows have a small index of their own. As long as the numbers of a kind agree nothing of it
# is lost, and counting costs far less than looking. CROSS JOIN makes SQLite begin with the holds,
# which are few.
_GLANCE = f"""
WITH
mine (status, owned, known) AS MATERIALIZED (
  SELECT s.status, count(*), count(s.declared_revision) FROM schedules AS s
  WHERE {OWN_S} GROUP BY s.status
),
declared (kind, number) AS MATERIALIZED (
  SELECT d.kind, count(*) FROM declarations AS d WHERE {OWN_D} GROUP BY d.kind
)
{_OUTSIDE}
UNION ALL SELECT 'owner', root_commit, project_path, source_commit, inputs, outside, applied_at,
  owned FROM owners
WHERE owner_project = :project AND owner_target = :target AND applied_at IS NOT NULL
UNION ALL SELECT 'folder', folder, key, entries, NULL, NULL, NULL, NULL FROM folders
WHERE owner_project = :project AND owner_target = :target
UNION ALL SELECT 'code', d.code, d.file, NULL, NULL, NULL, NULL, NULL FROM declarations AS d
WHERE {OWN_D} AND d.code IS NOT NULL
UNION ALL SELECT 'mine', status, NULL, NULL, NULL, NULL, owned, NULL FROM mine
UNION ALL SELECT 'declared', kind, NULL, NULL, NULL, NULL, number, NULL FROM declared
UNION ALL SELECT 'unsettled', file, NULL, NULL, NULL, NULL, NULL, NULL FROM (
  SELECT coalesce(d.file, s.source_file) AS file FROM schedules AS s
  LEFT JOIN declarations AS d ON {OWN_D} AND d.kind = 'schedule' AND d.name = s.name
  WHERE {OWN_S} AND s.revision <> s.declared_revision
  UNION SELECT coalesce(d.file, p.source_file) FROM pipelines AS p
  LEFT JOIN declarations AS d ON {OWN_D} AND d.kind = 'pipeline' AND d.name = p.name
  WHERE {OWN_P} AND p.revision <> p.declared_revision
  UNION SELECT coalesce(d.file, b.source_file) FROM datastores AS b
  LEFT JOIN declarations AS d ON {OWN_D} AND d.kind = 'datastore' AND d.name = b.name
  WHERE {OWN_B} AND b.revision <> b.declared_revision
  UNION SELECT coalesce(d.file, s.source_file) FROM holds CROSS JOIN schedules AS s
  LEFT JOIN declarations AS d ON {OWN_D} AND d.kind = 'schedule' AND d.name = s.name
  WHERE s.id = holds.schedule_id AND {OWN_S}
  UNION SELECT d.file FROM declarations AS d WHERE {OWN_D} AND d.kind <> 'schedule' AND {GONE}
  UNION SELECT d.file FROM declarations AS d WHERE {OWN_D} AND d.kind = 'schedule' AND {GONE}
    AND (SELECT number FROM declared WHERE kind = 'schedule')
     <> (SELECT coalesce(sum(known), 0) FROM mine)
) AS files WHERE file IS NOT NULL
"""  # noqa: S608  (constants)


def glance(raw: sqlite3.Connection, owner: Owner) -> Glance | None:
    """Read what an incremental plan must know; None before a first apply."""
    record: OwnerRecord | None = None
    folders: dict[str, Folder] = {}
    code: list[tuple[str, str]] = []
    unsettled: list[str] = []
    active = owned = expected = 0
    declared: dict[str, int] = {}
    outside_then = ""
    outside: list[tuple[str, str, str, int, str]] = []
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
                folders[a] = rows.folder((b, c))
            case "code":
                code.append((a, b))
            case "mine":
                owned += m
                active += m if a == Status.ACTIVE.value else 0
            case "declared":
                declared[a] = m
            case "unsettled":
                unsettled.append(a)
            case _:
                outside.append((a, b, c, m, d))
    if record is None:
        return None
    return Glance(
        record=record,
        folders=folders,
        code=tuple(sorted(code)),
        unsettled=tuple(sorted(unsettled)),
        owned=owned,
        expected=expected,
        active=active,
        declared=declared,
        outside=_digest(outside),
        outside_then=outside_then,
    )


def taken_now(raw: sqlite3.Connection, owner: Owner) -> tuple[int, str]:
    """Give ``expected`` and ``outside_then`` as a glance will compare with them."""
    (owned,) = raw.execute(_OWNED, named(owner)).fetchone()
    found = raw.execute(_OUTSIDE, named(owner))
    return owned, _digest((a, b, c, m, d) for _, a, b, c, d, _, m, _ in found)


def _digest(outside: Iterable[tuple[str, str, str, int, str]]) -> str:
    """Hash (kind, name, id, revision, status) rows, SHA-256 in hex."""
    return hashlib.sha256(json.dumps(sorted(outside)).encode()).hexdigest()
