"""HTTP/2 with a good server, hypercorn: names, bodies, many requests on a connection.

Not here: servers that refuse and go away (`test_http2_endings`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from lbtransport import Backend
from tests.certificates import Authority
from tests.httpx_family.kinds import (
    ASYNC_KINDS,
    Kind,
    done,
    in_flight,
    orders_at,
    outcomes_of,
)
from tests.servers.asgi import AsgiServer

URL = "http://orders/items"
asynchronous = pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)


@pytest.fixture(params=["tls", "cleartext"])
def serve(
    request: pytest.FixtureRequest, authority: Authority
) -> Iterator[Callable[[Any], AsgiServer]]:
    """Start a good server for an application, with TLS and without."""
    with contextlib.ExitStack() as servers:

        def start(application: Any) -> AsgiServer:
            context = None
            if request.param == "tls":
                context = authority.server_context("orders")
            server = AsgiServer(application, ssl_context=context)
            return servers.enter_context(server)

        yield start


def connect(kind: Kind, service: Any, authority: Authority) -> Any:
    """Give a client that speaks HTTP/2 alone."""
    context = authority.client_context()
    return kind.connect(service, http1=False, http2=True, verify=context)


async def told(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the version, the authority and the body that were received."""
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    host = dict(scope["headers"])[b"host"]
    text = b"|".join([scope["http_version"].encode(), host, body])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})


async def test_authority_is_the_logical_host(
    kind: Kind, serve: Callable[[Any], AsgiServer], authority: Authority
) -> None:
    orders = orders_at(serve(told).url)

    async with connect(kind, orders, authority) as client:
        response = await done(client.post(URL, content=b"body"))

    assert response.text == "2|orders|body"
    assert (response.http_version, response.reason_phrase) == ("HTTP/2", "OK")
    assert str(response.url) == URL
    assert outcomes_of(orders) == (1, 0, 0)


async def test_authority_can_be_the_backends_own(
    kind: Kind, serve: Callable[[Any], AsgiServer], authority: Authority
) -> None:
    server = serve(told)
    orders = orders_at(Backend(server.url, host="backend"))

    async with connect(kind, orders, authority) as client:
        response = await done(client.get(URL))

    assert response.text == f"2|{server.url.partition('//')[2]}|"


async def test_http2_is_negotiated_where_both_are_offered(
    kind: Kind, authority: Authority
) -> None:
    context = authority.server_context("orders")
    with AsgiServer(told, ssl_context=context) as server:
        orders = orders_at(server.url)
        verify = authority.client_context()
        async with kind.connect(orders, http2=True, verify=verify) as client:
            response = await done(client.get(URL))

    assert response.text == "2|orders|"


async def test_body_in_pieces_arrives_both_ways(
    kind: Kind, serve: Callable[[Any], AsgiServer], authority: Authority
) -> None:
    orders = orders_at(serve(told).url)
    content = kind.body_of(b"a" * 100_000, b"b")

    async with (
        connect(kind, orders, authority) as client,
        kind.stream(client, "POST", URL, content=content) as response,
    ):
        open_ones = in_flight(orders)
        body = b"".join(await kind.all(kind.chunks(response, "bytes")))

    assert body == b"2|orders|" + b"a" * 100_000 + b"b"
    assert (open_ones, *outcomes_of(orders)) == (1, 1, 0, 0)


@asynchronous
async def test_requests_share_a_connection(
    kind: Kind, serve: Callable[[Any], AsgiServer], authority: Authority
) -> None:
    # None of the five is answered before the last one is there.
    paths: list[str] = []
    clients: set[int] = set()
    everybody = asyncio.Event()  # of the server's loop

    async def application(scope: Any, receive: Any, send: Any) -> None:
        paths.append(scope["path"])
        clients.add(scope["client"][1])
        if len(paths) == 6:
            everybody.set()
        if scope["path"] != "/first":
            await everybody.wait()
        await told(scope, receive, send)

    orders = orders_at(serve(application).url)
    answers: list[int] = []

    async with connect(kind, orders, authority) as client:
        # A server says how many streams it allows when it is first asked.
        await client.get("http://orders/first")

        async def ask(number: int) -> None:
            answers.append((await client.get(f"{URL}/{number}")).status_code)

        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(ask, number)

    assert (answers, len(clients)) == ([200] * 5, 1)
    assert outcomes_of(orders) == (6, 0, 0)
