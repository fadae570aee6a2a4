"""What is kept in memory has an end."""

from reconciler.runner.book import KEPT, Recent


def test_what_was_used_last_is_kept_and_the_rest_goes():
    kept = Recent()
    kept.put("often", 1)
    for number in range(3 * KEPT):
        kept.put(str(number), number)
        assert kept.get("often") == 1
    assert kept.get("0") is None
    assert kept.get(str(3 * KEPT - 1)) == 3 * KEPT - 1
    assert len(kept._young) + len(kept._old) <= 2 * KEPT
    kept.clear()
    assert kept.get("often") is None
