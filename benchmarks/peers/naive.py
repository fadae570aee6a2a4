"""A plan as one would write it first: read, validate, select, compare, with the usual packages.

Run: ``python naive.py REPOSITORY DATABASE SCHEMA``; prints how many schedules differ.
"""

import json
import sys
from pathlib import Path

import yaml
from deepdiff import DeepDiff
from jsonschema import Draft202012Validator
from sqlalchemy import column, create_engine, select, table

validator = Draft202012Validator(json.loads(Path(sys.argv[3]).read_text()))
declared = {}
for path in sorted(Path(sys.argv[1], "schedules").rglob("*.yml")):
    for document in yaml.load_all(path.read_bytes(), yaml.CSafeLoader):
        validator.validate(document)
        del document["kind"]
        declared[document["name"]] = document
schedules = table("schedules", column("name"), column("spec"))
with create_engine(f"sqlite:///{sys.argv[2]}").connect() as connection:
    live = {name: json.loads(spec) for name, spec in connection.execute(select(schedules))}
print(sum(1 for name in declared if DeepDiff(live.get(name), declared[name])))
