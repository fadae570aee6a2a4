"""Who gives a command, with a name and without."""

import getpass


def test_a_user_without_a_name_can_hold_and_apply(shop, monkeypatch):
    def nobody():
        raise KeyError("getpwuid(): uid not found: 4242")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr("os.getuid", lambda: 4242)
    shop.apply()
    (applied,) = shop("history", "--output", "json").data["applies"]
    assert applied["actor"].startswith("user 4242@")
    held = shop("hold", "nightly", "--reason", "audit", "--output", "json").data
    assert held["hold"]["who"] == "user 4242"
