"""Whole outputs, held to files. To write them anew: ``RECONCILER_GOLDEN=write pytest ...``."""

import os
import re
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "golden"
# Later than any machine makes the objects of a journey.
NOW = ("--now", "2090-03-01T12:00:00Z")
_FORMS = {"text": "txt", "markdown": "md", "json": "json"}
# What another machine or another run says otherwise; nothing else may differ.
_OWN = {
    r'"(id|pipeline_id)": "[0-9a-f]{8}-[0-9a-f-]{27}"': r'"\1": "OWN"',
    r'"fingerprint": "[0-9a-f]{64}"': '"fingerprint": "OWN"',
    r'"(who|since)": "[^"]+"': r'"\1": "OWN"',
    r"sha256:[0-9a-f]{64}": "OWN",
    r"(nightly|arrivals) by .+? (until|without)": r"\1 by OWN \2",
    r"held by .+?: ": "held by OWN: ",
}


def assert_golden(name, text):
    file = FOLDER / name
    if os.environ.get("RECONCILER_GOLDEN") == "write":
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), f"differs from tests/golden/{name}"


def masked_plan(text):
    """Replace what a plan says otherwise on another machine: ids, digests and who it was."""
    for pattern, word in _OWN.items():
        text = re.sub(pattern, word, text)
    return text


def assert_plan(name, checkout, *words, code=0):
    """Hold a plan to three files: as text, as markdown and as JSON, by the long way as well."""
    for form, ending in _FORMS.items():
        done = checkout("plan", "--output", form, *NOW, *words)
        assert done.code == code, done.err
        assert checkout("plan", "--output", form, *NOW, *words, "--full") == done
        text = masked_plan(done.out).replace(str(checkout.path.parent), "/tmp")
        assert_golden(f"{name}.{ending}", text)
