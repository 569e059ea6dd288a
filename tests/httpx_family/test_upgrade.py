"""Connections that leave HTTP (101), used by hand through their network stream.

A 101 is an answer whose body never ends: its backend is in flight until the response
is closed.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from lbtransport import Backend
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    ASYNC_KINDS,
    Kind,
    done,
    in_flight,
    orders_at,
    outcomes_of,
)
from tests.servers.upgrade import UpgradeServer

URL = "http://orders/exec"
UPGRADE = {"Connection": "Upgrade", "Upgrade": "echo"}


@pytest.fixture
def start_upgrade() -> Iterator[Callable[[], UpgradeServer]]:
    """Start servers that echo what comes after a 101."""
    with contextlib.ExitStack() as servers:
        yield lambda: servers.enter_context(UpgradeServer())


@pytest.fixture
def echoing(start_upgrade: Callable[[], UpgradeServer]) -> UpgradeServer:
    return start_upgrade()


async def send(kind: Kind, network: Any, data: bytes) -> bytes:
    """Send bytes, and return those that come back."""
    await done(network.write(data, timeout=5))
    received: bytes = await done(network.read(len(data), timeout=5))
    return received


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_bytes_go_both_ways_until_it_is_closed(
    kind: Kind, echoing: UpgradeServer, method: str
) -> None:
    orders = orders_at(Backend(echoing.url + "/v1"))

    async with kind.connect(orders) as client:
        async with kind.stream(client, method, URL, headers=UPGRADE) as response:
            network = response.extensions["network_stream"]
            received = [await send(kind, network, data) for data in (b"one", b"two")]
            (while_open,) = orders.stats().backends
        after = outcomes_of(orders)

    assert (response.status_code, response.headers["upgrade"]) == (101, "echo")
    assert (str(response.url), echoing.requests[0].target) == (URL, "/v1/exec")
    assert received == [b"one", b"two"]
    assert (while_open.in_flight, while_open.waiting) == (1, 0)
    assert after == (1, 0, 0)


async def test_closing_ends_the_connection_and_a_second_time_nothing(
    kind: Kind, echoing: UpgradeServer
) -> None:
    orders = orders_at(echoing.url)

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL, headers=UPGRADE)
        await kind.close(response)
        await kind.close(response)
        echoing.wait_until(lambda server: server.open_connections == 0)
        outcomes = outcomes_of(orders)

    assert outcomes == (1, 0, 0)


async def test_closed_network_stream_is_in_flight_until_its_response_is_closed(
    kind: Kind, echoing: UpgradeServer
) -> None:
    # It is the client's own object, and tells nobody.
    orders = orders_at(echoing.url)

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL, headers=UPGRADE)
        await kind.close(response.extensions["network_stream"])
        before = in_flight(orders)
        await kind.close(response)

    assert (before, *outcomes_of(orders)) == (1, 1, 0, 0)


async def test_upgraded_connection_that_breaks_is_never_opened_elsewhere(
    kind: Kind, start_upgrade: Callable[[], UpgradeServer]
) -> None:
    first, second = start_upgrade(), start_upgrade()
    orders = orders_at(first.url, second.url)

    async with (
        kind.connect(orders) as client,
        kind.stream(client, "GET", URL, headers=UPGRADE) as response,
    ):
        network = response.extensions["network_stream"]
        await send(kind, network, b"one")
        first.kill()
        with contextlib.suppress(Exception):  # of httpcore, or b"": it is bare httpx's
            await done(network.read(1, timeout=5))

    assert second.requests == []
    assert outcomes_of(orders) == (1, 0, 0)


async def test_dropped_upgrade_is_given_back_and_closed_by_the_next_request(
    kind: Kind, echoing: UpgradeServer, start_server: ServerStarter
) -> None:
    orders = orders_at(echoing.url, start_server().url)

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL, headers=UPGRADE)
        before = in_flight(orders)
        del response
        gc.collect()
        after = outcomes_of(orders)
        orders.drain(echoing.url)
        await done(client.get("http://orders/items"))
        echoing.wait_until(lambda server: server.open_connections == 0)

    assert (before, after) == (1, (1, 0, 0))


@pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)
async def test_cancelled_upgrade_is_given_back(
    kind: Kind, echoing: UpgradeServer
) -> None:
    orders = orders_at(echoing.url)

    async with kind.connect(orders) as client, anyio.create_task_group() as tasks:

        async def listen(*, task_status: anyio.abc.TaskStatus[None]) -> None:
            async with kind.stream(client, "GET", URL, headers=UPGRADE) as response:
                task_status.started()
                await response.extensions["network_stream"].read(1)

        await tasks.start(listen)
        before = in_flight(orders)
        tasks.cancel_scope.cancel()

    echoing.wait_until(lambda server: server.open_connections == 0)
    assert (before, *outcomes_of(orders)) == (1, 1, 0, 0)


async def test_server_that_does_not_switch_answers_as_ever(
    kind: Kind, start_server: ServerStarter
) -> None:
    orders = orders_at(start_server().url)

    async with kind.connect(orders) as client:
        response = await done(client.get(URL, headers=UPGRADE))

    assert response.status_code == 200
    assert outcomes_of(orders) == (1, 0, 0)
