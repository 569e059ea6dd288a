"""What strategies do in simulated fleets, `adaptive` before all, the default for them.

Ejection is off, so that what is seen is the strategy's own doing.
The runs are short; `tests/benchmarks/strategies.py` measures long ones.
"""

from __future__ import annotations

from statistics import fmean, pstdev

import pytest

from lbtransport.testing import Fail, Kill, Result, Scenario, Server, Slow, simulate
from lbtransport.testing.faults import Fault
from lbtransport.testing.scenarios import black_hole, cold_join, two_slow

few_clients = pytest.mark.parametrize("clients", [1, 3])


def run(scenario: Scenario, strategy: str = "adaptive", *, window: float = 1) -> Result:
    return simulate(scenario, strategy, seed=3, health=False, window=window)


def unevenness(result: Result) -> tuple[float, float]:
    """Return how many windows overload a backend, and how much the shares scatter."""
    shares = [[n / sum(w.sent) for n in w.sent] for w in result.windows]
    above = [max(window) > 2 / len(window) for window in shares]
    return fmean(above), fmean(pstdev(window) for window in shares)


@few_clients
@pytest.mark.parametrize("window", [1.0, 10.0])
def test_few_requests_are_shared_more_evenly_than_at_random(
    clients: int, window: float
) -> None:
    scenario = Scenario(servers=[Server()] * 8, rate=40, clients=clients)

    above, scatter = unevenness(run(scenario, window=window))

    above_at_random, scatter_at_random = unevenness(
        run(scenario, "random", window=window)
    )
    assert above <= above_at_random
    assert scatter < scatter_at_random


@pytest.mark.parametrize("clients", [1, 100])
def test_backend_that_fails_fast_gets_next_to_nothing(clients: int) -> None:
    assert run(black_hole(clients)).shares[0] < 0.01


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_backends_that_all_fail_now_and_then_share_alike(share: float) -> None:
    faults = [Fail(server, share=share) for server in range(10)]
    scenario = Scenario(
        servers=[Server()] * 10, utilisation=0.6, seconds=30, faults=faults
    )

    result = run(scenario)

    # Whoever did not fail of late would get bursts, and the others nothing.
    assert result.mean < 1.1 * run(scenario, "power_of_two").mean


@pytest.mark.parametrize("strategy", ["least_response_time", "peak_ewma"])
def test_backend_that_does_nothing_but_fail_is_not_taken_for_fast(
    strategy: str,
) -> None:
    assert run(black_hole(), strategy).shares[0] < 0.05


@pytest.mark.parametrize("clients", [1, 10])
def test_backend_that_joins_cold_gets_less_than_its_share(clients: int) -> None:
    cold = run(cold_join(clients), window=2.5).windows[:4]

    assert max(w.sent[9] / sum(w.sent) for w in cold) < 0.1


@pytest.mark.parametrize("clients", [1, 10])
@pytest.mark.parametrize(
    "fault", [Slow(0, 5, 15, 20.0), Fail(0, 5, 15), Kill(0, 5, 15)]
)
def test_backend_that_recovered_is_back_within_30_s(clients: int, fault: Fault) -> None:
    servers = [Server()] * 5
    scenario = Scenario(
        servers=servers, utilisation=0.6, seconds=55, clients=clients, faults=[fault]
    )

    assert run(scenario).shares_between(40, 55)[0] > 0.5 / len(servers)


def test_slow_backends_are_known_without_being_told() -> None:
    result = run(two_slow())

    assert max(result.shares[:2]) < 0.01
    assert result.error_ratio == 0
    assert result.p99 < 0.26  # of weighted round robin that knows: 0.35
