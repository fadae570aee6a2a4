"""Predict the cultivar of each wine in a file with the newest model."""

import argparse
import csv
import json
import sys
from collections import Counter
from math import exp, log
from pathlib import Path


def probabilities(model, values):
    """Give the probability of each cultivar, given the values of the model's features."""
    scores = {}
    for cultivar, known in model["cultivars"].items():
        terms = zip(values, known["means"], known["variances"])
        scores[cultivar] = log(known["share"]) - sum(
            (x - m) ** 2 / v + log(v) for x, m, v in terms
        ) / 2
    best = max(scores.values())
    weights = {cultivar: exp(score - best) for cultivar, score in scores.items()}
    return {cultivar: weight / sum(weights.values()) for cultivar, weight in weights.items()}


def read(path, features):
    """Give the rows of a CSV file, each with its numbers."""
    with open(path, newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=1):
            try:
                yield row, [float(row[name]) for name in features]
            except (KeyError, TypeError, ValueError):
                sys.exit(f"row {number} of {path.name!r} has no number in some of {features}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, type=Path, help="CSV file of analyses")
    parser.add_argument("--model", required=True, type=Path, help="JSON file of the model")
    parser.add_argument("--results", required=True, type=Path, help="folder for the predictions")
    arguments = parser.parse_args()

    if not arguments.model.exists():
        sys.exit(f"there is no model at {arguments.model} yet; run the pipeline train first")
    model = json.loads(arguments.model.read_text(encoding="utf-8"))

    scored = []
    for row, values in read(arguments.input, model["features"]):
        likely = probabilities(model, values)
        predicted = max(likely, key=likely.get)
        scored.append((predicted, likely[predicted], row.get("cultivar") or ""))

    arguments.results.mkdir(parents=True, exist_ok=True)
    results = arguments.results / f"{arguments.input.name}.scores.csv"
    with open(results, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["predicted", "probability", "cultivar"])
        writer.writerows((name, f"{share:.4f}", known) for name, share, known in scored)

    counts = Counter(predicted for predicted, _, _ in scored)
    summary = ", ".join(f"{count} of cultivar {name}" for name, count in sorted(counts.items()))
    print(f"scored {len(scored)} wines of {arguments.input.name!r}: {summary or 'none'}")
    known = [(predicted, label) for predicted, _, label in scored if label]
    if known:
        right = sum(predicted == label for predicted, label in known)
        print(f"accuracy {right / len(known):.3f} ({right} of {len(known)} labelled wines)")
    print(f"wrote {str(results)!r}")


if __name__ == "__main__":
    main()
