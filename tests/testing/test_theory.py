"""What queueing theory knows exactly, the simulator finds again, within 2 %.

The lengths of the runs are chosen such that 2 % is at least two standard errors; the
seeds are fixed, so a test that passes goes on passing.

References:
    Kleinrock, "Queueing Systems", volume 1, on M/M/1, M/M/c and M/G/1.
    Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001, on the
    supermarket model; for 100 servers he measured 1.620 where the limit is 1.615.
    Flatto and McKean, "Two queues in parallel", 1977, on joining the shorter queue.
"""

from __future__ import annotations

import math

import pytest

from lbtransport.testing import (
    Deterministic,
    Exponential,
    Hyperexponential,
    Lognormal,
    Scenario,
    Server,
    simulate,
)
from lbtransport.testing.distributions import Service

ONE = Server(slots=1)
EXPONENTIAL = Exponential(1.0)


def mean_time(
    servers: int,
    utilisation: float,
    strategy: str,
    *,
    requests: int,
    service: Service = EXPONENTIAL,
) -> float:
    """Return the measured mean time in the system, in mean service times."""
    warmup = 50.0
    scenario = Scenario(
        servers=[ONE] * servers,
        utilisation=utilisation,
        service=service,
        seconds=warmup + requests / (servers * utilisation),
        warmup=warmup,
        timeout=None,
    )
    return simulate(scenario, strategy, seed=1, window=1e6).mean


def erlang_c(servers: int, utilisation: float) -> float:
    """Return the mean time in an M/M/c queue, in mean service times."""
    load = servers * utilisation
    terms = [load**k / math.factorial(k) for k in range(servers + 1)]
    waiting = terms[-1] / (1 - utilisation)
    must_wait = waiting / (math.fsum(terms[:-1]) + waiting)
    return 1 + must_wait / (servers - load)


def pollaczek_khinchine(utilisation: float, variation: float) -> float:
    """Return the mean time in an M/G/1 queue, in mean service times."""
    return 1 + utilisation * (1 + variation**2) / (2 * (1 - utilisation))


def test_one_server_with_exponential_service_is_m_m_1() -> None:
    measured = mean_time(1, 0.5, "round_robin", requests=100_000)

    assert measured == pytest.approx(2.0, rel=0.02)


def test_random_choice_makes_each_of_ten_servers_an_m_m_1() -> None:
    measured = mean_time(10, 0.5, "random", requests=100_000)

    assert measured == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize(("servers", "utilisation"), [(2, 0.5), (10, 0.7)])
def test_central_queue_is_m_m_c(servers: int, utilisation: float) -> None:
    measured = mean_time(servers, utilisation, "central_queue", requests=60_000)

    assert measured == pytest.approx(erlang_c(servers, utilisation), rel=0.02)


def test_slots_of_one_server_are_the_servers_of_m_m_c() -> None:
    scenario = Scenario(
        servers=[Server(slots=4)],
        utilisation=0.7,
        service=EXPONENTIAL,
        seconds=25_000,
        warmup=50,
        timeout=None,
    )

    measured = simulate(scenario, "round_robin", seed=1, window=1e6).mean

    assert measured == pytest.approx(erlang_c(4, 0.7), rel=0.02)


@pytest.mark.parametrize(
    ("service", "variation"),
    [
        (Deterministic(1.0), 0.0),
        (Lognormal(1.0, variation=0.8), 0.8),
        (Hyperexponential(1.0, variation=1.5), 1.5),
    ],
    ids=["deterministic", "lognormal", "hyperexponential"],
)
def test_one_server_with_other_service_times_is_m_g_1(
    service: Service, variation: float
) -> None:
    measured = mean_time(1, 0.3, "round_robin", requests=80_000, service=service)

    assert measured == pytest.approx(pollaczek_khinchine(0.3, variation), rel=0.02)


@pytest.mark.parametrize(("utilisation", "expected"), [(0.5, 1.266), (0.7, 1.615)])
def test_power_of_two_over_many_servers_is_the_supermarket_model(
    utilisation: float, expected: float
) -> None:
    measured = mean_time(100, utilisation, "power_of_two", requests=60_000)

    assert measured == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("servers", "utilisation", "expected"), [(2, 0.5, 1.426), (10, 0.7, 1.16)]
)
def test_least_connections_of_one_client_joins_the_shortest_queue(
    servers: int, utilisation: float, expected: float
) -> None:
    measured = mean_time(servers, utilisation, "least_connections", requests=80_000)

    assert measured == pytest.approx(expected, rel=0.02)
