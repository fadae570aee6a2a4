"""Test a model on the wines held out from it, and publish it if it is good enough."""

import argparse
import json
import os
import sys
from math import log
from pathlib import Path

from wine import read, split


def predict(model, values):
    """Give the cultivar under which the values are likeliest."""

    def likelihood(cultivar):
        known = model["cultivars"][cultivar]
        terms = zip(values, known["means"], known["variances"])
        return log(known["share"]) - sum((x - m) ** 2 / v + log(v) for x, m, v in terms) / 2

    return max(model["cultivars"], key=likelihood)


def publish(model, path):
    """Write the model in one move, so that whoever scores meanwhile reads the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    new.write_text(json.dumps(model, indent=1), encoding="utf-8")
    os.replace(new, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="CSV file that validate.py wrote")
    parser.add_argument("--model", required=True, help="JSON file that train.py wrote")
    parser.add_argument("--at-least", required=True, type=float, help="accuracy, 0 to 1")
    parser.add_argument("--publish", required=True, type=Path, help="where the model goes")
    arguments = parser.parse_args()

    with open(arguments.model, encoding="utf-8") as file:
        model = json.load(file)
    _, held_out = split(read(arguments.data))
    right = sum(predict(model, values) == cultivar for cultivar, values in held_out)
    accuracy = right / len(held_out)
    print(f"accuracy {accuracy:.3f} ({right} of {len(held_out)} held-out wines)")
    if accuracy < arguments.at_least:
        sys.exit(f"below {arguments.at_least}: the model is not published")
    model |= {"accuracy": accuracy, "run": os.environ.get("RECONCILER_RUN_ID", "")}
    publish(model, arguments.publish)
    print(f"published {arguments.publish}")


if __name__ == "__main__":
    main()
