"""Names and offsets of time zones."""

# ruff: noqa: DTZ001  (wall clock times have no zone)

import json
import struct
import zoneinfo
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import DAY, HOUR, MINUTE, SECOND, iso, parse_instant, to_datetime
from reconciler.errors import InvalidValue
from reconciler.schedule import Cron
from reconciler.trigger import zones
from reconciler.trigger.calendar import HORIZON, on_the_wall, periodic
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.windows_zones import WINDOWS_ZONES
from tests.strategies import ZONES, examples

AZURE = json.loads((Path(__file__).parent / "vectors/azure_time_zones.json").read_text())["names"]


def offset_of(instant, zone):
    return to_datetime(instant).astimezone(zone).utcoffset() // timedelta(microseconds=1)


@pytest.mark.parametrize("name", AZURE)
def test_every_name_of_azure_ml_resolves(name):
    assert zones.resolve(name).key in zones.iana_names()


def test_there_are_131_names_of_azure_ml_and_no_others():
    assert len(AZURE) == 131
    assert list(WINDOWS_ZONES) == AZURE


@pytest.mark.parametrize(
    ("windows", "offset"),
    [
        ("UTC-11", -11 * HOUR),
        ("UTC+12", 12 * HOUR),
        ("Dateline Standard Time", -12 * HOUR),
        ("Mid-Atlantic Standard Time", -2 * HOUR),
        ("Kamchatka Standard Time", 12 * HOUR),
        ("India Standard Time", 5 * HOUR + 30 * MINUTE),
        ("Aus Central W. Standard Time", 8 * HOUR + 45 * MINUTE),
        ("AUS Central Standard Time", 9 * HOUR + 30 * MINUTE),
        ("Line Islands Standard Time", 14 * HOUR),
        ("Pacific Standard Time (Mexico)", -8 * HOUR),
    ],
)
def test_odd_windows_names_mean_their_offset(windows, offset):
    assert offset_of(parse_instant("2026-01-15T00:00:00Z"), zones.resolve(windows)) == offset


@pytest.mark.parametrize("name", ["UTC", "Europe/Paris", "US/Eastern", "Etc/GMT+5", "EST5EDT"])
def test_an_iana_name_is_itself(name):
    assert zones.resolve(name).key == name


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "../etc/passwd", "/etc/passwd", "/usr/share/zoneinfo/UTC", "America",
     "America/", "posix/Europe/Paris", "right/Europe/Paris", "localtime", "posixrules", "Factory",
     "tzdata.zi", "Europe/Paris\n", " UTC", "Europe\\Paris", "C:\\x", "\0", "UTC\0", "é", "x" * 5000],
)  # fmt: skip
def test_a_hostile_name_is_merely_unknown(name):
    with pytest.raises(InvalidValue, match="Time zone is not a valid TimeZone enum") as caught:
        zones.resolve(name)
    assert caught.value.faults[0][0] == ("time_zone",)


