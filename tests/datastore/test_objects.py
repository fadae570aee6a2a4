"""What only object stores do, and how they fail, on real servers."""

from __future__ import annotations

import asyncio
import hmac
import logging
import sys
from base64 import b64decode, b64encode
from contextlib import ExitStack
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from threading import Thread
from urllib.parse import quote, urlencode

import obstore
import pytest

from reconciler.data import Datastore, Depth, Watched
from reconciler.datastore import objects
from reconciler.datastore.objects import ObjectDatastore
from reconciler.datastore.rest import Rest
from reconciler.errors import DatastoreError, FileChanged
from tests.servers.proxy import Answer, Proxy
from tests.servers.stores import free_ports

FLAT = Watched(datastore="landing", path="in")
TREE = Watched(datastore="landing", path="in", depth=Depth.TREE)
MANY = 1_100  # more than S3 lists in a page
SECRET = "recognisable-SECRET-0123456789"


def names(reader, watched=FLAT):
    return [name for files in reader.scan(watched) for name in files.names]


def listing(reader, watched=FLAT):
    return {name: it for files in reader.scan(watched) for name, it in zip(*files, strict=True)}


@pytest.fixture(params=["azurite", "seaweedfs", "fakegcs"])
def container(request):
    return request.getfixturevalue(request.param).container()


@pytest.fixture(scope="module")
def full(seaweedfs):
    """A bucket that is listed in two pages."""
    made = seaweedfs.container()
    store = made.open()._objects

    async def fill():
        numbers = iter(range(MANY))

        async def some():
            for number in numbers:
                await obstore.put_async(store, f"in/{number:05d}", b"x", use_multipart=False)

        await asyncio.gather(*(some() for _ in range(32)))

    asyncio.run(fill())
    return made


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(objects, "_TIMEOUTS", {"connect_timeout": "1s", "read_timeout": "300ms"})
    quick = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=2)}
    again = {"max_retries": 2, "retry_timeout": timedelta(seconds=2), "backoff": quick}
    monkeypatch.setattr(objects, "_RETRIES", again)


@pytest.fixture
def spoiled(full, impatient):
    """Open the bucket that is full through a proxy that spoils what is answered."""
    with ExitStack() as stack:

        def begin(spoil):
            proxy = stack.enter_context(Proxy(full.server.endpoint, spoil))
            return proxy, full.open(endpoint=proxy.endpoint)

        yield begin


def is_second_page(path):
    return "continuation-token" in path


def test_marks_that_tools_make_for_folders_are_no_files(container):
    for key in ("in/", "in/folder/", "in/folder/deep/"):
        container.put(key, b"")
    for key in ("in/a", "in/folder/b"):
        container.put(key)
    reader = container.open()
    for _ in range(2):
        assert names(reader) == [b"a"]
        assert names(reader, TREE) == [b"a", b"folder/b"]
    container.put("in/new\nline")  # now it is listed in the other way
    assert names(reader) == [b"a", b"new\nline"]
    assert names(reader, TREE) == [b"a", b"folder/b", b"new\nline"]


def test_marks_that_hadoop_makes_for_folders_are_no_files(azurite):
    container = azurite.container()
    container.put("in/folder", b"", **{"x-ms-meta-hdi_isfolder": "true"})
    container.put("in/empty", b"")
    assert names(container.open()) == [b"empty"]
    assert container.open().look(FLAT, [b"folder"]) == {}
    container.put("in/new\nline")
    assert names(container.open()) == [b"empty", b"new\nline"]


def test_empty_files_are_asked_for_once(seaweedfs, monkeypatch):
    container = seaweedfs.container()
    for number in range(4):
        container.put(f"in/{number}", b"")
    with Proxy(seaweedfs.endpoint) as proxy:
        reader = container.open(endpoint=proxy.endpoint)
        assert len(names(reader)) == 4
        asked = len(proxy.asked)
        assert len(names(reader)) == 4
        assert len(proxy.asked) == asked + 1
    monkeypatch.setattr(objects, "_MOST_KNOWN", 2)
    assert len(names(reader := container.open())) == 4
    container.put("in/5", b"")
    assert len(names(reader)) == 5
    assert len(reader._files) < 5


