"""What people do to a project and its workspace, each by up to two numbers."""

import contextlib
import sqlite3
import subprocess

from reconciler.clock import DAY
from reconciler.errors import ReconcilerError
from reconciler.plan.change import Kind
from reconciler.reconcile import operate
from tests.journeys.shared import (
    CODE,
    CODES,
    FILES,
    NOTHING,
    NOW,
    clocked,
    pipeline,
    store,
    watching,
)


def somewhere(world, a):
    """Name a file that declares something."""
    files = [file for file in FILES if world.files.get(file)]
    return files[a % len(files)] if files else None


def some(world, a, kind=None):
    """Give a declared document, and the documents of its file."""
    found = [
        (one, world.files[file])
        for file in sorted(world.files)
        for one in world.files[file]
        if kind in {None, one["kind"]}
    ]
    return found[a % len(found)] if found else ({}, [])


def add(world, a, b):
    made = (
        clocked(f"w{b % 9}", ("p1", "p2", "p3", "p1@latest", "p1@1", "ext")[a % 6]),
        watching(f"w{b % 9}", ("s1", "s2", "lake")[a % 3]),
        pipeline(f"p{b % 4}", CODES[a % len(CODES)], n=("integer", 1)),
        store(f"s{b % 3}"),
    )
    world.files.setdefault(FILES[a % len(FILES)], []).append(made[(a + b) % len(made)])
    world.declare()


def take(world, a, _):
    one, documents = some(world, a)
    if one:
        documents.remove(one)
    world.declare()


def move(world, a, b):
    one, documents = some(world, a)
    if one:
        documents.remove(one)
        world.files.setdefault(FILES[b % len(FILES)], []).insert(0, one)
    world.declare()


def delete(world, a, _):
    world.files.pop(somewhere(world, a), None)
    world.declare()


def move_file(world, a, b):
    documents = world.files.pop(somewhere(world, a), [])
    world.files.setdefault(FILES[b % len(FILES)], []).extend(documents)
    world.declare()


def rename(world, a, b):
    one, _ = some(world, a, "Schedule" if b % 3 else None)
    if one:
        former = one["name"]
        one["name"] = f"{former[0]}{b % 9}"
        if one["kind"] == "Schedule" and a % 2:
            one["renamed_from"] = former
    world.declare()


def edit(world, a, b):
    one, _ = some(world, a, "Schedule")
    if one:
        edits = (
            {"description": f"text {b}"},
            {"status": ("Active", "Disabled")[a % 2]},
            {"pipeline": ("p1", "p2", "p1@latest", "p1@1", "p2@2", "ext")[a % 6]},
            {"pipeline_parameters": ({}, {"n": 2}, {"n": "x"})[a % 3]},
            {"trigger": clocked("", interval=b)["trigger"]},
            watching(one["name"], ("s1", "s2", "lake")[a % 3]),
        )
        one.update(edits[b % len(edits)])
        one.pop("interval", None)
    world.declare()


def annotate(world, a, _):
    one, _ = some(world, a, "Schedule")
    one.pop("renamed_from", None)
    world.declare()


def repeat(world, a, b):
    """Declare a name twice, or again where it stands."""
    one, _ = some(world, a)
    if one:
        world.files.setdefault(FILES[b % len(FILES)], []).append(dict(one))
    world.declare()


def retype(world, a, b):
    one, _ = some(world, a, "Pipeline")
    if one:
        kinds = (("integer", 1), ("integer", 2), ("string", "x"), ("datapath", "s1/y"))
        one["parameters"]["n"] = dict(zip(("type", "default"), kinds[b % 4], strict=True))
    world.declare()


def recode(world, a, b):
    one, _ = some(world, a, "Pipeline")
    if one and CODES[b % len(CODES)] is not None:
        one["code"] = CODES[b % len(CODES)]
    elif one:
        one.pop("code", None)
    world.declare()


