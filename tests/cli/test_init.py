"""A new project."""

from pathlib import Path


def test_a_new_project_validates_plans_and_applies_at_once(empty):
    done = empty("init")
    assert done.out.splitlines() == [
        "wrote reconciler.yml",
        "wrote schedules/hello.yml",
        "wrote schedules/hello/greet.py",
        "wrote .gitignore",
        "Next: reconciler plan && reconciler apply && reconciler runner start",
    ]
    assert empty("validate").out == "OK: 1 schedule, 1 pipeline, 0 datastores in 1 file\n"
    assert "Plan: 2 to add" in empty("plan").out
    assert "project: shop\n" in Path("reconciler.yml").read_text()
    empty.apply()
    assert "first run" not in empty("next", "hello-every-morning").out


def test_in_a_repository_the_next_steps_include_a_commit(empty):
    empty.git("init", "-q")
    steps = "git add -A . && git commit && reconciler apply && reconciler runner start\n"
    assert empty("init").out.endswith(f"Next: reconciler plan && {steps}")
    assert empty("init", "sub").out.endswith(f"Next: cd sub && reconciler plan && {steps}")


def test_nothing_is_overwritten(empty):
    Path("schedules").mkdir()
    Path("schedules/hello.yml").write_text("mine")
    done = empty("init")
    assert (done.code, done.err) == (
        1,
        "error: schedules/hello.yml is there already; nothing was written\n",
    )
    assert not Path("reconciler.yml").exists()
    assert Path("schedules/hello.yml").read_text() == "mine"


def test_a_folder_and_a_name_may_be_given(empty):
    done = empty("init", "sub dir", "--name", "risk")
    assert "Next: cd 'sub dir' && reconciler plan &&" in done.out
    assert "project: risk\n" in Path("sub dir/reconciler.yml").read_text()
    assert empty("init", "other dir").code == 0
    assert "project: other-dir\n" in Path("other dir/reconciler.yml").read_text()
    refused = empty("init", "third", "--name", "a b")
    assert refused.code == 1
    assert "'a b' is not a name" in refused.err


def test_the_workspace_is_kept_out_of_git_once(empty):
    Path(".gitignore").write_text("*.pyc")
    empty("init")
    assert Path(".gitignore").read_text() == "*.pyc\n.reconciler/\n"
    Path("reconciler.yml").unlink()
    Path("schedules/hello.yml").unlink()
    Path("schedules/hello/greet.py").unlink()
    assert "wrote .gitignore" not in empty("init").out
