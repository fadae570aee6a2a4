"""What the operator says about a machine, and what it is where nothing is said."""

import os

import pytest

from reconciler.errors import ManifestError
from reconciler.runner.config import RunnerConfig
from reconciler.settings import read_runner_config


def test_a_machine_has_what_it_has():
    limits = RunnerConfig().limits()
    assert limits.capacity.places == 16
    assert limits.capacity.millicpus == 1_000 * os.cpu_count()
    assert limits.capacity.memory == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert limits.capacity.gpus == 0
    assert (limits.max_starts, limits.patience) == (300, 60_000_000)


def test_an_operator_may_say_otherwise(tmp_path):
    file = tmp_path / "runner.yml"
    file.write_text(
        "max_steps: 4\ncpus: 1.5\nmemory: 2Gi\ngpus: 1\nmax_starts_per_minute: 10\npatience: 5m\n"
    )
    limits = read_runner_config(str(file)).limits()
    assert limits.capacity == (4, 1_500, 2 << 30, 1)
    assert (limits.max_starts, limits.patience) == (10, 300_000_000)


def test_a_memory_that_is_no_size_is_refused_with_its_place(tmp_path):
    file = tmp_path / "runner.yml"
    file.write_text("memory: much\n")
    with pytest.raises(ManifestError, match=r"runner.yml:1:9: .*write for example 512Mi"):
        read_runner_config(str(file))