def place(world, a, b):
    one, _ = some(world, a, "Datastore")
    if one:
        one["url"] = f"file:///data/{b % 3}"
    world.declare()


def writes(world, a, b):
    """Say where a pipeline writes: maybe where somebody looks."""
    one, _ = some(world, a, "Pipeline")
    if one:
        one["writes"] = ([], ["s1/in"], ["s2"], ["s1/out", "lake/in"], ["nowhere/in"])[b % 5]
    world.declare()


def code(world, a, b):
    file = (*CODE, "jobs/code/more/new.py", "lib/old.pyc")[a % 5]
    world.put(file, f"print({b % 4})\n")


def uncode(world, a, _):
    world.at(CODE[a % len(CODE)]).unlink(missing_ok=True)


def mode(world, a, b):
    path = world.at((*CODE, *FILES, "reconciler.yml")[a % 9])
    if path.is_file() and not path.is_symlink():
        path.chmod((0o644, 0o755)[b % 2])


def link(world, a, b):
    path = world.at(("jobs/x.yml", "jobs/x", "jobs/code/x.py", "lib/x")[a % 4])
    if path.is_symlink():
        path.unlink()
    elif path.parent.is_dir():
        path.symlink_to(("a.yml", "sub", "../README", "nowhere")[b % 4])


def ignore(world, a, _):
    lines = ("jobs/sub/\n", "*.yaml\n", "top.yml\n", "*.py\n", "\n", "jobs/b.yml\n")
    world.put(".gitignore", lines[a % len(lines)])


def unused(world, a, b):
    """Write a file that says nothing, and one that tools leave behind."""
    world.put(("README", "jobs/notes.txt", "jobs/a.yml~", "jobs/.cache/x.yml")[a % 4], f"{b}")


def broken(world, a, _):
    world.put(FILES[a % len(FILES)], "kind: [\n")


def settings(world, a, b):
    target = {"workspace": world.url}
    said = (
        {"defaults": {"Schedule": {"description": f"by default {b % 3}"}}},
        {"variables": {"often": {"type": "integer", "default": b % 3 + 1}}},
        {"include": ["jobs/**/*.yml", "jobs/**/*.yaml", "*.yml"]},
        {"include": ["jobs/**/*.yml", "top.yml"]},
        {"targets": {"dev": {**target, "preset": "paused"}}},
        {"targets": {"dev": {**target, "overrides": {"Schedule": {"w1": {"description": "o"}}}}}},
        {"targets": {"dev": {**target, "overrides": {"Schedule": {"w*": {"tags": {"o": "p"}}}}}}},
        {"protected": ["Schedule.w*", "Datastore.s1"]},
        {"on_missing": ("keep", "fail", "disable")[b % 3]},
        {"ignore_drift": [{"objects": "Schedule.*", "fields": ["description"]}]},
        {"ignore_drift": [{"objects": "Datastore.*", "fields": ["url"]}]},
        {"limits": {"disables": b % 3, "disabled_percent": 20, "runs_per_day": 1}},
    )[a % 12]
    key = next(iter(said))
    if world.project.get(key) == said[key] and key != "include":
        del world.project[key]
    else:
        world.project.update(said)
    world.declare()


def commit(world, *_):
    world.commit()


def amend(world, *_):
    world.git("commit", "-q", "--amend", "--allow-empty", "-m", "another")


def older(world, *_):
    """Go to the commit before, if there is one."""
    with contextlib.suppress(subprocess.CalledProcessError):
        world.git("reset", "-q", "--hard", "HEAD~1")
        world.open()


def clean(world, *_):
    """Throw away what is not committed."""
    world.git("clean", "-q", "-f", "-d")
    world.git("checkout", "-q", "HEAD", "--", ".")
    world.open()


def apply(world, a, _):
    if world.apply(full=a % 4 == 0):
        assert NOTHING in world.check()


def apply_head(world, *_):
    if world.apply(ref="HEAD"):
        assert NOTHING in world.check(ref="HEAD")


