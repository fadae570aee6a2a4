"""Samples of wine: how they are read, and how some are held out to test a model with."""

import csv

FEATURES = (
    "alcohol",
    "malic_acid",
    "ash",
    "alcalinity_of_ash",
    "magnesium",
    "total_phenols",
    "flavanoids",
    "nonflavanoid_phenols",
    "proanthocyanins",
    "color_intensity",
    "hue",
    "od280_od315",
    "proline",
)
LABEL = "cultivar"


def read(path):
    """Give the samples of a checked file as (cultivar, [13 numbers]) pairs."""
    with open(path, newline="", encoding="utf-8") as file:
        return [
            (row[LABEL], [float(row[name]) for name in FEATURES]) for row in csv.DictReader(file)
        ]


def split(samples):
    """Give (samples to learn from, held-out samples): every fourth of each cultivar is held out."""
    learn, held_out, seen = [], [], {}
    for cultivar, values in samples:
        seen[cultivar] = seen.get(cultivar, 0) + 1
        (held_out if seen[cultivar] % 4 == 0 else learn).append((cultivar, values))
    return learn, held_out
