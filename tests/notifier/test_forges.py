"""What both forges do, by one suite, over real sockets."""

import pytest

from reconciler.errors import ForgeError, ForgeUnsure
from reconciler.notifier.base import Request
from tests.notifier.conftest import open_forge
from tests.servers.forge import BOT, GITLAB_BOT, NOW, TOKEN, Fault, ForgeServer

HEAD, MERGE = "a" * 40, "b" * 40
COMMENTS = "(comments|notes)$"
LIST = r"(comments|notes)\?"


def test_a_comment_is_made_found_and_changed(server, forge):
    server.pull(5, HEAD)
    forge.create(5, "one\ntwo")
    (comment,) = forge.comments(5)
    assert (comment.author, comment.body) == (forge.author(), "one\ntwo")
    forge.update(5, comment.id, "three")
    (comment,) = forge.comments(5)
    assert comment.body == "three"


def test_the_account_is_that_of_the_token_or_the_one_that_is_named(server, forge, waits):
    assert forge.author() in {BOT, GITLAB_BOT}
    assert open_forge(server, "github", waits, author="shop[bot]").author() == "shop[bot]"


def test_every_page_of_comments_is_read(server, forge):
    server.per_page = 7
    pull = server.pull(5, HEAD)
    pull.comments += [{"id": at, "author": "ann", "body": str(at)} for at in range(30)]
    assert [one.body for one in forge.comments(5)] == [str(at) for at in range(30)]


def test_a_next_page_on_another_host_is_not_asked_for(server, github):
    other = ForgeServer()
    server.pull(5, HEAD)
    link = {"Link": f'<{other.url}/repos/acme/shop/issues/5/comments>; rel="next"'}
    server.faults.append(Fault("GET", LIST, 200, link, []))
    with pytest.raises(ForgeError, match="names a next page elsewhere"):
        list(github.comments(5))
    assert other.asked == []
    other.close()


def test_requests_are_told_alike(server, forge):
    pull = server.pull(5, HEAD)
    open_ = Request(number=5, head=HEAD, base="main", open=True, merged=False)
    assert forge.request(5) == open_
    assert forge.proposing("acme", "more") == (open_,)
    assert forge.proposing("acme", "other") == ()
    assert forge.brought(MERGE) == ()
    pull.merge(MERGE)
    merged = Request(
        number=5, head=HEAD, base="main", open=False, merged=True, merged_as=MERGE
    )  # fmt: skip
    assert forge.request(5) == merged
    assert forge.brought(MERGE) == (merged,)
    assert forge.proposing("acme", "more") == ()


def test_a_fast_forward_on_gitlab_is_the_head_itself(server, waits):
    server.pull(5, HEAD).merge(None, HEAD)
    (request,) = open_forge(server, "gitlab", waits).brought(HEAD)
    assert request.merged_as == HEAD


def test_one_label_takes_the_place_of_the_others(server, forge):
    pull = server.pull(5, HEAD, labels=["bug", "dev: blocked"])
    all_of = ["dev: changes", "dev: blocked", "dev: a/b?c"]
    forge.label(5, "dev: changes", all_of)
    assert pull.labels == ["bug", "dev: changes"]
    forge.label(5, "dev: a/b?c", all_of)
    assert pull.labels == ["bug", "dev: a/b?c"]
    forge.label(5, "dev: changes", all_of)
    assert pull.labels == ["bug", "dev: changes"]


def test_what_passes_by_itself_is_tried_again(server, forge, waits):
    server.pull(5, HEAD)
    kind = ".*"
    server.faults += [
        Fault("GET", kind, 502),
        Fault("GET", kind, 0),
        Fault("GET", kind, 429, {"Retry-After": "7"}),
    ]
    assert forge.request(5).head == HEAD
    assert waits == [1, 2, 7]


def test_a_change_of_a_comment_is_tried_again_for_it_can_be_made_twice(server, forge, waits):
    server.pull(5, HEAD)
    forge.create(5, "one")
    (comment,) = forge.comments(5)
    server.faults += [Fault("PATCH", ".", 500, after=True), Fault("PUT", ".", 500, after=True)]
    forge.update(5, comment.id, "two")
    assert waits == [1]
    assert server.pulls[5].body() == "two"


@pytest.mark.parametrize("status", [0, 500, 502, 504])
def test_a_new_comment_is_not_sent_twice_where_nobody_knows_what_became_of_it(
    server, forge, waits, status
):
    server.pull(5, HEAD)
    server.faults.append(Fault("POST", COMMENTS, status, after=True))
    with pytest.raises(ForgeUnsure):
        forge.create(5, "one")
    assert len(server.pulls[5].comments) == 1
    assert waits == []


def test_a_new_comment_that_a_limit_refused_is_sent_again(server, forge, waits):
    server.pull(5, HEAD)
    server.faults.append(Fault("POST", COMMENTS, 429, {"Retry-After": "3"}))
    forge.create(5, "one")
    assert len(server.pulls[5].comments) == 1
    assert waits == [3]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "11"}, 11),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW + 90)}, 91),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW - 90)}, 1),
        ({}, 60),
    ],
)
def test_a_limit_of_github_is_told_from_a_refusal_and_waited_for(
    server, github, waits, headers, wait
):
    server.pull(5, HEAD)
    message = {"message": "You have exceeded a secondary rate limit."}
    server.faults.append(Fault("GET", "pulls", 403, headers, message))
    assert github.request(5).head == HEAD
    assert waits == [wait]


