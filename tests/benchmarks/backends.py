"""What many backends cost: a request over a hundred of them, as a ratio to over one.

For each client the same GET is sent in short blocks, over one backend and over all of
them round robin, in turn, to servers in another process; what is compared is this
process's CPU time, as in `overhead`.
The last column is how many connections each request opened, counted by the servers,
after two rounds in which every backend was visited twice.

    python -m tests.benchmarks.backends [--backends 100] [--requests 200] [--rounds 40]
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lbtransport import LoadBalancer
from tests.benchmarks.overhead import Block, compare, through


class Servers:
    """Servers that answer alike, in a process of their own.

    Attributes:
        urls: Their base URLs.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.urls = [f"http://127.0.0.1:{port}" for port in self._read().split()]

    def connections(self) -> int:
        """Return how many connections they accepted so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("connections\n")
        self._process.stdin.flush()
        return int(self._read())

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def servers(count: int) -> Iterator[Servers]:
    """Run so many servers."""
    path = Path(__file__).with_name("server.py")
    with subprocess.Popen(
        [sys.executable, str(path), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Servers(process)
        process.communicate()


def contestants(urls: list[str]) -> Iterator[tuple[str, Block, Block]]:
    """Give each client's name, and its blocks: over one backend, and over all."""
    one = LoadBalancer("one", urls[:1], strategy="round_robin")
    many = LoadBalancer("many", urls, strategy="round_robin")
    for (name, over_one), (_, over_many) in zip(
        through(one), through(many), strict=True
    ):
        yield name, over_one, over_many


async def run(backends: int, count: int, rounds: int) -> None:
    """Print a line for each client."""
    print(f"{'client':14} {'1 us':>8} {f'{backends} us':>8} {'ratio':>6}  quartiles")
    with servers(backends) as there:
        for name, one, many in contestants(there.urls):
            await one(2)
            await many(2 * backends)
            before = there.connections()
            await compare(name, one, many, count=count, rounds=rounds)
            opened = there.connections() - before
            print(f"{'':14} {opened / (count * rounds):.4f} connections a request")


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", type=int, default=100)
    parser.add_argument("--requests", type=int, default=200, help="per block")
    parser.add_argument("--rounds", type=int, default=40, help="pairs of blocks")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.backends, arguments.requests, arguments.rounds))


if __name__ == "__main__":
    main()
