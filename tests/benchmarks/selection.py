"""What one select and release costs, for each strategy and number of backends.

The least of many short rounds counts, in microseconds: on a machine that does other
things too, the least is what the code costs and the rest is what the others did.
The first line is the same measure of a bare lock, to tell machines apart.

    python tests/benchmarks/selection.py [--sizes 10 100 1000 10000]
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable

from lbtransport import LoadBalancer
from lbtransport.strategies import STRATEGIES

_CALLS = 200  # in a round
_PATIENCE = 2.0  # seconds for all rounds


def least_microseconds(call: Callable[[], object]) -> float:
    """Return the least time of a call, over many rounds."""
    rounds: list[float] = []
    ends_at = time.perf_counter() + _PATIENCE
    while not rounds or time.perf_counter() < ends_at:
        began = time.perf_counter()
        for _ in range(_CALLS):
            call()
        rounds.append((time.perf_counter() - began) / _CALLS)
    return min(rounds) * 1e6


def select_and_release(strategy: str, size: int) -> Callable[[], object]:
    """Return a call that takes a backend of `size` and gives it back."""
    backends = [f"http://10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(size)]
    balancer = LoadBalancer("orders", backends, strategy=strategy)
    return lambda: balancer.select().release()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    arguments = parser.parse_args()
    lock = threading.Lock()

    def take_lock() -> None:
        with lock:
            pass

    print(f"{'a bare lock':20} {least_microseconds(take_lock):8.2f}")
    print(f"{'backends':20}" + "".join(f" {size:8}" for size in arguments.sizes))
    for strategy in STRATEGIES:
        costs = [
            least_microseconds(select_and_release(strategy, size))
            for size in arguments.sizes
        ]
        print(f"{strategy:20}" + "".join(f" {cost:8.2f}" for cost in costs), flush=True)


if __name__ == "__main__":
    main()
