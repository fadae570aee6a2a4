"""When only a part is read, which part that is, and when it is not trusted."""

import pytest

from reconciler.live import Owner, Provenance
from reconciler.pipeline import Pipeline, Step
from reconciler.plan.change import Kind
from reconciler.plan.spec import content_digest, spec_text
from reconciler.reconcile import narrow as narrowing
from reconciler.reconcile import operate
from reconciler.reconcile.narrow import datastores_in, inputs_digest, narrow
from reconciler.reconcile.read import again, plan, read, read_project
from reconciler.settings import open_source
from tests.site import HELLO, minutely
from tests.source.repositories import Repository, steady

OWNER = Owner("test", "dev")
STORE = "kind: Datastore\nname: store\nurl: file:store\n"


@pytest.fixture
def tracked(place, monkeypatch):
    """The site with its project in a repository, applied: a pipeline, two schedules, a datastore."""
    steady(monkeypatch)
    place.repository = Repository(place.project)
    settle(place, a=HELLO, b=minutely(), c=minutely("other"), d=STORE)
    return place


def settle(place, **files):
    place.write(**files)
    place.repository.commit()
    place.apply()


def part(place, target="dev"):
    source = open_source(str(place.project))
    return narrow(source, read_project(source), Owner("test", target), place.registry)


def reading(place, *, full):
    source = open_source(str(place.project))
    return read(source, read_project(source), "dev", place.registry, full=full)


def unread(place):
    """Tell what a plan would read of the project, kept apart from what it would not."""
    found = part(place)
    if found is None:
        return None
    loaded = found.loaded
    return {*loaded.schedules, *loaded.pipelines, *loaded.datastores}, found.kept.objects


def test_nothing_is_read_where_nothing_changed(tracked):
    assert unread(tracked) == (set(), 4)
    found = part(tracked)
    assert found.kept.active == 2
    assert found.kept.datastores == {"store"}
    assert found.kept.pipelines.keys() == {"hello"}
    assert found.live.owners[0].owner == OWNER


def test_one_that_changed_is_read_alone(tracked):
    tracked.write(b=minutely(description="x"))
    assert unread(tracked) == ({"every-minute"}, 3)
    tracked.remove("b")
    assert unread(tracked) == (set(), 3)
    assert [one.name for one in part(tracked).live.schedules] == ["every-minute"]


def test_what_refers_to_a_pipeline_or_a_datastore_is_read_with_it(tracked):
    settle(
        tracked,
        c="kind: Schedule\nname: other\npipeline: hello@latest\n"
        "trigger: {datastore_change: {datastore: store}}\n",
    )
    tracked.write(d=STORE + "description: x\n")
    assert unread(tracked) == ({"store", "other"}, 2)
    tracked.write(d=STORE, a=HELLO + "description: x\n")
    assert unread(tracked) == ({"hello", "every-minute", "other"}, 1)


def chain(length, text=""):
    """A row of files, each with a pipeline and a schedule of the pipeline in the file before."""
    return {
        f"f{n}": HELLO.replace("hello", f"p{n}")
        + (text if n == 0 else "")
        + f"---\n{minutely(f's{n}', pipeline=f'p{max(n - 1, 0)}')}"
        for n in range(length)
    }


@pytest.mark.parametrize(("length", "read_in_part"), [(4, True), (9, False)])
def test_files_that_lead_to_files_are_followed_some_way(tracked, length, read_in_part):
    settle(tracked, **chain(length))
    tracked.write(**chain(length, "description: x\n"))
    found = unread(tracked)
    assert (found is not None) == read_in_part
    if read_in_part:
        assert found == ({*(f"p{n}" for n in range(4)), *(f"s{n}" for n in range(4))}, 4)


def test_what_somebody_touched_held_or_took_away_is_read(tracked):
    operate.hold_schedule(tracked.registry, "other", who="ann", why="audit", until=None)
    assert unread(tracked) == ({"other"}, 3)
    with tracked.registry.transaction() as tx:
        tx.remove_datastore("store", 1)
    assert unread(tracked) == ({"other", "store"}, 2)


def test_outside_git_and_before_the_first_apply_everything_is_read(place, monkeypatch):
    place.apply(a=HELLO)
    assert part(place) is None
    steady(monkeypatch)
    Repository(place.project).commit()
    assert part(place) is None
    place.apply()
    assert part(place) is not None
    source = open_source(str(place.project))
    assert narrow(source, read_project(source), Owner("other", "dev"), place.registry) is None


