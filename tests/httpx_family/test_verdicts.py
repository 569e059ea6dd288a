"""What counts as a failure of a backend, over real servers."""

from __future__ import annotations

from typing import Any

import pytest

from lbtransport import HealthPolicy
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import Kind, done, orders_at, outcomes_of
from tests.servers import reply


def is_overloaded(response: Any) -> bool | None:
    return response.headers.get("x-overloaded") == "yes" or None


@pytest.mark.parametrize(
    ("status", "statuses", "failures"),
    [(429, {429, 503}, 1), (500, {429, 503}, 0), (503, {429, 503}, 1)],
)
async def test_statuses_that_are_failures_are_the_policys(
    kind: Kind,
    start_server: ServerStarter,
    status: int,
    statuses: set[int],
    failures: int,
) -> None:
    server = start_server(reply(status))
    orders = orders_at(server.url, health=HealthPolicy(failure_statuses=statuses))

    async with kind.connect(orders) as client:
        await done(client.post("http://orders/"))

    assert outcomes_of(orders) == (1, failures, 0)


@pytest.mark.parametrize(("header", "failures"), [("yes", 1), ("no", 0)])
async def test_function_judges_the_clients_own_response(
    kind: Kind, start_server: ServerStarter, header: str, failures: int
) -> None:
    server = start_server(reply(headers=[("X-Overloaded", header)]))
    orders = orders_at(server.url, health=HealthPolicy(is_failure=is_overloaded))

    async with kind.connect(orders) as client:
        response = await done(client.get("http://orders/"))

    assert response.status_code == 200
    assert outcomes_of(orders) == (1, failures, 0)


async def test_burst_of_422_ejects_nobody(
    kind: Kind, start_server: ServerStarter
) -> None:
    servers = [start_server(reply(422)) for _ in range(2)]
    orders = orders_at(*(server.url for server in servers))

    async with kind.connect(orders) as client:
        for _ in range(30):
            await done(client.get("http://orders/"))

    assert outcomes_of(orders) == (30, 0, 0)
    assert {one.state for one in orders.stats().backends} == {"closed"}


async def test_burst_of_local_pool_timeouts_ejects_nobody(
    kind: Kind, start_server: ServerStarter
) -> None:
    servers = [start_server(reply(body=b"unread")) for _ in range(2)]
    orders = orders_at(*(server.url for server in servers), retry=False)
    hx = kind.hx
    timeout = hx.Timeout(5.0, pool=0.001)

    async with kind.connect(
        orders, client={"timeout": timeout}, limits=hx.Limits(max_connections=1)
    ) as client:
        held = await kind.open(client, "http://orders/")
        for _ in range(30):
            with pytest.raises(hx.PoolTimeout):
                await done(client.get("http://orders/"))
        await kind.close(held)

    assert outcomes_of(orders) == (31, 0, 0)
    assert {one.state for one in orders.stats().backends} == {"closed"}