def adopt(world, a, b):
    names = ((Kind.SCHEDULE, "w"), (Kind.PIPELINE, "p"), (Kind.DATASTORE, "s"))
    kind, letter = names[a % 3]
    asked = frozenset({f"{kind}.{letter}{b % 9}"})
    world.check(adopt=asked)
    if world.apply(adopt=asked):
        assert NOTHING in world.check()


def hold(world, a, b):
    with contextlib.suppress(ReconcilerError):
        until = None if b % 2 else NOW + DAY
        operate.hold_schedule(world.registry, f"w{a % 9}", who="ann", why="audit", until=until)


def release(world, a, _):
    with contextlib.suppress(ReconcilerError):
        operate.release_schedule(world.registry, f"w{a % 9}")


def disable(world, a, _):
    with contextlib.suppress(ReconcilerError):
        operate.disable_schedule(world.registry, f"w{a % 9}", who="ann", why="audit")


def retire(world, a, b):
    with contextlib.suppress(ReconcilerError):
        operate.disable_pipeline(world.registry, f"p{a % 4}@{b % 3 + 1}")


def restore(world, a, b):
    with contextlib.suppress(ReconcilerError):
        operate.enable_pipeline(world.registry, f"p{a % 4}@{b % 3 + 1}")


def publish(world, a, _):
    world.publish(("ext", "ext", "p1", "p3")[a % 4])


def register(world, a, _):
    world.store(("lake", "s2", "s1")[a % 3])


def by_hand(world, a, _):
    with contextlib.suppress(ReconcilerError):
        world.schedule(f"w{a % 9}")


def tamper(world, a, b):
    names = f"w{a % 9}", f"p{a % 4}", f"s{a % 3}"
    said = (
        (
            "UPDATE schedules SET spec = json_set(spec, '$.description', 'by hand') WHERE name = ?",
            0,
        ),
        ("UPDATE schedules SET status = 'Disabled' WHERE name = ?", 0),
        ("UPDATE schedules SET status = 'Active' WHERE name = ?", 0),
        ("UPDATE schedules SET pipeline_id = (SELECT min(id) FROM pipelines) WHERE name = ?", 0),
        ("UPDATE schedules SET name = name || 'x' WHERE name = ?", 0),
        ("DELETE FROM schedules WHERE name = ?", 0),
        ("UPDATE pipelines SET status = 'Disabled' WHERE name = ?", 1),
        ("UPDATE pipelines SET status = 'Active' WHERE name = ?", 1),
        ("DELETE FROM pipelines WHERE name = ?", 1),
        ("UPDATE datastores SET spec = json_set(spec, '$.url', 'file:///moved') WHERE name = ?", 2),
        ("DELETE FROM datastores WHERE name = ?", 2),
        ("DELETE FROM datastores WHERE name <> ? OR 1", 2),
    )
    statement, which = said[b % len(said)]
    with contextlib.suppress(sqlite3.IntegrityError):
        world.sql(statement, names[which])


def others(world, a, b):
    made = (
        [pipeline("ext", n=("integer", b)), store("lake")],
        [pipeline("ext", n=("integer", b)), clocked(f"w{b % 9}", "ext")],
        [pipeline("p1", n=("integer", b)), store("s1")],
    )[a % 3]
    adopted = {f"{one['kind']}.{one['name']}" for one in made} if b % 2 else set()
    with contextlib.suppress(ReconcilerError):
        world.other(made, adopt=frozenset(adopted))


EDITS = (
    add, take, move, delete, move_file, rename, edit, annotate, repeat, retype, recode, place,
    writes, broken, settings,
)  # fmt: skip
STEPS = (
    *EDITS, edit, code, uncode, mode, link, ignore, unused, commit, amend, older, clean,
    apply, apply, apply, apply, apply_head, adopt, hold, release, disable, retire, restore, publish,
    register, by_hand, tamper, tamper, others,
)  # fmt: skip
