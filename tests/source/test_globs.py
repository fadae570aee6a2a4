from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import SourceError
from reconciler.source.globs import Globs

MATCHES = [
    ("*.yml", "a.yml", True),
    ("*.yml", "m/a.yml", False),
    ("m/*.yml", "m/a.yml", True),
    ("m/*.yml", "m/a.yaml", False),
    ("m/*.yml", "m/x/a.yml", False),
    ("./m//*.yml", "m/a.yml", True),
    ("m/**/*.yml", "m/a.yml", True),
    ("m/**/*.yml", "m/x/y/a.yml", True),
    ("**/*.yml", "a.yml", True),
    ("**/*.yml", "x/y/a.yml", True),
    ("**/m/**/*.yml", "x/m/a.yml", True),
    ("**/m/**/*.yml", "x/a.yml", False),
    ("m/**", "m/x/a", True),
    ("m/**/**/a", "m/a", True),
    ("m/a**b", "m/a1b", True),
    ("m/a**b", "m/a/b", False),
    ("m/?[ab].yml", "m/1b.yml", True),
    ("m/?[!ab].yml", "m/1b.yml", False),
    ("M/*", "m/a", False),
    ("*", ".hidden", False),
    (".*", ".hidden", True),
    ("**/*.yml", ".github/check.yml", False),
    ("**/a.yml", "x/.y/a.yml", False),
    (".github/*.yml", ".github/check.yml", True),
    ("m/*.yml", "m/new\nline.yml", True),
    ("m/*.yml", "m/a.yml\n", False),
]


@pytest.mark.parametrize(("glob", "path", "expected"), MATCHES)
def test_a_glob_matches_as_in_a_shell(glob, path, expected):
    assert Globs([glob]).matching(path) == ({glob} if expected else set())


REACHES = [
    ("m/*.yml", "m", True),
    ("m/*.yml", "m/x", False),
    ("m/*.yml", "x", False),
    ("m/**/*.yml", "m/x/y", True),
    ("**/*.yml", "x", True),
    ("**/*.yml", ".git", False),
    ("m/x/*.yml", "m", True),
    ("*/x/a", "m/x", True),
    ("*/x/a", "m/y", False),
]


@pytest.mark.parametrize(("glob", "folder", "expected"), REACHES)
def test_a_folder_is_entered_only_where_something_could_match(glob, folder, expected):
    assert Globs([glob]).reaches(folder) is expected


def test_each_glob_that_matches_is_named():
    globs = Globs(["m/*", "m/a.*", "x/*"])
    assert globs.matching("m/a.yml") == {"m/*", "m/a.*"}


@pytest.mark.parametrize("glob", ["", "/", ".", "/etc/*", "../*.yml", "m/../../*", "./"])
def test_a_glob_that_is_none_or_leaves_the_project_is_refused(glob):
    with pytest.raises(SourceError, match="not a glob within the project"):
        Globs(["m/*.yml", glob])


def test_no_glob_at_all_is_refused():
    with pytest.raises(SourceError, match="names no glob"):
        Globs([])


NAMES = st.sampled_from(["a", "b", "ab", ".a", "a.b"])
PATHS = st.lists(NAMES, min_size=1, max_size=5)


@given(st.lists(st.sampled_from(["**", "*", "a*", "b", ".*"]), min_size=1, max_size=4), PATHS)
def test_a_file_that_matches_lies_only_in_folders_that_are_reached(segments, names):
    globs = Globs(["/".join(segments)])
    if globs.matching("/".join(names)):
        assert all(globs.reaches("/".join(names[:end])) for end in range(1, len(names)))
