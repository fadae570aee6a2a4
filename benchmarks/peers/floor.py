"""The least that any plan must do: list what Git holds, and read the columns that tell of it.

Run: ``python floor.py REPOSITORY DATABASE``.
"""

import sqlite3
import subprocess
import sys

listed = subprocess.run(
    ["git", "-C", sys.argv[1], "ls-tree", "-r", "-z", "HEAD"], capture_output=True, check=True
).stdout
entries = [row.split(b"\t", 1) for row in listed.split(b"\0") if row]
database = sqlite3.connect(f"file:{sys.argv[2]}?mode=ro", uri=True)
rows = database.execute("SELECT id, name, source_file, revision FROM schedules").fetchall()
if not entries or not rows:
    raise SystemExit("nothing was read")
