"""Finalisers, threads and interrupts, which may come at any instant."""

from __future__ import annotations

import gc
import threading
from collections.abc import Generator
from typing import Any

import pytest

from lbtransport import LoadBalancer, Outcome
from lbtransport.strategies.round_robin import RoundRobin
from tests.core_kit import A, interrupted_at, make_service, stats_of
from tests.selection.kit import counts


class Collecting(RoundRobin):
    """A strategy in which the collector runs, under the balancer's lock."""

    def choose(self, candidates: Any, **rest: Any) -> Any:
        gc.collect()
        return super().choose(candidates, **rest)


def drop_in_a_cycle(thing: object) -> None:
    """Leave something to the collector."""
    cycle: list[object] = [thing]
    cycle.append(cycle)


def is_served_in_time(service: LoadBalancer) -> bool:
    """Tell whether another thread gets a backend, and is not stuck in a lock."""
    done = threading.Event()

    def work() -> None:
        service.select().release()
        done.set()

    threading.Thread(target=work, daemon=True).start()
    return done.wait(10)


def test_finaliser_under_the_balancers_lock_does_not_deadlock() -> None:
    service = make_service([A], strategy=Collecting())
    drop_in_a_cycle(service.select())

    assert is_served_in_time(service)
    assert counts(service) == (0, 0)


def test_many_threads_release_one_selection_once() -> None:
    service = make_service([A])
    selection = service.select()
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait(10)
        selection.release(error=ConnectionResetError())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts(service) == (0, 0)
    assert stats_of(service, A).failures == 1


def one_request(service: LoadBalancer, *, how: str) -> None:
    selection = service.select()
    if how == "responded":
        selection.responded(outcome=Outcome.success())
    selection.release(error=ConnectionResetError() if how == "failed" else None)


@pytest.mark.parametrize("how", ["released", "responded", "failed"])
@pytest.mark.parametrize("max_in_flight", [None, 1])
def test_interrupt_at_any_instant_leaves_the_accounts_right(
    how: str, max_in_flight: int | None
) -> None:
    found = set()

    for step in range(250):
        service = make_service([A], max_in_flight=max_in_flight)
        with interrupted_at(step):
            one_request(service, how=how)
        found.add(counts(service))

    assert found == {(0, 0)}


def read_half(service: LoadBalancer) -> Generator[None]:
    """Hold a selection as whoever reads a stream does, and give it back in the end."""
    selection = service.select()
    try:
        yield
    finally:
        selection.release(outcome=Outcome.failure("cut"))


def test_generator_that_is_collected_under_the_lock_gives_its_backend_back() -> None:
    service = make_service([A], strategy=Collecting())
    reading: Any = read_half(service)
    next(reading)
    drop_in_a_cycle(reading)
    del reading

    assert is_served_in_time(service)
    assert counts(service) == (0, 0)
    assert stats_of(service, A).failures == 1
