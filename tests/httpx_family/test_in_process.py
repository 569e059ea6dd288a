"""Backends inside this process, and on Unix sockets: what their errors mean.

An error that is no `HTTPError` of the client's is an application's own: it is raised
as it is, blames nobody and is never repeated, since nobody knows what the application
did before.  `test_inner_transports` has the `transport_factory` itself.
"""

from __future__ import annotations

import gc
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import httpx2.websockets
import httpx_ws
import httpx_ws.transport
import pytest

from lbtransport import Backend, RetryPolicy
from tests.httpx_family.kinds import (
    ASYNC_KINDS,
    SYNC_KINDS,
    Kind,
    answering,
    done,
    orders_at,
    outcomes_of,
)
from tests.servers.asgi import AsgiServer

URL = "http://orders/items?a=b"
SOCKET = "ws://orders/socket"
FIRST, SECOND = "http://first", "http://second"

# What an application may let through, though it is not about itself.
STRANGE_ERRORS = pytest.mark.parametrize(
    "strange",
    [
        LookupError,
        ConnectionRefusedError,
        ConnectionResetError,
        TimeoutError,
        ssl.SSLError,
        socket.gaierror,
    ],
)


def application_of(kind: Kind, answer: Callable[[str], bytes], **options: Any) -> Any:
    """Return an inner transport whose application answers with what a host gives."""
    if kind.is_async:

        async def asgi(
            scope: Any,
            receive: Callable[[], Awaitable[Any]],
            send: Callable[[Any], Awaitable[None]],
        ) -> None:
            body = answer(dict(scope["headers"])[b"host"].decode())
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})

        return kind.hx.ASGITransport(asgi, **options)

    def wsgi(environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
        body = answer(environ["HTTP_HOST"])
        start_response("200 OK", [])
        return [body]

    return kind.hx.WSGITransport(wsgi, **options)


async def test_application_serves_the_logical_host(kind: Kind) -> None:
    orders = orders_at(FIRST)
    factory = lambda _: application_of(kind, str.encode)  # noqa: E731

    async with kind.connect(orders, transport_factory=factory) as client:
        response = await done(client.get(URL))

    assert response.text == "orders"
    assert str(response.url) == URL
    assert outcomes_of(orders) == (1, 0, 0)


@STRANGE_ERRORS
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_error_of_an_application_is_raised_and_never_repeated(
    kind: Kind, method: str, strange: type[Exception]
) -> None:
    asked: list[str] = []

    def fail(host: str) -> bytes:
        asked.append(host)
        raise strange("its database")

    orders = orders_at(FIRST, SECOND)
    factory = lambda _: application_of(kind, fail)  # noqa: E731

    async with kind.connect(orders, transport_factory=factory) as client:
        with pytest.raises(strange, match="its database") as raised:
            await done(client.request(method, URL))

    assert type(raised.value) is strange
    assert asked == ["orders"]
    assert outcomes_of(orders) == (1, 0, 0)


@pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)
async def test_application_that_answers_its_errors_by_a_500_is_blamed(
    kind: Kind,
) -> None:
    def fail(_: str) -> bytes:
        raise LookupError("a bug")

    orders = orders_at(FIRST)
    inner = application_of(kind, fail, raise_app_exceptions=False)

    async with kind.connect(orders, transport_factory=lambda _: inner) as client:
        response = await done(client.get(URL))

    assert response.status_code == 500
    assert outcomes_of(orders) == (1, 1, 0)


@STRANGE_ERRORS
async def test_body_of_an_application_that_fails_blames_nobody(
    kind: Kind, strange: type[Exception]
) -> None:
    def fail() -> Iterator[bytes]:
        yield b"one"
        raise strange("its database")

    async def fail_async() -> AsyncIterator[bytes]:
        yield b"one"
        raise strange("its database")

    def answer(_: Any) -> Any:
        return kind.hx.Response(200, content=fail_async() if kind.is_async else fail())

    orders = orders_at(FIRST, SECOND)
    factory = answering(kind, answer)

    async with kind.connect(orders, transport_factory=factory) as client:
        with pytest.raises(strange, match="its database"):
            await done(client.get(URL))

    assert outcomes_of(orders) == (1, 0, 0)


@pytest.mark.parametrize(
    ("name", "method", "asked"),
    [
        ("ConnectError", "POST", [FIRST, SECOND]),
        ("ConnectTimeout", "POST", [FIRST, SECOND]),
        ("ReadError", "GET", [FIRST, SECOND]),
        ("ReadError", "POST", [FIRST]),
        ("RemoteProtocolError", "POST", [FIRST]),
    ],
)
async def test_client_errors_of_a_mock_count_as_those_of_a_network(
    kind: Kind, name: str, method: str, asked: list[str]
) -> None:
    seen: list[str] = []

    def answer(request: Any) -> Any:
        seen.append(f"http://{request.url.host}")
        raise getattr(kind.hx, name)("a mock's", request=request)

    orders = orders_at(FIRST, SECOND, retry=RetryPolicy(attempts=2))
    factory = answering(kind, answer)

    async with kind.connect(orders, transport_factory=factory) as client:
        with pytest.raises(getattr(kind.hx, name)) as raised:
            await done(client.request(method, URL))

    assert seen == asked
    assert str(raised.value.request.url) == URL
    assert outcomes_of(orders) == (len(asked), len(asked), 0)