@pytest.mark.parametrize(
    "line",
    ["on_missing: keep", "protected: [Schedule.other]", "# only a word"],
)
def test_another_project_file_makes_everything_be_read(tracked, line):
    (tracked.project / "reconciler.yml").write_text(f"project: test\ninclude: ['*.yml']\n{line}\n")
    assert part(tracked) is None
    settle(tracked)
    assert (part(tracked) is None) == ("keep" in line)


def test_another_program_target_or_place_makes_everything_be_read(tracked, monkeypatch):
    source = open_source(str(tracked.project))
    here = inputs_digest(source, "dev")
    assert inputs_digest(source, "prod") != here
    for name in ("__version__", "DIALECT"):
        with monkeypatch.context() as patch:
            patch.setattr(narrowing, name, "another")
            assert inputs_digest(source, "dev") != here
            assert part(tracked) is None
    tracked.project = tracked.project.rename(tracked.folder / "moved")
    assert part(tracked) is None


def publish(place, name):
    spec = spec_text(Pipeline(name=name, steps=(Step(name="s", command=("true",)),)))
    with place.registry.transaction() as tx:
        tx.publish(
            owner=None,
            name=name,
            spec=spec,
            digest=content_digest(spec, None),
            code=None,
            provenance=Provenance(),
        )


def test_what_others_come_to_own_makes_everything_be_read_once(tracked):
    publish(tracked, "theirs")
    assert part(tracked) is None
    settle(tracked, b=minutely(description="x"))
    assert part(tracked) is not None


def test_a_schedule_that_another_owner_takes_makes_everything_be_read(tracked):
    with tracked.registry.transaction() as tx:
        here = tracked.schedule("other")
        tx.claim(Kind.SCHEDULE, here.id, here.revision, Owner("test", "prod"))
    assert part(tracked) is None


@pytest.mark.parametrize(
    "files",
    [
        {"e": minutely()},
        {"e": HELLO},
        {"e": STORE},
        {"a": "# gone\n"},
        {"d": "# gone\n"},
        {"b": "kind: [\n"},
        {"b": minutely("new", renamed_from="other")},
        {"e": minutely("new", renamed_from="other")},
    ],
)
def test_what_only_a_full_reading_can_judge_is_left_to_it(tracked, files):
    tracked.write(**files)
    assert part(tracked) is None


def test_a_name_that_moves_to_another_file_is_no_repetition(tracked):
    tracked.write(e=minutely(), f=HELLO, g=STORE)
    for name in "abd":
        tracked.remove(name)
    assert unread(tracked) == ({"every-minute", "hello", "store", "other"}, 0)
    made = plan(reading(tracked, full=False), "ws", tracked.clock.now())
    assert made.changes == ()


def test_a_schedule_that_goes_may_be_one_that_an_override_names(tracked):
    (tracked.project / "reconciler.yml").write_text(
        "project: test\ninclude: ['*.yml']\n"
        "targets: {dev: {overrides: {Schedule: {other: {description: x}}}}}\n"
    )
    settle(tracked)
    tracked.write(c=minutely("other", experiment_name="e"))
    assert unread(tracked) == ({"other"}, 3)
    tracked.remove("c")
    assert part(tracked) is None


def test_what_cannot_be_read_is_told_by_the_full_reading(tracked):
    settle(tracked, b=minutely())
    (tracked.project / "reconciler.yml").write_text("project: test\ninclude: ['*.yml', 'x/*']\n")
    with pytest.raises(Exception, match=r"include 'x/\*' matches no file"):
        reading(tracked, full=False)


def test_a_part_is_read_again_as_a_part(tracked):
    tracked.write(b=minutely(description="x"))
    first = reading(tracked, full=False)
    with tracked.registry.transaction() as tx:
        second = again(first, tx)
    assert second.part is not None
    assert (
        plan(second, "ws", 0) == plan(first, "ws", 0) == plan(reading(tracked, full=True), "ws", 0)
    )


def test_a_data_path_begins_with_the_name_of_its_datastore():
    assert list(datastores_in(["store/a/b", "plain", 7, True, "/rooted"])) == ["store", ""]
