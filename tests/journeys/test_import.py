"""What was made beside Git becomes manifests and is managed from then on."""

import shutil
import stat
from pathlib import Path

import pytest

from reconciler.reconcile import disk
from reconciler.sdk import Workspace
from reconciler.workspace.sql.registry import SqlRegistry
from tests.journeys.golden import assert_golden
from tests.journeys.outofband import by_hand, change, loose, masked, schedule, sql, store

FILES = [
    "schedules/imported/adhoc.yml",
    "schedules/imported/lake.datastore.yml",
    "schedules/imported/loose/loose.yml",
    "schedules/imported/loose/src/bin/go.sh",
    "schedules/imported/loose/src/run.py",
    "schedules/imported/watch.yml",
    "schemas/datastore.schema.json",
    "schemas/pipeline.schema.json",
    "schemas/schedule.schema.json",
]
ALL = {"Datastore.lake", "Pipeline.loose", "Schedule.adhoc", "Schedule.watch"}


@pytest.fixture
def applied(shop):
    shop.apply()
    return shop


@pytest.fixture
def workspace(applied):
    return Workspace.from_config()


def files():
    found = (p for folder in ("schedules", "schemas") for p in Path(folder).rglob("*"))
    return sorted(str(p) for p in found if p.is_file())


def new(shop):
    return [line[3:] for line in shop.git("status", "--porcelain", "-uall").splitlines()]


def owners():
    return dict(sql("SELECT name, owner_project FROM schedules"))


def left_out(done):
    assert done.out, done.err
    return {one["address"]: one["reason"] for one in done.data["left_out"]}


def settled(shop):
    """The next plans are empty, the incremental one too, and nothing drifts."""
    for words in ((), ("--full",)):
        done = shop("plan", "--detailed-exitcode", *words)
        assert (done.code, done.err) == (0, ""), done.out
    assert shop("drift").code == 0
    shop.commit()
    assert shop.apply().out.endswith("Nothing to apply.\n")
    assert shop("plan", "--detailed-exitcode").code == 0


def test_all_that_nobody_manages_becomes_manifests_and_the_plan_is_empty(applied):
    by_hand()
    before = sql("SELECT id, created_at, pipeline_id FROM schedules ORDER BY id")
    timers = sql("SELECT schedule_id, next_due, processed_to, initial FROM timers ORDER BY 1")
    done = applied("import")
    assert (done.code, done.err) == (0, "")
    assert_golden("import.txt", masked(done.out))
    assert new(applied) == FILES
    texts = (f"== {file}\n{Path(file).read_text()}" for file in FILES[:6])
    assert_golden("import-files.txt", "".join(texts))
    assert stat.S_IMODE(Path("schedules/imported/loose/src/bin/go.sh").stat().st_mode) == 0o755
    assert sql("SELECT id, created_at, pipeline_id FROM schedules ORDER BY id") == before
    assert sql("SELECT schedule_id, next_due, processed_to, initial FROM timers ORDER BY 1") == timers  # fmt: skip
    newest = applied("history", "2", "--output", "json").data["apply"]["plan"]
    assert {one["address"]: one["action"] for one in newest["resource_changes"]} == dict.fromkeys(ALL, "adopt")  # fmt: skip
    settled(applied)
    assert applied("import").out == "Nothing to import.\n"


def test_a_dry_run_tells_the_same_as_text_and_json_and_writes_nothing(applied):
    by_hand()
    before = owners()
    text = applied("import", "--dry-run")
    told = applied("import", "--dry-run", "--output", "json")
    assert (text.code, told.code) == (0, 0)
    assert "Would import: 4 objects into 9 files.\n" in text.out
    assert_golden("import.json", masked(told.out))
    assert new(applied) == []
    assert owners() == before


def test_into_a_project_without_any_manifest(applied):
    by_hand()
    applied.write(
        "reconciler.yml", "project: new\ntargets: {dev: {workspace: 'sqlite:.reconciler/workspace.db'}}\n"
    )  # fmt: skip
    applied.git("rm", "-rqf", "schedules")
    applied.commit()
    done = applied("import")
    assert (done.code, done.err) == (0, "")
    assert Path("schedules/imported/adhoc.yml").read_text().count("pipeline: scoring@1\n") == 1
    settled(applied)


def test_a_schema_that_is_there_is_used(applied):
    by_hand()
    applied.write("schemas/schedule.schema.json", "{}\n")
    assert applied("import", "adhoc").code == 0
    assert Path("schemas/schedule.schema.json").read_text() == "{}\n"
    assert not Path("schemas/datastore.schema.json").exists()


