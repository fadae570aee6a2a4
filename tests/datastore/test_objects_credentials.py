"""What opens an object store, and that nothing of it is ever told."""

from __future__ import annotations

import hmac
import logging
import sys
from base64 import b64decode, b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from threading import Thread
from urllib.parse import urlencode

import pytest

from reconciler.data import Datastore
from reconciler.datastore.objects import ObjectDatastore
from reconciler.datastore.rest import Rest
from reconciler.errors import DatastoreError
from tests.servers.listing import FLAT, listing, names
from tests.servers.stores import free_ports

SECRET = "recognisable-SECRET-0123456789"


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
