"""The same calls with and without us: same bytes on the wire, same answer."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from requests.auth import HTTPBasicAuth

from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import Balanced, orders_at
from tests.servers import Answer, LoopbackServer, Reply, Request

Call = Callable[[requests.Session, str], requests.Response]

LINES = b"one\ntwo\nthree"


def _site(request: Request) -> Answer:
    """Answer as a small site with all that a client must understand."""
    match request.target.partition("?")[0]:
        case "/moved":
            return Reply(302, [("Location", "/echo"), ("Set-Cookie", "seen=moved")])
        case "/moved-for-good":
            return Reply(308, [("Location", "echo?again=1")])
        case "/see-other":  # by the name that the client used
            return Reply(303, [("Location", f"//{request.headers['Host']}/echo")])
        case "/round":
            return Reply(302, [("Location", "/round")])
        case "/cookie":
            return Reply(headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        case "/gzip":
            packed = gzip.compress(LINES)
            return Reply(headers=[("Content-Encoding", "gzip")], body=packed)
        case "/chunks":
            return Reply(body=[LINES[:5], LINES[5:]])
        case "/teapot":
            return Reply(
                418, [("Content-Type", "text/plain; charset=latin-1")], b"\xe9"
            )
        case "/empty":
            return Reply(204)
    return Reply(body=request.body, headers=[("X-Target", request.target)])


def _parts() -> Iterator[bytes]:
    yield from (b"one", b"two")


def _twice(path: str, **given: Any) -> Call:
    def call(session: requests.Session, base: str) -> requests.Response:
        session.get(base + path, **given)
        return session.get(base + path, **given)

    return call


def _ask(method: str, path: str, **given: Any) -> Call:
    return lambda session, base: session.request(method, base + path, **given)


CALLS: dict[str, Call] = {
    "query": _ask("GET", "/echo?x=1", params={"a": ["b c", "ü"]}),
    "no path": _ask("GET", ""),
    "fragment": _ask("GET", "/echo#part"),
    "headers": _ask("GET", "/echo", headers={"X-A": "1", "Accept": None}),
    "head": _ask("HEAD", "/echo"),
    "options": _ask("OPTIONS", "/echo"),
    "own method": _ask("PURGE", "/echo"),
    "text": _ask("POST", "/echo", data="text"),
    "form": _ask("POST", "/echo", data={"a": "b"}),
    "json": _ask("PATCH", "/echo", json={"a": [1]}),
    "nothing to post": _ask("POST", "/echo"),
    "file": lambda session, base: session.put(base + "/echo", data=io.BytesIO(LINES)),
    "parts": lambda session, base: session.put(base + "/echo", data=_parts()),
    "basic": _ask("GET", "/echo", auth=HTTPBasicAuth("user", "password")),
    "userinfo": lambda session, base: session.get(
        base.replace("://", "://user:password@") + "/echo"
    ),
    "redirect": _ask("GET", "/moved"),
    "redirect of a post": _ask("POST", "/moved", data=b"x", auth=("user", "password")),
    "redirect with the body": lambda session, base: session.put(
        base + "/moved-for-good", data=io.BytesIO(LINES)
    ),
    "redirect to itself": _ask("POST", "/see-other", data=b"x"),
    "redirect left alone": _ask("GET", "/moved", allow_redirects=False),
    "cookies": _twice("/cookie"),
    "cookies of the call": _ask("GET", "/echo", cookies={"mine": "1"}),
    "gzip": _ask("GET", "/gzip"),
    "chunks": _ask("GET", "/chunks"),
    "lines": _ask("GET", "/chunks", stream=True),
    "status": _ask("GET", "/teapot"),
    "empty": _ask("GET", "/empty"),
}


def _received(server: LoopbackServer, since: int) -> list[Any]:
    return [
        (
            request.method,
            request.target,
            request.body,
            sorted(pair for pair in request.headers if pair[0] != "Host"),
        )
        for request in server.requests[since:]
    ]


def _shown(response: requests.Response, base: str) -> Any:
    """Return what a caller sees, but for the name of the server."""

    def url_of(one: requests.Response) -> str:
        return one.url.replace("user:password@", "").removeprefix(base)

    following: Any = response.next
    return (
        [(one.status_code, url_of(one), dict(one.headers)) for one in response.history],
        (response.status_code, response.reason, url_of(response)),
        {k: v for k, v in response.headers.items() if k != "Location"},
        sorted(response.cookies.items()),
        list(response.iter_lines()),
        (response.encoding, response.is_redirect, response.ok),
        following and following.url.removeprefix(base),
        response.request.method,
    )


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_the_same_with_and_without_us(
    client: Balanced, server: LoopbackServer, name: str
) -> None:
    server.handler = _site
    call = CALLS[name]

    with requests.Session() as bare:
        expected = _shown(call(bare, server.url), server.url)
        cookies = sorted(bare.cookies.items())
    count = len(server.requests)
    shown = _shown(call(client.session, "http://orders"), "http://orders")

    if name == "redirect to itself":  # the Location holds the server's name
        for history in (expected[0], shown[0]):
            history[0][2].pop("Location")
    assert shown == expected
    assert _received(server, count) == _received(server, 0)[:count]
    assert sorted(client.session.cookies.items()) == cookies


def test_multipart_differs_in_its_boundary_alone(
    client: Balanced, server: LoopbackServer
) -> None:
    with requests.Session() as bare:
        for session, base in ((bare, server.url), (client.session, "http://orders")):
            session.post(base, files={"file": ("name", LINES)}, data={"a": "b"})

    bodies = []
    for request in server.requests:
        boundary = request.headers["Content-Type"].partition("boundary=")[2]
        bodies.append(request.body.replace(boundary.encode(), b""))
    assert bodies[0] == bodies[1]


def test_redirects_without_end_are_given_up(
    client: Balanced, server: LoopbackServer
) -> None:
    server.handler = _site
    client.session.max_redirects = 3

    with pytest.raises(requests.TooManyRedirects) as raised:
        client.get("http://orders/round")

    assert len(server.requests) == 4
    assert raised.value.request is not None
    assert raised.value.request.url == "http://orders/round"


# Redirects over several backends


@pytest.fixture
def three_sites(three_servers: list[LoopbackServer]) -> list[LoopbackServer]:
    for server in three_servers:
        server.handler = _site
    return three_servers


def test_a_redirect_takes_cookies_and_authorization_to_another_backend(
    balance: Balance, three_sites: list[LoopbackServer]
) -> None:
    urls = [server.url for server in three_sites]
    client = balance(orders_at(*urls, strategy="round_robin"))

    response = client.get("http://orders/moved", auth=("user", "password"))

    (first,), (second,) = (one.requests for one in three_sites if one.requests)
    moved, echo = sorted(
        (first, second), key=lambda request: request.target != "/moved"
    )
    assert (moved.target, echo.target) == ("/moved", "/echo")
    assert echo.headers["Cookie"] == "seen=moved"
    assert echo.headers["Authorization"] == moved.headers["Authorization"]
    assert [one.url for one in response.history] == ["http://orders/moved"]


def test_a_redirect_to_a_stranger_takes_no_authorization(
    balance: Balance, start_server: ServerStarter
) -> None:
    stranger = start_server()
    backend = start_server(lambda _: Reply(302, [("Location", stranger.url)]))

    response = balance(backend.url).get("http://orders/", auth=("user", "password"))

    assert response.url == stranger.url
    assert "Authorization" in backend.requests[0].headers
    assert "Authorization" not in stranger.requests[0].headers


def test_a_redirect_from_a_stranger_reaches_a_backend(
    balance: Balance, server: LoopbackServer, start_server: ServerStarter
) -> None:
    stranger = start_server(lambda _: Reply(302, [("Location", "http://orders/v1")]))

    response = balance(server.url).get(stranger.url)

    assert (response.url, server.requests[0].target) == ("http://orders/v1", "/v1")


# Whose objects are whose


def test_hooks_and_history_hold_the_callers_own_request(
    client: Balanced, server: LoopbackServer
) -> None:
    server.handler = _site
    hooked: list[requests.Response] = []
    request = client.session.prepare_request(
        requests.Request(
            "GET",
            "http://orders/moved",
            hooks={"response": lambda response, **_: hooked.append(response)},
        )
    )

    response = client.session.send(request)

    assert response.history[0].request is request
    assert hooked == [response.history[0], response]
    assert "Host" not in response.request.headers


def test_a_hook_may_replace_the_response(
    client: Balanced, server: LoopbackServer
) -> None:
    replaced = requests.Response()
    replaced.status_code = 299

    response = client.get(
        "http://orders/", hooks={"response": lambda *_, **__: replaced}
    )

    assert response is replaced