def test_one_name_brings_along_what_it_needs(applied):
    by_hand()
    done = applied("import", "watch", "--to", "schedules/mine")
    assert done.code == 0
    assert new(applied)[:4] == [
        "schedules/mine/lake.datastore.yml",
        "schedules/mine/loose/loose.yml",
        "schedules/mine/loose/src/bin/go.sh",
        "schedules/mine/loose/src/run.py",
    ]
    assert owners()["watch"] == "shop"
    assert owners()["adhoc"] is None
    settled(applied)
    again = applied("import", "watch")
    assert (again.code, again.out) == (
        0,
        "Managed by shop/dev already: watch\nNothing to import.\n",
    )
    assert applied("import", "--kind", "schedule").code == 0
    assert owners()["adhoc"] == "shop"


def test_names_that_cannot_be_imported_are_refused_with_the_reason(applied, workspace):
    by_hand()
    sql("UPDATE schedules SET owner_project = 'other', owner_target = 'prod' WHERE name = 'watch'")
    schedule(workspace, "nightly")
    told = {
        "nobody": "there is no 'nobody' in the workspace; `reconciler drift` lists what nobody manages",
        "watch": "'watch' belongs to other/prod; to take it over add --from other/prod",
        "nightly": "Schedule 'nightly': shop/dev has another schedule of that name; rename this one first, Schedule.update(name=...)",
    }
    for name, message in told.items():
        done = applied("import", "adhoc", name)
        assert (done.code, done.err) == (3 if name == "nightly" else 1, f"error: {message}\n")
        assert new(applied) == []
    done = applied("import", "adhoc", "--from", "other/prod")
    assert done.err == "error: 'adhoc' belongs to nobody; to take it over leave out --from\n"
    assert "shop/dev is this project itself" in applied("import", "--from", "shop/dev").err
    assert "write PROJECT/TARGET" in applied("import", "--from", "other").err


def test_another_owners_objects_are_taken_over_when_it_is_named(applied):
    by_hand()
    sql("UPDATE schedules SET owner_project = 'other', owner_target = 'prod' WHERE owner_project IS NULL")  # fmt: skip
    done = applied("import", "--from", "other/prod")
    assert (done.code, done.err) == (0, "")
    assert set(owners().values()) == {"shop"}
    settled(applied)


def test_a_schedule_of_an_older_version_says_which(applied, workspace):
    loose(workspace)
    schedule(workspace, "old", "loose")
    loose(workspace, text=b"print('newer')\n")
    schedule(workspace, "new", "loose")
    assert applied("import").code == 0
    assert "pipeline: loose@1\n" in Path("schedules/imported/old.yml").read_text()
    assert "pipeline: loose\n" in Path("schedules/imported/new.yml").read_text()
    assert "newer" in Path("schedules/imported/loose/src/run.py").read_text()
    assert set(sql("SELECT DISTINCT owner_project FROM pipelines")) == {("shop",)}
    settled(applied)


def test_code_that_lies_above_its_manifest_gets_a_place_within_the_pipelines_folder(
    applied, workspace
):
    loose(workspace, code="../shared/src")
    loose(workspace, name="around", code=".")
    done = applied("import", "--output", "json")
    assert left_out(done) == {
        "Pipeline.around": "its code folder '.' would hold its own manifest; publish it anew with `apply`"
    }
    assert [one["file"] for one in done.data["objects"]] == [
        "schedules/imported/loose/manifest/loose.yml"
    ]
    assert Path("schedules/imported/loose/shared/src/run.py").exists()
    assert applied("plan", "--detailed-exitcode").code == 0


def test_what_no_manifest_can_say_is_left_out_with_the_way_out(applied, workspace):
    schedule(workspace, "twice")
    schedule(workspace, "twice")
    schedule(workspace, "spaced")
    change("spaced", name="two words")
    sql("UPDATE schedules SET name = 'two words' WHERE name = 'spaced'")
    loose(workspace, name="retired")
    sql("UPDATE pipelines SET status = 'Disabled' WHERE name = 'retired'")
    loose(workspace, name="changed")
    sql("UPDATE pipelines SET digest = 'x' WHERE name = 'changed'")
    done = applied("import", "--output", "json")
    assert done.code == 0
    assert done.data["imported"] is False
    reasons = left_out(done)
    assert "2 schedules have that name" in reasons["Schedule.twice"]
    assert "no manifest can say it" in reasons["Schedule.two words"]
    assert "run: reconciler enable pipeline retired" in reasons["Pipeline.retired"]
    assert "change that first" in reasons["Pipeline.changed"]
    assert new(applied) == []


