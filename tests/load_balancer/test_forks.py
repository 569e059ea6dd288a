"""A service in the child of a fork."""

from __future__ import annotations

import os
import pickle
import random
import warnings
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pytest

from lbtransport import LoadBalancer, events
from lbtransport.load_balancer import _instances
from tests.core_kit import (
    REFUSED,
    URLS,
    A,
    B,
    C,
    advance,
    eject,
    in_flight,
    make_service,
    stats_of,
)


def in_children(number: int, work: Callable[[], Any]) -> list[Any]:
    """Run `work` in the child of a fork, `number` times; return what it returned."""
    results = []
    for _ in range(number):
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Other tests' threads are none of the child's business.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:  # pragma: no cover - coverage does not reach into it
            try:
                os.write(writer, pickle.dumps(work()))
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            results.append(pickle.loads(pipe.read()))
        os.waitpid(child, 0)
    return results


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@forks
def test_child_of_a_fork_has_nothing_in_flight() -> None:
    service = make_service([A, B])
    held = [service.select() for _ in range(3)]

    def work() -> list[int]:
        before = in_flight(service)
        for selection in held:
            selection.release()
        return [
            before,
            in_flight(service),
            sum(b.total for b in service.stats().backends),
        ]

    assert in_children(1, work) == [[0, 0, 3]]
    assert in_flight(service) == 3


@forks
def test_child_of_a_fork_is_not_locked_by_a_thread_of_the_parent() -> None:
    service = make_service([A])
    service.core.announcer.watch()

    held, done = Event(), Event()

    def hold() -> None:
        with service.core._lock, service.core.announcer.lock:
            held.set()
            done.wait(10)

    thread = Thread(target=hold)
    thread.start()
    assert held.wait(10)
    children = in_children(1, lambda: service.execute(lambda backend: backend.url))
    done.set()
    thread.join()

    assert children == [A]


@forks
def test_what_the_parent_sent_says_nothing_in_the_child() -> None:
    service = make_service([A, B], strategy="adaptive")
    held = [service.select() for _ in range(12)]

    def work() -> tuple[set[str], float]:
        own = service.select()
        for selection in held:
            selection.release(outcome=REFUSED)
        return {
            b.state for b in service.stats().backends
        }, own.state.strategy_state.starts

    assert in_children(1, work) == [({"closed"}, 1000.0)]
    for selection in held:
        selection.release()


@forks
def test_child_of_a_fork_keeps_the_evidence() -> None:
    service = make_service([A, B])
    eject(service, A)

    (state,) = in_children(1, lambda: stats_of(service, A).state)

    assert state == "ejected"


@forks
def test_child_of_a_fork_may_repeat_a_trial_of_the_parent() -> None:
    service = make_service([A, B])
    eject(service, A)
    advance(service, 2.0)
    trial = service.select(exclude=[B])

    (url,) = in_children(1, lambda: service.select(exclude=[B]).backend.url)

    assert url == A
    trial.release()


@forks
def test_children_of_a_fork_draw_different_numbers() -> None:
    service = LoadBalancer("orders", URLS, strategy="random", rng=random.Random(7))

    def work() -> list[str]:
        return [service.select().backend.url for _ in range(30)]

    one, other = in_children(2, work)

    assert one != other


@forks
def test_children_of_a_fork_take_turns_in_different_orders() -> None:
    service = LoadBalancer("orders", URLS, strategy="round_robin")

    def work() -> str:
        return service.select().backend.url

    assert len(set(in_children(12, work))) > 1


@forks
def test_children_of_a_fork_keep_to_different_subsets() -> None:
    fleet = [f"http://10.0.1.{number}" for number in range(50)]
    service = LoadBalancer("orders", fleet, strategy="round_robin", subset=5)

    def work() -> set[str]:
        return {service.select().backend.url for _ in range(5)}

    one, other = in_children(2, work)

    assert one != other


@forks
def test_child_of_a_fork_forgets_the_parents_waiting_threads() -> None:
    service = make_service([A])
    service.core.announcer.watch()

    (watchers,) = in_children(1, lambda: len(service.core.announcer.watchers))

    assert watchers == 0


@forks
def test_subscribers_stay_in_the_child_of_a_fork() -> None:
    service, heard = make_service([]), list[Any]()
    service.subscribe(heard.append)

    def work() -> int:
        service.add_backend(A)
        return len(heard)

    assert in_children(1, work) == [1]


def test_reset_after_a_fork_forgets_what_is_in_flight_but_not_the_evidence() -> None:
    service = make_service([A, B, C])
    eject(service, A)
    service.core.announcer.watch()
    held = service.select()
    service.core.announcer.noted.append(events.PanicLeft("orders"))

    service.core.reset_after_fork()

    assert in_flight(service) == 0
    assert stats_of(service, A).state == "ejected"
    assert not service.core.announcer.watchers
    assert not service.core.announcer.noted
    held.release()
    assert in_flight(service) == 0


def test_reset_after_a_fork_reaches_every_service() -> None:
    services = [make_service([A]), make_service([A])]
    held = [service.select() for service in services]

    _instances.reset_all()

    assert [in_flight(service) for service in services] == [0, 0]
    assert len(held) == 2
