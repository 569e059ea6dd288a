"""What the latency strategies believe, and what follows for their choices."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import pytest

from lbtransport import ConfigurationError, HealthPolicy, LoadBalancer, Outcome
from lbtransport._backends import BackendState
from lbtransport._clock import ManualClock
from lbtransport._types.outcome import CANCELLED
from lbtransport.strategies import Candidates, make_strategy
from lbtransport.strategies._ewma import Average
from tests.core_kit import (
    REFUSED,
    STATUS_500,
    TIMEOUT,
    A,
    B,
    C,
    advance,
    make_service,
)
from tests.strategies.kit import choose, idle_shares, make_members, serve

MANY = [f"http://10.0.{n >> 8}.{n & 255}:8080" for n in range(500)]

NEVER_EJECT = HealthPolicy(consecutive_failures=0, failure_ratio=0)

every_one = pytest.mark.parametrize("strategy", ["least_response_time", "peak_ewma"])


def averages_of(service: LoadBalancer) -> list[Average]:
    """Return what is kept of the backends that were looked at so far."""
    states = service.core._roster.table
    return [one.strategy_state for one in states if one.strategy_state is not None]


def test_average_jumps_to_a_peak() -> None:
    average = Average()
    average.add(0.1, 0.0, 10.0, may_fall=True)
    average.add(2.0, 0.0, 10.0, may_fall=True)

    assert average.read(0.0, 10.0) == 2.0


def test_average_falls_with_its_memory() -> None:
    average = Average()
    average.add(2.0, 0.0, 10.0, may_fall=True)
    average.add(0.1, 5.0, 10.0, may_fall=True)

    kept = math.exp(-0.5)
    assert average.read(5.0, 10.0) == pytest.approx(2.0 * kept + 0.1 * (1 - kept))


def test_reading_an_average_changes_nothing() -> None:
    average = Average()
    average.add(1.0, 0.0, 10.0, may_fall=True)

    assert [average.read(10.0, 10.0) for _ in range(3)] == [math.exp(-1)] * 3


def test_average_does_not_fall_where_that_says_nothing() -> None:
    average = Average()
    average.add(1.0, 0.0, 10.0, may_fall=True)
    average.add(0.001, 0.0, 10.0, may_fall=False)

    assert average.read(0.0, 10.0) == 1.0


@every_one
def test_slow_backend_is_left_alone(strategy: str) -> None:
    service = make_service([A, B], strategy=strategy)
    for url, seconds in ((A, 1.0), (B, 0.1)):
        serve(service, url, seconds)

    assert idle_shares(service) == {B: 1.0}


@every_one
def test_slow_backend_is_tried_again_when_nothing_was_heard_for_long(
    strategy: str,
) -> None:
    service = make_service([A, B], strategy=strategy)
    serve(service, A, 1.0)
    for _ in range(60):
        serve(service, B, 0.1)
        advance(service, 0.4)

    assert A in idle_shares(service)


@every_one
def test_new_backend_starts_from_the_median_of_its_peers(strategy: str) -> None:
    service = make_service([A, B], strategy=strategy)
    serve(service, A, 0.1)
    serve(service, B, 1.0)

    service.add_backend(C)
    idle_shares(service)

    states = {state.backend.url: state for state in service.core._roster.table}
    started = states[C].strategy_state.value
    assert 0.05 < started <= 1.0


@every_one
def test_backends_of_which_nothing_is_known_are_alike(strategy: str) -> None:
    found = idle_shares(make_service([A, B], strategy=strategy))

    assert found == pytest.approx({A: 0.5, B: 0.5}, abs=0.1)


@every_one
def test_backend_does_not_become_the_fastest_by_failing(strategy: str) -> None:
    service = make_service([A, B], strategy=strategy, health=NEVER_EJECT)
    serve(service, A, 0.1)
    for _ in range(60):
        serve(service, B, 0.1)
        service.select(exclude=[B]).release(outcome=STATUS_500, latency=0.001)
        advance(service, 1.0)

    assert idle_shares(service) == {B: 1.0}


@every_one
@pytest.mark.parametrize("outcome", [REFUSED, STATUS_500, Outcome.failure("bad")])
def test_fast_failure_attracts_nobody(strategy: str, outcome: Outcome) -> None:
    service = make_service([A, B], strategy=strategy)
    for url in (A, B):
        serve(service, url, 0.1)

    service.select(exclude=[B]).release(outcome=outcome)

    assert idle_shares(service) == {B: 1.0}


@every_one
def test_failure_is_forgotten_within_seconds(strategy: str) -> None:
    service = make_service([A, B], strategy=strategy)
    serve(service, B, 0.1)
    serve(service, A, 0.05)
    service.select(exclude=[B]).release(outcome=REFUSED)
    assert idle_shares(service) == {B: 1.0}

    advance(service, 10.0)

    assert A in idle_shares(service)


@every_one
def test_backend_that_hangs_is_left_alone_before_its_first_timeout(
    strategy: str,
) -> None:
    service = make_service([A, B], strategy=strategy)
    for url in (A, B):
        serve(service, url, 0.1)

    hanging = service.select(exclude=[B])
    for _ in range(10):
        serve(service, B, 0.1)
    busy = service.select(exclude=[A])

    assert idle_shares(service) == {B: 1.0}
    hanging.cancel()
    busy.cancel()


@every_one
@pytest.mark.parametrize("outcome", [CANCELLED, TIMEOUT])
def test_time_that_was_waited_for_nothing_counts(
    strategy: str, outcome: Outcome
) -> None:
    service = make_service([A, B], strategy=strategy)
    for url in (A, B):
        serve(service, url, 0.1)

    selection = service.select(exclude=[B])
    advance(service, 5.0)
    selection.release(outcome=outcome)
    advance(service, 10.0)

    assert idle_shares(service) == {B: 1.0}


@every_one
def test_what_is_local_says_nothing(strategy: str) -> None:
    service = make_service([A, B], strategy=strategy)
    selection = service.select(exclude=[B])
    advance(service, 5.0)
    selection.release(outcome=Outcome.neutral())

    found = idle_shares(service)

    assert found == pytest.approx({A: 0.5, B: 0.5}, abs=0.1)


@every_one
def test_load_counts(strategy: str) -> None:
    service = make_service([A, B], strategy=strategy)
    for url in (A, B):
        serve(service, url, 0.1)

    held = [service.select(exclude=[B]) for _ in range(3)]

    assert idle_shares(service) == {B: 1.0}
    for selection in held:
        selection.cancel()


@every_one
def test_one_that_is_known_of_many_is_enough_to_start_from(strategy: str) -> None:
    service = make_service(MANY, strategy=strategy)
    service.select().release(latency=0.1)

    core: Any = service.core
    costs = {
        core._strategy.cost(state, 1.0, core._now(), core.rng)
        for state in core._roster.table
    }

    assert costs == {0.1}


@every_one
def test_all_that_are_new_at_an_instant_start_alike(strategy: str) -> None:
    service = make_service(MANY, strategy=strategy, health=HealthPolicy(slow_start=0))
    for number in range(500):
        service.select().release(latency=0.01 * (1 + number % 7))
        advance(service, 0.01)

    service.update_backends([*MANY, A, B, C])
    idle_shares(service)

    (started,) = {
        average.value
        for average in averages_of(service)
        if average.is_guess and average.at == service.core._now()
    }
    assert started is not None
    assert 0.005 < started < 0.07


@every_one
def test_who_is_heard_of_while_the_list_changes_is_known(strategy: str) -> None:
    told: Any = make_strategy(strategy)
    members = make_members((1, 1), (0, 1))

    def answered_meanwhile() -> Iterator[BackendState]:
        for member in members:
            yield member
            members[0].waiting = members[0].in_flight = 0
            told.responded(
                members[0],
                started_at=999.5,
                now=1000.0,
                latency=0.5,
                outcome=Outcome.success(),
            )

    told.selected(members[0], now=999.5)
    told.members_changed(answered_meanwhile())
    choose(told, Candidates(members), random.Random(7))

    assert members[1].strategy_state.value == 0.5


@every_one
@pytest.mark.parametrize("value", ["0", "-1", "nan"])
def test_decay_time_must_be_above_0(strategy: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match="decay_time"):
        make_strategy(f"{strategy};decay_time={value}")


@every_one
def test_decay_time_may_be_chosen(strategy: str) -> None:
    service = make_service([A, B], strategy=f"{strategy};decay_time=1")
    serve(service, A, 1.0)
    serve(service, B, 0.1)

    advance(service, 3.0)

    states = {state.backend.url: state for state in service.core._roster.table}
    average = states[A].strategy_state
    assert average.read(service.core._now(), 1.0) == pytest.approx(0.0450, abs=0.01)


def test_random_generator_and_clock_are_those_handed_in() -> None:
    def choices() -> list[str]:
        service = make_service([A, B, C], ManualClock(), strategy="peak_ewma")
        service.core.rng = random.Random(3)
        return [service.select().backend.url for _ in range(20)]

    assert choices() == choices()
