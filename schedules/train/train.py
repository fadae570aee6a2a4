"""Learn a Gaussian naive Bayes model: a mean and a variance of each feature for each cultivar."""

import argparse
import json
from statistics import fmean, pvariance

from wine import FEATURES, read, split


def fit(samples):
    """Give the model as plain data; the same samples always give the same model."""
    cultivars = {}
    for cultivar in sorted({cultivar for cultivar, _ in samples}):
        columns = list(zip(*(values for name, values in samples if name == cultivar)))
        cultivars[cultivar] = {
            "share": len(columns[0]) / len(samples),
            "means": [fmean(column) for column in columns],
            "variances": [pvariance(column) + 1e-9 for column in columns],
        }
    return {"features": list(FEATURES), "cultivars": cultivars}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="CSV file that validate.py wrote")
    parser.add_argument("--model", required=True, help="JSON file to write")
    arguments = parser.parse_args()

    learn, _ = split(read(arguments.data))
    with open(arguments.model, "w", encoding="utf-8") as file:
        json.dump(fit(learn), file, indent=1)
    print(f"learned from {len(learn)} wines")


if __name__ == "__main__":
    main()
