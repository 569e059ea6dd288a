"""What hedging does to the tail: a fleet of which one answer in fifty takes long.

Eight servers answer after 5 ms, or, once in fifty times at random, after a hundred
times that.
The same requests are sent without and with a second attempt after the 95th percentile,
by a client in tasks and by one in threads; printed are percentiles of the latency in
milliseconds, and how many requests the servers read for each that was made.

    python -m tests.benchmarks.hedging [--requests 4000] [--at-once 8]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import quantiles

import httpx
import requests

from lbtransport import LoadBalancer, RetryPolicy
from lbtransport.httpx import AsyncLoadBalancingTransport
from lbtransport.requests import mount
from tests.benchmarks.server import ANSWER

_SERVERS = 8
_USUAL, _SLOW = 0.005, 0.5  # seconds
_SLOW_PART = 1 / 50
_WARM_UP = 400  # requests, from which it is learned what is usual


class Straggling(asyncio.Protocol):
    """Answers each request after a while, once in a while after a long one."""

    read = 0
    rng = random.Random(7)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            Straggling.read += 1
            is_slow = self.rng.random() < _SLOW_PART
            asyncio.get_running_loop().call_later(
                _SLOW if is_slow else _USUAL, self._transport.write, ANSWER
            )


@contextmanager
def fleet() -> Iterator[list[str]]:
    """Run the servers in a thread; give their URLs."""
    loop = asyncio.new_event_loop()

    async def begin() -> list[str]:
        servers = [
            await loop.create_server(Straggling, "127.0.0.1", 0, backlog=1024)
            for _ in range(_SERVERS)
        ]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        return [f"http://127.0.0.1:{port}" for port in ports]

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(begin(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def in_tasks(orders: LoadBalancer, count: int, at_once: int) -> list[float]:
    """Return the latencies of requests made by httpx in tasks."""
    left = iter(range(count))
    found: list[float] = []
    async with httpx.AsyncClient(
        transport=AsyncLoadBalancingTransport(orders)
    ) as client:

        async def work() -> None:
            for _ in left:
                began = time.perf_counter()
                await client.get("http://orders/")
                found.append(time.perf_counter() - began)

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
    return found


def in_threads(orders: LoadBalancer, count: int, at_once: int) -> list[float]:
    """Return the latencies of requests made by requests in threads."""
    with requests.Session() as session:
        mount(session, orders, pool_maxsize=2 * at_once)

        def fetch(_: int) -> float:
            began = time.perf_counter()
            session.get("http://orders/")
            return time.perf_counter() - began

        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(fetch, range(count)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--at-once", type=int, default=8)
    arguments = parser.parse_args()
    count, at_once = arguments.requests, arguments.at_once
    clients: dict[str, Callable[[LoadBalancer, int, int], list[float]]] = {
        "httpx, tasks": lambda *given: asyncio.run(in_tasks(*given)),
        "requests, threads": in_threads,
    }
    print(f"{'':18} {'hedged':>7} {'p50':>7} {'p95':>7} {'p99':>7} {'read':>7}")
    with fleet() as urls:
        for name, run in clients.items():
            for percentile in (None, 0.95):
                retry = RetryPolicy(hedge_percentile=percentile)
                orders = LoadBalancer(
                    "orders", urls, retry=retry, strategy="power_of_two"
                )
                run(orders, _WARM_UP, at_once)
                before = Straggling.read
                cuts = quantiles(run(orders, count, at_once), n=100)
                figures = [1e3 * cuts[rank - 1] for rank in (50, 95, 99)]
                read = (Straggling.read - before) / count
                print(
                    f"{name:18} {percentile or 'no':>7}"
                    + "".join(f" {each:7.1f}" for each in figures)
                    + f" {read:7.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
