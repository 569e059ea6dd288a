"""Transports that are closed, forked, shared, and outlive their backends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from lbtransport import LoadBalancer
from lbtransport._httpx_family import routes
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    ASYNC_KINDS,
    ASYNCIO_KINDS,
    SYNC_KINDS,
    Kind,
    done,
    in_flight,
    leaves_generators,
    orders_at,
    outcomes_of,
)
from tests.servers import PATIENCE, LoopbackServer, hang, reply

URL = "http://orders/items"


def in_thread(function: Callable[[], object]) -> None:
    """Call `function` in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function).result(PATIENCE)


async def test_closing_closes_all_connections(
    kind: Kind, three_servers: list[LoopbackServer]
) -> None:
    orders = LoadBalancer(
        "orders", [server.url for server in three_servers], strategy="round_robin"
    )

    async with kind.connect(orders) as client:
        for _ in range(6):
            await done(client.get(URL))
        await done(client.get(three_servers[0].url))  # passes through

    for server in three_servers:
        server.wait_until(lambda server: not server.open_connections)


async def test_closing_twice_does_nothing(kind: Kind, server: LoopbackServer) -> None:
    transport = kind.transport(orders_at(server.url))
    client = kind.client(transport=transport)
    await done(client.get(URL))

    await kind.close(client)
    await kind.close(transport)
    await kind.close(transport)

    server.wait_until(lambda server: not server.open_connections)


async def test_closing_a_body_twice_does_nothing(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL)
        for _ in range(2):
            await kind.close(response.stream)

    assert outcomes_of(orders) == (1, 0, 0)


async def test_closing_an_unused_transport_does_nothing(
    kind: Kind, server: LoopbackServer
) -> None:
    transport = kind.transport(orders_at(server.url))

    await kind.close(transport)

    assert server.connections == 0


async def test_transport_is_usable_after_it_was_closed(
    kind: Kind, server: LoopbackServer
) -> None:
    transport = kind.transport(orders_at(server.url))
    for client in [kind.client(transport=transport) for _ in range(2)]:
        await done(client.get(URL))
        await done(client.get(server.url))
        await kind.close(client)

    assert len(server.requests) == 4
    server.wait_until(lambda server: not server.open_connections)


