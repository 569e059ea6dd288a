"""Bodies: they arrive as they are sent, and give their backend back once."""

from __future__ import annotations

import gzip
import threading
from typing import Any

import pytest

from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    Kind,
    answering,
    done,
    in_flight,
    leaves_generators,
    orders_at,
    outcomes_of,
)
from tests.servers import (
    Fate,
    LoopbackServer,
    Reply,
    reply,
    truncated_body,
    truncated_chunk,
)

URL = "http://orders/events"


async def test_events_arrive_as_they_are_sent(
    kind: Kind, start_server: ServerStarter
) -> None:
    got = [threading.Event() for _ in range(3)]

    def events(_: Any) -> Reply:
        # The next one is sent only when the one before was received.
        pieces: list[Any] = []
        for number, event in enumerate(got):
            pieces += [b"data: %d\n\n" % number, event]
        return Reply(200, [("Content-Type", "text/event-stream")], pieces)

    server = start_server(events)
    received = []

    async with (
        kind.connect(orders_at(server.url)) as client,
        kind.stream(client, "GET", URL) as response,
    ):
        chunks = kind.chunks(response)
        for event in got:
            received.append(await kind.next(chunks))
            event.set()
        rest = await kind.all(chunks)

    assert received == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]
    assert rest == []


@leaves_generators
async def test_body_is_in_flight_until_it_ends(
    kind: Kind, start_server: ServerStarter
) -> None:
    gate = threading.Event()
    server = start_server(reply(body=[b"one", gate, b"two"]))
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL)
        chunks = kind.chunks(response)
        await kind.next(chunks)
        (while_reading,) = orders.stats().backends
        gate.set()
        await kind.all(chunks)
        after_the_end = in_flight(orders)

    assert (while_reading.in_flight, while_reading.waiting) == (1, 0)
    assert after_the_end == 0


@leaves_generators
@pytest.mark.parametrize("read", [0, 1])
async def test_early_close_gives_the_backend_back_without_blame(
    kind: Kind, start_server: ServerStarter, read: int
) -> None:
    gate = threading.Event()
    server = start_server(reply(body=[b"one", gate, b"two"]))
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL)
        chunks = kind.chunks(response)
        for _ in range(read):
            await kind.next(chunks)
        await kind.close(response)
        await kind.close(response)
        outcomes = outcomes_of(orders)

    assert outcomes == (1, 0, 0)


@leaves_generators
async def test_early_close_closes_the_connection(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(body=[b"one", threading.Event(), b"two"]))

    async with kind.connect(orders_at(server.url)) as client:
        response = await kind.open(client, URL)
        chunks = kind.chunks(response)
        await kind.next(chunks)
        await kind.close(response)

        server.wait_until(lambda server: not server.open_connections)


@leaves_generators
async def test_leaving_the_block_gives_the_backend_back(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(body=[b"one", threading.Event(), b"two"]))
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        with pytest.raises(LookupError):
            async with kind.stream(client, "GET", URL) as response:
                await kind.next(kind.chunks(response))
                raise LookupError
        outcomes = outcomes_of(orders)

    assert outcomes == (1, 0, 0)


@pytest.mark.parametrize("cut", [truncated_body, truncated_chunk])
async def test_cut_body_is_the_clients_error_and_a_failure(
    kind: Kind, start_server: ServerStarter, cut: Any
) -> None:
    first, second = start_server(cut), start_server()
    orders = orders_at(first.url, second.url)

    async with kind.connect(orders) as client:
        request = client.build_request("GET", URL)
        with pytest.raises(kind.hx.RemoteProtocolError) as caught:
            await done(client.send(request))

    assert caught.value.request is request
    assert outcomes_of(orders) == (1, 1, 0)


async def test_reset_in_the_body_is_a_failure(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(body=[b"four", Fate.RESET]))
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        with pytest.raises(kind.hx.TransportError):
            await done(client.get(URL))

    assert outcomes_of(orders) == (1, 1, 0)


async def test_stalled_body_is_a_failure(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(body=[b"four", Fate.HANG]))
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        with pytest.raises(kind.hx.ReadTimeout):
            await done(client.get(URL, timeout=kind.hx.Timeout(5, read=0.05)))

    assert outcomes_of(orders) == (1, 1, 0)


