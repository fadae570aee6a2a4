"""Schedules that feed each other are found, told once, and in words that can be followed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.live import Live
from reconciler.plan.loops import loops, may_loop
from reconciler.plan.warn import warnings
from reconciler.schedule import Status
from tests.plan.world import NIGHTLY, OTHER, applied, desired, planned, with_schedule
from tests.strategies import examples

LANDING = "kind: Datastore\nname: landing\nurl: file:///data/landing\n"
WAY_OUT = "see that include, ignore or file keep what is written from what is watched"


def pipeline(name, *writes):
    step = "steps: [{name: run, command: [run]}]"
    return f"kind: Pipeline\nname: {name}\nwrites: [{', '.join(writes)}]\n{step}\n"


def watch(name, pipe, path="", **said):
    status = said.pop("status", "Active")
    more = "".join(f", {key}: {value}" for key, value in said.items())
    store, _, path = path.partition("/")
    trigger = f"{{datastore: {store}, path_on_datastore: '{path}'{more}}}"
    head = f"kind: Schedule\nname: {name}\npipeline: {pipe}\nstatus: {status}\n"
    return f"{head}trigger:\n  datastore_change: {trigger}\n"


def found(*texts, live=None, touched=None):
    return loops(desired(*texts), live or Live(), touched)


def said(*texts, **more):
    return [one.message for one in found(*texts, **more)]


CLEAN, SCORE = pipeline("clean", "landing/out"), pipeline("score", "landing/in")
ROUND = (
    LANDING,
    CLEAN,
    SCORE,
    watch("a", "clean", "landing/in"),
    watch("b", "score", "landing/out"),
)


def test_two_schedules_that_feed_each_other_are_one_loop_told_where_the_first_one_watches():
    (loop,) = found(*ROUND)
    assert (loop.file, loop.line, loop.column, loop.id) == ("3.yml", 6, 21, "loop")
    assert loop.message == (
        "runs may start each other without end: 'a' runs clean, which writes landing/out; "
        "'b' watches landing/out and runs score, which writes landing/in; "
        f"'a' watches landing/in; {WAY_OUT}"
    )
    objects = ("Schedule.a", "Pipeline.clean", "Schedule.b", "Pipeline.score")
    assert loop.objects == objects


def test_a_schedule_that_feeds_itself_is_a_loop():
    (loop,) = found(LANDING, SCORE, watch("a", "score", "landing/in"))
    assert loop.objects == ("Schedule.a", "Pipeline.score")


@pytest.mark.parametrize(
    ("written", "watched", "more", "loop"),
    [
        ("landing/in", "landing/in", {}, True),
        ("landing/in", "landing", {}, False),
        ("landing/in", "landing", {"recursive": "true"}, True),
        ("landing/in/deep/er", "landing/in", {"recursive": "true"}, True),
        ("landing/in/deep/er", "landing/in", {}, False),
        ("landing/in", "landing/in/deep", {}, True),
        ("landing/in", "landing/in/deep", {"recursive": "true"}, True),
        ("landing/in", "landing/into", {"recursive": "true"}, False),
        ("landing/into", "landing/in", {"recursive": "true"}, False),
        ("landing", "landing/in", {}, True),
        ("landing", "landing", {"recursive": "true"}, True),
        ("landing/in", "landing/in", {"file": "a.csv"}, True),
        ("landing/in/a.csv", "landing/in", {"file": "a.csv"}, True),
        ("landing/in/b.csv", "landing/in", {"file": "a.csv"}, False),
        ("landing/out", "landing/in", {"file": "a.csv"}, False),
        ("landing/in", "landing/in", {"changes": "[deleted]"}, False),
        ("landing/in", "landing/in", {"changes": "[modified, deleted]"}, True),
        ("landing/in", "landing/in", {"status": "Disabled"}, False),
        ("archive/in", "landing/in", {}, False),
    ],
)
def test_what_is_written_is_seen_where_somebody_looks(written, watched, more, loop):
    texts = (LANDING, pipeline("score", written), watch("a", "score", watched, **more))
    assert bool(said(*texts)) is loop


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("url: file:///data", "url: file:///data/landing", True),
        ("url: file://localhost/data/./x/..", "url: file:///data/landing", True),
        ("url: file:///da%74a", "url: file:///data/landing", True),
        ("url: file:///database", "url: file:///data/landing", False),
        ("url: s3://data", "url: s3://data/landing/", True),
        ("url: s3://data", "url: gs://data/landing", False),
        ("url: s3://data\nendpoint: http://x", "url: s3://data/landing", False),
        ("url: s3://data\nendpoint: http://x/", "url: s3://data/landing\nendpoint: http://x", True),
        ("url: az://data\naccount: abc", "url: az://data/landing\naccount: abc", True),
        ("url: az://data\naccount: abc", "url: az://data/landing\naccount: abcd", False),
    ],
)
def test_two_names_of_one_place_are_one_place(one, other, same):
    stores = (f"kind: Datastore\nname: all\n{one}\n", f"kind: Datastore\nname: landing\n{other}\n")
    texts = (*stores, pipeline("score", "all/landing/in"), watch("a", "score", "landing/in"))
    assert bool(said(*texts)) is same


def test_a_schedule_by_the_clock_or_without_anything_written_ends_the_way():
    plain = "kind: Pipeline\nname: score\nsteps: [{name: run, command: [run]}]\n"
    assert said(LANDING, CLEAN, plain, watch("a", "clean", "landing/in")) == []
    assert said(*ROUND[:2], plain, *ROUND[3:]) == []
    clock = NIGHTLY.replace("pipeline_parameters: {size: 2}", "")
    assert said(*ROUND[:4], clock) == []


def test_all_that_can_start_each_other_are_told_once_by_a_shortest_way():
    many = [watch(f"s{number:03}", "score", "landing/in") for number in range(50)]
    (loop,) = found(LANDING, SCORE, *many)
    assert "'s000' runs score" in loop.message
    assert "(49 more schedules take part)" in loop.message
    (loop,) = found(LANDING, SCORE, *many[:2])
    assert "(1 more schedule takes part)" in loop.message


def test_others_take_part_as_they_are_registered():
    live = applied(*ROUND[:3], ROUND[4], owner=OTHER)
    (loop,) = found(*ROUND[:4], live=live)
    assert "'b' of other/prod watches landing/out and runs score" in loop.message
    assert said(*ROUND[:4], live=with_schedule(live, "b", status=Status.DISABLED)) == []
    made = replace(live, schedules=tuple(replace(here, owner=None) for here in live.schedules))
    assert "'b' (made by SDK) watches landing/out" in found(*ROUND[:4], live=made)[0].message


def test_a_loop_of_others_alone_is_theirs_to_hear_of():
    live = applied(*ROUND, owner=OTHER)
    assert said(LANDING, CLEAN, live=live) == []


def test_what_is_taken_over_is_not_counted_twice():
    live = applied(*ROUND[:3], ROUND[4], owner=OTHER)
    wanted = replace(desired(*ROUND), adopt=frozenset({"Schedule.b"}))
    (loop,) = loops(wanted, live)
    assert "of other/prod" not in loop.message


def test_a_schedule_of_others_that_watches_nothing_else_is_passed_by():
    deleted = watch("b", "score", "landing/out", changes="[deleted]")
    live = applied(*ROUND[:3], deleted, owner=OTHER)
    assert said(*ROUND[:4], live=live) == []


def test_a_registered_datastore_that_makes_no_sense_leads_nowhere():
    live = applied(*ROUND)
    broken = tuple(replace(store, spec="{}") for store in live.datastores)
    assert said(*ROUND[1:], live=replace(live, datastores=broken)) == []


@pytest.mark.parametrize(
    ("touched", "told"),
    [
        ({"Schedule.a"}, True),
        ({"Schedule.b"}, True),
        ({"Pipeline.score"}, True),
        ({"Datastore.landing"}, True),
        ({"Schedule.c", "Pipeline.other", "Datastore.archive"}, False),
        (set(), False),
    ],
)
def test_a_plan_warns_of_what_it_changes(touched, told):
    assert bool(said(*ROUND, touched=frozenset(touched))) is told


def test_a_way_is_told_from_what_is_changed():
    assert "end: 'b' runs score" in found(*ROUND, touched=frozenset({"Schedule.b"}))[0].message


def test_a_plan_carries_its_warnings_and_a_plan_without_changes_has_none():
    plan = planned(desired(*ROUND), Live())
    assert [one.id for one in plan.warnings] == ["loop"]
    assert planned(desired(*ROUND), applied(*ROUND)).warnings == ()
    widened = (*ROUND[:4], watch("b", "score", "landing/out", polling_interval=7))
    assert [one.id for one in planned(desired(*widened), applied(*ROUND)).warnings] == ["loop"]
    other = (*ROUND, watch("c", "clean", "landing/elsewhere"))
    assert planned(desired(*other), applied(*ROUND)).warnings == ()


def test_what_is_written_to_a_place_that_is_not_there_is_told():
    wanted = desired(LANDING, pipeline("score", "landing/in", "lnading/out"))
    (one,) = warnings(wanted, Live())
    assert (one.file, one.line, one.column, one.id) == ("1.yml", 3, 22, "unknown_datastore")
    assert one.message == (
        "pipeline 'score' writes lnading/out, but there is no datastore 'lnading'; "
        "correct its name, or declare it, so that loops can be found"
    )
    assert one.objects == ("Pipeline.score", "Datastore.lnading")
    assert warnings(wanted, Live(), frozenset({"Pipeline.score"})) == (one,)
    assert warnings(wanted, Live(), frozenset({"Datastore.lnading"})) == (one,)
    assert warnings(wanted, Live(), frozenset({"Pipeline.clean"})) == ()
    # Others' datastores will do.
    others = applied(LANDING.replace("landing", "lnading"), owner=OTHER)
    assert warnings(wanted, others) == ()


def names(*texts):
    wanted = desired(*texts)
    return wanted.schedules.values(), wanted.pipelines.values()


def test_only_a_data_schedule_of_a_pipeline_that_writes_may_be_a_part_of_a_loop():
    published = applied(*ROUND).pipelines
    schedules, pipelines = names(*ROUND)
    assert may_loop((), pipelines, ())
    assert may_loop(schedules, (), published)
    assert not may_loop((), (), published)
    assert not may_loop(schedules, (), ())
    by_id = [replace(one, value=replace(one.value, pipeline="score-1")) for one in schedules]
    assert may_loop(by_id, (), published)
    clock, _ = names("kind: Pipeline\nname: score\nsteps: [{name: r, command: [r]}]\n", NIGHTLY)
    assert not may_loop(clock, (), published)


paths = st.sampled_from(["landing", "landing/in", "landing/in/a", "landing/out", "other/in"])
OTHERS = "kind: Datastore\nname: other\nurl: file:///data/landing/in\n"


@st.composite
def projects(draw):
    pipes = [pipeline(f"p{n}", *draw(st.lists(paths, max_size=2, unique=True))) for n in range(3)]
    schedules = [
        watch(
            f"s{n}",
            f"p{draw(st.integers(0, 2))}",
            draw(paths),
            recursive=str(draw(st.booleans())).lower(),
        )
        for n in range(draw(st.integers(0, 5)))
    ]
    return LANDING, OTHERS, *pipes, *schedules


def place(text):
    store, _, path = text.partition("/")
    start = ["in"] if store == "other" else []
    return [*start, *(path.split("/") if path else [])]


def feeds(one, other, pipelines):
    """Whether a run of one schedule may put a file where the other looks, said otherwise."""
    trigger = other.trigger
    watched = place(f"{trigger.datastore}/{trigger.path_on_datastore}".rstrip("/"))
    for text in pipelines[one.pipeline].value.writes:
        written = place(text)
        below = watched[: len(written)] == written
        above = trigger.recursive and written[: len(watched)] == watched
        if below or above:
            return True
    return False


@given(projects())
@examples(150)
def test_a_schedule_is_told_of_if_and_only_if_it_can_start_itself(texts):
    wanted = desired(*texts)
    schedules = {name: one.value for name, one in wanted.schedules.items()}
    reached = {
        name: {n for n, other in schedules.items() if feeds(one, other, wanted.pipelines)}
        for name, one in schedules.items()
    }
    for _ in schedules:
        reached = {
            name: found_.union(*(reached[one] for one in found_))
            for name, found_ in reached.items()
        }
    groups = {
        frozenset(n for n in found_ if name in reached[n])
        for name, found_ in reached.items()
        if name in found_
    }
    told = loops(wanted, Live())
    assert len(told) == len(groups)
    for one in told:
        on_the_way = {text.partition(".")[2] for text in one.objects if text.startswith("Sch")}
        assert any(on_the_way <= group for group in groups)


def test_many_schedules_and_directories_take_no_square_of_their_number():
    wide = [
        watch(f"s{number}", "score", f"landing/in/{number}", recursive="true")
        for number in range(2_000)
    ]
    wanted = desired(LANDING, SCORE, *wide)
    (loop,) = loops(wanted, Live())
    assert "(1999 more schedules take part)" in loop.message
