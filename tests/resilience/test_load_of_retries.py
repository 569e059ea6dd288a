"""What eight real servers get of a service of which one fails everything, or all.

What a server that refuses connections got, the balancer's statistics tell: each
attempt is one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
import requests

from lbtransport import LoadBalancer, RetryPolicy
from lbtransport.requests import mount
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import KINDS, Kind, done
from tests.servers import Answer, LoopbackServer, Reply, Request, reset

SERVERS = 8
REQUESTS = 150
AT_ONCE = 8
URL = "http://orders/items"

Ask = Callable[[LoadBalancer], int]


def ask_by_requests(orders: LoadBalancer) -> int:
    """Make the requests; return how many failed."""
    with requests.Session() as session, ThreadPoolExecutor(AT_ONCE) as pool:
        mount(session, orders, pool_maxsize=AT_ONCE)

        def fails(_: int) -> bool:
            try:
                return session.get(URL).status_code != 200
            except requests.ConnectionError:
                return True

        return sum(pool.map(fails, range(REQUESTS)))


async def ask_by(kind: Kind, orders: LoadBalancer) -> int:
    """Make the requests; return how many failed."""
    failed = 0
    numbers = iter(range(REQUESTS))

    async with kind.connect(orders) as client:

        async def ask() -> None:
            nonlocal failed
            for _ in numbers:
                try:
                    response = await done(client.get(URL))
                    failed += response.status_code != 200
                except kind.hx.TransportError:
                    failed += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(ask)
    return failed


def in_loop(kind: Kind) -> Ask:
    return lambda orders: anyio.run(
        ask_by, kind, orders, backend=kind.loop or "asyncio"
    )


CLIENTS: dict[str, Ask] = {
    "requests": ask_by_requests,
    **{str(kind): in_loop(kind) for kind in (KINDS[1], KINDS[-1])},
}
POLICIES = {
    "usual": RetryPolicy(),
    "all that there is": RetryPolicy(
        attempts=5, attempt_timeout=5.0, hedge_percentile=0.5, hedge_ratio=0.5
    ),
}


class Uneven:
    """Takes longer now and then, so that there is something to hedge."""

    def __init__(self, status: int) -> None:
        self._status = status
        self._lock = threading.Lock()
        self._asked = 0  # guarded by _lock

    def __call__(self, _: Request) -> Answer:
        with self._lock:
            self._asked += 1
            is_slow = self._asked % 4 == 0
        time.sleep(0.01 if is_slow else 0.001)  # the work of a server, in real time
        return Reply(self._status)


def fail_with_503(server: LoopbackServer) -> None:
    server.handler = Uneven(503)


def fail_with_reset(server: LoopbackServer) -> None:
    server.handler = reset


FAILURES: dict[str, Callable[[LoopbackServer], Any]] = {
    "503": fail_with_503,
    "reset": fail_with_reset,
    "refused": LoopbackServer.kill,
}


@pytest.mark.parametrize("failing", [1, SERVERS])
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("client", CLIENTS)
def test_servers_get_a_fifth_more_than_was_asked_for_and_a_few(
    client: str, policy: str, failure: str, failing: int, start_server: ServerStarter
) -> None:
    servers = [start_server(Uneven(200)) for _ in range(SERVERS)]
    orders = LoadBalancer(
        "orders", [server.url for server in servers], retry=POLICIES[policy]
    )
    for server in servers[:failing]:
        FAILURES[failure](server)
    began_at = time.monotonic()

    failed = CLIENTS[client](orders)

    took = time.monotonic() - began_at
    backends = orders.stats().backends
    attempts = sum(one.total for one in backends)
    assert failed == (0 if failing == 1 else REQUESTS)
    # Three for each second are saved for three seconds.
    assert attempts <= 1.2 * REQUESTS + 3 * max(took, 3)
    assert sum(len(server.requests) for server in servers) <= attempts
    assert sum(one.in_flight for one in backends) == 0