def test_large_folders_below_are_not_walked(container, monkeypatch):
    monkeypatch.setattr(objects, "_CHUNK", 20)
    for folder in ("deep", "deeper"):
        for number in range(50):
            container.put(f"in/{folder}/{number:03d}")
    direct = ["a", "deep-1", "deep.1", "deep0", "deepest", "z"]
    for name in direct:
        container.put(f"in/{name}")
    with Proxy(container.server.endpoint) as proxy:
        reader = container.open(endpoint=proxy.endpoint)
        assert names(reader) == [name.encode() for name in sorted(direct)]
    begun = [path for path in proxy.asked if "start-after" in path]
    delimited = [path for path in proxy.asked if "delimiter" in path]
    kinds = {"az": (0, 1), "s3": (2, 0), "gs": (1, 0)}  # fake-gcs-server takes no start-after
    assert (len(begun), len(delimited)) == kinds[container.server.scheme]
    assert len(names(container.open(), TREE)) == 106


def test_a_listing_of_several_pages_is_whole(full):
    assert names(full.open()) == [b"%05d" % number for number in range(MANY)]
    assert names(full.open(), TREE) == names(full.open())
    assert set(full.open().look(FLAT, names(full.open()))) == set(names(full.open()))


@pytest.mark.parametrize("cut", [0, 1_000])
def test_a_listing_that_breaks_off_gives_nothing(spoiled, cut):
    def spoil(path, answer):
        return answer._replace(cut=cut) if is_second_page(path) else answer

    _, reader = spoiled(spoil)
    pieces = reader.scan(FLAT)
    with pytest.raises(DatastoreError, match="breaks off; see to the network"):
        next(pieces)


def test_after_a_listing_that_broke_off_the_next_is_whole(spoiled):
    cuts = [1_000]

    def spoil(path, answer):
        return answer._replace(cut=cuts.pop()) if cuts and is_second_page(path) else answer

    _, reader = spoiled(spoil)
    with pytest.raises(DatastoreError, match="breaks off"):
        names(reader)
    assert len(names(reader)) == MANY


def test_a_page_that_comes_twice_does_no_harm(spoiled):
    seen = []

    def spoil(path, answer):
        seen.append(answer)
        return seen[0] if len(seen) == 2 else answer

    proxy, reader = spoiled(spoil)
    assert names(reader) == [b"%05d" % number for number in range(MANY)]
    assert len(proxy.asked) == 3


@pytest.mark.parametrize("status", [500, 503])
def test_a_store_that_is_busy_once_is_asked_again(spoiled, status):
    proxy, reader = spoiled(
        lambda path, answer: Answer(status, b"") if len(proxy.asked) == 2 else answer
    )
    assert len(names(reader)) == MANY


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(503, b"<Error><Code>SlowDown</Code></Error>"), "cannot answer now (503 SlowDown);"),
        (Answer(403, b"<Error><Code>AccessDenied</Code></Error>"), "access is denied (403 AccessDenied); grant"),
        (Answer(403, b""), "access is denied (403); grant permission"),
        (Answer(403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>"), "clock differs from the store's (403 RequestTimeTooSkewed); set it right"),
        (Answer(400, b"<Error><Code>ExpiredToken</Code></Error>"), "refused (400 ExpiredToken); renew"),
        (Answer(400, b"<Error><Code>AuthorizationHeaderMalformed</Code></Error>"), "in another region (400 AuthorizationHeaderMalformed); correct region"),
        (Answer(404, b"<Error><Code>NoSuchBucket</Code></Error>"), "does not exist (404 NoSuchBucket); create it"),
        (Answer(418, b""), "refused (418); correct what is said"),
        (Answer(200, b"<html>captive portal"), "cannot be read"),
        (None, "does not answer in time"),
    ],
)  # fmt: skip
def test_what_goes_wrong_between_two_pages_is_told_with_a_way_out(spoiled, answer, said):
    _, reader = spoiled(lambda path, real: answer if is_second_page(path) else real)
    with pytest.raises(DatastoreError) as told:
        names(reader)
    assert said in str(told.value)
    assert str(told.value).startswith("s3://")
    assert "\n" not in str(told.value)