def test_a_limit_of_gitlab_is_waited_for(server, waits):
    server.pull(5, HEAD)
    headers = {"RateLimit-Remaining": "0", "RateLimit-Reset": str(NOW + 30)}
    server.faults.append(Fault("GET", "merge", 429, headers))
    assert open_forge(server, "gitlab", waits).request(5).head == HEAD
    assert waits == [31]


def test_nobody_waits_for_an_hour(server, github, waits):
    server.pull(5, HEAD)
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(NOW + 3_599)}
    server.faults.append(Fault("GET", "pulls", 403, headers))
    with pytest.raises(ForgeError, match=r"asks to wait 3600 s \(rate limit\); run it again then"):
        github.request(5)
    assert waits == []


def test_it_gives_up(server, forge, waits):
    server.pull(5, HEAD)
    server.faults += [Fault("GET", ".", 503, {}, {"message": "down"})] * 9
    with pytest.raises(ForgeError, match="with 503: down; given up after 5 tries"):
        forge.request(5)
    assert waits == [1, 2, 4, 8]


def test_nobody_listens(server, forge, waits):
    server.close()
    with pytest.raises(ForgeError, match=r"cannot be reached: .*; given up after 5 tries"):
        forge.request(5)
    with pytest.raises(ForgeError, match="cannot be reached"):  # nothing was sent
        forge.create(5, "one")
    assert waits == [1, 2, 4, 8] * 2


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("github", "GitHub answers POST /repos/acme/shop/issues/5/comments with 403: Resource not accessible by integration: the token in $GITHUB_TOKEN may not do that; a job needs `permissions: pull-requests: write`, and one of a fork has none"),
        ("gitlab", "GitLab answers POST /api/v4/projects/7/merge_requests/5/notes with 403: Resource not accessible by integration: the token in $GITLAB_TOKEN may not do that; it needs the scope `api` and the role Reporter; a job's own token has neither"),
    ],
)  # fmt: skip
def test_a_token_without_rights_is_one_line(server, waits, kind, says):
    server.pull(5, HEAD)
    server.may_write = False
    with pytest.raises(ForgeError) as caught:
        open_forge(server, kind, waits).create(5, "one")
    assert str(caught.value) == says


def test_another_token_and_a_request_that_is_not_there(server, forge, waits):
    with pytest.raises(ForgeError, match=r"with 404: Not Found: not there, or not for the token"):
        forge.request(6)
    with pytest.raises(ForgeError, match=r"401: Bad credentials: the token in \$GITHUB_TOKEN is"):
        open_forge(server, "github", waits, token="other").request(5)


def test_a_comment_that_is_too_long_says_so(server, github):
    server.pull(5, HEAD)
    with pytest.raises(ForgeError, match="with 422: Validation Failed"):
        github.create(5, "x" * 65_537)


def test_no_message_has_the_token(server, forge):
    server.faults.append(Fault("GET", ".", 400, {}, {"message": f"bad\x1b[31m {TOKEN}\nx"}))
    with pytest.raises(ForgeError) as caught:
        forge.request(5)
    assert r"400: bad\x1b[31m ***\nx" in str(caught.value)
    assert TOKEN not in repr(forge)


@pytest.mark.parametrize("token", ["ab\ncd", "a b", "schlüssel"])
def test_a_token_that_cannot_be_one_is_not_shown(server, waits, token):
    with pytest.raises(ForgeError) as caught:
        open_forge(server, "github", waits, token=token)
    assert str(caught.value) == "the token in $GITHUB_TOKEN has characters that no token has"


def test_without_a_token_nothing_is_asked(server, waits):
    with pytest.raises(ForgeError, match=r"there is no token for GitLab; set \$GITLAB_TOKEN"):
        open_forge(server, "gitlab", waits, token="")


def test_a_token_is_not_sent_in_the_clear(server, waits):
    with pytest.raises(ForgeError, match="a token is sent over https only"):
        open_forge(server, "github", waits, api="http://forge.example.com/api")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("GET", "pulls/", 200, {}, b"<html>"), "something that is not JSON; is http"),
        (Fault("GET", "pulls/", 200, {}, {"number": 5}), "tells of a pull request otherwise"),
        (Fault("GET", "pulls/", 200, {}, []), "tells of a pull request otherwise"),
        (Fault("GET", "pulls/", 302, {"Location": "/x"}, None), "with 302"),
    ],
)
def test_what_is_no_forge_is_said_to_be_none(server, github, fault, says):
    server.faults.append(fault)
    with pytest.raises(ForgeError, match=says):
        github.request(5)


def test_a_list_that_is_none(server, forge):
    server.pull(5, HEAD)
    server.faults.append(Fault("GET", LIST, 200, {}, {"message": "hello"}))
    with pytest.raises(ForgeError, match="with a list"):
        list(forge.comments(5))


def test_a_page_that_names_itself_as_the_next_ends(server, github):
    server.pull(5, HEAD)
    url = f"{server.url}/repos/acme/shop/issues/5/comments?page=2"
    one = [{"id": 1, "user": None, "body": None}]
    for _ in range(3):
        server.faults.append(Fault("GET", LIST, 200, {"Link": f'<{url}>; rel="next"'}, one))
    assert len(list(github.comments(5))) == 2


def test_what_gitlab_notes_itself_is_no_comment(server, waits):
    pull = server.pull(5, HEAD)
    pull.comments.append({"id": 1, "author": GITLAB_BOT, "body": "merged", "system": True})
    assert list(open_forge(server, "gitlab", waits).comments(5)) == []
