"""``reconciler demo``: the whole path on real data, told as it happens.

Every command shown is really run, and every line marked ``ok`` was read back from the ledger, the
registry, a command's JSON or its exit code. Where something did not happen, the story ends with 1.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler import settings
from reconciler.cli.story import WORKSPACE, Change, Story, prompt, show
from reconciler.clock import SECOND, iso
from reconciler.errors import ReconcilerError
from reconciler.live import DisabledBy
from reconciler.run import Decision, RunState
from reconciler.schedule import Status
from reconciler.workspace.records import WatchState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What a run of the sample leaves in a checkout.
LEFT_BEHIND = shutil.ignore_patterns(".reconciler", "models", "results", "__pycache__")
ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@click.command("demo", epilog="Example: reconciler demo /tmp/scoring")
@click.argument(
    "folder", metavar="[DIR]", required=False, type=click.Path(file_okay=False, path_type=Path)
)
@click.option("--keep", is_flag=True, help="Keep the temporary folder.")
def command(folder: Path | None, *, keep: bool) -> None:
    """Show the whole path on a sample project: plan, apply, fire, score, change, crash, history.

    It works in a temporary folder, or in DIR, which must be new or empty and stays. Exits 0 only
    if everything that is told has happened; it takes about half a minute.
    """
    if shutil.which("git") is None:
        raise ReconcilerError("the demo needs git, which is not on the PATH")
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise ReconcilerError(f"{folder} is not empty; give a new folder, or none")
    with _stage(folder, keep=keep) as place:
        _tell(place)
    if place.exists():
        click.echo(f"The project is in {place}; go on there: reconciler show retrain")
    else:
        click.echo("The temporary folder is removed; --keep or a DIR would have kept it.")
    click.echo("Next: `reconciler init DIR` writes a small project of your own;")
    click.echo("      `reconciler --help` lists the commands.")


@contextmanager
def _stage(folder: Path | None, *, keep: bool) -> Iterator[Path]:
    """Give a folder, and remove a temporary one unless it is to be kept or the story failed."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    place = Path(tempfile.mkdtemp(prefix="reconciler-demo-")).resolve()
    try:
        yield place
    except ReconcilerError:
        click.echo(f"\nThe folder is kept for a look: {place}")
        raise
    except BaseException:
        shutil.rmtree(place)
        raise
    if not keep:
        shutil.rmtree(place)


def _tell(folder: Path) -> None:
    """Tell the story, and leave no process behind however it ends."""
    story = Story(folder)
    begun = time.monotonic()
    before = {number: signal.signal(number, _leave) for number in ENDINGS}
    click.secho("From YAML in Git to finished runs, on real data", bold=True)
    click.echo(f"The sample project learns to tell wines apart. It is told in {folder}")
    try:
        for step in STEPS:
            step(story)
    finally:
        # A second Ctrl-C must not interrupt the cleaning up.
        before |= {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}
        story.leave_nothing_running()
        for number, handler in before.items():
            signal.signal(number, handler)
    click.echo("")
    click.secho(f"The end. All of it happened, in {time.monotonic() - begun:.0f} s.", bold=True)


def _leave(number: int, _: object) -> None:
    sys.exit(128 + number)


def _sample() -> Path:
    """Find the sample project: in the installed package, or beside it in a checkout."""
    package = Path(str(resources.files("reconciler")))
    shipped = package / "_data" / "schedules"
    return shipped if shipped.is_dir() else package.parent / "schedules"


def project(story: Story) -> None:
    """Copy the sample and put it under Git."""
    story.begin(
        "A project", "Manifests in YAML, the code of their pipelines, and a Git repository."
    )
    shutil.copytree(
        _sample(),
        story.folder,
        ignore=LEFT_BEHIND,
        copy_function=shutil.copyfile,
        dirs_exist_ok=True,
    )
    for file in (story.folder / "data" / "landing").glob("[!.]*"):
        file.unlink()
    prompt("git init")
    story.git("-c", "init.defaultBranch=main", "init", "--quiet")
    story.commit("Declare how the wines are told apart")
    files = story.git("ls-files").splitlines()
    manifests = [file for file in files if file.startswith("manifests/")]
    show("\n".join(["", *manifests, f"and {len(files) - len(manifests)} files of code and data"]))
    prompt("cat manifests/retrain.yml")
    show((story.folder / "manifests" / "retrain.yml").read_text(encoding="utf-8"))
    story.check("everything is committed", "", story.git("status", "--porcelain"))