async def test_body_that_comes_from_another_service_blames_only_that(
    kind: Kind,
) -> None:
    # The caller passes on what he reads elsewhere: his error is the client's, too.
    def relay() -> Iterator[bytes]:
        yield b"one"
        raise kind.hx.ReadError("elsewhere")

    async def relay_async() -> AsyncIterator[bytes]:
        yield b"one"
        raise kind.hx.ReadError("elsewhere")

    orders = orders_at(FIRST, SECOND)
    factory = answering(kind, lambda _: kind.hx.Response(200))

    async with kind.connect(orders, transport_factory=factory) as client:
        with pytest.raises(kind.hx.ReadError, match="elsewhere"):
            content = relay_async() if kind.is_async else relay()
            await done(client.put(URL, content=content))

    assert outcomes_of(orders) == (1, 0, 0)


@pytest.mark.parametrize("kind", SYNC_KINDS, indirect=True, ids=str)
async def test_wsgi_application_sees_its_backend_as_the_server(kind: Kind) -> None:
    seen: list[str] = []

    def wsgi(environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
        names = ("SERVER_NAME", "SERVER_PORT", "PATH_INFO", "QUERY_STRING")
        seen.extend(environ[name] for name in names)
        start_response("200 OK", [])
        return []

    factory = lambda _: kind.hx.WSGITransport(wsgi)  # noqa: E731
    orders = orders_at("http://first:8080/v1")

    async with kind.connect(orders, transport_factory=factory) as client:
        await done(client.get(URL))

    assert seen == ["first", "8080", "/v1/items", "a=b"]


@pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)
async def test_asgi_application_sees_its_backend_as_the_server(kind: Kind) -> None:
    scopes: list[Any] = []

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    factory = lambda _: kind.hx.ASGITransport(asgi)  # noqa: E731
    orders = orders_at("http://first:8080/v1")

    async with kind.connect(orders, transport_factory=factory) as client:
        await client.get(URL)

    (scope,) = scopes
    assert (scope["server"], scope["path"]) == (("first", 8080), "/v1/items")


@pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)
async def test_websocket_of_an_application_is_over_for_us_when_it_is_accepted(
    kind: Kind,
) -> None:
    # These transports answer 101 with a body that was read in advance, so nobody is
    # told when the websocket ends; and they must be entered by who made them.
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        received = await receive()
        host = dict(scope["headers"])[b"host"].decode()
        await send({"type": "websocket.send", "text": f"{host} {received['text']}"})
        await receive()

    def connect(client: Any) -> Any:
        if kind.hx is httpx2:
            return client.websocket(SOCKET)
        return httpx_ws.aconnect_ws(SOCKET, client)

    orders = orders_at(FIRST)
    package = httpx2.websockets if kind.hx is httpx2 else httpx_ws.transport

    async with (
        package.ASGIWebSocketTransport(asgi) as inner,
        kind.connect(orders, transport_factory=lambda _: inner) as client,
        connect(client) as opened,
    ):
        await opened.send_text("hello")
        text = await opened.receive_text()
        outcomes = outcomes_of(orders)

    assert text == "orders hello"
    assert outcomes == (1, 0, 0)


# Unix sockets


async def told(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the host that was asked for."""
    while (await receive())["more_body"]:
        pass
    host = dict(scope["headers"])[b"host"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": host})


# Of bare httpx: a Unix socket that cannot be connected is left to the collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")
async def test_unix_sockets_are_backends(kind: Kind, tmp_path: Path) -> None:
    # The first one's server is not there: the POST was never sent.
    gone, there = tmp_path / "gone", tmp_path / "there"
    orders = orders_at(
        Backend(FIRST, metadata={"uds": str(gone)}),
        Backend(SECOND, metadata={"uds": str(there)}),
    )

    def factory(backend: Backend) -> Any:
        assert backend.metadata is not None
        return kind.inner("HTTPTransport")(uds=backend.metadata["uds"], verify=False)

    with AsgiServer(told, uds=there):
        async with kind.connect(orders, transport_factory=factory) as client:
            response = await done(client.post(URL, content=b"body"))
    gc.collect()

    assert (response.text, str(response.url)) == ("orders", URL)
    assert outcomes_of(orders) == (2, 1, 0)
