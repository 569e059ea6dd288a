"""What a request through us costs, as a ratio to the bare client.

For each client the same GET is sent in short blocks, bare and through us in turn, to
one server in another process.
What is compared is this process's CPU time: the machine's other work, and the time on
the wire, do not enter.
Each pair of neighbouring blocks gives a ratio; the median of them is the answer.

    python tests/benchmarks/overhead.py [--requests 200] [--rounds 40]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import requests

import lbtransport.httpx
import lbtransport.httpx2
import lbtransport.requests
from lbtransport import LoadBalancer

Block = Callable[[int], Awaitable[None]]


@contextmanager
def server() -> Iterator[str]:
    """Run the server; give its base URL."""
    path = Path(__file__).with_name("server.py")
    with subprocess.Popen(
        [sys.executable, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.communicate()


def sync_block(get: Callable[[str], Any], url: str) -> Block:
    """Return a block of `count` GETs, one after the other."""

    async def block(count: int) -> None:
        for _ in range(count):
            assert get(url).status_code == 200

    return block


def async_block(get: Callable[[str], Awaitable[Any]], url: str) -> Block:
    """Return a block of `count` GETs, one after the other."""

    async def block(count: int) -> None:
        for _ in range(count):
            assert (await get(url)).status_code == 200

    return block


def bare(url: str) -> Iterator[tuple[str, Block]]:
    """Give each client's name, and a block of GETs of `url`."""
    yield "requests", sync_block(requests.Session().get, url)
    for hx in (httpx, httpx2):
        module: Any = hx
        yield f"{module.__name__} sync", sync_block(module.Client().get, url)
        yield f"{module.__name__} async", async_block(module.AsyncClient().get, url)


def through(service: LoadBalancer) -> Iterator[tuple[str, Block]]:
    """Give each client's name, and a block of GETs through `service`."""
    url = f"http://{service.name}/items"
    session = requests.Session()
    lbtransport.requests.mount(session, service)
    yield "requests", sync_block(session.get, url)
    for hx, ours in ((httpx, lbtransport.httpx), (httpx2, lbtransport.httpx2)):
        module: Any = hx
        client = module.Client(transport=ours.LoadBalancingTransport(service))
        yield f"{module.__name__} sync", sync_block(client.get, url)
        transport = ours.AsyncLoadBalancingTransport(service)
        client = module.AsyncClient(transport=transport)
        yield f"{module.__name__} async", async_block(client.get, url)


async def cpu_seconds(block: Block, count: int) -> float:
    """Return this process's CPU seconds per request of a block."""
    began = time.process_time()
    await block(count)
    return (time.process_time() - began) / count


async def compare(
    name: str, plain: Block, ours: Block, *, count: int, rounds: int
) -> None:
    """Print the CPU time of two blocks, in microseconds a request, and their ratio.

    Both are to be warm.
    """
    pairs = []
    for turn in range(rounds):
        # Which goes first alternates, so that a drift favours neither.
        order = (plain, ours) if turn % 2 else (ours, plain)
        first, second = [await cpu_seconds(block, count) for block in order]
        pairs.append((first, second) if turn % 2 else (second, first))
    ratios = [through / alone for alone, through in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"{name:14} {statistics.median(a for a, _ in pairs) * 1e6:8.1f} "
        f"{statistics.median(b for _, b in pairs) * 1e6:8.1f} {middle:6.3f}  "
        f"{low:.3f} to {high:.3f}",
        flush=True,
    )


async def run(base: str, count: int, rounds: int) -> None:
    """Print a line for each client."""
    print(f"{'client':14} {'bare us':>8} {'ours us':>8} {'ratio':>6}  quartiles")
    service = LoadBalancer("orders", [base])
    for (name, alone), (_, ours) in zip(
        bare(f"{base}/items"), through(service), strict=True
    ):
        await alone(count)
        await ours(count)
        await compare(name, alone, ours, count=count, rounds=rounds)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200, help="per block")
    parser.add_argument("--rounds", type=int, default=40, help="pairs of blocks")
    arguments = parser.parse_args()
    with server() as base:
        asyncio.run(run(base, arguments.requests, arguments.rounds))


if __name__ == "__main__":
    main()
