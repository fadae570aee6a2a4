"""How object stores fail: a proxy spoils what a real server answers."""

from __future__ import annotations

from contextlib import ExitStack
from io import BytesIO

import pytest

from reconciler.datastore.objects import ObjectDatastore
from reconciler.errors import DatastoreError
from tests.servers.listing import FLAT, MANY, listing, names
from tests.servers.proxy import Answer, Proxy


@pytest.fixture
def spoiled(full, impatient):
    """Open the bucket that is full through a proxy that spoils what is answered."""
    with ExitStack() as stack:

        def begin(spoil):
            proxy = stack.enter_context(Proxy(full.server.endpoint, spoil))
            return proxy, full.open(endpoint=proxy.endpoint)

        yield begin


def test_a_panic_of_the_library_is_an_error_like_any_other(seaweedfs):
    store = seaweedfs.datastore("bucket")
    object.__setattr__(store, "endpoint", "http://localhost:99999")
    with pytest.raises(DatastoreError, match="cannot be read"):
        list(ObjectDatastore(store, seaweedfs.credentials).scan(FLAT))


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_is_no_fault_of_the_store(seaweedfs, end):
    reader = ObjectDatastore(seaweedfs.datastore("bucket"), seaweedfs.credentials)
    with pytest.raises(end), reader._telling():
        raise end


def is_second_page(path):
    return "continuation-token" in path


@pytest.mark.parametrize("cut", [0, 1_000])
def test_a_listing_that_breaks_off_gives_nothing(spoiled, cut):
    def spoil(path, answer):
        return answer._replace(cut=cut) if is_second_page(path) else answer

    _, reader = spoiled(spoil)
    given = []
    with pytest.raises(DatastoreError, match="breaks off; see to the network"):
        given.extend(reader.scan(FLAT))
    assert not any(files.names for files in given)


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
