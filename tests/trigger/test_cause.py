import json

import pytest

from reconciler.data import DataPath, DatastoreChange, name_bytes
from reconciler.trigger.cause import Cause, listed

LOCAL = b"4 1700000000000000000@77"
HOSTILE = [b"two\nlines", b"$(touch x)", b"-rf", b"\xff\xfe", "ünï".encode(), b"'\"", b"a%2Fb"]


def cause(**fields):
    return Cause(DatastoreChange(datastore="landing", **fields), "file:///data/landing")


def test_a_file_is_told_with_its_place_its_address_and_its_state():
    assert cause(path_on_datastore="in").file(b"x.csv", "added", LOCAL) == {
        "path": "in/x.csv",
        "url": "file:///data/landing/in/x.csv",
        "change": "added",
        "size": 4,
        "mtime_ns": 1_700_000_000_000_000_000,
        "state": LOCAL.decode(),
    }


def test_a_file_at_the_top_of_a_bucket_has_no_folder():
    file = Cause(DatastoreChange(datastore="b"), "s3://bucket/").file(b"x", "added", b'1 "e" 5')
    assert (file["path"], file["url"]) == ("x", "s3://bucket/x")
    assert (file["etag"], file["modified"]) == ("e", 5)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_told_exactly_and_its_address_in_ascii(name):
    file = cause().file(name, "added", LOCAL)
    assert name_bytes(file["path"]) == name
    assert file["url"].isascii()
    (line,) = listed([file]).splitlines()
    assert name_bytes(json.loads(line)["path"]) == name


def test_the_parameter_receives_the_path_behind_the_name_of_the_datastore():
    told = cause(path_on_datastore="in", data_path_parameter_name="file")
    facts = told.of_one(told.file(b"x", "added", LOCAL), 7)
    assert (facts["datastore"], facts["poll"], facts["parameter"]) == ("landing", 7, "file")
    assert told.parameters(facts) == {"file": "landing/in/x"}
    assert cause().parameters(facts) is None
    assert "data_path" not in facts


def test_a_run_for_many_files_is_told_the_directory_and_how_many():
    told = cause(path_on_datastore="in", data_path=DataPath.DATASTORE)
    assert told.of_many(3, 7) == {
        "datastore": "landing",
        "path": "in",
        "url": "file:///data/landing/in",
        "files": 3,
        "poll": 7,
        "data_path": "datastore",
    }


def test_at_the_top_the_parameter_is_the_datastore_alone():
    told = cause(data_path_parameter_name="files")
    assert told.parameters(told.of_many(1, 1)) == {"files": "landing"}
