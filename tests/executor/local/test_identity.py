"""The name of a folder of attempts."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.errors import ExecutorError
from reconciler.executor.local.identity import identity


def test_a_folder_keeps_its_name_and_an_empty_one_in_its_place_has_another(tmp_path):
    root = tmp_path / "home" / "attempts"
    first = identity(str(root))
    assert identity(str(root)) == first
    root.rename(tmp_path / "away")
    assert identity(str(root)) != first


def test_runners_that_begin_at_once_on_a_new_folder_agree_on_its_name(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        names = set(threads.map(identity, [str(tmp_path / "attempts")] * 8))
    assert len(names) == 1


def test_a_folder_that_cannot_be_written_to_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExecutorError, match="no attempt can be started"):
        identity(str(tmp_path / "file" / "attempts"))
