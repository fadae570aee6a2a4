"""Whole outputs, held to files. To write them anew: ``RECONCILER_GOLDEN=write pytest ...``."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "golden"


def assert_golden(name, text):
    file = FOLDER / name
    if os.environ.get("RECONCILER_GOLDEN") == "write":
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), f"differs from tests/golden/{name}"