def validate(story: Story) -> None:
    """Check the manifests."""
    story.begin("Validate", "Every manifest and every reference is checked.")
    story.say("validate")
    counts = story.ask("validate")
    story.check("4 schedules are valid", (True, 4), (counts["ok"], counts["schedules"]))


def typo(story: Story) -> None:
    """Make a typing error, see it found, and undo it."""
    story.begin("A typo", "Somebody writes Minutes for Minute.")
    file = "manifests/retrain.yml"
    story.edit(file, "frequency: Minute\n", "frequency: Minutes\n")
    lines = (story.folder / file).read_text(encoding="utf-8").splitlines()
    line, text = next((n, text) for n, text in enumerate(lines, 1) if "Minutes" in text)
    said = story.say("validate", code=1).splitlines()
    place = f"{file}:{line}:{text.index('Minutes') + 1}"
    found = [one.split(": ")[0] for one in said]
    story.check(f"one line says what is wrong at {place}", [place, "error"], found)
    prompt("git checkout -- manifests")
    story.git("checkout", "--quiet", "--", "manifests")
    story.check("and it is undone", "", story.git("status", "--porcelain"))


def plan(story: Story) -> None:
    """Show what an apply would do."""
    story.begin("Plan", "What would change in the workspace, field by field. Nothing is written.")
    story.say("plan")
    planned = story.planned()
    story.check("11 objects are to be created", ["create"] * 11, [action for action, *_ in planned])
    story.check("no workspace was made for it", False, (story.state / "workspace.db").exists())  # noqa: FBT003  (a claim)


def apply(story: Story) -> None:
    """Make the workspace as declared; after that there is nothing to do."""
    story.begin("Apply", "Pipelines are published as versions that never change; schedules arm.")
    story.say("apply", "--yes", head=0, tail=2)
    schedules = story.workspace.registry.live().schedules
    story.check("4 schedules are active", [Status.ACTIVE] * 4, [one.status for one in schedules])
    head = story.git("rev-parse", "HEAD")
    commits = {one.provenance.commit for one in schedules}
    story.check(f"each carries its commit, {head[:12]}", {head}, commits)
    click.echo("")
    story.say("plan", "--detailed-exitcode")
    story.check("a second plan has nothing to do, and exits 0", [], story.planned())


def first_run(story: Story) -> None:
    """Start the runner and wait for the recurrence's first run."""
    story.begin(
        "The runner", "retrain has no start_time: it runs once at once, then every 15 minutes."
    )
    story.start_runner()
    run = story.finished("retrain", "i:")
    model = json.loads((story.folder / "data/models/wine.json").read_text(encoding="utf-8"))
    story.check("the published model is the one of this run", run.id, model["run"])


def arrival(story: Story) -> None:
    """Drop a file into the watched folder and see it scored."""
    story.begin(
        "A file arrives", "score-on-arrival watches data/landing, and looks every 3 seconds."
    )
    story.wait("the first look at data/landing", lambda: _looks(story) or None)
    _drop(story, "labelled.csv")


def _looks(story: Story) -> int:
    """Count the looks at the landing folder since what was there before is known."""
    watches = story.workspace.ledger.watches()
    ready = [one for one in watches if one.state is WatchState.READY]
    return sum(one.poll_seq for one in ready if one.watched.datastore == "landing")


def _drop(story: Story, name: str, meanwhile: Callable[[], None] | None = None) -> None:
    """Copy a batch into the landing folder and check its run; ``meanwhile`` comes in between."""
    prompt(f"cp data/batches/{name} data/landing/")
    click.echo("")
    data = story.folder / "data"
    shutil.copyfile(data / "batches" / name, data / "landing" / name)
    if meanwhile is not None:
        meanwhile()
    run = story.finished("score-on-arrival", name)
    path = f"landing/{name}"
    story.check(f"its parameter input_data is {path}", path, run.parameters["input_data"])
    rows = (data / "results" / "by-file" / f"{name}.scores.csv").read_text(encoding="utf-8")
    wines = (data / "batches" / name).read_text(encoding="utf-8").count("\n")
    story.check(f"{wines - 1} predictions are in data/results", wines, rows.count("\n"))


def edit(story: Story) -> None:
    """Change one field; the plan shows that field."""
    story.begin("Change a field", "The audit moves from 06:30 to 07:45.")
    story.edit("manifests/weekly-audit.yml", 'time_of_day: "06:30"', 'time_of_day: "07:45"')
    field = ("trigger.recurrence.time_of_day", "06:30", "07:45")
    _change(story, "Audit later", ("update", "Schedule.weekly-audit", [field]))
    story.say("next", "weekly-audit", "--count", "3")
    due = [one["local"][11:16] for one in story.ask("next", "weekly-audit", "--count", "3")["next"]]
    story.check("it is due at 07:45 in Rome from now on", ["07:45"] * 3, due)


