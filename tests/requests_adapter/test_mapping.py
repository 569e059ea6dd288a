"""What a backend is told, and what of it the caller hears."""

from __future__ import annotations

import traceback

import pytest
import requests

from lbtransport import Backend, options
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import Balanced, orders_at
from tests.servers import (
    LoopbackServer,
    Reply,
    Request,
    close_without_answer,
    in_turn,
    reply,
)

SECRET = "s3cr3t-token"


@pytest.fixture
def client(balance: Balance, server: LoopbackServer) -> Balanced:
    return balance(f"{server.url}/base")


# Paths


def test_a_prefix_is_put_before_the_path(
    client: Balanced, server: LoopbackServer
) -> None:
    for path in ("/v1/items?a=b%20c", "", "/", "?a=b", "//double"):
        client.get(f"http://orders{path}")

    assert [request.target for request in server.requests] == [
        "/base/v1/items?a=b%20c",
        "/base/",
        "/base/",
        "/base/?a=b",
        "/base//double",
    ]


@pytest.mark.parametrize(
    ("location", "followed_to"),
    [
        pytest.param("/base/next?a=b", "http://orders/next?a=b", id="path"),
        pytest.param("{server}/base/next", "http://orders/next", id="own address"),
        pytest.param("http://orders/base/next", "http://orders/next", id="own name"),
        pytest.param("next", "http://orders/v1/next", id="relative"),
    ],
)
def test_a_redirect_stays_with_the_service(
    client: Balanced, server: LoopbackServer, location: str, followed_to: str
) -> None:
    where = location.format(server=server.url)
    server.handler = in_turn(reply(302, headers=[("Location", where)]), reply())

    response = client.get("http://orders/v1/here")

    assert response.url == followed_to
    assert len(server.requests) == 2
    assert server.requests[1].target.startswith("/base/")


def test_a_redirect_to_a_backends_own_address_stays_with_the_service(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(server.url)
    own = [("Location", f"{server.url}/next")]
    server.handler = in_turn(reply(307, headers=own), reply())

    response = client.post("http://orders/", data=b"body", auth=("user", "password"))

    assert response.url == "http://orders/next"
    assert "Authorization" in server.requests[1].headers
    assert [request.body for request in server.requests] == [b"body", b"body"]


def test_other_locations_are_left_alone(
    client: Balanced, server: LoopbackServer
) -> None:
    server.handler = reply(201, headers=[("Location", "http://elsewhere/base/1")])

    response = client.post("http://orders/")

    assert response.headers["Location"] == "http://elsewhere/base/1"


def test_content_location_is_mapped_as_well(
    client: Balanced, server: LoopbackServer
) -> None:
    server.handler = reply(headers=[("Content-Location", "/base/items/1")])

    response = client.get("http://orders/items")

    assert response.headers["Content-Location"] == "/items/1"


def test_cookies_of_the_prefix_are_those_of_the_service(
    client: Balanced, server: LoopbackServer
) -> None:
    cookies = ["a=1; Path=/base", "b=2; Path=/base/users; HttpOnly", "c=3; Path=/else"]
    server.handler = reply(headers=[("Set-Cookie", cookie) for cookie in cookies])

    response = client.get("http://orders/users/17")
    client.get("http://orders/users/18")

    for jar in (response.cookies, client.session.cookies):
        assert {cookie.name: cookie.path for cookie in jar} == {
            "a": "/",
            "b": "/users",
            "c": "/else",
        }
    assert server.requests[1].headers["Cookie"] == "b=2; a=1"


def test_cookies_survive_a_change_of_backend(
    balance: Balance, start_server: ServerStarter
) -> None:
    first = start_server(reply(headers=[("Set-Cookie", "session=17")]))
    second = start_server()
    client = balance(orders_at(first.url, second.url, strategy="round_robin"))

    for _ in range(4):
        client.get("http://orders/")

    assert second.requests[-1].headers["Cookie"] == "session=17"


@pytest.mark.parametrize("host", ["logical", "backend", "literal.example"])
def test_cookies_belong_to_the_logical_name_whatever_the_host_header(
    balance: Balance, server: LoopbackServer, host: str
) -> None:
    client = balance(Backend(server.url, host=host))
    server.handler = reply(headers=[("Set-Cookie", "a=1")])

    response = client.get("http://orders/")

    for jar in (response.cookies, client.session.cookies):
        assert [cookie.domain for cookie in jar] == ["orders.local"]


# The Host header


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        (None, "orders:8080"),
        ("logical", "orders:8080"),
        ("backend", "{server}"),
        ("literal.example", "literal.example"),
    ],
)
def test_the_host_header_is_what_the_backend_is_to_be_told(
    balance: Balance, server: LoopbackServer, host: str | None, sent: str
) -> None:
    client = balance(Backend(server.url, host=host))

    client.get("http://user:secret@orders:8080/")

    (request,) = server.requests
    expected = sent.format(server=server.authority)
    assert request.headers.get_all("Host") == [expected]