def test_a_datastore_that_no_manifest_can_say_is_left_out(applied, workspace):
    store(workspace, "odd")
    sql("""UPDATE datastores SET spec = '{"name":"odd","url":"ftp://x"}' WHERE name = 'odd'""")
    done = applied("import")
    assert done.code == 0
    assert "Left out: Datastore odd: no manifest can say it: url is not accepted" in done.out
    assert done.out.endswith("\nNothing to import.\n")


def test_a_pipeline_whose_code_would_be_read_as_manifests_is_left_out(applied, workspace):
    applied.write(
        "reconciler.yml",
        "project: shop\ninclude: ['schedules/**/*.yml', 'schedules/**/*.py']\n",
    )
    applied.commit()
    loose(workspace)
    schedule(workspace, "by-version", "loose")
    done = applied("import")
    assert done.code == 1  # The project's own code is read as manifests now.
    applied.edit("reconciler.yml", "'schedules/**/*.py'", "'schedules/imported/**/*.py'")
    applied.write("schedules/imported/nothing.py", "# no manifest\n")
    applied.commit()
    done = applied("import", "--output", "json")
    assert "would be read as a manifest" in left_out(done)["Pipeline.loose"]
    assert "pipeline: loose@1\n" in Path("schedules/imported/by-version.yml").read_text()


@pytest.mark.parametrize("path", ["../../../../../evil.sh", "/tmp/evil.sh", "a/../../x", ".."])
def test_code_that_would_lie_outside_its_folder_is_left_out(applied, workspace, path):
    loose(workspace)
    entries = sql("SELECT entries FROM trees WHERE entries LIKE '%go.sh%'")[0][0]
    forged = entries.replace("bin/go.sh", path)
    sql("UPDATE trees SET entries = ? WHERE entries = ?", forged, entries)
    done = applied("import", "--output", "json")
    assert "would lie outside its folder" in left_out(done)["Pipeline.loose"]
    assert new(applied) == []


def test_a_linked_folder_among_the_manifests_is_told(applied, tmp_path_factory):
    by_hand()
    Path("schedules/elsewhere").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    done = applied("import", "--to", "schedules/elsewhere")
    assert (done.code, done.out) == (1, "")
    assert "'schedules/elsewhere' is a symbolic link" in done.err


def test_a_folder_that_no_include_matches_is_refused_with_the_glob(applied):
    by_hand()
    done = applied("import", "--to", "elsewhere")
    assert done.code == 3
    assert done.err == (
        "error: no include of reconciler.yml matches what would be written to elsewhere; "
        'add "elsewhere/**/*.yml" to include\n'
    )
    assert "is not a folder within the project" in applied("import", "--to", "../x").err


def test_a_file_in_the_way_is_never_overwritten(applied):
    by_hand()
    applied.write("schedules/imported/adhoc.yml", "# mine\n")
    done = applied("import")
    assert done.code == 3
    assert done.err == (
        "error: schedules/imported/adhoc.yml is there already and says something else; move it away\n"
    )
    assert Path("schedules/imported/adhoc.yml").read_text() == "# mine\n"
    assert owners()["watch"] is None


def test_what_a_file_declares_already_is_left_to_adopt(applied):
    by_hand()
    applied.write("schedules/lake.yml", "kind: Datastore\nname: lake\nurl: file:///lake\n")
    done = applied("import")
    assert done.code == 3
    assert done.err == (
        "error: schedules/lake.yml:1 declares Datastore 'lake' already; "
        "claim it with: reconciler apply --adopt Datastore.lake\n"
    )
    assert new(applied) == ["schedules/lake.yml"]


def test_changes_that_are_not_applied_come_first(applied):
    by_hand()
    applied.edit("schedules/nightly.yml", "512", "1024")
    done = applied("import")
    assert done.code == 3
    assert done.err == (
        "error: the project has changes that are not applied (Schedule.nightly); "
        "apply them first: reconciler apply\n"
    )
    assert new(applied) == ["schedules/nightly.yml"]
    applied.write("schedules/nightly.yml", "kind: Nonsense\n")
    assert "error: 1 problem in 1 file" in applied("import").err


def test_what_another_import_left_unclaimed_is_to_be_imported_with_it(applied):
    by_hand()
    applied("import", "adhoc")
    sql("UPDATE schedules SET owner_project = NULL, owner_target = NULL WHERE name = 'adhoc'")
    sql("DELETE FROM declarations WHERE name = 'adhoc'")
    done = applied("import", "watch")
    assert done.code == 3
    assert done.err == (
        "error: the project has changes that are not applied (Schedule.adhoc); "
        "Schedule.adhoc is live already: import it too\n"
    )
    assert applied("import", "watch", "adhoc").code == 0
    settled(applied)