async def test_500_with_a_cut_body_is_one_failure(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(500, [b"four", Fate.CLOSE]))
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        with pytest.raises(kind.hx.RemoteProtocolError):
            await done(client.get(URL))

    assert outcomes_of(orders) == (1, 1, 0)


@leaves_generators
async def test_corrupt_compression_is_no_failure_of_the_backend(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(body=b"no zip", headers=[("Content-Encoding", "gzip")]))
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        with pytest.raises(kind.hx.DecodingError):
            await done(client.get(URL))

    assert outcomes_of(orders) == (1, 0, 0)


async def test_compressed_body_is_decompressed_by_the_client(
    kind: Kind, start_server: ServerStarter
) -> None:
    body = gzip.compress(b"hello")
    server = start_server(reply(body=body, headers=[("Content-Encoding", "gzip")]))

    async with kind.connect(orders_at(server.url)) as client:
        response = await done(client.get(URL))

    assert response.content == b"hello"
    assert response.num_bytes_downloaded == len(body)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("raw", [b"a\nb", b"\nc"]),
        ("bytes", [b"a\nb", b"\nc"]),
        ("text", ["a\nb", "\nc"]),
        ("lines", ["a", "b", "c"]),
    ],
)
async def test_each_way_to_read_gives_the_backend_back(
    kind: Kind, start_server: ServerStarter, how: str, expected: list[Any]
) -> None:
    server = start_server(reply(body=[b"a\nb", b"\nc"]))
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL)
        elements = await kind.all(kind.chunks(response, how))
        outcomes = outcomes_of(orders)

    assert elements == expected
    assert outcomes == (1, 0, 0)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [200, 204, 304])
async def test_answer_without_a_body_gives_the_backend_back(
    kind: Kind, start_server: ServerStarter, method: str, status: int
) -> None:
    server = start_server(reply(status))
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        await done(client.request(method, URL))
        outcomes = outcomes_of(orders)

    assert outcomes == (1, 0, 0)


async def test_answer_that_was_read_in_advance_gives_the_backend_back(
    kind: Kind,
) -> None:
    # As mocks answer, for tests: such a response is closed before anybody sees it.
    orders = orders_at("http://10.0.0.1")
    factory = answering(kind, lambda _: kind.hx.Response(200, json={"a": 1}))

    async with kind.connect(orders, transport_factory=factory) as client:
        response = await done(client.get(URL))
        outcomes = outcomes_of(orders)

    assert response.json() == {"a": 1}
    assert outcomes == (1, 0, 0)


async def test_upgrade_is_in_flight_until_it_is_closed(
    kind: Kind, start_server: ServerStarter
) -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\nhello"
    server = start_server(lambda _: [upgrade, threading.Event()])
    orders = orders_at(server.url)
    headers = {"Connection": "Upgrade", "Upgrade": "echo"}

    async with kind.connect(orders) as client:
        async with kind.stream(client, "GET", URL, headers=headers) as response:
            network = response.extensions["network_stream"]
            hello = await done(network.read(5, timeout=5))
            open_ones = in_flight(orders)
        outcomes = outcomes_of(orders)

    assert (response.status_code, hello, open_ones) == (101, b"hello", 1)
    assert outcomes == (1, 0, 0)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_websocket_urls_belong_to_the_service(kind: Kind, scheme: str) -> None:
    seen: list[str] = []

    def answer(request: Any) -> Any:
        seen.append(str(request.url))
        return kind.hx.Response(101)

    backend = f"http{scheme[2:]}://10.0.0.1:8080"
    factory = answering(kind, answer)

    async with kind.connect(orders_at(backend), transport_factory=factory) as client:
        await done(client.get(f"{scheme}://orders/socket"))

    assert seen == [f"{scheme}://10.0.0.1:8080/socket"]


async def test_connection_is_reused_after_a_body_was_read(
    kind: Kind, server: LoopbackServer
) -> None:
    server.handler = reply(body=[b"one", b"two"])

    async with kind.connect(orders_at(server.url)) as client:
        for _ in range(5):
            await done(client.get(URL))

    assert server.connections == 1
