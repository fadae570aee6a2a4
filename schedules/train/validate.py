"""Check the training data, and write what may be learned from to a clean file."""

import argparse
import csv
import math
import sys

from wine import FEATURES, LABEL


def faults(row):
    """Name the columns of a row that hold no positive number."""
    for name in FEATURES:
        try:
            value = float(row[name])
        except (TypeError, ValueError):
            yield name
            continue
        if not (math.isfinite(value) and value > 0):
            yield name


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="CSV file of analyses with their cultivar")
    parser.add_argument("--clean", required=True, help="CSV file to write")
    arguments = parser.parse_args()

    with open(arguments.data, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = {LABEL, *FEATURES} - set(reader.fieldnames or ())
        if missing:
            sys.exit(f"{arguments.data} lacks the columns {', '.join(sorted(missing))}")
        rows = list(reader)

    clean = []
    for number, row in enumerate(rows, start=1):
        wrong = list(faults(row))
        if wrong or not row[LABEL]:
            print(f"row {number} is left out: no number in {', '.join(wrong) or LABEL}")
        else:
            clean.append(row)
    if len(clean) < 0.9 * len(rows) or len({row[LABEL] for row in clean}) < 2:
        sys.exit(f"only {len(clean)} of {len(rows)} rows are usable; the file needs a look")

    with open(arguments.clean, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [LABEL, *FEATURES], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(clean)
    print(f"{len(clean)} of {len(rows)} rows are usable")


if __name__ == "__main__":
    main()
