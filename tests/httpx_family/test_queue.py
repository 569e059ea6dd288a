"""Requests that wait until a backend has room."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from lbtransport import LoadBalancer, NoBackendsAvailable
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import ASYNC_KINDS, Kind, done, in_flight, orders_at
from tests.servers import PATIENCE, LoopbackServer, reply

URL = "http://orders/items"
BODY = b"0123456789" * 10


@pytest.fixture
def full(start_server: ServerStarter) -> LoopbackServer:
    """Start the server of a backend that gets one request at a time."""
    return start_server(reply(body=[BODY, BODY]))


def make_orders(server: LoopbackServer, **options: Any) -> LoadBalancer:
    options = {"queue_timeout": PATIENCE, **options}
    return orders_at(server.url, max_in_flight=1, max_queued=2, **options)


@contextlib.asynccontextmanager
async def meanwhile(
    kind: Kind, ask: Callable[[], Any], orders: LoadBalancer
) -> AsyncIterator[list[Any]]:
    """Ask in the background; go on when that waits; give what came of it at the end."""
    answers: list[Any] = []
    if not kind.is_async:
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(ask)
            while not orders.stats().queued:
                continue
            yield answers
            answers.append(future.result(PATIENCE))
        return

    async def collect() -> None:
        answers.append(await ask())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect)
        await anyio.wait_all_tasks_blocked()
        yield answers


async def test_request_waits_until_the_body_before_it_has_ended(
    kind: Kind, full: LoopbackServer
) -> None:
    orders = make_orders(full)

    async with kind.connect(orders) as client:
        first = await kind.open(client, URL)
        async with meanwhile(kind, lambda: client.get(URL), orders) as answers:
            assert len(full.requests) == 1
            await kind.read(first)

    assert [answer.content for answer in answers] == [BODY * 2]
    assert (orders.stats().queued, in_flight(orders)) == (0, 0)


async def test_request_that_waits_in_vain_fails_as_one_that_cannot_connect(
    kind: Kind, full: LoopbackServer
) -> None:
    orders = make_orders(full, queue_timeout=0.01)

    async with kind.connect(orders) as client:
        first = await kind.open(client, URL)
        with pytest.raises(kind.hx.ConnectError, match=r"queue_timeout=0\.01 s") as it:
            await done(client.get(URL))
        await kind.close(first)

    assert isinstance(it.value, NoBackendsAvailable)
    assert (orders.stats().queued, in_flight(orders)) == (0, 0)


async def test_request_waits_no_longer_than_its_deadline(
    kind: Kind, full: LoopbackServer
) -> None:
    orders = make_orders(full, queue_timeout=None)

    async with kind.connect(orders) as client:
        first = await kind.open(client, URL)
        with pytest.raises(kind.hx.ConnectError, match="within its deadline"):
            extensions = {"lbtransport": {"deadline": 0.01}}
            await done(client.get(URL, extensions=extensions))
        await kind.close(first)


@pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)
async def test_task_that_is_cancelled_while_it_waits_leaves_the_queue(
    kind: Kind, full: LoopbackServer
) -> None:
    orders = make_orders(full)

    async with kind.connect(orders) as client:
        first = await kind.open(client, URL)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.get, URL)
            await anyio.wait_all_tasks_blocked()
            waited = orders.stats().queued
            tasks.cancel_scope.cancel()
        queued = orders.stats().queued
        await kind.close(first)
        response = await client.get(URL)

    assert (waited, queued, response.status_code) == (1, 0, 200)
    assert in_flight(orders) == 0
