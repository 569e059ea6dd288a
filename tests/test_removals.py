"""What adapters hear of backends that leave, and that nothing is kept alive by it."""

from __future__ import annotations

import gc
import weakref

from lbtransport import Backend, LoadBalancer
from lbtransport._removals import Removals

A, B = "http://10.0.0.1", "http://10.0.0.2"


class Keeping:
    """Notes what it is to retire."""

    def __init__(self) -> None:
        self.retired: list[str] = []

    def retire(self, backend: Backend) -> None:
        self.retired.append(backend.url)


def test_keeper_retires_what_is_removed_and_nothing_else() -> None:
    removals, keeper = Removals(), Keeping()
    orders, users = LoadBalancer("orders", [A, B]), LoadBalancer("users", [B])
    removals.watch(orders, keeper)

    orders.remove_backend(A)
    orders.mark_healthy(B, False)
    users.remove_backend(B)

    assert keeper.retired == [A]


def test_keeper_retires_what_is_drained_until_it_is_no_more() -> None:
    removals, keeper = Removals(), Keeping()
    orders = LoadBalancer("orders", [A, B])
    removals.watch(orders, keeper)

    orders.drain(B)
    orders.drain(B, draining=False)

    assert keeper.retired == [B]


def test_keeper_that_watches_twice_is_told_once() -> None:
    removals, keeper = Removals(), Keeping()
    orders = LoadBalancer("orders", [A])

    removals.watch(orders, keeper)
    removals.watch(orders, keeper)
    orders.remove_backend(A)

    assert keeper.retired == [A]


def test_one_subscription_serves_all_keepers() -> None:
    removals, first, second = Removals(), Keeping(), Keeping()
    orders = LoadBalancer("orders", [A])

    removals.watch(orders, first)
    removals.watch(orders, second)
    orders.remove_backend(A)

    assert (first.retired, second.retired) == ([A], [A])
    assert len(orders.core.announcer._subscribers) == 1


def test_neither_keeper_nor_balancer_is_kept_alive() -> None:
    removals, keeper = Removals(), Keeping()
    orders = LoadBalancer("orders", [A])
    removals.watch(orders, keeper)
    references = weakref.ref(keeper), weakref.ref(orders)

    del keeper, orders
    gc.collect()

    assert [reference() for reference in references] == [None, None]


def test_child_of_a_fork_takes_a_new_lock() -> None:
    removals, keeper = Removals(), Keeping()
    orders = LoadBalancer("orders", [A])
    removals._lock.acquire()  # a thread of the parent held it

    removals.reset_after_fork()
    removals.watch(orders, keeper)
    orders.remove_backend(A)

    assert keeper.retired == [A]