def test_the_callers_own_host_header_stands(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(Backend(server.url, host="backend"))

    client.get("http://orders/", headers={"host": "mine.example"})

    assert server.requests[0].headers.get_all("Host") == ["mine.example"]


# Headers for one backend alone


def test_a_backends_headers_replace_the_requests_for_this_backend_alone(
    balance: Balance, start_server: ServerStarter, server: LoopbackServer
) -> None:
    private = start_server(reply(503))
    client = balance(
        Backend(private.url, headers={"authorization": SECRET, "X-Own": SECRET}),
        server.url,
    )

    response = client.get("http://orders/", headers={"Authorization": "the caller's"})

    (own,), (other,) = private.requests, server.requests
    assert own.headers.get_all("Authorization") == [SECRET]
    assert own.headers["X-Own"] == SECRET
    assert other.headers.get_all("Authorization") == ["the caller's"]
    assert "X-Own" not in other.headers
    assert response.request.headers["Authorization"] == "the caller's"


def test_the_callers_request_and_response_hold_no_secret(
    balance: Balance, server: LoopbackServer
) -> None:
    url = server.url.replace("http://", f"http://user:{SECRET}@")
    client = balance(Backend(url, headers={"X-Own": SECRET}))
    request = client.session.prepare_request(requests.Request("GET", "http://orders/"))
    before = dict(request.headers)

    response = client.session.send(request)

    assert response.request is request
    assert dict(request.headers) == before
    assert server.requests[0].headers["X-Own"] == SECRET
    assert server.requests[0].headers["Authorization"].startswith("Basic ")
    assert SECRET not in repr((vars(response), vars(request)))


def test_an_error_holds_no_secret(
    balance: Balance, start_server: ServerStarter
) -> None:
    dying = start_server(close_without_answer)
    client = balance(Backend(dying.url, headers={"X-Own": SECRET}))

    with options(retry=False), pytest.raises(requests.ConnectionError) as raised:
        client.get("http://orders/")

    error = raised.value
    assert SECRET not in "".join(traceback.format_exception(error))
    assert error.request is not None
    assert "X-Own" not in error.request.headers


def test_the_caller_sees_his_url_and_the_adapter(
    client: Balanced, server: LoopbackServer
) -> None:
    hooked = []

    def note(response: requests.Response, **_: object) -> None:
        hooked.append((response.url, response.request.url))

    response = client.get("http://orders/v1", hooks={"response": note})

    assert hooked == [("http://orders/v1", "http://orders/v1")]
    assert response.connection is client.adapter
    assert len(server.requests) == 1


def test_digest_authentication_works(balance: Balance, server: LoopbackServer) -> None:
    client = balance(server.url)
    challenge = ("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')

    def protect(request: Request) -> Reply:
        if "Authorization" in request.headers:
            return Reply(body=b"welcome")
        return Reply(401, headers=[challenge])

    server.handler = protect
    auth = requests.auth.HTTPDigestAuth("user", "password")

    response = client.get("http://orders/v1", auth=auth)

    assert response.text == "welcome"
    assert 'uri="/v1"' in server.requests[1].headers["Authorization"]
