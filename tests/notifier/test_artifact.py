"""A stranger's plan.json: a plan, or one line."""

import contextlib
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from reconciler.errors import PlanFileError
from reconciler.live import Owner
from reconciler.notifier import artifact
from reconciler.notifier.artifact import read_artifact
from reconciler.notifier.comment import parse, planned
from reconciler.plan.codec import json_digest, plan_data, plan_json
from tests.notifier.test_comment import HEAD, NEXT, hostile_plan, plan, update
from tests.plan.told import WHOLE, plans
from tests.strategies import examples


def put(tmp_path, text):
    path = tmp_path / "plan.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def signed(data):
    """Give a document a digest that fits: anybody can."""
    data = {name: value for name, value in data.items() if name != "plan_digest"}
    return json.dumps({**data, "plan_digest": json_digest(data)})


def offline(changes=()):
    return plan(changes, base=NEXT)


def test_what_our_writer_wrote_is_read(tmp_path):
    whole = replace(WHOLE, commit=HEAD, base=NEXT)
    for made in (offline(), offline([update("a")]), hostile_plan(base=NEXT), whole):
        assert read_artifact(put(tmp_path, plan_json(made))) == made


def edited(change):
    data = json.loads(json.dumps(plan_data(offline([update("a")]))))
    change(data)
    return signed(data)


@given(plans)
@examples(20)
def test_every_plan_is_read_back_from_an_artifact(made):
    made = replace(made, commit=HEAD, base=NEXT)
    with tempfile.TemporaryDirectory() as folder:
        read = read_artifact(put(Path(folder), plan_json(made)))
    assert plan_json(read) == plan_json(made)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(extra="x"),
        lambda data: data.update(commit=["x"]),
        lambda data: data.update(errored=True),
        lambda data: data.update(approval_digest="sha256:" + "0" * 64),
        lambda data: data["summary"].update(create=7),
        lambda data: data["summary"].update(unchanged=True),
        lambda data: data["tool"].update(name="<b>"),
        lambda data: data["resource_changes"][0].update(line="1</code>"),
        lambda data: data["resource_changes"][0].update(address="Schedule.other"),
        lambda data: data["resource_changes"][0].update(fields={}),
        lambda data: data["resource_changes"][0].update(impact=[]),
        lambda data: data["resource_changes"][0]["change"].update(after=7),
        lambda data: data.update(resource_changes=None),
        lambda data: data.update(as_of="yesterday"),
        lambda data: data.update(guards=[{"id": "x", "message": "m", "allowable": "<b>"}]),
    ],
)
def test_what_our_writer_would_not_write_is_refused_or_harmless(tmp_path, change):
    text = edited(change)
    with contextlib.suppress(PlanFileError):
        made = read_artifact(put(tmp_path, text))
        assert json.loads(plan_json(made)) == json.loads(text)
        assert parse(planned(made, HEAD)).approval is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON"),
        ("[" * 200_000, "is not JSON"),
        ("{}", "is not a plan"),
        (b"\xff\xfe", "is not UTF-8"),
        ('{"format_version": "9.0"}', "has format '9.0'"),
        (plan_json(plan()).replace("dev", "prd"), "was changed after it was made"),
        (plan_json(plan()), "is not of two commits"),
        (plan_json(plan(base=NEXT, commit=None)), "is not of two commits"),
        (plan_json(plan(base="main")), "has names that no project or commit has"),
        (plan_json(plan(base=NEXT, commit="f" * 1_000)), "has names that no project"),
        (plan_json(plan(base=NEXT, owner=Owner("p" * 300, "dev"))), "has names that no project"),
    ],
)
def test_what_is_no_plan_is_one_line(tmp_path, text, says):
    with pytest.raises(PlanFileError, match=says) as caught:
        read_artifact(put(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_large_one_a_link_a_pipe_and_none(tmp_path, monkeypatch):
    monkeypatch.setattr(artifact, "LIMIT", 1 << 20)
    with pytest.raises(PlanFileError, match="is over 1 MiB"):
        read_artifact(put(tmp_path, b" " * ((1 << 20) + 1)))
    secret = put(tmp_path, plan_json(plan()))
    (tmp_path / "link.json").symlink_to(secret)
    with pytest.raises(PlanFileError, match=r"has no plan\.json"):
        read_artifact(str(tmp_path / "link.json"))
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(PlanFileError, match="is no regular file"):
        read_artifact(str(tmp_path / "pipe.json"))
    with pytest.raises(PlanFileError, match=r"has no plan\.json: No such file"):
        read_artifact(str(tmp_path / "none.json"))
