"""Which files changed, found by comparing folders whose keys differ and no others."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.reconcile.survey import survey
from reconciler.source.globs import Globs
from tests.strategies import examples

FILE, RUN, LINK, MODULE = "100644", "100755", "120000", "160000"
INCLUDE = ("jobs/**/*.yml", "*.yml")


class Trees:
    """Folders as Git would key them, of files given as path to (mode, content)."""

    def __init__(self, files):
        self.files = files
        self.asked = []

    def key(self, folder):
        below = f"{folder}/" if folder else ""
        found = [f"{path} {said}" for path, said in self.files.items() if path.startswith(below)]
        return hashlib.sha1("\n".join(sorted(found)).encode()).hexdigest() if found else None

    def entries(self, folders):
        self.asked += folders
        return {folder: self._entries(f"{folder}/" if folder else "") for folder in folders}

    def _entries(self, below):
        found = {}
        for path, (mode, content) in self.files.items():
            if path.startswith(below):
                name, slash, _ = path.removeprefix(below).partition("/")
                said = f"40000 {self.key(below + name)}" if slash else f"{mode} {content}"
                found[name + slash] = said
        return found


def seen(before, after, include=INCLUDE, code=()):
    then = survey(Trees(before), include, code, {}).folders
    folders = Trees(after)
    return survey(folders, include, code, then), folders


BASE = {
    "a.yml": (FILE, "1"),
    "notes.txt": (FILE, "1"),
    "jobs/b.yml": (FILE, "1"),
    "jobs/sub/c.yml": (FILE, "1"),
    "jobs/sub/d.yml": (FILE, "1"),
    "docs/e.yml": (FILE, "1"),
    "lib/run.py": (FILE, "1"),
}


def test_everything_that_is_matched_is_new_to_a_first_survey():
    found = survey(Trees(BASE), INCLUDE, ["lib", "./lib", "jobs/../lib"], {})
    assert found.changed == {"a.yml", "jobs/b.yml", "jobs/sub/c.yml", "jobs/sub/d.yml"}
    assert found.code == {"lib"}
    assert found.folders.keys() == {"", "jobs", "jobs/sub", "lib"}
    assert found.folders["lib"].entries == {}
    assert found.plain


def test_nothing_is_looked_into_where_nothing_changed():
    found, folders = seen(BASE, BASE, code=["lib"])
    assert folders.asked == []
    assert not found.changed | found.removed | found.code
    assert (found.folders, found.plain) == ({}, True)


def test_only_folders_with_a_change_below_are_looked_into():
    found, folders = seen(BASE, BASE | {"jobs/b.yml": (FILE, "2"), "docs/e.yml": (FILE, "2")})
    assert folders.asked == ["", "jobs"]
    assert found.changed == {"jobs/b.yml"}
    assert found.folders.keys() == {"", "jobs"}


@pytest.mark.parametrize(
    ("path", "said", "changed"),
    [
        ("jobs/b.yml", (FILE, "2"), {"jobs/b.yml"}),
        ("jobs/b.yml", (RUN, "1"), {"jobs/b.yml"}),
        ("jobs/new.yml", (FILE, "1"), {"jobs/new.yml"}),
        ("jobs/new.txt", (FILE, "1"), set()),
        ("jobs/.hidden.yml", (FILE, "1"), set()),
        ("jobs/.#new.yml", (FILE, "1"), set()),
        ("jobs/__pycache__/new.yml", (FILE, "1"), set()),
        ("reconciler.yml", (FILE, "1"), set()),
        ("notes.txt", (FILE, "2"), set()),
    ],
)
def test_a_file_counts_where_an_include_matches_it(path, said, changed):
    found, _ = seen(BASE, BASE | {path: said})
    assert (found.changed, found.plain) == (changed, True)


@pytest.mark.parametrize(
    ("path", "said", "plain"),
    [
        ("jobs/b.yml", (LINK, "x"), False),
        ("jobs/link", (LINK, "x"), False),
        ("jobs/module", (MODULE, "x"), False),
        ("elsewhere", (LINK, "x"), True),
        ("docs/link", (LINK, "x"), True),
    ],
)
def test_links_and_modules_in_the_way_are_for_a_full_reading(path, said, plain):
    found, _ = seen(BASE, BASE | {path: said})
    assert found.plain == plain
    assert survey(Trees(BASE | {path: said}), INCLUDE, (), {}).plain == plain


def without(*paths):
    return {path: said for path, said in BASE.items() if path not in paths}


def test_a_removed_file_is_told_where_its_includes_match_another_beside_it():
    found, _ = seen(BASE, without("jobs/sub/c.yml"))
    assert (found.removed, found.plain) == ({"jobs/sub/c.yml"}, True)


@pytest.mark.parametrize(
    "gone", [["a.yml"], ["jobs/b.yml"], ["jobs/sub/c.yml", "jobs/sub/d.yml"], [*BASE]]
)
def test_an_include_that_may_match_nothing_now_is_for_a_full_reading(gone):
    assert not seen(BASE, without(*gone))[0].plain


def test_a_folder_that_no_include_reaches_may_go():
    found, _ = seen(BASE, without("docs/e.yml"))
    assert found.plain


def test_a_code_folder_that_changes_or_goes_is_told_by_the_name_it_was_asked_for():
    for code in ("lib", "."):
        found, _ = seen(BASE, BASE | {"lib/run.py": (FILE, "2")}, code=[code])
        assert found.code == {code}
    found, _ = seen(BASE, without("lib/run.py"), code=["lib"])
    assert found.code == {"lib"}
    assert found.folders["lib"].key == ""
    found, _ = seen(BASE, BASE | {"docs/e.yml": (FILE, "2")}, code=["lib"])
    assert found.code == set()


def test_a_code_folder_among_the_manifests_keeps_what_is_in_it():
    found, _ = seen(BASE, BASE | {"jobs/sub/run.py": (FILE, "2")}, code=["jobs/sub"])
    assert found.code == {"jobs/sub"}
    assert found.folders["jobs/sub"].entries.keys() == {"c.yml", "d.yml", "run.py"}


names = st.sampled_from(["a.yml", "b.yml", "c.yaml", "n.txt", ".h.yml", "__pycache__", "jobs", "d"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
files = st.dictionaries(
    paths, st.tuples(st.sampled_from([FILE, RUN, FILE, LINK]), st.sampled_from("12")), max_size=9
)


def possible(files):
    """Leave out what a file tree cannot hold: a file where there is a folder."""
    return {
        path: said
        for path, said in files.items()
        if not any(other.startswith(f"{path}/") for other in files)
    }


@given(before=files, after=files, kept=st.sets(paths))
@examples(300)
def test_what_is_told_is_what_differs(before, after, kept):
    before = possible(before)
    after = possible({**after, **{p: said for p, said in before.items() if p not in kept}})
    first = survey(Trees(before), INCLUDE, (), {})
    found = survey(Trees(after), INCLUDE, (), first.folders)
    globs = Globs(INCLUDE)
    whole = survey(Trees(after), INCLUDE, (), {})

    def matched(files):
        named = (path for path in files if "__pycache__" not in path.split("/"))
        return {path for path in named if globs.matching(path)}

    assert whole.changed == matched(after)
    assert first.changed == matched(before)
    if found.plain:
        assert found.removed == matched(before) - matched(after)
        edited = {path for path in matched(after) if before.get(path) != after[path]}
        assert found.changed == edited
        assert {**first.folders, **found.folders} == whole.folders