def _change(story: Story, message: str, expected: Change) -> None:
    """Commit, plan and apply one change, and check that the plan holds it alone."""
    story.commit(message)
    click.echo("")
    story.say("plan")
    story.check("the plan holds this change and nothing else", [expected], story.planned())
    click.echo("")
    story.say("apply", "--yes", head=0, tail=1)


def clock(story: Story) -> None:
    """Give a recurrence a start a few seconds ahead; it fires at that second."""
    story.begin("By the clock", "retrain gets a start_time some seconds ahead.")
    # Far enough for a commit, two plans and an apply, however slow this machine is.
    ahead = int(5 + 5 * story.slowest) * SECOND
    start = story.workspace.ledger.now() // SECOND * SECOND + ahead
    text = iso(start).removesuffix("Z")
    story.edit(
        "manifests/retrain.yml", "interval: 15\n", f'interval: 15\n    start_time: "{text}"\n'
    )
    field = ("trigger.recurrence.start_time", None, text)
    _change(story, "Retrain from a given second on", ("update", "Schedule.retrain", [field]))
    story.check("retrain is due at that second", start, story.schedule("retrain").next_due)
    click.echo("")
    key = f"r:{iso(start)}"
    story.finished("retrain", key)
    schedule = story.schedule("retrain").id
    (fire,) = (one for one in story.workspace.ledger.fires(schedule) if one.occurrence_key == key)
    late = (fire.decided_at - fire.due_at) // 1_000
    claim = f"due at {iso(start)}, it was launched {late} ms later"
    story.check(claim, (Decision.LAUNCH, True), (fire.decision, late >= 0))


def removal(story: Story) -> None:
    """Remove a manifest; its schedule is disabled and stays in the registry."""
    story.begin("Remove a manifest", "evening-report is not wanted any more.")
    prompt("git rm manifests/evening-report.yml")
    story.git("rm", "--quiet", "manifests/evening-report.yml")
    field = ("status", "Active", "Disabled")
    expected = ("disable", "Schedule.evening-report", [field])
    _change(story, "No report in the evening", expected)
    gone = story.schedule("evening-report")
    found = (gone.status, gone.disabled_by)
    claim = "evening-report is disabled, not deleted; its manifest would enable it again"
    story.check(claim, (Status.DISABLED, DisabledBy.MISSING), found)


def crash(story: Story) -> None:
    """Kill the runner, let a file arrive meanwhile, start it again: nothing is lost or repeated."""
    story.begin(
        "A crash", "The runner is killed. While nobody looks, a file without labels arrives."
    )
    before = {run.id for name in ("retrain", "score-on-arrival") for run in story.runs(name)}
    prompt(f"kill -9 {story.runner_pid}")
    code = story.stop_runner(signal.SIGKILL)
    story.check("the runner is gone", -signal.SIGKILL, code)
    click.echo("")
    _drop(story, "unlabelled.csv", meanwhile=story.start_runner)
    looks = _looks(story)
    story.wait("another look", lambda: _looks(story) > looks or None)
    after = {run.id for name in ("retrain", "score-on-arrival") for run in story.runs(name)}
    story.check("that is the one new run; nothing was repeated", 1, len(after - before))
    story.check("and nothing was lost", set(), before - after)


def history(story: Story) -> None:
    """List what ran."""
    story.begin("History", "Every run, with its cause and its end.")
    story.say("runs")
    scored = sorted(str(run.parameters["input_data"]) for run in story.runs("score-on-arrival"))
    files = ["landing/labelled.csv", "landing/unlabelled.csv"]
    story.check("each file has exactly one run", files, scored)
    story.check("retrain has run twice", 2, len(story.runs("retrain")))
    states = {run.state.value for run in story.workspace.ledger.runs()}
    story.check("every run is Finished", {RunState.FINISHED.value}, states)


def stop(story: Story) -> None:
    """Stop the runner as an init system does."""
    story.begin("Stop", "SIGTERM lets the steps under way end.")
    prompt(f"kill {story.runner_pid}")
    code = story.stop_runner(signal.SIGTERM)
    story.check("the runner exited with 0", 0, code)
    active = settings.runner_active(WORKSPACE, str(story.folder))
    story.check("and no runner is active any more", False, active)  # noqa: FBT003  (a claim)


STEPS: tuple[Callable[[Story], None], ...] = (
    project,
    validate,
    typo,
    plan,
    apply,
    first_run,
    arrival,
    edit,
    clock,
    removal,
    crash,
    history,
    stop,
)
