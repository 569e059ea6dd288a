"""Responses that nobody closes: the collector finds them, at any moment."""

from __future__ import annotations

import gc
import threading
import types
from collections.abc import Callable
from typing import Any

import anyio.lowlevel
import pytest

from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    ASYNC_KINDS,
    SYNC_KINDS,
    Kind,
    Preferring,
    answering,
    done,
    in_flight,
    leaves_generators,
    orders_at,
    outcomes_of,
)
from tests.servers import PATIENCE, LoopbackServer, Reply, Request

URL = "http://orders/events"

pytestmark = leaves_generators


@pytest.fixture
def server(start_server: ServerStarter) -> LoopbackServer:
    """Start a server whose answers to /events never end; the others are empty."""

    def answer(request: Request) -> Reply:
        if request.target == "/events":
            return Reply(body=[b"one", threading.Event()])
        return Reply()

    return start_server(answer)


async def collect(kind: Kind, is_enough: Callable[[], bool]) -> None:
    """Have garbage found, and let finalisers that run in tasks come to their end."""
    for _ in range(10):
        gc.collect()
        for _ in range(20):
            if kind.is_async:
                await anyio.lowlevel.checkpoint()
        if is_enough():
            return


@pytest.mark.parametrize("read", [0, 1])
async def test_dropped_response_gives_the_backend_back_once(
    kind: Kind, server: LoopbackServer, read: int
) -> None:
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL)
        chunks = kind.chunks(response)
        for _ in range(read):
            await kind.next(chunks)
        del response, chunks
        await collect(kind, lambda: not in_flight(orders))
        outcomes = outcomes_of(orders)
        await done(client.get("http://orders/"))

    assert outcomes == (1, 0, 0)
    assert outcomes_of(orders) == (2, 0, 0)


@pytest.mark.parametrize("read", [0, 1])
async def test_next_request_closes_the_connection_of_a_dropped_response(
    kind: Kind, server: LoopbackServer, read: int
) -> None:
    limits = kind.hx.Limits(max_connections=1)

    orders = orders_at(server.url)

    async with kind.connect(orders, limits=limits) as client:
        response = await kind.open(client, URL)
        chunks = kind.chunks(response)
        for _ in range(read):
            await kind.next(chunks)
        del response, chunks
        await collect(kind, lambda: not in_flight(orders))
        await done(client.get("http://orders/"))
        server.wait_until(lambda server: server.open_connections == 1)

    assert server.connections == 2


@pytest.mark.parametrize("read", [0, 1])
async def test_closing_closes_the_connection_of_a_dropped_response(
    kind: Kind, server: LoopbackServer, read: int
) -> None:
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL)
        chunks = kind.chunks(response)
        for _ in range(read):
            await kind.next(chunks)
        del response, chunks
        await collect(kind, lambda: not in_flight(orders))

    server.wait_until(lambda server: not server.open_connections)


async def test_client_that_is_dropped_with_its_response_gives_the_backend_back(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = orders_at(server.url)
    client = kind.client(transport=kind.transport(orders))

    response = await kind.open(client, URL)
    await kind.close(response)
    kept = await kind.open(client, URL)
    await kind.close(client)
    del client, response, kept
    await collect(kind, lambda: not in_flight(orders))

    assert outcomes_of(orders) == (2, 0, 0)


class CollectingStrategy(Preferring):
    """A strategy in which the collector runs, under the balancer's lock."""

    def choose(self, *args: Any, **kwargs: Any) -> Any:
        gc.collect()
        return super().choose(*args, **kwargs)


@pytest.mark.parametrize("read", [0, 1])
async def test_collector_may_run_while_the_balancers_lock_is_held(
    kind: Kind, server: LoopbackServer, read: int
) -> None:
    orders = orders_at(server.url, strategy=CollectingStrategy([server.url]))

    async with kind.connect(orders) as client:
        gc.disable()
        try:
            response = await kind.open(client, URL)
            chunks = kind.chunks(response)
            for _ in range(read):
                await kind.next(chunks)
            del response, chunks
            await done(client.get("http://orders/"))
        finally:
            gc.enable()
        await collect(kind, lambda: not in_flight(orders))

    assert in_flight(orders) == 0


def in_time(function: Callable[[], Any]) -> bool:
    """Run `function` in a thread; tell whether it came to its end."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return not thread.is_alive()


@pytest.mark.parametrize("kind", SYNC_KINDS, indirect=True, ids=str)
@pytest.mark.parametrize("read", [0, 1])
async def test_collector_may_run_while_the_clients_pool_is_locked(
    kind: Kind, server: LoopbackServer, read: int
) -> None:
    inner = kind.hx.HTTPTransport()
    orders = orders_at(server.url)
    client = kind.client(
        transport=kind.transport(orders, transport_factory=lambda _: inner)
    )
    response = await kind.open(client, URL)
    chunks = kind.chunks(response)
    for _ in range(read):
        await kind.next(chunks)
    dropped = [response, chunks]
    del response, chunks

    def collect_under_the_lock() -> None:
        with inner._pool._optional_thread_lock:
            dropped.clear()
            gc.collect()

    # Where it does not, closing the client would hang as well.
    assert in_time(collect_under_the_lock)
    client.close()
    assert in_flight(orders) == 0


@pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)
async def test_coroutine_that_is_dropped_while_it_waits_gives_the_backend_back(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = orders_at(server.url)

    @types.coroutine
    def wait_for_ever() -> Any:
        yield

    async def never(_: Any) -> None:
        await wait_for_ever()

    transport = kind.transport(orders, transport_factory=answering(kind, never))
    call = transport.handle_async_request(kind.hx.Request("GET", URL))
    call.send(None)
    waiting = in_flight(orders)

    call.close()

    assert waiting == 1
    assert outcomes_of(orders) == (1, 0, 0)
