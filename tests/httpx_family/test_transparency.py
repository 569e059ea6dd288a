"""What callers see is the logical world: their request, their URL, their cookies."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from lbtransport import Backend
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import Kind, answering, done, orders_at
from tests.servers import LoopbackServer, Reply, Request, echo, in_turn, reply

URL = "http://orders/items?a=b"


async def test_request_of_the_caller_is_not_changed(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(reply(503)), start_server()
    orders = orders_at(
        Backend(first.url + "/v1", headers={"X-Backend": "1"}, host="backend"),
        second.url,
        deadline=30,
    )

    async with kind.connect(orders) as client:
        extensions = {"lbtransport": {"key": "a"}}
        request = client.build_request("PUT", URL, content=b"x", extensions=extensions)
        before = (request.url, request.headers, request.extensions, request.stream)
        values = (str(request.url), list(request.headers.raw), dict(request.extensions))

        await done(client.send(request))

    after = (request.url, request.headers, request.extensions, request.stream)
    assert all(one is other for one, other in zip(before, after, strict=True))
    assert values == (
        str(request.url),
        list(request.headers.raw),
        dict(request.extensions),
    )


async def test_response_belongs_to_the_callers_request(
    kind: Kind, server: LoopbackServer
) -> None:
    async with kind.connect(orders_at(server.url)) as client:
        request = client.build_request("GET", URL)
        response = await done(client.send(request))

    assert response.request is request
    assert str(response.url) == URL


async def test_request_can_be_sent_twice(kind: Kind, server: LoopbackServer) -> None:
    async with kind.connect(orders_at(server.url)) as client:
        request = client.build_request("PUT", URL, json={"a": 1})
        await done(client.send(request))
        await done(client.send(request))

    assert [request.body for request in server.requests] == [b'{"a":1}'] * 2


async def test_hooks_see_the_logical_url_once(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(reply(503)), start_server()
    seen: list[str] = []

    def on_request(request: Any) -> None:
        seen.append(f"request {request.url}")

    def on_response(response: Any) -> None:
        seen.append(f"response {response.url} {response.status_code}")

    async def on_request_async(request: Any) -> None:
        on_request(request)

    async def on_response_async(response: Any) -> None:
        on_response(response)

    hooks = {
        "request": [on_request_async if kind.is_async else on_request],
        "response": [on_response_async if kind.is_async else on_response],
    }
    orders = orders_at(first.url, second.url)
    async with kind.connect(orders, client={"event_hooks": hooks}) as client:
        await done(client.get(URL))

    assert seen == [f"request {URL}", f"response {URL} 200"]


async def test_elapsed_is_measured(kind: Kind, server: LoopbackServer) -> None:
    async with kind.connect(orders_at(server.url)) as client:
        response = await done(client.get(URL))

    assert response.elapsed > datetime.timedelta(0)


async def test_extensions_of_the_response_are_passed_on(
    kind: Kind, server: LoopbackServer
) -> None:
    async with (
        kind.connect(orders_at(server.url)) as client,
        kind.stream(client, "GET", URL) as response,
    ):
        network = response.extensions["network_stream"]
        address = network.get_extra_info("server_addr")

    assert response.http_version == "HTTP/1.1"
    assert address[1] == server.port


async def test_raw_headers_are_passed_on_as_they_came(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(headers=[("X-Case", "a"), ("x-case", "caf\xe9")]))

    async with kind.connect(orders_at(server.url)) as client:
        response = await done(client.get(URL))

    raw = [pair for pair in response.headers.raw if pair[0].lower() == b"x-case"]
    assert raw == [(b"X-Case", b"a"), (b"x-case", b"caf\xe9")]


def redirecting(location: str, **headers: str) -> Any:
    """Answer the first request by a redirect, the others by a 200."""
    found = Reply(302, [("Location", location), *headers.items()])
    return in_turn(lambda _: found, reply(body=b"there"))


@pytest.mark.parametrize(
    "location",
    [
        "/there",
        "there",
        "http://orders/there",
        "//orders/there",
        "http://{backend}/there",
        "//{backend}/there",
    ],
)
async def test_redirect_stays_within_the_service(
    kind: Kind, start_server: ServerStarter, location: str
) -> None:
    server = start_server()
    server.handler = redirecting(location.format(backend=server.authority))

    async with kind.connect(orders_at(server.url)) as client:
        headers = {"Authorization": "Bearer x"}
        response = await done(
            client.get("http://orders/here", follow_redirects=True, headers=headers)
        )

    assert response.text == "there"
    assert str(response.url) == "http://orders/there"
    assert [str(past.url) for past in response.history] == ["http://orders/here"]
    # A client takes its credentials along only where the origin is the same.
    assert server.requests[1].headers.get("Authorization") == "Bearer x"
    assert [request.headers["Host"] for request in server.requests] == ["orders"] * 2


@pytest.mark.parametrize(
    "location",
    [
        "/v1/there",
        "http://orders/v1/there",
        "http://{backend}/v1/there",
        "http://{backend}/v1/there?a=b#c",
    ],
)
async def test_redirect_under_a_path_prefix_is_mapped_back(
    kind: Kind, start_server: ServerStarter, location: str
) -> None:
    server = start_server()
    server.handler = redirecting(location.format(backend=server.authority))

    async with kind.connect(orders_at(server.url + "/v1")) as client:
        response = await done(client.get("http://orders/here", follow_redirects=True))

    assert response.url.path == "/there"
    assert response.url.host == "orders"
    assert server.requests[1].target.split("?")[0] == "/v1/there"


@pytest.mark.parametrize("location", ["/other", "http://elsewhere/v1/x", "/v10/x"])
async def test_redirect_that_leaves_the_prefix_is_left_alone(
    kind: Kind, start_server: ServerStarter, location: str
) -> None:
    server = start_server(redirecting(location))

    async with kind.connect(orders_at(server.url + "/v1")) as client:
        response = await done(client.get("http://orders/here"))

    assert response.headers["Location"] == location


async def test_response_with_odd_bytes_in_its_headers_is_mapped_all_the_same(
    kind: Kind, start_server: ServerStarter
) -> None:
    location = "/v1/caf\xc3\xa9"  # UTF-8, as it goes over the wire
    odd = [("Location", location), ("X-Name", "caf\xe9")]
    server = start_server(reply(201, headers=odd))

    async with kind.connect(orders_at(server.url + "/v1")) as client:
        response = await done(client.post("http://orders/here"))

    raw = {name.lower(): value for name, value in response.headers.raw}
    assert raw[b"location"] == b"/caf\xc3\xa9"
    assert raw[b"x-name"] == b"caf\xe9"


async def test_malformed_location_is_left_to_the_client(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(302, headers=[("Location", "http://[broken/")]))

    async with kind.connect(orders_at(server.url)) as client:
        response = await done(client.get("http://orders/here"))

    assert response.headers["Location"] == "http://[broken/"


async def test_content_location_is_mapped_back(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server()
    server.handler = reply(headers=[("Content-Location", f"{server.url}/v1/a")])

    async with kind.connect(orders_at(server.url + "/v1")) as client:
        response = await done(client.get("http://orders/a"))

    assert response.headers["Content-Location"] == "http://orders/a"


async def test_cookies_belong_to_the_logical_host(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(headers=[("Set-Cookie", "session=1; Path=/v1/items")]))

    async with kind.connect(orders_at(server.url + "/v1")) as client:
        response = await done(client.get("http://orders/items"))
        await done(client.get("http://orders/items"))

    assert dict(response.cookies) == {"session": "1"}
    assert server.requests[0].headers.get("Cookie") is None
    assert server.requests[1].headers["Cookie"] == "session=1"


async def test_several_cookies_stay_apart(
    kind: Kind, start_server: ServerStarter
) -> None:
    both = [("Set-Cookie", "a=1; Path=/v1/"), ("Set-Cookie", "b=2; Path=/v1")]
    server = start_server(reply(headers=both))

    async with kind.connect(orders_at(server.url + "/v1")) as client:
        response = await done(client.get("http://orders/items"))

    assert dict(response.cookies) == {"a": "1", "b": "2"}


async def test_basic_authentication_of_the_caller_works(
    kind: Kind, server: LoopbackServer
) -> None:
    async with kind.connect(orders_at(server.url)) as client:
        await done(client.get(URL, auth=("user", "password")))

    assert server.requests[0].headers["Authorization"].startswith("Basic ")


async def test_userinfo_of_the_logical_url_is_the_callers_credentials(
    kind: Kind, server: LoopbackServer
) -> None:
    async with kind.connect(orders_at(server.url)) as client:
        await done(client.get("http://user:password@orders/items"))

    (request,) = server.requests
    assert request.headers["Authorization"].startswith("Basic ")
    assert request.headers["Host"] == "orders"


async def test_digest_authentication_sends_its_second_request_through_us(
    kind: Kind, start_server: ServerStarter
) -> None:
    challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'

    def guard(request: Request) -> Reply:
        if "Authorization" in request.headers:
            return Reply(body=b"in")
        return Reply(401, [("WWW-Authenticate", challenge)])

    server = start_server(guard)

    async with kind.connect(orders_at(server.url)) as client:
        auth = kind.hx.DigestAuth("user", "password")
        response = await done(client.get("http://orders/items", auth=auth))

    assert response.text == "in"
    assert 'uri="/items"' in server.requests[1].headers["Authorization"]


async def test_body_of_any_kind_arrives_as_it_is(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(echo)

    async with kind.connect(orders_at(server.url)) as client:
        answers = [
            await done(client.post("http://orders/", **body))
            for body in (
                {"content": b"bytes"},
                {"content": "text"},
                {"json": {"a": 1}},
                {"data": {"a": "b"}},
                {"content": kind.body_of(b"a", b"b")},
            )
        ]

    texts = [answer.text for answer in answers]
    assert texts == ["bytes", "text", '{"a":1}', "a=b", "ab"]


async def test_error_of_an_application_inside_the_process_is_raised_as_it_is(
    kind: Kind,
) -> None:
    def fail(_: Any) -> Any:
        raise LookupError("a bug of the application")

    factory = answering(kind, fail)
    orders = orders_at("http://10.0.0.1", "http://10.0.0.2")

    async with kind.connect(orders, transport_factory=factory) as client:
        with pytest.raises(LookupError, match="a bug"):
            await done(client.get(URL))

    assert [one.failures for one in orders.stats().backends] == [0, 0]