def test_quotes_around_an_etag_say_nothing(spoiled, full):
    bare = [b"&#34;", b"&quot;", b'"']

    def spoil(path, answer):
        body = answer.body
        for quotes in bare:
            body = body.replace(b"<ETag>" + quotes, b"<ETag>").replace(
                quotes + b"</ETag>", b"</ETag>"
            )
        assert body != answer.body
        return answer._replace(body=body)

    _, reader = spoiled(spoil)
    assert listing(reader) == listing(full.open())


def test_a_file_that_breaks_off_is_no_file(spoiled, full):
    facts = listing(full.open())[b"00007"]
    _, reader = spoiled(lambda path, answer: answer._replace(cut=0))
    with pytest.raises(DatastoreError, match="; "):
        reader.read(b"in/00007", facts, BytesIO())


def test_a_name_with_a_nul_is_told_and_nothing_concluded(seaweedfs):
    container = seaweedfs.container()
    container.put("in/new\nline")

    def spoil(path, answer):
        return answer._replace(body=answer.body.replace(b"%0A", b"%00"))

    with Proxy(seaweedfs.endpoint, spoil) as proxy:
        reader = container.open(endpoint=proxy.endpoint)
        with pytest.raises(
            DatastoreError, match=r"object 'in/new\\x00line' of .* has a NUL .*; rename it"
        ):
            names(reader)


def test_a_listing_of_hostile_names_that_is_no_xml_or_refused_is_told(seaweedfs):
    container = seaweedfs.container()
    container.put("in/new\nline")
    answers = {"encoding-type": Answer(200, b"<oops")}

    def spoil(path, answer):
        return next((it for key, it in answers.items() if key in path), answer)

    with Proxy(seaweedfs.endpoint, spoil) as proxy:
        reader = container.open(endpoint=proxy.endpoint)
        with pytest.raises(DatastoreError, match=r"refused \(200 ListingIsNoXml\); "):
            names(reader)
        for body, said in (
            (b"<Error><Code>AccessDenied</Code></Error>", "403 AccessDenied"),
            (b"nonsense", "403 Forbidden"),
        ):
            answers["encoding-type"] = Answer(403, body)
            with pytest.raises(DatastoreError, match=said):
                names(reader)


def test_pages_of_hostile_names_follow_one_another(azurite, seaweedfs, full, monkeypatch):
    reader = Rest.open(full.datastore(), full.server.credentials)
    pages = list(reader.list("in/", deep=True))
    assert len(pages) == 2
    assert sum(map(len, pages)) == MANY
    # Azurite's pages have 5,000 blobs; a marker says where the next one begins.
    container = azurite.container()
    for name in "abc":
        container.put(f"in/{name}\n")
    asked = Rest.request

    def small(self, method, key="", query=None, **more):
        if query and query.get("comp") == "list":
            query = {**query, "maxresults": "1"}
        return asked(self, method, key, query, **more)

    monkeypatch.setattr(Rest, "request", small)
    assert names(container.open()) == [b"a\n", b"b\n", b"c\n"]


def secrets_of(server):
    return {
        "az": {"account_key": b64encode(SECRET.encode()).decode()},
        "s3": {"access_key_id": "reconciler", "secret_access_key": SECRET},
        "gs": {},
    }[server.scheme]


@pytest.mark.parametrize("server", ["azurite", "seaweedfs"])
def test_no_part_of_a_secret_is_ever_told(request, server, caplog, capfd, impatient):
    caplog.set_level(logging.DEBUG)
    server = request.getfixturevalue(server)
    container = server.container()
    container.put("in/new\nline")
    wrong = secrets_of(server)
    (nobody,) = free_ports(1)
    told = []
    for endpoint in (server.endpoint, f"http://127.0.0.1:{nobody}"):
        reader = container.open(credentials=wrong, endpoint=endpoint)
        rest = Rest.open(container.datastore(endpoint=endpoint), wrong)
        told += [repr(reader), repr(rest), repr(rest.sign)]
        for call in (
            lambda reader=reader: names(reader),
            lambda reader=reader: reader.look(FLAT, [b"a", b"new\nline"]),
            lambda reader=reader: reader.read(b"in/a", b'1 "x" 1', BytesIO()),
            lambda reader=reader: reader.read(b"in/new\nline", b'1 "x" 1', BytesIO()),
        ):
            with pytest.raises(DatastoreError) as failure:
                call()
            told += [str(failure.value), repr(failure.value)]
            assert failure.value.__cause__ is None
    out = capfd.readouterr()
    everything = "\n".join([*told, caplog.text, out.out, out.err])
    for part in (SECRET, *wrong.values(), SECRET[:12]):
        if part != "reconciler":
            assert part not in everything
    assert "credentials are refused (403" in everything
    assert "cannot be reached or breaks off; see to the network" in everything


