"""A client that is carried from one event loop to the next."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from tests.conftest import ServerStarter
from tests.httpx_family.kinds import ASYNCIO_KINDS, Kind, orders_at, outcomes_of
from tests.servers import LoopbackServer

URL = "http://orders/items"

pytestmark = [
    pytest.mark.parametrize("kind", ASYNCIO_KINDS, indirect=True, ids=str),
    # The bare client, too, leaves the sockets of a loop that is gone to the collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


def come_to(coroutine: Any) -> str:
    """Run a coroutine in a loop of its own; return what came of it, as text."""
    try:
        return str(asyncio.run(coroutine))
    except Exception as error:  # noqa: BLE001 - compared with the bare client's
        return repr(error)


def test_client_of_a_loop_that_is_gone_does_as_the_bare_one(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = orders_at(server.url)
    transport = kind.transport(orders)
    bare, ours = kind.client(), kind.client(transport=transport)

    expected = [come_to(bare.get(server.url)) for _ in range(4)]
    found = [come_to(ours.get(URL)) for _ in range(4)]
    waiting = [len(pool.open) for pool in transport._pools._pools.values()]
    asyncio.run(ours.aclose())
    del bare, ours, transport
    gc.collect()

    assert found == expected
    assert "Event loop is closed" in found[1]
    assert (outcomes_of(orders), waiting) == ((4, 0, 0), [0])
    server.wait_until(lambda server: not server.open_connections)


def test_client_that_closes_its_connections_serves_each_loop(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = orders_at(server.url)
    transport = kind.transport(orders)

    async def get() -> int:
        async with kind.client(transport=transport) as client:
            return int((await client.get(URL)).status_code)

    statuses = [asyncio.run(get()) for _ in range(3)]

    assert statuses == [200, 200, 200]
    server.wait_until(lambda server: not server.open_connections)


def test_backend_that_was_removed_between_two_loops_harms_no_later_request(
    kind: Kind, start_server: ServerStarter
) -> None:
    # Its connections belong to a loop that can no longer close them.
    removed, other = start_server(), start_server()
    orders = orders_at(removed.url, other.url)
    client = kind.client(transport=kind.transport(orders))

    asyncio.run(client.get(URL))
    orders.remove_backend(removed.url)
    found = come_to(client.get(URL))
    del client
    gc.collect()

    assert found == "<Response [200 OK]>"
    removed.wait_until(lambda server: not server.open_connections)
