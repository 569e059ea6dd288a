"""What one select and release costs, for each strategy and number of backends.

The least of many short rounds counts, in microseconds: on a machine that does other
things too, the least is what the code costs and the rest is what the others did.
The first line is the same measure of a bare lock, to tell machines apart.
Each request has a key of its own; of strategies that spread by key a line says what
keys cost that come back, and another what keys cost that were never seen before.
The last lines are what others take for choosing alone, without release or health:
uhashring's ring by a new key, and elastic-transport's round robin.

With --changes it measures what removing or adding one backend of many costs, in
milliseconds, and the longest select in another thread meanwhile: the least and the
median of what many changes gave.
The first line of these is that thread while nothing changes: the machine's own stalls.

    python tests/benchmarks/selection.py [--sizes 10 100 1000 10000] [--changes]
"""

from __future__ import annotations

import argparse
import math
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count, cycle

from elastic_transport import NodeConfig, NodePool, RequestsHttpNode
from uhashring import HashRing  # type: ignore[import-untyped]  # it has no annotations

from lbtransport import LoadBalancer
from lbtransport.strategies import STRATEGIES, make_strategy
from lbtransport.strategies._keyed import Keyed

_ROUND = 0.0005  # seconds, less than others wait for their turn on a busy machine
_PATIENCE = 2.0  # for all rounds
_CHANGES = 20


def least_microseconds(call: Callable[[], object]) -> float:
    """Return the least time of a call, over many rounds."""
    calls, least = 1, math.inf
    ends_at = time.perf_counter() + _PATIENCE
    while time.perf_counter() < ends_at:
        began = time.perf_counter()
        for _ in range(calls):
            call()
        least = min(least, (time.perf_counter() - began) / calls)
        calls = math.ceil(_ROUND / least)
    return least * 1e6


def urls(size: int) -> list[str]:
    """Return the URLs of `size` backends."""
    return [f"http://10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(size)]


def known_keys() -> Iterator[str]:
    """Return keys that come back."""
    return cycle([f"user-{number}" for number in range(1000)])


def new_keys() -> Iterator[str]:
    """Return keys that never come back."""
    return (f"visitor-{number}" for number in count())


def select_and_release(
    strategy: str, size: int, *, keys: Iterator[str]
) -> Callable[[], object]:
    """Return a call that takes a backend of `size` and gives it back."""
    balancer = LoadBalancer("orders", urls(size), strategy=strategy)
    return lambda: balancer.select(key=next(keys)).release()


def choose_with_uhashring(size: int, keys: Iterator[str]) -> Callable[[], object]:
    """Return a call that takes a node by a key."""
    get_node: Callable[[str], object] = HashRing(nodes=urls(size)).get_node
    return lambda: get_node(next(keys))


def choose_with_node_pool(size: int) -> Callable[[], object]:
    """Return a call that takes a node in turn."""
    configs = [NodeConfig("http", url[len("http://") :], 80) for url in urls(size)]
    return NodePool(configs, RequestsHttpNode).get


def print_costs(sizes: Sequence[int]) -> None:
    """Print the table of what a selection costs."""
    lock = threading.Lock()

    def take_lock() -> None:
        with lock:
            pass

    def line(name: str, make: Callable[[int], Callable[[], object]]) -> None:
        costs = [least_microseconds(make(size)) for size in sizes]
        print(f"{name:24}" + "".join(f" {cost:8.2f}" for cost in costs), flush=True)

    print(f"{'a bare lock':24} {least_microseconds(take_lock):8.2f}")
    print(f"{'backends':24}" + "".join(f" {size:8}" for size in sizes))
    for name in STRATEGIES:
        line(name, partial(select_and_release, name, keys=known_keys()))
        if isinstance(make_strategy(name), Keyed):
            make = partial(select_and_release, name, keys=new_keys())
            line(f"{name}, new keys", make)
    line("uhashring", lambda size: choose_with_uhashring(size, new_keys()))
    line("elastic-transport", choose_with_node_pool)


def worst_select_during(balancer: LoadBalancer, change: Callable[[], object]) -> float:
    """Return the longest select of another thread while `change` runs, in seconds."""
    has_begun, is_over = threading.Event(), threading.Event()
    worst = 0.0

    def keep_selecting() -> None:
        nonlocal worst
        keys = known_keys()
        while not is_over.is_set():
            began = time.perf_counter()
            balancer.select(key=next(keys)).release()
            worst = max(worst, time.perf_counter() - began)
            has_begun.set()
            time.sleep(0.0001)  # as one who waits for answers; does not count

    thread = threading.Thread(target=keep_selecting)
    thread.start()
    has_begun.wait()
    worst = 0.0
    change()
    has_begun.clear()
    has_begun.wait()  # one more, which finds the candidates anew
    is_over.set()
    thread.join()
    return worst


def print_changes(size: int) -> None:
    """Print what a change of one backend of `size` costs."""
    print(f"{f'one of {size}, ms':24} {'change':>17} {'longest select':>17}")
    print(f"{'':24}" + f" {'least':>8} {'median':>8}" * 2)

    def line(name: str, strategy: str, pause: float | None) -> None:
        balancer = LoadBalancer("orders", urls(size), strategy=strategy)
        last = urls(size)[-1]
        changes: list[Callable[[], object]] = [
            lambda: balancer.remove_backend(last),
            lambda: balancer.add_backend(last),
        ]
        if pause is not None:
            changes = [lambda: time.sleep(pause)]
        took, worst = [], []
        for _, change in zip(range(_CHANGES), cycle(changes), strict=False):
            began = time.perf_counter()
            change()
            took.append(time.perf_counter() - began)
        for _, change in zip(range(_CHANGES), cycle(changes), strict=False):
            worst.append(worst_select_during(balancer, change))
        figures = [
            1e3 * figure(times)
            for times in (took, worst)
            for figure in (min, statistics.median)
        ]
        print(f"{name:24}" + "".join(f" {each:8.2f}" for each in figures), flush=True)

    line("no change, for 100 ms", "round_robin", 0.1)
    for name in STRATEGIES:
        line(name, name, None)


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--changes", action="store_true")
    arguments = parser.parse_args()
    if arguments.changes:
        for size in arguments.sizes:
            print_changes(size)
    else:
        print_costs(arguments.sizes)


if __name__ == "__main__":
    main()
