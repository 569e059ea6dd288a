"""Traffic over several backends: spread, kept through a death, and over threads."""

from __future__ import annotations

import collections
import threading

import pytest
import requests

from lbtransport import HealthPolicy
from lbtransport._clock import ManualClock, SystemClock
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import orders_at, outcomes_of
from tests.servers import LoopbackServer, reply


def test_requests_are_spread_over_all_backends(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    urls = [server.url for server in three_servers]
    client = balance(orders_at(*urls, strategy="round_robin"))

    bodies = [client.get("http://orders/").text for _ in range(30)]

    assert collections.Counter(bodies) == {"0": 10, "1": 10, "2": 10}


def test_each_backend_gets_the_logical_host(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    urls = [server.url for server in three_servers]
    client = balance(orders_at(*urls, strategy="round_robin"))

    for _ in range(3):
        client.get("http://orders/v1/items?page=2")

    for server in three_servers:
        (request,) = server.requests
        assert request.headers.get_all("Host") == ["orders"]
        assert request.target == "/v1/items?page=2"


def test_no_caller_sees_a_backend_die_and_return(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    clock = ManualClock()
    service = orders_at(
        *[server.url for server in three_servers],
        strategy="round_robin",
        health=HealthPolicy(slow_start=0),
        clock=clock,
    )
    client = balance(service)
    mortal = three_servers[1]
    statuses = []

    def send_a_hundred() -> None:
        for _ in range(100):
            statuses.append(client.get("http://orders/").status_code)
            clock.advance(0.01)

    send_a_hundred()
    mortal.kill()
    before = len(mortal.requests)
    send_a_hundred()
    mortal.restart()
    clock.advance(60)
    send_a_hundred()

    assert statuses == [200] * 300
    assert len(mortal.requests) - before > 25
    assert outcomes_of(service)[2] == 0
    hosts = {r.headers["Host"] for s in three_servers for r in s.requests}
    assert hosts == {"orders"}


@pytest.mark.parametrize("number", [12, 100])
def test_many_backends_keep_their_connections(
    balance: Balance, start_server: ServerStarter, number: int
) -> None:
    servers = [start_server() for _ in range(number)]
    urls = [server.url for server in servers]
    client = balance(orders_at(*urls, strategy="round_robin"))

    for _ in range(3 * number):
        client.get("http://orders/")

    assert {server.connections for server in servers} == {1}


def test_pass_through_does_not_evict_backends_connections(
    balance: Balance, start_server: ServerStarter
) -> None:
    backend, *strangers = [start_server() for _ in range(13)]
    client = balance(backend.url, pool_connections=1)

    for stranger in strangers:
        client.get("http://orders/")
        client.get(stranger.url)

    assert backend.connections == 1


def test_threads_share_one_session(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    urls = [server.url for server in three_servers]
    service = orders_at(*urls, strategy="least_connections", clock=SystemClock())
    client = balance(service, pool_maxsize=16)
    failures: list[BaseException] = []
    bodies: collections.Counter[str] = collections.Counter()

    def work() -> None:
        try:
            for number in range(25):
                streamed = number % 2 == 0
                response = client.get("http://orders/", stream=streamed)
                bodies[response.text if number % 3 else "closed"] += 1
                response.close()
        except requests.RequestException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    three_servers[0].kill()
    three_servers[0].restart()
    for thread in threads:
        thread.join()

    assert failures == []
    assert bodies.total() == 16 * 25
    assert outcomes_of(service)[2] == 0


def test_one_adapter_serves_several_services(
    balance: Balance, start_server: ServerStarter
) -> None:
    orders, users = start_server(reply(body=b"o")), start_server(reply(body=b"u"))
    client = balance(orders_at(orders.url), orders_at(users.url, name="users"))

    bodies = [client.get(f"http://{name}/").text for name in ("orders", "users")]

    assert bodies == ["o", "u"]
