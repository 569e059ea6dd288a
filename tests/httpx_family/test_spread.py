"""Requests are spread, and the death of a server is nothing that callers see."""

from __future__ import annotations

from lbtransport import HealthPolicy, LoadBalancer
from tests.httpx_family.kinds import Kind, done, in_flight
from tests.servers import LoopbackServer


async def test_callers_see_no_error_when_a_server_dies_and_returns(
    kind: Kind, three_servers: list[LoopbackServer]
) -> None:
    orders = LoadBalancer("orders", [server.url for server in three_servers])
    mortal = three_servers[1]

    async with kind.connect(orders) as client:
        statuses = set()
        for number in range(300):
            if number == 100:
                mortal.kill()
            if number == 200:
                mortal.restart()
            statuses.add((await done(client.get("http://orders/items"))).status_code)

    assert statuses == {200}
    assert in_flight(orders) == 0


async def test_traffic_returns_to_a_server_that_was_restarted(
    kind: Kind, three_servers: list[LoopbackServer]
) -> None:
    orders = LoadBalancer(
        "orders",
        [server.url for server in three_servers],
        strategy="round_robin",  # one that learns leaves it alone before it is ejected
        health=HealthPolicy(base_ejection_time=0.05, slow_start=0),
    )
    mortal = three_servers[1]

    async with kind.connect(orders) as client:
        mortal.kill()
        while orders.stats().backends[1].failures < 5:
            await done(client.get("http://orders/items"))
        mortal.restart()
        seen = len(mortal.requests)
        for _ in range(100_000):
            await done(client.get("http://orders/items"))
            if len(mortal.requests) > seen:
                break

    assert len(mortal.requests) > seen


async def test_each_server_gets_its_part_and_the_logical_host(
    kind: Kind, three_servers: list[LoopbackServer]
) -> None:
    orders = LoadBalancer("orders", [server.url for server in three_servers])

    async with kind.connect(orders) as client:
        for _ in range(60):
            await done(client.get("http://orders/items"))

    hosts = [
        {request.headers["Host"] for request in server.requests}
        for server in three_servers
    ]
    assert hosts == [{"orders"}] * 3


async def test_connections_to_each_backend_are_kept_for_the_next_request(
    kind: Kind, three_servers: list[LoopbackServer]
) -> None:
    orders = LoadBalancer("orders", [server.url for server in three_servers])

    async with kind.connect(orders) as client:
        for _ in range(30):
            await done(client.get("http://orders/items"))

    assert [server.connections for server in three_servers] == [1, 1, 1]