@pytest.mark.parametrize(
    ("store", "given"),
    [
        ({"url": "az://landing", "account": "contoso"}, {"account_key": f"no base64 {SECRET}"}),
        ({"url": "gs://landing"}, {"service_account_key": f'{{"private_key": "{SECRET}"}}'}),
        ({"url": "gs://landing"}, {"service_account_key": SECRET}),
        ({"url": "az://landing", "account": "contoso"}, {"sas_token": f"%ff{SECRET}"}),
    ],
)
def test_credentials_that_make_no_sense_are_named_and_not_shown(store, given):
    with pytest.raises(DatastoreError) as told:
        ObjectDatastore(Datastore(name="landing", **store), given)
    assert str(told.value).endswith(f"credentials make no sense; correct {next(iter(given))}")


def test_a_shared_access_signature_opens_a_container(azurite):
    container = azurite.container()
    container.put("in/a")
    container.put("in/new\nline", b"content")
    # Fields as in Azure Storage's "Create an account SAS", version 2020-12-06.
    fields = {
        "sp": "rl",
        "ss": "b",
        "srt": "co",
        "st": "",
        "se": "2099-01-01T00:00:00Z",
        "sip": "",
        "spr": "",
        "sv": "2021-12-02",
        "ses": "",
    }
    text = "\n".join(["devstoreaccount1", *fields.values(), ""])
    key = b64decode(azurite.credentials["account_key"])
    signed = b64encode(hmac.digest(key, text.encode(), "sha256")).decode()
    token = urlencode({name: it for name, it in fields.items() if it} | {"sig": signed})
    for given in (token, f"?{token}"):
        reader = container.open(credentials={"sas_token": given})
        assert names(reader) == [b"a", b"new\nline"]
        facts = listing(reader)[b"new\nline"]
        into = BytesIO()
        reader.read(b"in/new\nline", facts, into)
        assert into.getvalue() == b"content"


def test_the_environment_opens_a_store_that_has_no_credentials(azurite, seaweedfs, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweedfs.credentials["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweedfs.credentials["secret_access_key"])
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", azurite.credentials["account_key"])
    for server in (azurite, seaweedfs):
        container = server.container()
        container.put("in/a")
        container.put("in/new\nline")
        assert names(container.open(credentials={})) == [b"a", b"new\nline"]


def test_credentials_that_are_given_count_and_not_those_of_the_environment(
    azurite, seaweedfs, monkeypatch
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "wrong")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AZURE_STORAGE_ENDPOINT"):
        monkeypatch.setenv(name, "https://elsewhere.invalid")
    for name in ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_TOKEN", "AZURE_STORAGE_CLIENT_SECRET"):
        monkeypatch.setenv(name, "sv=wrong")
    for server in (azurite, seaweedfs):
        container = server.container()
        container.put("in/a")
        assert names(container.open()) == [b"a"]


def test_a_machine_s_own_identity_opens_a_store_and_cannot_tell_every_name(seaweedfs, monkeypatch):
    known = seaweedfs.credentials

    class Identity(BaseHTTPRequestHandler):
        def do_GET(self):
            body = (
                f'{{"AccessKeyId": "{known["access_key_id"]}", "SecretAccessKey": '
                f'"{known["secret_access_key"]}", "Token": "", "Expiration": "2099-01-01T00:00:00Z"}}'
            )
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments):
            pass

    container = seaweedfs.container()
    container.put("in/a")
    with HTTPServer(("127.0.0.1", 0), Identity) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        place = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", place)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        token = "/dev/null"
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token)
        try:
            reader = container.open(credentials={})
            container.put("in/\ufffd")
            assert names(reader) == [b"a", "\ufffd".encode()]
            container.put("in/new\nline")
            said = r"object 'in/new\\nline' of s3://\w+ has a name .*; rename it, or give"
            with pytest.raises(DatastoreError, match=said):
                names(reader)
            with pytest.raises(DatastoreError, match=said):
                reader.look(FLAT, [b"new\nline"])
        finally:
            server.shutdown()
            thread.join()


