"""Other time zone data: what is undecided is due by them, what is decided stays."""

import shutil
import zoneinfo
from pathlib import Path

import pytest

from reconciler.clock import iso
from reconciler.runner.zone_data import ZoneData
from reconciler.trigger.zones import forget
from tests.site import HELLO

SECOND = 1_000_000
DAILY = """
kind: Schedule
name: daily
pipeline: hello
trigger:
  recurrence:
    {frequency: Day, time_of_day: "15:00", time_zone: Europe/Paris, first_run: aligned}
"""


@pytest.fixture
def install(tmp_path):
    """Install a version of the time zone data in which the clocks of Paris are another town's."""
    before, folder = zoneinfo.TZPATH, tmp_path / "zones"
    (folder / "Europe").mkdir(parents=True)
    (folder / "Etc").mkdir()

    def put(version, town):
        (source,) = [Path(place, town) for place in before if Path(place, town).exists()][:1]
        shutil.copy(source, folder / "Europe" / "new")
        (folder / "Europe" / "new").rename(folder / "Europe" / "Paris")
        (folder / "tzdata.zi").write_text(f"# version {version}\n# more\n")

    zoneinfo.reset_tzpath([str(folder), *before])
    yield put
    zoneinfo.reset_tzpath(before)
    forget()


def test_a_newer_version_moves_what_is_undecided_and_nothing_else(place, install, caplog):
    install("2026a", "Europe/Paris")
    place.apply(a=HELLO, b=DAILY)
    place.step()
    assert iso(place.schedule("daily").next_due) == "2026-03-02T14:00:00Z"
    place.forward(2 * 3_600)
    place.finish()
    assert iso(place.schedule("daily").next_due) == "2026-03-03T14:00:00Z"
    install("2026b", "Europe/Athens")
    place.forward(59)
    place.step()
    assert iso(place.schedule("daily").next_due) == "2026-03-03T14:00:00Z"
    place.forward(1)
    place.step()
    assert iso(place.schedule("daily").next_due) == "2026-03-03T13:00:00Z"
    assert [fire.occurrence_key for fire in place.fires("daily")] == ["r:2026-03-02T14:00:00Z"]


def test_a_runner_that_was_away_while_the_data_changed_decides_by_the_new_ones(place, install):
    install("2026a", "Europe/Paris")
    place.apply(a=HELLO, b=DAILY)
    place.step()
    install("2026b", "Europe/Athens")
    place.forward(3_600)  # it is 15:00 in Athens
    place.restart()
    place.finish()
    assert [fire.occurrence_key for fire in place.fires("daily")] == ["r:2026-03-02T13:00:00Z"]


def test_older_data_than_others_use_are_told_and_move_nothing(place, install, caplog):
    install("2026b", "Europe/Paris")
    place.apply(a=HELLO, b=DAILY)
    place.step()
    install("2026a", "Europe/Athens")
    place.restart()
    place.step()
    assert iso(place.schedule("daily").next_due) == "2026-03-02T14:00:00Z"
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert warning.message == (
        "the time zone data here are of version 2026a, older than 2026b that others use"
    )


def test_the_data_of_the_package_count_where_the_machine_has_none(install):
    zones = ZoneData()
    zoneinfo.reset_tzpath([])
    assert zones.changed(0)
    assert zones.version >= "2024a"
    assert not zones.changed(30 * SECOND)
    assert not zones.changed(60 * SECOND)


def test_data_without_a_version_are_told_as_such(install, tmp_path):
    (tmp_path / "zones" / "tzdata.zi").write_text("nothing")
    zones = ZoneData()
    assert zones.changed(0)
    assert not zones.version
