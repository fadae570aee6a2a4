from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.errors import SourceError
from reconciler.source.git import open_commit, open_source
from tests.source.opened import git
from tests.source.repositories import Repository

__all__ = ["git"]

FOLDERS = ["", "m", "m/x", "m/x/y", "n", "n/m"]
PATHS = [
    "a.yml",
    "m/a.yml",
    "m/b.yml",
    "m/x",
    "m/x/c.yml",
    "m/x/y/d.py",
    "n/m/a.yml",
    "n",
    "-n.yml",
]
CONTENTS = [b"", b"1", b"1\r\n", b"2"]

paths, folders = st.sampled_from(PATHS), st.sampled_from(FOLDERS[1:])
EDITS = st.one_of(
    st.tuples(st.just("write"), paths, st.sampled_from(CONTENTS), st.sampled_from([0o644, 0o755])),
    st.tuples(st.just("remove"), st.one_of(paths, folders)),
    st.tuples(st.just("move"), st.one_of(paths, folders), st.one_of(paths, folders)),
    st.tuples(st.just("link"), paths, st.sampled_from(["nowhere", "/dev/null", "."])),
    st.tuples(st.just("ignore"), st.sampled_from(["", "*.py\n", "m/\n", "x\n", "/n\n"])),
    st.tuples(st.just("stage"), st.sampled_from(["--all", "--update", "--intent-to-add"])),
    st.tuples(st.just("unstage"), paths),
    st.tuples(st.just("commit")),
)


def clear(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def make_room(repository, path):
    """Let nothing but folders be above a path, and nothing at it."""
    place = repository.folder / path
    for above in reversed(place.relative_to(repository.folder).parents):
        if (repository.folder / above).is_symlink() or (repository.folder / above).is_file():
            (repository.folder / above).unlink()
    clear(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def edit(repository, kind, *arguments):
    folder = repository.folder
    if kind == "write":
        path, content, mode = arguments
        make_room(repository, path).write_bytes(content)
        (folder / path).chmod(mode)
    elif kind == "remove":
        clear(folder / arguments[0])
    elif kind == "move":
        old, new = (folder / path for path in arguments)
        if os.path.lexists(old) and old not in {new, *new.parents} and new not in old.parents:
            old.rename(make_room(repository, arguments[1]))
    elif kind == "link":
        make_room(repository, arguments[0]).symlink_to(arguments[1])
    elif kind == "ignore":
        repository.write(".gitignore", arguments[0])
    elif kind == "stage":
        repository.git("add", arguments[0], ".")
    elif kind == "unstage":
        repository.git("rm", "-r", "--quiet", "--cached", "--ignore-unmatch", "--", arguments[0])
    else:
        repository.commit()


def reading(source, folder):
    """Everything that a plan could read below a folder, or why it could not."""
    found = []
    for read in [
        lambda: source.code(folder or ".").entries,
        lambda: source.manifests([f"{folder}/**/*.yml" if folder else "**/*.yml"]),
    ]:
        try:
            found.append(read())
        except SourceError as error:
            found.append(str(error))
    return found


def note(seen, source):
    """Hold what can be read below each folder against what could be with the same key before."""
    tree = source.folders()
    for folder in FOLDERS:
        key, found = tree.key(folder), reading(source, folder)
        if key is None:
            assert [type(part) for part in found] == [str, str]
        else:
            assert seen.setdefault((folder, key), found) == found
    above = tree.entries(FOLDERS)
    for folder in FOLDERS[1:]:
        outer, _, name = folder.rpartition("/")
        key = tree.key(folder)
        assert above[outer].get(f"{name}/") == (key and f"40000 {key}")


def written(repository):
    """The id of the tree that Git would make of everything that is there now."""
    index = repository.folder / ".git/index"
    kept = index.read_bytes() if index.exists() else None
    repository.git("add", "--all")
    tree = repository.git("write-tree")
    if kept is None:
        index.unlink(missing_ok=True)
    else:
        index.write_bytes(kept)
    return tree


def ignored_link(repository):
    ignored = repository.git("ls-files", "--others", "--ignored", "--exclude-standard")
    return any((repository.folder / path).is_symlink() for path in ignored.splitlines())


@given(st.lists(st.lists(EDITS, min_size=1, max_size=3), min_size=1, max_size=4))
@settings(
    max_examples=12,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_key_never_stays_when_what_can_be_read_below_it_changes(git, steps):
    seen = {}
    with tempfile.TemporaryDirectory() as temporary:
        repository = Repository(Path(temporary, "repository"))
        repository.write("reconciler.yml", "project: wine\n")
        for path in ["m/a.yml", "m/x/c.yml", "n/m/a.yml"]:
            repository.write(path, b"1")
        repository.commit()
        for step in steps:
            for change in step:
                edit(repository, *change)
            source = open_source(str(repository.folder))
            note(seen, source)
            # Where an ignored link took a folder's place, Git would forget the folder.
            assert source.folders().key("") == written(repository) or ignored_link(repository)
        repository.commit()
        assert open_source(str(repository.folder)).state().dirty == ()
        note(seen, open_commit(str(repository.folder), "HEAD"))