async def test_closing_a_transport_leaves_the_balancer_alone(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = orders_at(server.url)
    async with kind.connect(orders) as client:
        await done(client.get(URL))

    async with kind.connect(orders) as client:
        response = await done(client.get(URL))

    assert response.status_code == 200


async def test_transport_is_a_context_manager_of_its_own(
    kind: Kind, server: LoopbackServer
) -> None:
    transport = kind.transport(orders_at(server.url))
    request = kind.hx.Request("GET", URL)

    if kind.is_async:
        async with transport as entered:
            response = await entered.handle_async_request(request)
            await response.aread()
    else:
        with transport as entered:
            response = entered.handle_request(request)
            response.read()

    assert response.status_code == 200
    server.wait_until(lambda server: not server.open_connections)


def note_life(kind: Kind, life: list[str]) -> Any:
    """Return a transport that notes when it is entered, closed and left."""
    base: Any = kind.inner("BaseTransport")

    class Sync(base):  # type: ignore[misc]  # the client's class is known at run time
        def __enter__(self) -> Any:
            life.append("entered")
            return super().__enter__()

        def __exit__(self, *error: object) -> None:
            super().__exit__(*error)
            life.append("left")

        def close(self) -> None:
            life.append("closed")

    class Async(base):  # type: ignore[misc]  # as above
        async def __aenter__(self) -> Any:
            life.append("entered")
            return await super().__aenter__()

        async def __aexit__(self, *error: object) -> None:
            await super().__aexit__(*error)
            life.append("left")

        async def aclose(self) -> None:
            life.append("closed")

    return Async() if kind.is_async else Sync()


async def test_what_passes_through_is_entered_and_left_with_the_client(
    kind: Kind,
) -> None:
    life: list[str] = []
    passthrough = note_life(kind, life)
    transport = kind.transport(orders_at("http://10.0.0.1"), passthrough=passthrough)

    if kind.is_async:
        async with kind.client(transport=transport):
            life.append("inside")
    else:
        with kind.client(transport=transport):
            life.append("inside")

    assert life == ["entered", "inside", "closed", "left"]


async def test_what_passes_through_is_closed_with_a_client_nobody_entered(
    kind: Kind,
) -> None:
    life: list[str] = []
    passthrough = note_life(kind, life)
    transport = kind.transport(orders_at("http://10.0.0.1"), passthrough=passthrough)

    await kind.close(kind.client(transport=transport))

    assert life == ["closed"]


async def test_connections_of_a_removed_backend_are_closed_by_the_next_request(
    kind: Kind, start_server: ServerStarter
) -> None:
    removed, other = start_server(), start_server()
    orders = orders_at(removed.url, other.url)

    async with kind.connect(orders) as client:
        await done(client.get(URL))
        orders.remove_backend(removed.url)
        await done(client.get(URL))

        removed.wait_until(lambda server: not server.open_connections)


async def test_drained_backend_ends_what_it_has_and_loses_its_connections(
    kind: Kind, start_server: ServerStarter
) -> None:
    gate = threading.Event()
    drained, other = start_server(reply(body=[b"one", gate, b"two"])), start_server()
    orders = orders_at(drained.url, other.url)

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL)
        orders.drain(drained.url)
        await done(client.get(URL))
        in_the_middle = (
            drained.open_connections,
            orders.wait_drained(drained.url, timeout=0),
        )
        gate.set()
        body = await kind.read(response)

        drained.wait_until(lambda server: not server.open_connections)
        assert orders.wait_drained(drained.url, timeout=0)
        orders.drain(drained.url, draining=False)
        await done(client.get(URL))

    assert (in_the_middle, body) == ((1, False), b"onetwo")
    assert [len(server.requests) for server in (drained, other)] == [2, 1]
    assert drained.connections == 2


@pytest.mark.parametrize("options", [{}, {"deadline": 60.0}])
async def test_body_of_a_removed_backend_is_read_to_its_end_and_then_it_is_closed(
    kind: Kind, start_server: ServerStarter, options: dict[str, Any]
) -> None:
    gate = threading.Event()
    removed, other = start_server(reply(body=[b"one", gate, b"two"])), start_server()
    orders = orders_at(removed.url, other.url, **options)

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL)
        in_thread(lambda: orders.remove_backend(removed.url))
        await done(client.get(URL))
        open_while_reading = removed.open_connections
        gate.set()
        body = await kind.read(response)

        # No request follows, and the response lives on.
        removed.wait_until(lambda server: not server.open_connections)

    assert (open_while_reading, body) == (1, b"onetwo")