@pytest.mark.parametrize(
    ("name", "proposal"),
    [
        ("europe/paris", "did you mean 'Europe/Paris'?"),
        ("Europe/Pariss", "did you mean 'Europe/Paris'?"),
        ("romance standard time", "did you mean 'Romance Standard Time'?"),
        ("utc", "did you mean 'UTC'?"),
        ("Middle Earth", "write an IANA name such as 'Europe/Paris'."),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, proposal):
    with pytest.raises(InvalidValue) as caught:
        zones.resolve(name)
    assert str(caught.value).endswith(proposal)


@examples(500)
@given(st.sampled_from(ZONES), st.integers(0, parse_instant("2200-01-01T00:00:00Z")))
def test_a_segment_says_what_zoneinfo_says_inside_it_and_at_its_borders(name, instant):
    zone = zones.resolve(name)
    start, end, offset, before = zones.Offsets(zone).at(instant)
    assert start <= instant < end
    assert offset == offset_of(instant, zone)
    assert offset == offset_of(start, zone)
    assert offset == offset_of(end - SECOND, zone)
    assert before == offset_of(start - SECOND, zone)


@pytest.mark.parametrize(
    ("name", "year"),
    [("America/New_York", 2026), ("Australia/Lord_Howe", 2026), ("Africa/Casablanca", 2026),
     ("Africa/Casablanca", 2079), ("Europe/Dublin", 2026), ("Pacific/Apia", 2011),
     ("Antarctica/Troll", 2026), ("Asia/Gaza", 2040), ("America/Noronha", 2000),
     ("America/Havana", 2026), ("Asia/Pyongyang", 2015), ("UTC", 2026)],
)  # fmt: skip
def test_no_change_of_a_year_is_overlooked(name, year):
    zone, found = zones.resolve(name), zones.Offsets(zones.resolve(name))
    start = parse_instant(f"{year}-01-01T00:00:00Z")
    for instant in range(start, start + 366 * DAY, HOUR // 2):
        assert found.at(instant)[2] == offset_of(instant, zone)


def test_the_hours_after_a_change_know_it_across_the_border_of_a_block():
    """The search is cut into blocks; a cut must not hide that an hour is shown a second time."""
    zone = zones.resolve("America/New_York")
    change = parse_instant("2026-11-01T06:00:00Z")
    found = zones.Offsets(zone)
    number = (change + HOUR // 2) // zones._BLOCK
    for block in (number, number + 1):
        segments = tuple(found._load(block))
        assert [a[1] for a in segments[:-1]] == [b[0] for b in segments[1:]]
    for border in range(0, parse_instant("2200-01-01T00:00:00Z"), zones._BLOCK):
        start, _, offset, before = found.at(border)
        assert (start <= border - zones._MARGIN) or offset != before


@pytest.mark.parametrize(
    ("name", "after", "until", "changes"),
    [
        ("America/New_York", "2026-11-22", "2027-12-27", ["2027-03-14T07:00:00Z", "2027-11-07T06:00:00Z"]),
        ("Australia/Lord_Howe", "2026-11-22", "2027-12-27", ["2027-04-03T15:00:00Z", "2027-10-02T15:30:00Z"]),
        ("Africa/Cairo", "2026-11-22", "2027-12-27", ["2027-04-29T22:00:00Z", "2027-10-28T21:00:00Z"]),
        ("Pacific/Apia", "2011-12-01", "2012-01-31", ["2011-12-30T10:00:00Z"]),
        ("Pacific/Apia", "2026-11-22", "2027-12-27", []),
        ("Asia/Kolkata", "2026-11-22", "2027-12-27", []),
        ("UTC", "2026-11-22", "2027-12-27", []),
    ],
)  # fmt: skip
def test_the_changes_of_a_zone_are_those_of_its_law(name, after, until, changes):
    span = [parse_instant(f"{day}T00:00:00Z") for day in (after, until)]
    found = zones.Offsets(zones.resolve(name)).changes(*span)
    assert [start for start, *_ in found] == [parse_instant(text) for text in changes]


def test_a_change_is_told_once_wherever_the_search_is_cut(monkeypatch):
    zone = zones.resolve("America/New_York")
    change = parse_instant("2026-11-01T06:00:00Z")
    for hours in (-30, -1, 0, 1, 24, 47, 49):
        monkeypatch.setattr(zones, "_BLOCK", change + hours * HOUR)
        found = zones.Offsets(zone).changes(change - 100 * DAY, change + 100 * DAY)
        assert [start for start, *_ in found] == [change]
    around = zones.Offsets(zone)
    assert [
        len(list(around.changes(change + a, change + b))) for a, b in ((-1, 0), (0, 1), (-9, -1))
    ] == [1, 0, 0]


def test_a_cut_in_the_middle_of_a_repeated_hour_repeats_no_fire(monkeypatch):
    zone = zones.resolve("America/New_York")
    change = parse_instant("2026-11-01T06:00:00Z")
    every_20_minutes = periodic(0, HOUR, [0, 20 * MINUTE, 40 * MINUTE])

    def dues():
        dues = on_the_wall(every_20_minutes, zones.Offsets(zone), change - 2 * HOUR, HORIZON)
        return list(dues.between(change - 2 * HOUR, change + 3 * HOUR))

    expected = dues()
    assert len(expected) == 12
    for minutes in (-30, 0, 10, 30, 60, 90):
        monkeypatch.setattr(zones, "_BLOCK", change + minutes * MINUTE)
        assert dues() == expected


def test_two_changes_of_a_zone_are_never_nearer_than_the_step_of_the_search():
    for name in sorted(zones.iana_names()):
        changes = [at for at in _transitions(name) if at >= 0]
        assert all(b - a > zones._STEP // SECOND for a, b in pairwise(changes)), name


def _transitions(name):
    """Read when the offset changes from a zone's file, RFC 8536."""
    data = files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
    isut, isstd, leap, times, types, chars = struct.unpack(">6l", data[20:44])
    at = 44 + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
    *_, times, types, _ = struct.unpack(">6l", data[at + 20 : at + 44])
    at += 44
    moments = struct.unpack(f">{times}q", data[at : at + 8 * times])
    kinds = data[at + 8 * times : at + 9 * times]
    table = at + 9 * times
    offsets = [struct.unpack(">l", data[table + 6 * k : table + 6 * k + 4])[0] for k in kinds]
    pairs = list(zip(moments, offsets, strict=True))
    return [b[0] for a, b in pairwise(pairs) if a[1] != b[1]]


def test_zoneinfo_takes_fold_0_of_a_gap_from_before_it_and_of_an_overlap_as_the_first():
    """PEP 495, on which the rules for the change of clocks rest."""
    zone = ZoneInfo("America/New_York")
    gap = zones.first_instant(datetime(2026, 3, 8, 2, 30), zone)
    assert to_datetime(gap).isoformat() == "2026-03-08T07:30:00+00:00"
    assert to_datetime(gap).astimezone(zone).isoformat() == "2026-03-08T03:30:00-04:00"
    overlap = zones.first_instant(datetime(2026, 11, 1, 1, 30), zone)
    assert to_datetime(overlap).astimezone(zone).isoformat() == "2026-11-01T01:30:00-04:00"
    again = zones.first_instant(datetime(2026, 11, 1, 1, 30, fold=1), zone)
    assert again == overlap


def test_a_wall_counts_from_1970_on_the_clock_itself():
    assert zones.to_wall(datetime(1970, 1, 2, 0, 0, 1)) == DAY + SECOND


def test_the_offsets_of_a_zone_are_searched_once_per_process():
    assert zones.offsets(ZoneInfo("Europe/Paris")) is zones.offsets(ZoneInfo("Europe/Paris"))


# Other data


@pytest.fixture
def tokyo_moves(tmp_path):
    """A machine's time zone data, and a way to give Tokyo other data; the usual ones afterwards."""

    def move(name):
        data = files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
        (tmp_path / "Asia").mkdir(exist_ok=True)
        (tmp_path / "Asia/Tokyo").write_bytes(data)

    usual = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(tmp_path)])
    zones.forget()
    yield move
    zoneinfo.reset_tzpath(usual)
    zones.forget()


def test_other_data_count_once_the_old_ones_are_forgotten(tokyo_moves):
    rule = Cron(expression="0 9 * * *", time_zone="Asia/Tokyo")
    noon = parse_instant("2026-06-01T12:00:00Z")

    def next_nine():
        return iso(compile_trigger(rule, 0).next_after(noon))[11:16]

    tokyo_moves("Asia/Tokyo")
    before = compile_trigger(rule, 0)
    assert next_nine() == iso(before.next_after(noon))[11:16] == "00:00"
    tokyo_moves("Europe/Paris")
    assert next_nine() == "00:00"
    zones.forget()
    assert next_nine() == "07:00"
    # What was laid out before stays as it is: who keeps it has to make it anew.
    assert iso(before.next_after(noon))[11:16] == "00:00"


def test_a_zone_that_other_data_do_not_know_is_unknown_and_never_utc(tokyo_moves, monkeypatch):
    tokyo_moves("Asia/Tokyo")
    assert zones.resolve("Asia/Tokyo").key == "Asia/Tokyo"
    monkeypatch.setattr(zones, "get_data", lambda *_: b"UTC\nEurope/Paris\n")
    assert zones.resolve("Asia/Tokyo").key == "Asia/Tokyo"
    zones.forget()
    with pytest.raises(InvalidValue, match="'Asia/Tokyo' is unknown"):
        zones.resolve("Asia/Tokyo")


@pytest.mark.parametrize("data", [b"", b"garbage", b"TZif2" + bytes(15)])
def test_data_that_cannot_be_read_are_told_as_a_fault_of_the_zone(tokyo_moves, tmp_path, data):
    tokyo_moves("Asia/Tokyo")
    (tmp_path / "Asia/Tokyo").write_bytes(data)
    with pytest.raises(InvalidValue, match="data of time zone 'Asia/Tokyo' cannot be read"):
        zones.resolve("Asia/Tokyo")


def test_answers_of_other_rooms_that_hang_on_zones_are_forgotten_too():
    asked = []

    @zones.until_forgotten
    @cache
    def answer(name):
        asked.append(name)
        return name

    answer("UTC")
    answer("UTC")
    zones.forget()
    answer("UTC")
    assert asked == ["UTC", "UTC"]
