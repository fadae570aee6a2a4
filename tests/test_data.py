"""What a datastore and a data trigger may say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.data import (
    CREDENTIALS,
    Datastore,
    DatastoreChange,
    Depth,
    FileChange,
    Watched,
    file_url,
    name_bytes,
)
from reconciler.errors import InvalidValue
from tests.strategies import examples

KEY = "${{ secret.KEY }}"


def watching(**said):
    return DatastoreChange(datastore="landing", **said)


def faults(cls, **said):
    with pytest.raises(InvalidValue) as caught:
        cls(**said)
    return dict(caught.value.faults)


def store(scheme="az", **said):
    given = {"account": "contosodata"} if scheme == "az" else {}
    return Datastore(name="landing", url=f"{scheme}://incoming", **given, **said)


@pytest.mark.parametrize(
    ("said", "path", "depth", "directory"),
    [
        ({}, "", Depth.DIRECTORY, ""),
        ({"path_on_datastore": "/in/./a//"}, "in/a", Depth.DIRECTORY, "in/a"),
        ({"path_on_datastore": "in", "recursive": True}, "in", Depth.TREE, "in"),
        ({"path_on_datastore": "in", "file": "a.csv"}, "in/a.csv", Depth.FILE, "in"),
        ({"file": "a.csv"}, "a.csv", Depth.FILE, ""),
    ],
)
def test_what_is_watched_is_a_directory_a_tree_or_a_file(said, path, depth, directory):
    watched = watching(**said).watched
    assert watched == Watched(datastore="landing", path=path, depth=depth)
    assert watched.directory == directory


def test_schedules_that_name_the_same_watch_the_same_whatever_counts_for_them():
    one = watching(path_on_datastore="in/", done_marker="_OK", include=("*.csv",))
    other = watching(path_on_datastore="in", done_marker="_OK", min_size=1, polling_interval=1)
    assert one.watched == other.watched
    assert one.watched != watching(path_on_datastore="in").watched


def test_kinds_of_change_have_one_order():
    changes = (FileChange.DELETED, FileChange.ADDED)
    assert watching(changes=changes).changes == changes[::-1]
    assert watching(changes=changes) == watching(changes=changes[::-1])


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ({"path_on_datastore": "in/../../out"}, "path_on_datastore"),
        ({"file": "a", "recursive": True}, "recursive"),
        ({"file": "a", "include": ("*",)}, "include"),
        ({"file": "a", "done_marker": "b"}, "done_marker"),
        ({"file": ".."}, "file"),
        ({"done_marker": "."}, "done_marker"),
        ({"done_marker": "{name}"}, "done_marker"),
        ({"done_marker": "{name}-{name}"}, "done_marker"),
    ],
)
def test_what_contradicts_itself_is_refused_where_it_stands(said, key):
    assert faults(DatastoreChange, datastore="landing", **said).keys() == {(key,)}


@pytest.mark.parametrize(
    ("marker", "name", "needs"),
    [
        ("_SUCCESS", b"a.csv", b"_SUCCESS"),
        ("_SUCCESS", b"day=1/a.csv", b"day=1/_SUCCESS"),
        ("_SUCCESS", b"_SUCCESS", None),
        ("_SUCCESS", b"day=1/_SUCCESS", None),
        ("{name}.done", b"a.csv", b"a.csv.done"),
        ("{name}.done", b"x/a.csv", b"x/a.csv.done"),
        ("{name}.done", b"a.csv.done", None),
        ("{name}.done", b".done", b".done.done"),
        ("ok-{name}", b"\xff", b"ok-\xff"),
        ("ok-{name}", b"ok-\xff", None),
        ("", b"a.csv", None),
    ],
)
def test_a_file_needs_its_marker_and_a_marker_needs_none(marker, name, needs):
    watched = Watched(datastore="landing", path="", done_marker=marker)
    assert watched.marker_of(name) == needs
    assert watched.is_marker(name) is bool(marker and needs is None)


names = st.binary(min_size=1, max_size=9).filter(lambda name: not {0, 47} & set(name))


@given(names, st.sampled_from(["{name}.done", "done-{name}", ".{name}.ok"]))
@examples(200)
def test_the_marker_of_a_file_is_a_marker(name, marker):
    watched = Watched(datastore="landing", path="", done_marker=marker)
    if (found := watched.marker_of(name)) is not None:
        assert watched.is_marker(found)
        assert watched.marker_of(found) is None


@pytest.mark.parametrize(
    ("url", "spelt"),
    [
        ("s3://incoming/", "s3://incoming"),
        ("s3://incoming/a//", "s3://incoming/a"),
        ("file:///data/", "file:///data/"),
        ("file:landing", "file:landing"),
    ],
)
def test_an_address_has_one_spelling(url, spelt):
    assert Datastore(name="landing", url=url).url == spelt
    endpoint = store("s3", endpoint="http://localhost:9000/").endpoint
    assert endpoint == "http://localhost:9000"


def test_credentials_and_words_about_it_make_no_other_place_and_an_address_does():
    one = store(credentials={"account_key": KEY})
    assert one.place == store(description="x", tags={"a": "b"}).place
    assert one.place != store(endpoint="http://localhost").place
    assert one.place != Datastore(name="landing", url="az://incoming", account="other").place
    assert (one.scheme, store("gs").scheme) == ("az", "gs")


def test_the_secrets_of_a_datastore_are_named():
    both = {"access_key_id": KEY, "secret_access_key": "${{secret.OTHER}}"}
    assert store("s3", credentials=both).secrets == {
        "access_key_id": "KEY",
        "secret_access_key": "OTHER",
    }
    assert store().secrets == {}


@pytest.mark.parametrize("scheme", sorted(CREDENTIALS))
@pytest.mark.parametrize("text", ["hunter2", "x${{ secret.KEY }}", "${{ secrets.KEY }}", "", "\n"])
def test_a_credential_that_is_written_out_is_refused_and_not_shown(scheme, text):
    for name in CREDENTIALS[scheme]:
        given = {"account": "abc"} if scheme == "az" else {}
        found = faults(Datastore, name="x", url=f"{scheme}://x", credentials={name: text}, **given)
        assert found.keys() == {("credentials", name)}
        assert "must be a reference" in found["credentials", name]
        assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("scheme", "names", "wrong"),
    [
        ("az", ["account_key"], []),
        ("az", ["sas_token"], []),
        ("az", ["client_id"], []),
        ("az", ["client_id", "tenant_id"], []),
        ("az", ["client_id", "client_secret", "tenant_id"], []),
        ("az", ["client_id", "client_secret"], [("credentials", "client_secret")]),
        ("az", ["tenant_id"], [("credentials", "tenant_id")]),
        ("az", ["account_key", "sas_token"], [("credentials",)]),
        ("s3", ["access_key_id", "secret_access_key"], []),
        ("s3", ["access_key_id", "secret_access_key", "session_token"], []),
        ("s3", ["secret_access_key"], [("credentials", "secret_access_key")]),
        ("s3", ["session_token"], [("credentials", "session_token")]),
        ("s3", ["account_key"], [("credentials", "account_key")]),
        ("gs", ["service_account_key"], []),
    ],
)
def test_credentials_fit_the_store_and_each_other(scheme, names, wrong):
    credentials = dict.fromkeys(names, KEY)
    if not wrong:
        assert store(scheme, credentials=credentials).credentials == credentials
        return
    given = {"account": "abc"} if scheme == "az" else {}
    found = faults(Datastore, name="x", url=f"{scheme}://x", credentials=credentials, **given)
    assert list(found) == wrong


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"url": "az://x"}, ()),
        ({"url": "s3://x", "account": "abc"}, ("account",)),
        ({"url": "gs://x", "region": "a"}, ("region",)),
        ({"url": "file:x", "endpoint": "http://x"}, ("endpoint",)),
        ({"url": "s3://x", "endpoint": "http://x:99999"}, ("endpoint",)),
        ({"url": "s3://x", "endpoint": "http://:80"}, ("endpoint",)),
        ({"url": "s3://x", "endpoint": "http://[::1"}, ("endpoint",)),
        ({"url": "file:x", "anonymous": True}, ("anonymous",)),
        ({"url": "file:x", "credentials": {"account_key": KEY}}, ("credentials", "account_key")),
        (
            {"url": "gs://x", "anonymous": True, "credentials": {"service_account_key": KEY}},
            ("anonymous",),
        ),
    ],
)
def test_what_says_nothing_about_the_store_is_refused(said, wrong):
    assert list(faults(Datastore, name="x", **said)) == [wrong]


@pytest.mark.parametrize("store", ["s3://incoming", "file:///data/"])
def test_a_file_has_an_address_in_ascii(store):
    url = file_url(store, b"a b/\xff?#%")
    assert url == f"{store.rstrip('/')}/a%20b/%FF%3F%23%25"


def test_a_name_that_was_no_text_keeps_its_bytes():
    assert name_bytes("é\udcff") == b"\xc3\xa9\xff"


def test_a_path_with_a_nul_is_refused():
    said = {"datastore": "landing", "path_on_datastore": "in\0x"}
    assert list(faults(DatastoreChange, **said)) == [("path_on_datastore",)]
