"""Websockets to logical hostnames, against real servers.

httpx2 has a client for them itself, httpx has httpx-ws; to both a websocket is a
response that never ends.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

import anyio
import httpx2
import httpx_ws
import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from lbtransport import LoadBalancer
from lbtransport.testing import ManualClock
from tests.certificates import Authority
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    ASYNC_KINDS,
    Kind,
    done,
    in_flight,
    orders_at,
    outcomes_of,
)

URL = "ws://orders/socket?a=b"
Handler = Callable[[ServerConnection], None]


class WebsocketServer:
    """Serve websockets on loopback, one thread for each."""

    def __init__(self, handler: Handler, **options: Any) -> None:
        self._server = serve(handler, "127.0.0.1", 0, compression=None, **options)
        self._thread = threading.Thread(target=self._server.serve_forever)
        scheme = "https" if "ssl" in options else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()


StartWebsockets = Callable[..., WebsocketServer]


@pytest.fixture
def start() -> Iterator[StartWebsockets]:
    """Start servers, which by default send back each message."""
    with contextlib.ExitStack() as servers:

        def start(handler: Handler = echo, **options: Any) -> WebsocketServer:
            return servers.enter_context(WebsocketServer(handler, **options))

        yield start


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


def tell(connection: ServerConnection) -> None:
    """Send what was asked for, and where."""
    assert connection.request is not None
    connection.send(f"{connection.request.headers['Host']} {connection.request.path}")
    echo(connection)


def refuse(_: ServerConnection, __: Request) -> Response:
    """Answer 503, as a `process_request`."""
    return Response(503, "Service Unavailable", Headers())


@contextlib.asynccontextmanager
async def websocket(
    kind: Kind, client: Any, url: str = URL, **options: Any
) -> AsyncIterator[Any]:
    """Open a websocket as the users of this kind of client do."""
    if kind.hx is httpx2:
        opened = client.websocket(url, **options)
    elif kind.is_async:
        opened = httpx_ws.aconnect_ws(url, client, **options)
    else:
        opened = httpx_ws.connect_ws(url, client, **options)
    if kind.is_async:
        async with opened as socket:
            yield socket
    else:
        with opened as socket:
            yield socket


@contextlib.contextmanager
def raises(*names: str) -> Iterator[None]:
    """Expect an error of one of the two packages, perhaps the only one of a group."""
    with pytest.raises(Exception) as raised:  # its name is looked at
        yield
    error = raised.value
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert type(error).__name__ in names


async def test_messages_go_both_ways(kind: Kind, start: StartWebsockets) -> None:
    orders = orders_at(start().url)

    async with kind.connect(orders) as client, websocket(kind, client) as socket:
        await done(socket.send_text("text"))
        await done(socket.send_bytes(b"bytes"))
        text = await done(socket.receive_text(timeout=5))
        received = await done(socket.receive_bytes(timeout=5))

    assert (text, received) == ("text", b"bytes")
    assert outcomes_of(orders) == (1, 0, 0)


async def test_server_sees_the_logical_host_and_the_client_its_own_url(
    kind: Kind, start: StartWebsockets
) -> None:
    orders = orders_at(start(tell).url + "/v1")

    async with kind.connect(orders) as client, websocket(kind, client) as socket:
        told = await done(socket.receive_text(timeout=5))
        response = socket.response

    assert told == "orders /v1/socket?a=b"
    assert (response.status_code, str(response.url)) == (101, URL)


async def test_subprotocol_is_negotiated(kind: Kind, start: StartWebsockets) -> None:
    orders = orders_at(start(subprotocols=["chat"]).url)

    async with (
        kind.connect(orders) as client,
        websocket(kind, client, subprotocols=["other", "chat"]) as socket,
    ):
        subprotocol = socket.subprotocol

    assert subprotocol == "chat"


@pytest.mark.parametrize("scheme", ["wss", "ws"])
async def test_certificate_of_the_logical_name_is_checked(
    kind: Kind, start: StartWebsockets, authority: Authority, scheme: str
) -> None:
    orders = orders_at(start(tell, ssl=authority.server_context("orders")).url)
    verify = authority.client_context()

    async with (
        kind.connect(orders, verify=verify) as client,
        websocket(kind, client, f"{scheme}://orders/socket") as socket,
    ):
        told = await done(socket.receive_text(timeout=5))
        network = socket.response.extensions["network_stream"]
        version = network.get_extra_info("ssl_object").version()

    assert told == "orders /socket"
    assert version.startswith("TLS")


async def test_secure_websocket_is_not_sent_in_plain_text(
    kind: Kind, start: StartWebsockets
) -> None:
    async with kind.connect(orders_at(start().url)) as client:
        with pytest.raises(kind.ours.ConfigurationError):
            async with websocket(kind, client, "wss://orders/socket"):
                pass


async def test_websocket_is_in_flight_until_it_is_closed(
    kind: Kind, start: StartWebsockets
) -> None:
    orders = orders_at(start().url)
    in_flights = []

    async with kind.connect(orders) as client:
        async with websocket(kind, client) as one:
            await done(one.send_text("one"))
            await done(one.receive_text(timeout=5))
            async with websocket(kind, client):
                in_flights.append(in_flight(orders))
            in_flights.append(in_flight(orders))
        in_flights.append(in_flight(orders))

    assert in_flights == [2, 1, 0]
    assert outcomes_of(orders) == (2, 0, 0)


async def test_closing_twice_gives_the_backend_back_once(
    kind: Kind, start: StartWebsockets
) -> None:
    orders = orders_at(start().url)

    async with kind.connect(orders) as client, websocket(kind, client) as socket:
        await done(socket.close())
        await done(socket.close())

    assert outcomes_of(orders) == (1, 0, 0)


async def test_handshake_that_is_refused_goes_to_another_backend(
    kind: Kind, start: StartWebsockets, refused_url: str
) -> None:
    busy, good = start(process_request=refuse), start(tell)
    orders = orders_at(refused_url, busy.url, good.url)

    async with kind.connect(orders) as client, websocket(kind, client) as socket:
        told = await done(socket.receive_text(timeout=5))

    assert told == "orders /socket?a=b"
    assert outcomes_of(orders) == (3, 2, 0)


async def test_refused_by_all_is_the_answer(kind: Kind, start: StartWebsockets) -> None:
    orders = orders_at(start(process_request=refuse).url, retry=False)

    async with kind.connect(orders) as client:
        with raises("WebSocketUpgradeError"):
            async with websocket(kind, client):
                pass

    assert outcomes_of(orders) == (1, 1, 0)


def hang_up(connection: ServerConnection) -> None:
    connection.close(1001, "restarting")


def drop(connection: ServerConnection) -> None:
    connection.socket.shutdown(2)


@pytest.mark.parametrize("end", [hang_up, drop])
async def test_websocket_that_ends_is_never_opened_elsewhere(
    kind: Kind, start: StartWebsockets, end: Handler
) -> None:
    opened: list[str] = []

    def note(_: ServerConnection) -> None:
        opened.append("elsewhere")

    orders = orders_at(start(end).url, start(note).url)

    async with kind.connect(orders) as client:
        with raises("WebSocketDisconnect", "WebSocketNetworkError"):
            async with websocket(kind, client) as socket:
                await done(socket.receive_text(timeout=5))

    assert opened == []
    assert outcomes_of(orders) == (1, 0, 0)


async def test_error_inside_the_block_gives_the_backend_back(
    kind: Kind, start: StartWebsockets
) -> None:
    orders = orders_at(start().url)

    def fail() -> None:
        raise LookupError("the caller's own")

    async with kind.connect(orders) as client:
        with raises("LookupError"):
            async with websocket(kind, client):
                fail()

    assert outcomes_of(orders) == (1, 0, 0)


@pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)
async def test_cancelled_websocket_gives_the_backend_back(
    kind: Kind, start: StartWebsockets
) -> None:
    orders = orders_at(start().url)

    async with kind.connect(orders) as client, anyio.create_task_group() as tasks:

        async def listen(*, task_status: anyio.abc.TaskStatus[None]) -> None:
            async with websocket(kind, client) as socket:
                task_status.started()
                await socket.receive_text()

        await tasks.start(listen)
        open_ones = in_flight(orders)
        tasks.cancel_scope.cancel()

    assert (open_ones, *outcomes_of(orders)) == (1, 1, 0, 0)


async def test_deadline_ends_with_the_handshake(
    kind: Kind, start: StartWebsockets
) -> None:
    # It bounds what is repeated, and a websocket may live for days.
    clock = ManualClock()
    orders = orders_at(start().url, deadline=10, clock=clock)

    async with kind.connect(orders) as client, websocket(kind, client) as socket:
        clock.advance(11)
        await done(socket.send_text("late"))
        text = await done(socket.receive_text(timeout=5))

    assert text == "late"
    assert outcomes_of(orders) == (1, 0, 0)


async def test_other_requests_use_the_service_meanwhile(
    kind: Kind, start: StartWebsockets, start_server: ServerStarter
) -> None:
    orders: LoadBalancer = orders_at(start().url, start_server().url)

    async with kind.connect(orders) as client, websocket(kind, client):
        orders.drain(orders.backends[0].url)
        response = await done(client.get("http://orders/items"))
        open_ones = in_flight(orders)

    assert (response.status_code, open_ones) == (200, 1)
