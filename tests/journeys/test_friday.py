"""Someone approves a pull request at five on a Friday, from the comment that the plan leaves."""

import pytest

from tests.journeys.golden import assert_golden, masked_plan

# A Friday in Paris, five in the afternoon; later than any machine makes these objects.
FRIDAY = ("--now", "2090-03-03T16:00:00Z")


def schedule(name, trigger, **fields):
    more = "".join(f"{key}: {value}\n" for key, value in fields.items())
    return f"kind: Schedule\nname: {name}\npipeline: scoring\ntrigger:\n  {trigger}\n{more}"


def clock(**rule):
    said = ", ".join(
        f"{key}: {value}" for key, value in {"start_time": "2026-01-02T00:00:00", **rule}.items()
    )
    return f"recurrence: {{{said}}}"


def arrivals(path, **fields):
    watch = f"datastore: lake, path_on_datastore: {path}, data_path_parameter_name: input_data"
    return schedule("score-arrivals", f"datastore_change: {{{watch}}}", **fields)


DAILY = {"frequency": "Day", "time_of_day": '"02:30"'}
PARIS, NEW_YORK = {"time_zone": "Europe/Paris"}, {"time_zone": "America/New_York"}


@pytest.fixture
def pull_request(shop):
    """A project in production, and a branch that changes much at once."""
    shop.edit("schedules/landing.yml", "file:///data/landing", "file:data")
    shop.edit("schedules/landing.yml", "landing", "lake")
    shop.edit("schedules/scoring.yml", "landing/seed.csv", "lake/seed.csv")
    shop.edit(".gitignore", ".reconciler/", ".reconciler/\ndata/")
    for file in ("arrivals", "nightly"):
        shop.delete(f"schedules/{file}.yml")
    shop.write("schedules/refresh.yml", schedule("refresh-features", clock(**DAILY, **PARIS)))
    shop.write("schedules/report.yml", schedule("morning-report", clock(**DAILY, **PARIS)))
    shop.write("schedules/arrivals.yml", arrivals("incoming"))
    shop.write("schedules/old.yml", schedule("weekly-export", clock(frequency="Week")))
    shop.write("schedules/eod.yml", schedule("eod", clock(frequency="Day", time_of_day='"18:00"')))
    for day in range(3):
        shop.write(f"data/partner/day-{day}.csv", "a,b\n")
    shop.commit("production")
    shop.apply()
    shop.write(
        "schedules/refresh.yml",
        schedule("refresh-features", clock(frequency="Minute", interval=5)),
    )
    shop.write("schedules/report.yml", schedule("morning-report", clock(**DAILY, **NEW_YORK)))
    shop.write("schedules/arrivals.yml", arrivals("partner"))
    shop.delete("schedules/old.yml")
    shop.write(
        "schedules/eod.yml",
        schedule("end-of-day", clock(frequency="Day", time_of_day='"18:00"'), renamed_from="eod"),
    )
    shop.commit("all at once, before the weekend")
    return shop


def test_the_comment_says_what_will_happen(pull_request):
    text = pull_request("plan", "--output", "markdown", *FRIDAY).out
    digest = pull_request("plan", "--output", "json", *FRIDAY).data["approval_digest"]
    # It covers the ids of live objects, which are others in each workspace.
    assert text.count(digest) == 3
    assert_golden("friday.md", text.replace(digest, "sha256:APPROVAL"))
    assert_golden("friday.txt", pull_request("plan", *FRIDAY).out)
    told = pull_request("plan", "--output", "json", *FRIDAY).out
    assert_golden("friday.json", masked_plan(told).replace(str(pull_request.path), "/tmp/shop"))


def test_everything_that_matters_is_seen_without_unfolding_anything(pull_request):
    text = pull_request("plan", "--output", "markdown", *FRIDAY).out
    _, head, *rest = text.split("\n\n")
    assert head == "### Plan for `shop`, target `dev`"
    assert rest[0] == (
        "**0 to add, 3 to change, 1 to disable, 1 to rename, 2 unchanged.** "
        "Runs a day of what changes: 3.14 -> 290 (+286.86)."
    )
    rows = {
        name.strip(): (change.strip(), why.strip(), runs.strip(), soonest.strip())
        for _, change, name, why, runs, soonest, _ in (
            row.split("|") for row in rest[2].splitlines()[2:]
        )
    }
    assert rows == {
        "Schedule `end-of-day`": (
            "`»` rename", "formerly `eod`", "", "Fri 2090-03-03 18:00 UTC",
        ),
        "Schedule `morning-report`": (
            "`~` update", "edited: `time_zone`", "", "Sat 2090-03-04 02:30 EST [07:30 UTC]",
        ),
        "Schedule `refresh-features`": (
            "`~` update", "edited: `frequency`, `interval`, `time_of_day`, ...",
            "1 a day -> 288 a day (+287 a day)", "Fri 2090-03-03 16:05 UTC",
        ),
        "Schedule `score-arrivals`": (
            "`~` update", "edited: `path_on_datastore`", "", "when files arrive",
        ),
        "Schedule `weekly-export`": (
            "`-` disable", "its manifest was removed", "1 a week -> none (-1 a week)", "none",
        ),
    }  # fmt: skip
    assert "<details>" not in text
    for line in (
        "! now     Sat 2090-03-04 02:30 EST [07:30 UTC], Sun 03-05 02:30, Mon 03-06 02:30",
        "! clock   2090-03-12: 02:30 does not exist; runs at 03:30",
        "! files   3 files match in lake/partner already, none of them fires",
        "! next    Fri 2090-03-03 18:00 UTC, Sat 03-04 18:00, Sun 03-05 18:00, as before",
    ):
        assert line in text.splitlines()


def test_the_command_at_its_foot_applies_just_that_and_keeps_the_renamed_ones_history(
    pull_request,
):
    was = pull_request("show", "eod", "--output", "json").data
    text = pull_request("plan", "--output", "markdown", *FRIDAY).out
    words = text.splitlines()[-1].removeprefix("Apply exactly this with `reconciler ").rstrip("`")
    done = pull_request(*words.split())
    assert done.code == 0, done.err
    assert "Applied: 0 added, 3 changed, 1 disabled, 1 renamed, 2 unchanged." in done.out
    now = pull_request("show", "end-of-day", "--output", "json").data
    assert (now["id"], now["next_due"]) == (was["id"], was["next_due"])