def test_a_machine_without_any_credentials_is_told_so(seaweedfs, monkeypatch, impatient):
    (nobody,) = free_ports(1)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{nobody}")
    with pytest.raises(DatastoreError, match="no credentials are found on this machine; give"):
        names(seaweedfs.container().open(credentials={}))


def test_a_store_that_anybody_may_read_needs_no_credentials(seaweedfs):
    container = seaweedfs.container()
    with pytest.raises(DatastoreError, match=r"access is denied \(403 AccessDenied\); grant"):
        names(container.open(credentials={}, anonymous=True))


def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    for name in [it for it in sys.modules if it.partition(".")[0] == "obstore"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "obstore", None)
    store = Datastore(name="landing", url="s3://landing")
    said = r"^s3:// needs obstore: pip install 'reconciler\[stores\]'$"
    with pytest.raises(DatastoreError, match=said):
        ObjectDatastore(store, {})


@pytest.mark.parametrize(
    ("store", "place"),
    [
        ({"url": "az://landing", "account": "contoso", "anonymous": True}, "https://contoso.blob.core.windows.net/landing"),
        ({"url": "s3://landing/x", "anonymous": True}, "https://s3.us-east-1.amazonaws.com/landing"),
        ({"url": "s3://landing", "region": "eu-central-1", "anonymous": True}, "https://s3.eu-central-1.amazonaws.com/landing"),
        ({"url": "gs://landing", "anonymous": True}, "https://storage.googleapis.com/landing"),
        ({"url": "s3://landing", "endpoint": "https://minio.example.com:9000/", "anonymous": True}, "https://minio.example.com:9000/landing"),
    ],
)  # fmt: skip
def test_each_provider_is_asked_at_its_own_address(store, place, monkeypatch):
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert Rest.open(Datastore(name="landing", **store), {}).place == place


def test_a_session_s_token_is_signed_with_the_request():
    sent = {"host": "example.com"}
    store = Datastore(name="landing", url="s3://landing")
    known = {"access_key_id": "id", "secret_access_key": "key", "session_token": "session"}
    Rest.open(store, known).sign("GET", "/", {}, sent)
    assert sent["x-amz-security-token"] == "session"
    assert "x-amz-security-token" in sent["authorization"]


def test_a_hostile_file_is_read_only_in_the_state_that_was_seen(seaweedfs):
    container = seaweedfs.container()
    container.put("in/new\nline", b"first")
    reader = container.open()
    seen = listing(reader)[b"new\nline"]
    container.put("in/new\nline", b"second")
    for name in (b"in/new\nline", b"in/no\nfile", b"in/\xff"):
        with pytest.raises(FileChanged, match="is gone, or has been written anew since"):
            reader.read(name, seen, BytesIO())


def test_a_prefix_and_a_path_may_have_any_name(container):
    container.put("a b%/in/x/file")
    reader = container.open(quote("a b%/in"))
    watched = Watched(datastore="landing", path="x")
    assert names(reader, watched) == [b"file"]
    assert reader.url(b"x/file").endswith("/a%20b%25/in/x/file")
    assert names(container.open(), Watched(datastore="landing", path="a b%/in/x")) == [b"file"]


def test_a_path_that_obstore_cannot_say_is_watched_all_the_same(seaweedfs):
    container = seaweedfs.container()
    container.put("new\nline/file")
    watched = Watched(datastore="landing", path="new\nline")
    assert names(container.open(), watched) == [b"file"]


def test_two_containers_have_nothing_in_common(container):
    other = container.server.container()
    container.put("in/a")
    other.put("in/b")
    assert names(container.open()) == [b"a"]
    assert names(other.open()) == [b"b"]
