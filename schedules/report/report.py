"""Sum up the predictions written so far, a line for each file."""

import argparse
import csv
from collections import Counter
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", required=True, type=Path, help="folder of the predictions")
    arguments = parser.parse_args()

    total = Counter()
    for path in sorted(arguments.results.glob("*.scores.csv")):
        with open(path, newline="", encoding="utf-8") as file:
            counts = Counter(row["predicted"] for row in csv.DictReader(file))
        total += counts
        print(f"{path.name.removesuffix('.scores.csv')!r}: {line(counts)}")
    print(f"in all: {line(total)}")


def line(counts):
    """Write counts as one line."""
    parts = [f"{count} of cultivar {name}" for name, count in sorted(counts.items())]
    return ", ".join(parts) or "no wine"


if __name__ == "__main__":
    main()
