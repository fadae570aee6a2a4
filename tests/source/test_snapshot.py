from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import SourceError
from reconciler.source.snapshot import EXECUTABLE, PLAIN, code_tree, digest, dropping, read

ENTRIES = st.dictionaries(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=8),
    st.tuples(st.sampled_from([PLAIN, EXECUTABLE]), st.binary(max_size=8)),
    max_size=5,
).map(lambda tree: [(path, mode, content) for path, (mode, content) in tree.items()])


def test_the_digest_is_that_of_the_documented_lines():
    content = hashlib.sha256(b"pass\n").hexdigest()
    lines = f"100644 b.py\0{content}\n100755 a.sh\0{content}\n"
    entries = [("a.sh", EXECUTABLE, b"pass\n"), ("b.py", PLAIN, b"pass\n")]
    assert digest(entries) == hashlib.sha256(lines.encode()).hexdigest()


@given(ENTRIES, st.randoms())
def test_the_order_of_entries_does_not_matter(entries, random):
    shuffled = random.sample(entries, len(entries))
    assert code_tree(shuffled) == code_tree(entries)
    assert code_tree(shuffled).entries == tuple(sorted(entries))


@given(ENTRIES, ENTRIES)
def test_two_trees_have_one_digest_only_if_they_are_the_same(one, other):
    assert (digest(one) == digest(other)) is (sorted(one) == sorted(other))


def test_the_executable_bit_is_the_owners(tmp_path):
    for mode, expected in [(0o644, PLAIN), (0o655, PLAIN), (0o700, EXECUTABLE)]:
        (tmp_path / "file").write_bytes(b"x")
        (tmp_path / "file").chmod(mode)
        assert read(str(tmp_path), "file", 1) == (expected, b"x")


def test_a_file_that_became_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="'pipe' is not a regular file"):
        read(str(tmp_path), "pipe", 100)


def test_a_file_that_says_it_is_empty_and_is_not_is_held_to_the_limit():
    with pytest.raises(SourceError, match="more than 64 MiB"):
        read("/proc/self", "status", 10)


@pytest.mark.parametrize("path", [".git/config", "a/__pycache__", "x.pyc", ".x.swp", "#x#", "x~"])
def test_leftovers_are_known_by_name(path):
    assert dropping(path)


@pytest.mark.parametrize("path", [".gitignore", ".github/x", "pycache", ".env", "x.pyx", "a#b"])
def test_files_that_only_look_like_leftovers_are_kept(path):
    assert not dropping(path)