TARGET = """
project: shop
defaults:
  Schedule: {description: from the project, tags: {team: risk}, catchup_window: 3h}
targets:
  dev:
    workspace: "sqlite:.reconciler/workspace.db"
    overrides:
      Schedule:
        a*: {max_catchup: 3}
"""


def test_defaults_are_said_outright_and_overrides_that_win_are_told(applied):
    applied.write("reconciler.yml", TARGET)
    applied.commit()
    applied.apply()
    by_hand()
    done = applied("import", "--output", "json")
    assert left_out(done) == {
        "Schedule.adhoc": "max_catchup is 100, but would be 3 (reconciler.yml:9 (override of target dev)); change that first"
    }
    assert_golden("import-outright.txt", Path("schedules/imported/watch.yml").read_text())
    settled(applied)


def test_an_override_of_the_very_object_is_told_before_anything_is_written(applied):
    by_hand()
    applied.write("reconciler.yml", TARGET.replace("a*", "adhoc").replace("defaults", "x-defaults"))
    applied.edit("reconciler.yml", "x-defaults:\n  Schedule: {", "limits: {disables: 5}\n# {")
    done = applied("import", "adhoc")
    assert done.code == 3
    assert "Schedule 'adhoc': max_catchup is 100, but would be 3" in done.err
    assert owners()["adhoc"] is None
    whole = applied("import")
    assert whole.code == 3
    assert "without it: reconciler.yml" in whole.err
    assert "no Schedule 'adhoc' is declared for target dev" in whole.err
    assert new(applied) == ["reconciler.yml"]


def test_a_disabled_schedule_stays_so_and_a_paused_target_is_told(applied, workspace):
    schedule(workspace, "asleep", status="Disabled")
    schedule(workspace, "awake")
    applied.write(
        "reconciler.yml",
        "project: shop\ntargets: {dev: {workspace: 'sqlite:.reconciler/workspace.db', preset: paused}}\n",
    )
    applied.commit()
    applied.apply()
    done = applied("import", "--output", "json")
    assert 'status is "Active", but would be "Disabled"' in left_out(done)["Schedule.awake"]
    assert "status: Disabled" in Path("schedules/imported/asleep.yml").read_text()
    settled(applied)


def test_files_that_git_ignores_are_taken_back_and_nothing_is_claimed(applied):
    by_hand()
    applied.write(".gitignore", ".reconciler/\n*.sh\n")
    applied.commit()
    before = files()
    done = applied("import")
    assert done.code == 4
    assert "does .gitignore match them?" in done.err
    assert files() == before
    assert owners()["adhoc"] is None


class StoppedError(BaseException):
    pass


class Stopping:
    """Stops the program before or after the ``left``-th of its effects, as a crash would."""

    def __init__(self, monkeypatch, left):
        self.left = left
        point = self.point
        put, transaction = disk.put, SqlRegistry.transaction

        def putting(*arguments, **named):
            point()
            put(*arguments, **named)
            point()

        def transacting(registry):
            point()
            context = transaction(registry)
            leave = context.__exit__

            class Watched:
                def __enter__(self):
                    return context.__enter__()

                def __exit__(self, *error):
                    if error[0] is None:
                        try:
                            point()
                        except StoppedError as stopped:
                            leave(type(stopped), stopped, None)
                            raise
                    answer = leave(*error)
                    point()
                    return answer

            return Watched()

        monkeypatch.setattr(disk, "put", putting)
        monkeypatch.setattr(SqlRegistry, "transaction", transacting)

    def point(self):
        self.left -= 1
        if self.left == 0:
            raise StoppedError


def test_a_crash_at_any_effect_and_a_second_import_end_as_an_undisturbed_one(applied, monkeypatch):
    by_hand()
    before, fresh = applied.path, iter(range(100))
    sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def again():
        """Go on in a copy, for this process still has the workspace's files open."""
        copy = before.with_name(f"copy-{next(fresh)}")
        shutil.copytree(before, copy)
        monkeypatch.chdir(copy)

    def outcome():
        rows = sql("SELECT name, spec, owner_project, revision FROM schedules ORDER BY name")
        rows += sql("SELECT kind, name, file, line, spec FROM declarations ORDER BY kind, name")
        return rows, {file: Path(file).read_bytes() for file in files()}

    again()
    assert applied("import").code == 0
    undisturbed, stopped = outcome(), 0
    for left in range(1, 60):
        again()
        with monkeypatch.context() as patched:
            stopping = Stopping(patched, left)
            try:
                assert applied("import").code == 0
            except StoppedError:
                stopped += 1
        if stopping.left > 0:
            break
        assert applied("import").code == 0
        assert outcome() == undisturbed
    assert stopped == 2 * len(FILES) + 3
    assert applied("plan", "--detailed-exitcode").code == 0
