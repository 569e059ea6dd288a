"""A backend that was taken is given back exactly once, however the attempt ends."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import LoadBalancer, NoBackendsAvailable, Outcome, Selection
from lbtransport.strategies.round_robin import RoundRobin
from tests.helpers_core import (
    CUT,
    STATUS_500,
    A,
    B,
    advance,
    answer,
    in_flight,
    interrupted_at,
    make_service,
    stats_of,
)

ACTIONS: dict[str, Callable[[Selection], object]] = {
    "responded": Selection.responded,
    "responded with a success": lambda s: s.responded(outcome=Outcome.success()),
    "responded with a failure": lambda s: s.responded(outcome=STATUS_500),
    "release": Selection.release,
    "release with an error": lambda s: s.release(error=ConnectionResetError()),
    "release with an outcome": lambda s: s.release(outcome=Outcome.neutral()),
    "cancel": Selection.cancel,
    "with block": lambda s: s.__exit__(None, None, None),
}
any_actions = st.lists(st.sampled_from(sorted(ACTIONS)), max_size=5)


def counts(service: LoadBalancer, url: str = A) -> tuple[int, int]:
    found = stats_of(service, url)
    return found.in_flight, found.waiting


def test_selection_says_which_backend_since_when() -> None:
    service = make_service([A])

    selection = service.select()

    assert selection.backend is service.backends[0]
    assert selection.started_at == 1000.0
    assert repr(selection) == f"<Selection backend={A!r} waiting>"
    selection.cancel()


def test_selection_is_waiting_until_the_headers_and_in_flight_until_the_end() -> None:
    service = make_service([A])

    selection = service.select()
    assert counts(service) == (1, 1)
    selection.responded()
    assert counts(service) == (1, 0)
    assert repr(selection).endswith("responded>")
    selection.release()
    assert counts(service) == (0, 0)
    assert repr(selection).endswith("released>")


@pytest.mark.parametrize("one", ACTIONS)
@pytest.mark.parametrize("other", ACTIONS)
def test_released_once_in_any_order(one: str, other: str) -> None:
    service = make_service([A])
    selection = service.select()

    ACTIONS[one](selection)
    ACTIONS[other](selection)
    selection.release()

    assert counts(service) == (0, 0)
    assert stats_of(service, A).failures <= 1


@given(actions=any_actions)
def test_dropped_after_anything_is_released_once(actions: list[str]) -> None:
    service = make_service([A])
    kept, dropped = service.select(), service.select()

    for action in actions:
        ACTIONS[action](dropped)
    del dropped

    assert counts(service) == (1, 1)
    kept.release()


def test_select_alone_settles_what_was_dropped() -> None:
    service = make_service([A], max_in_flight=1)

    service.select()  # dropped at once
    selection = service.select()

    assert counts(service) == (1, 1)
    selection.release()


def test_release_settles_what_was_dropped() -> None:
    service = make_service([A])
    selection = service.select()
    service.select()  # dropped at once

    selection.release()

    assert service.core._roster.table.find(A).in_flight == 0


def test_selection_that_was_dropped_and_settled_already_counts_once() -> None:
    service = make_service([A])
    kept, selection = service.select(), service.select()
    selection.release()

    # As after an interrupt between settling it and forgetting it.
    service.core.abandon(selection)

    assert counts(service) == (1, 1)
    kept.release()


def test_dropped_selection_is_no_evidence() -> None:
    service = make_service([A, B])

    for _ in range(20):
        service.select()

    assert all(backend.state == "closed" for backend in service.stats().backends)
    assert all(backend.failures == 0 for backend in service.stats().backends)


def test_dropped_after_its_headers_is_a_success() -> None:
    service = make_service([A, B])
    answer(service, A, *[CUT] * 4)
    selection = service.select(exclude=[B])
    selection.responded(outcome=Outcome.success())

    del selection
    service.stats()
    answer(service, A, CUT)

    assert stats_of(service, A).state == "closed"


# Latency


def test_latency_is_from_select_to_headers() -> None:
    service = make_service([A])
    selection = service.select()

    advance(service, 0.5)
    selection.responded()
    advance(service, 9.0)
    selection.release()

    assert stats_of(service, A).latency == 0.5


def test_release_alone_takes_the_latency_too() -> None:
    service = make_service([A])
    selection = service.select()

    advance(service, 0.5)
    selection.release()

    assert stats_of(service, A).latency == 0.5


def test_measured_latency_wins_over_the_clock() -> None:
    service = make_service([A])
    selection = service.select()

    advance(service, 0.5)
    selection.release(latency=0.25)

    assert stats_of(service, A).latency == 0.25


def test_latency_is_a_moving_average() -> None:
    service = make_service([A])

    for latency in (1.0, 2.0):
        service.select().release(latency=latency)

    assert stats_of(service, A).latency == pytest.approx(1.2)


@pytest.mark.parametrize(
    "outcome", [CUT, STATUS_500, Outcome.neutral(), Outcome.throttled(1001.0)]
)
def test_what_says_nothing_of_the_speed_is_no_sample(outcome: Outcome) -> None:
    service = make_service([A])

    service.select().release(outcome=outcome)
    selection = service.select()
    selection.responded(outcome=outcome)
    selection.release()

    assert stats_of(service, A).latency is None


def test_cancelled_selection_is_no_sample() -> None:
    service = make_service([A])

    service.select().cancel()

    assert stats_of(service, A).latency is None


# Verdicts


def test_failure_at_the_headers_counts_at_once() -> None:
    service = make_service([A])
    selection = service.select()

    selection.responded(outcome=STATUS_500)

    assert stats_of(service, A).failures == 1
    selection.release()


@pytest.mark.parametrize("at_the_end", [None, STATUS_500, CUT])
def test_failure_at_the_headers_counts_once(at_the_end: Outcome | None) -> None:
    service = make_service([A])
    selection = service.select()
    selection.responded(outcome=STATUS_500)

    selection.release(outcome=at_the_end)

    assert stats_of(service, A).failures == 1


@pytest.mark.parametrize("headers", [None, Outcome.success(), Outcome.neutral()])
def test_cut_body_counts_after_good_headers(headers: Outcome | None) -> None:
    service = make_service([A])
    selection = service.select()
    selection.responded(outcome=headers)

    selection.release(outcome=CUT)

    assert stats_of(service, A).failures == 1


# With blocks


def test_with_block_releases() -> None:
    service = make_service([A])

    with service.select() as selection:
        assert selection.backend.url == A
        assert counts(service) == (1, 1)

    assert counts(service) == (0, 0)
    assert stats_of(service, A).latency == 0.0


@pytest.mark.parametrize(
    ("error", "failures"),
    [
        (ConnectionRefusedError(), 1),
        (OSError(), 1),
        (TimeoutError(), 1),
        (requests.ConnectionError(), 1),
        (httpx.ConnectError("refused"), 1),
        (httpx2.ReadTimeout("slow"), 1),
        (ValueError(), 0),
        (requests.exceptions.InvalidURL(), 0),
        (KeyboardInterrupt(), 0),
        (SystemExit(), 0),
        (GeneratorExit(), 0),
        (asyncio.CancelledError(), 0),
    ],
    ids=lambda value: (
        type(value).__name__ if isinstance(value, BaseException) else None
    ),
)
def test_with_block_judges_by_what_left_it(error: BaseException, failures: int) -> None:
    service = make_service([A])

    with pytest.raises(type(error)) as caught, service.select():
        raise error

    assert caught.value is error
    assert counts(service) == (0, 0)
    assert stats_of(service, A).failures == failures
    assert stats_of(service, A).latency is None


def test_release_inside_the_block_is_the_one_that_counts() -> None:
    service = make_service([A])

    with pytest.raises(OSError, match="late"), service.select() as selection:
        selection.release()
        raise OSError("late")

    assert stats_of(service, A).failures == 0


def test_error_given_to_release_is_judged() -> None:
    service = make_service([A])

    service.select().release(error=httpx.ConnectError("refused"))

    assert stats_of(service, A).failures == 1


# Finalisers, which may run anywhere


class Collecting(RoundRobin):
    """A strategy in which the collector runs, under the balancer's lock."""

    def choose(self, candidates: Any, **rest: Any) -> Any:
        gc.collect()
        return super().choose(candidates, **rest)


def drop_in_a_cycle(selection: Selection) -> None:
    """Leave a selection to the collector."""
    cycle: list[object] = [selection]
    cycle.append(cycle)


def test_finaliser_under_the_balancers_lock_does_not_deadlock() -> None:
    service = make_service([A], strategy=Collecting())
    drop_in_a_cycle(service.select())
    done = threading.Event()

    def work() -> None:
        service.select().release()
        done.set()

    threading.Thread(target=work, daemon=True).start()

    assert done.wait(10)
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


# Nobody to select


def test_service_without_backends_says_so() -> None:
    with pytest.raises(NoBackendsAvailable) as refusal:
        make_service([]).select()

    assert str(refusal.value) == (
        "no backend of 'orders' can be selected: it has none; "
        "see add_backend() and update_backends()"
    )


def test_refused_select_counts_nothing() -> None:
    service = make_service([A], max_in_flight=1)
    selection = service.select()

    with pytest.raises(NoBackendsAvailable, match="1 of 1 at max_in_flight; see stats"):
        service.select()

    assert in_flight(service) == 1
    assert stats_of(service, A).total == 1
    selection.release()
