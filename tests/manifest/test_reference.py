from pathlib import Path

from reconciler.manifest.reference import reference_text

PAGE = Path(__file__).parents[2] / "docs" / "manifests.md"


def test_the_committed_page_is_that_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == reference_text(), "stale; run: make schemas"


def test_every_kind_and_its_parts_are_described():
    text = reference_text()
    for title in (
        "## kind: Schedule",
        "### trigger.recurrence",
        "### trigger.cron",
        "### trigger.datastore_change",
        "### steps[]",
        "### steps[].retries",
        "### parameters.NAME",
        "## kind: Datastore",
        "## reconciler.yml",
        "### targets.NAME",
    ):
        assert f"\n{title}\n" in text
    assert "| `interval` | a whole number | `1` |" in text
