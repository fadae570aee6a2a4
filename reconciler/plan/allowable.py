"""The ids of the guards that a person may lift, for those who only read command lines."""

from __future__ import annotations

# Those of a project's history are made where the source is known.
ALLOWABLE = (
    *("dirty", "diverged", "empty", "rollback", "other_project", "taken_over"),
    *("disables", "disabled_percent", "runs_per_day", "fires_on_apply"),
)
