"""Writing what owners applied: declarations, their marks on live rows, folders, owners, claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import StalePlan
from reconciler.workspace.sql import rows
from reconciler.workspace.sql.glance import taken_now
from reconciler.workspace.sql.queries import among, named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.workspace.records import Declaration, Folder, Owner, OwnerRecord
    from reconciler.workspace.sql.driver import Driver

TABLES = {"Schedule": "schedules", "Pipeline": "pipelines", "Datastore": "datastores"}

_OWN = "owner_project = :project AND owner_target = :target"
_FIELDS = rows.DECLARATION_FIELDS
_DECLARE = f"""
INSERT INTO declarations (owner_project, owner_target, {", ".join(_FIELDS)})
VALUES (:project, :target, {", ".join(f":{name}" for name in _FIELDS)})
ON CONFLICT (kind, name, owner_project, owner_target) DO UPDATE SET
{", ".join(f"{name} = excluded.{name}" for name in _FIELDS[2:])}
"""  # noqa: S608  (constants)
_MARK = """
UPDATE {0} SET source_file = :file, source_line = :line, declared_revision = :revision,
  protected = :protected
WHERE owner_project = :project AND owner_target = :target AND name = :name
"""
# A declaration is of one version; what marks an older one carried are gone.
_MARKS = {
    "Schedule": (_MARK.format("schedules"),),
    "Datastore": (_MARK.format("datastores"),),
    "Pipeline": (
        """UPDATE pipelines SET declared_revision = NULL, protected = FALSE
        WHERE name = :name AND declared_revision IS NOT NULL""",
        _MARK.format("pipelines") + "AND digest = :digest",
    ),
}
_UNMARK = f"""
UPDATE {{0}} SET declared_revision = NULL, protected = FALSE
WHERE {_OWN} AND name IN (SELECT value FROM json_each(:names))
"""  # noqa: S608  (constants)
_UNDECLARE = f"""
DELETE FROM declarations
WHERE kind = :kind AND name IN (SELECT value FROM json_each(:names)) AND {_OWN}
"""  # noqa: S608  (constants)
_FOLDER = """
INSERT INTO folders (owner_project, owner_target, folder, key, entries) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (owner_project, owner_target, folder) DO UPDATE SET
  key = excluded.key, entries = excluded.entries
"""
_FORGET_FOLDERS = f"""
DELETE FROM folders WHERE {_OWN} AND folder IN (SELECT value FROM json_each(:names))
"""  # noqa: S608  (constants)
_RECORD_OWNER = """
INSERT INTO owners (owner_project, owner_target, root_commit, project_path, source_commit,
  applied_at, inputs, owned, outside)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (owner_project, owner_target) DO UPDATE SET root_commit = excluded.root_commit,
  project_path = excluded.project_path, source_commit = excluded.source_commit,
  applied_at = excluded.applied_at, inputs = excluded.inputs, owned = excluded.owned,
  outside = excluded.outside
"""

# A pipeline's row is its version in use.
_FOUND = {
    "Schedule": "SELECT name, revision FROM schedules WHERE id = :key",
    "Pipeline": """SELECT name, revision FROM pipelines WHERE name = :key
      ORDER BY CASE status WHEN 'Active' THEN 0 ELSE 1 END, version DESC""",
    "Datastore": "SELECT name, revision FROM datastores WHERE name = :key",
}
_CLASH = f"SELECT 1 FROM schedules WHERE {_OWN} AND name = :name AND id <> :key"  # noqa: S608
# Of a schedule the former owner's declaration stays: its next plan finds the schedule lost instead
# of making another one.
_FORGET_OTHERS = {
    "Pipeline": """DELETE FROM declarations WHERE kind = 'Pipeline' AND name = :name
      AND (owner_project <> :project OR owner_target <> :target)""",
    "Datastore": """DELETE FROM declarations WHERE kind = 'Datastore' AND name = :name
      AND (owner_project <> :project OR owner_target <> :target)""",
}
_CLAIM = """
UPDATE {0} SET owner_project = :project, owner_target = :target, revision = revision + 1,
  declared_revision = NULL, protected = FALSE WHERE {1} = :key
"""
_CLAIMS = {
    "Schedule": _CLAIM.format("schedules", "id"),
    "Pipeline": _CLAIM.format("pipelines", "name"),
    "Datastore": _CLAIM.format("datastores", "name"),
}


def declare(raw: Driver, owner: Owner, declarations: Sequence[Declaration]) -> None:
    """Record what was applied, and mark the live rows with it."""
    of = named(owner)
    by_kind: dict[str, list[dict[str, object]]] = {}
    for declaration in declarations:
        values = dict(zip(_FIELDS, rows.declaration_values(declaration), strict=True))
        by_kind.setdefault(declaration.kind, []).append(of | values)
    for kind, same_kind in by_kind.items():
        raw.executemany(_DECLARE, same_kind)
        for mark in _MARKS[kind]:
            raw.executemany(mark, same_kind)


def undeclare(raw: Driver, owner: Owner, kind: str, names: Iterable[str]) -> None:
    """Forget what was applied to objects, and take the marks off their live rows."""
    asked = named(owner) | {"kind": kind, "names": among(names)}
    raw.execute(_UNDECLARE, asked)
    raw.execute(_UNMARK.format(TABLES[kind]), asked)


def record_folders(
    raw: Driver, owner: Owner, changed: Mapping[str, Folder], gone: Iterable[str]
) -> None:
    """Record what folders of the project were read as, and forget others."""
    raw.execute(_FORGET_FOLDERS, named(owner) | {"names": among(gone)})
    raw.executemany(
        _FOLDER,
        [
            (owner.project, owner.target, *rows.folder_values(path, folder))
            for path, folder in changed.items()
        ],
    )


def record_owner(raw: Driver, now: int, record: OwnerRecord) -> None:
    """Record an owner's last apply, at ``now`` if it does not say when; its lease stays."""
    owned, outside = taken_now(raw, record.owner)
    raw.execute(
        _RECORD_OWNER,
        (
            record.owner.project,
            record.owner.target,
            record.root_commit,
            record.project_path,
            record.commit,
            now if record.applied_at is None else record.applied_at,
            record.inputs,
            owned,
            outside,
        ),
    )


def claim(raw: Driver, kind: str, key: str, revision: int, owner: Owner) -> int:
    """Make an object the owner's; each of its rows goes one revision on. Gives the next revision.

    Raises:
        StalePlan: it is no longer at ``revision``, or the owner has another of that name by now.
    """
    asked = named(owner) | {"key": key}
    found = raw.execute(_FOUND[kind], asked).fetchone()
    if found is None:
        raise StalePlan(f"{kind} {key} was at revision {revision} and is gone by now: plan again")
    name, present = found
    if present != revision:
        raise StalePlan(
            f"{kind} '{name}' was at revision {revision} and is at {present} by now: plan again"
        )
    asked["name"] = name
    if kind == "Schedule" and raw.execute(_CLASH, asked).fetchone():
        raise StalePlan(f"{kind} '{name}' of {owner} is registered by now: plan again")
    if kind in _FORGET_OTHERS:
        raw.execute(_FORGET_OTHERS[kind], asked)
    raw.execute(_CLAIMS[kind], asked)
    if kind == "Schedule":
        # The timer carries a copy, so that claiming it needs no look at the wide table.
        raw.execute("UPDATE timers SET revision = ? WHERE schedule_id = ?", (revision + 1, key))
    return revision + 1