@pytest.mark.parametrize("kind", SYNC_KINDS, indirect=True, ids=str)
async def test_idle_connections_of_a_removed_backend_are_closed_at_once(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        await done(client.get(URL))
        in_thread(lambda: orders.remove_backend(server.url))

        server.wait_until(lambda server: not server.open_connections)


async def test_backend_that_returns_is_called_again(
    kind: Kind, start_server: ServerStarter
) -> None:
    returning, other = start_server(), start_server()
    orders = orders_at(returning.url, other.url)

    async with kind.connect(orders) as client:
        await done(client.get(URL))
        orders.update_backends([other.url])
        await done(client.get(URL))
        orders.update_backends([returning.url, other.url])
        await done(client.get(URL))

    assert [len(server.requests) for server in (returning, other)] == [2, 1]


async def test_any_number_of_ports_share_the_connections_of_a_backend(
    kind: Kind, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_MOST_ROUTES", 2)

    async with kind.connect(orders_at(server.url)) as client:
        for port in range(8000, 8006):
            await done(client.get(f"http://orders:{port}/"))

    hosts = [request.headers["Host"] for request in server.requests]
    assert hosts == [f"orders:{port}" for port in range(8000, 8006)]
    assert server.connections == 1


async def test_transport_forgets_a_balancer_that_is_gone(
    kind: Kind, server: LoopbackServer
) -> None:
    # A finder may make one for each tenant; none of them is kept alive by us.
    made: list[Any] = []

    def find(*_: Any) -> LoadBalancer:
        orders = orders_at(server.url)
        made.append(weakref.ref(orders))
        return orders

    async with kind.connect(find) as client:
        for _ in range(3):
            await done(client.get(URL))
        gc.collect()
        alive = [reference() for reference in made if reference() is not None]

    assert alive == []


async def test_balancer_outlives_its_transports(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(), start_server()
    orders = orders_at(first.url, second.url)
    client = kind.client(transport=kind.transport(orders))
    await done(client.get(URL))
    await kind.close(client)
    del client
    gc.collect()

    orders.remove_backend(first.url)  # the event finds nobody any more
    orders.add_backend(first.url)

    assert len(orders.backends) == 2


@pytest.mark.parametrize("kind", SYNC_KINDS, indirect=True, ids=str)
async def test_threads_share_a_transport_while_backends_come_and_go(
    kind: Kind, start_server: ServerStarter
) -> None:
    servers = [start_server() for _ in range(4)]
    urls = [server.url for server in servers]
    orders = LoadBalancer("orders", urls)
    barrier = threading.Barrier(17)

    with kind.client(transport=kind.transport(orders)) as client:

        def hammer() -> set[int]:
            barrier.wait(PATIENCE)
            return {client.get(URL).status_code for _ in range(20)}

        def disturb() -> set[int]:
            barrier.wait(PATIENCE)
            for number in range(30):
                orders.remove_backend(urls[number % 4])
                orders.add_backend(urls[number % 4])
            return {200}

        with ThreadPoolExecutor(17) as pool:
            jobs: list[Callable[[], set[int]]] = [*[hammer] * 16, disturb]
            statuses = [pool.submit(job) for job in jobs]
            seen = set().union(*[status.result() for status in statuses])

    assert seen == {200}
    assert in_flight(orders) == 0
    for server in servers:
        server.wait_until(lambda server: not server.open_connections)


@pytest.mark.parametrize("kind", ASYNCIO_KINDS, indirect=True, ids=str)
async def test_tasks_share_a_transport_while_backends_come_and_go(
    kind: Kind, start_server: ServerStarter
) -> None:
    servers = [start_server() for _ in range(4)]
    urls = [server.url for server in servers]
    orders = LoadBalancer("orders", urls)

    async with kind.connect(orders) as client:

        async def hammer() -> None:
            for _ in range(2):
                assert (await client.get(URL)).status_code == 200

        async def disturb() -> None:
            for number in range(6):
                orders.remove_backend(urls[number % 4])
                await asyncio.sleep(0)
                orders.add_backend(urls[number % 4])

        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(hammer())
            group.create_task(disturb())

    assert in_flight(orders) == 0


@leaves_generators
async def test_closing_while_a_body_is_read_gives_the_backend_back(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(body=[b"one", threading.Event()]))
    orders = orders_at(server.url)
    client = kind.client(transport=kind.transport(orders))
    response = await kind.open(client, URL)
    chunks = kind.chunks(response)
    await kind.next(chunks)

    await kind.close(client)
    await kind.close(response)

    assert outcomes_of(orders) == (1, 0, 0)
    server.wait_until(lambda server: not server.open_connections)


@leaves_generators
async def test_body_that_is_cut_by_closing_blames_nobody(
    kind: Kind, start_server: ServerStarter
) -> None:
    gate = threading.Event()
    server = start_server(reply(body=[b"one", gate, b"two"]))
    orders = orders_at(server.url)
    client = kind.client(transport=kind.transport(orders))
    response = await kind.open(client, URL)
    chunks = kind.chunks(response)
    await kind.next(chunks)

    await kind.close(client)
    gate.set()
    with pytest.raises(kind.hx.TransportError):
        await kind.all(chunks)
    await kind.close(response)

    assert outcomes_of(orders) == (1, 0, 0)


@pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)
async def test_request_that_is_cut_by_closing_is_not_repeated_and_blames_nobody(
    kind: Kind, start_server: ServerStarter
) -> None:
    server, other = start_server(hang), start_server()
    orders = orders_at(server.url, other.url)
    client = kind.client(transport=kind.transport(orders))
    errors: list[Exception] = []

    async def get() -> None:
        with pytest.raises(kind.hx.TransportError) as caught:
            await client.get(URL)
        errors.append(caught.value)

    async with anyio.create_task_group() as group:
        group.start_soon(get)
        while not server.requests:
            await anyio.lowlevel.checkpoint()
        await client.aclose()

    assert len(errors) == 1
    assert outcomes_of(orders) == (1, 0, 0)
    assert other.connections == 0
    server.wait_until(lambda server: not server.open_connections)


@pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)
async def test_request_that_waits_for_a_connection_opens_none_after_closing(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(body=[b"one", threading.Event()]))
    orders = orders_at(server.url)
    transport = kind.transport(orders, limits=kind.hx.Limits(max_connections=1))
    client = kind.client(
        transport=transport, timeout=kind.hx.Timeout(PATIENCE, pool=0.2)
    )
    held = await kind.open(client, URL)

    async def get() -> None:
        with pytest.raises(kind.hx.TransportError):
            await client.get(URL)

    async with anyio.create_task_group() as group:
        group.start_soon(get)
        while outcomes_of(orders)[0] < 2:
            await anyio.lowlevel.checkpoint()
        await client.aclose()
    await kind.close(held)

    assert server.connections == 1
    assert outcomes_of(orders) == (2, 0, 0)


async def test_transport_of_two_clients_serves_one_when_the_other_is_closed(
    kind: Kind, server: LoopbackServer
) -> None:
    transport = kind.transport(orders_at(server.url))
    first, second = (kind.client(transport=transport) for _ in range(2))
    await done(first.get(URL))
    await done(second.get(URL))
    shared = server.connections

    await kind.close(first)
    response = await done(second.get(URL))
    await kind.close(second)

    assert (shared, response.status_code) == (1, 200)
    server.wait_until(lambda server: not server.open_connections)


async def test_transport_may_be_entered_twice(
    kind: Kind, server: LoopbackServer
) -> None:
    transport = kind.transport(orders_at(server.url))
    statuses = []

    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            if kind.is_async:
                await stack.enter_async_context(transport)
            else:
                stack.enter_context(transport)
            client = kind.client(transport=transport)
            statuses.append((await done(client.get(URL))).status_code)

    assert statuses == [200, 200]
    server.wait_until(lambda server: not server.open_connections)


@pytest.mark.parametrize("kind", SYNC_KINDS, indirect=True, ids=str)
async def test_threads_may_close_at_the_same_time(
    kind: Kind, server: LoopbackServer
) -> None:
    transport = kind.transport(orders_at(server.url))
    with kind.client(transport=transport) as client:
        client.get(URL)
        client.get(server.url)  # passes through
        barrier = threading.Barrier(4)

        def close() -> None:
            barrier.wait(PATIENCE)
            transport.close()

        with ThreadPoolExecutor(4) as pool:
            for job in [pool.submit(close) for _ in range(4)]:
                job.result(PATIENCE)

    server.wait_until(lambda server: not server.open_connections)


async def test_bodies_that_end_at_the_same_time_close_the_backend_once(
    kind: Kind, start_server: ServerStarter
) -> None:
    removed = start_server(reply(body=[b"one", b"two"]))
    orders = orders_at(removed.url)

    async with kind.connect(orders) as client:
        responses = [await kind.open(client, URL) for _ in range(3)]
        orders.remove_backend(removed.url)
        left = []
        for response in responses:
            left.append(removed.open_connections)
            await kind.close(response)
        removed.wait_until(lambda server: not server.open_connections)

    assert left[0] == 3
    assert outcomes_of(orders) == (0, 0, 0)  # it took its account along
