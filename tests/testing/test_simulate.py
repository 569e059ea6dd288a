from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Sequence
from random import Random
from typing import Any

import pytest
import tenacity

from lbtransport import ConfigurationError, HealthPolicy, Outcome, RetryPolicy
from lbtransport.strategies import Candidates, Member
from lbtransport.strategies.random import RandomChoice
from lbtransport.testing import (
    YARDSTICKS,
    Clock,
    Deterministic,
    Fail,
    Kill,
    Scenario,
    Server,
    simulate,
)
from lbtransport.testing._timeline import Timeline

SMALL = Scenario(
    servers=[Server(slots=2)] * 4, utilisation=0.6, seconds=6.0, warmup=1.0, clients=3
)


@pytest.mark.parametrize("strategy", ["power_of_two", *YARDSTICKS])
def test_same_arguments_give_the_same_result(strategy: str) -> None:
    scenario = dataclasses.replace(SMALL, faults=[Kill(0, 2.0, 3.0), Fail(1, 2.5)])

    results = [
        simulate(scenario, strategy, seed=3, retry=RetryPolicy(attempts=2))
        for _ in range(2)
    ]

    assert results[0] == results[1]


def test_other_seeds_give_other_results() -> None:
    assert simulate(SMALL, "random", seed=1) != simulate(SMALL, "random", seed=2)


def test_strategies_get_the_same_requests_at_the_same_instants() -> None:
    # With a slot for each there is no waiting: a latency is what a request needs.
    servers = [Server(slots=1000)] * 4
    scenario = dataclasses.replace(SMALL, servers=servers, utilisation=0.001)

    of_one, of_other = (
        [window.latencies for window in simulate(scenario, strategy).windows]
        for strategy in ("random", "round_robin")
    )

    for one, other in zip(of_one, of_other, strict=True):
        assert one == pytest.approx(other)


def test_result_counts_what_arrived_after_the_warm_up() -> None:
    scenario = Scenario(
        servers=[Server()],
        rate=8.0,
        arrivals="constant",
        service=Deterministic(0.0625),
        seconds=3.5,
        warmup=1.0,
    )

    result = simulate(scenario, "random", window=1.0)

    assert [window.begins_at for window in result.windows] == [1.0, 2.0, 3.0]
    assert [window.sent for window in result.windows] == [(8,), (8,), (4,)]
    assert [len(window.latencies) for window in result.windows] == [8, 8, 4]
    assert (result.requests, result.attempts) == (20, 20)


def test_each_client_has_a_strategy_of_its_own_and_an_equal_part() -> None:
    calls: Counter[int] = Counter()

    class First:
        def members_changed(self, members: Sequence[Member]) -> None:
            calls[id(self)] = 0

        def choose(
            self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
        ) -> Member:
            calls[id(self)] += 1
            return min(candidates, key=lambda one: one.backend.url)

    scenario = dataclasses.replace(SMALL, arrivals="constant", utilisation=0.1)

    result = simulate(scenario, First)

    assert result.strategy == "First"
    assert result.shares == (1.0, 0.0, 0.0, 0.0)
    assert len(calls) == 3
    assert max(calls.values()) - min(calls.values()) <= 1


def test_keys_reach_the_strategy() -> None:
    seen: set[Hashable] = set()

    class Noting(RandomChoice):
        def choose(self, candidates: Candidates, *, key: Hashable, **rest: Any) -> Any:
            seen.add(key)
            return super().choose(candidates, key=key, **rest)

    simulate(SMALL, Noting, keys=lambda rng: rng.choice("abc"))

    assert seen == {"a", "b", "c"}


def test_weights_of_servers_are_told_to_the_clients() -> None:
    servers = [Server(weight=3), Server(weight=1)]

    result = simulate(dataclasses.replace(SMALL, servers=servers), "random")

    assert result.shares[0] == pytest.approx(0.75, abs=0.05)


def test_failing_server_is_ejected_unless_ejection_is_off() -> None:
    scenario = dataclasses.replace(SMALL, faults=[Fail(0)])

    by_default, lenient, never = (
        simulate(scenario, "round_robin", health=health)
        for health in (True, HealthPolicy(consecutive_failures=50), False)
    )

    assert by_default.errors < lenient.errors < never.errors
    assert never.shares[0] == pytest.approx(0.25, abs=0.01)


def test_client_of_a_subset_uses_no_other_backends() -> None:
    scenario = dataclasses.replace(SMALL, clients=1, utilisation=0.2)

    result = simulate(scenario, "round_robin", subset=2)

    assert sorted(result.shares) == pytest.approx([0.0, 0.0, 0.5, 0.5], abs=0.01)


def test_request_without_an_available_backend_is_an_error() -> None:
    scenario = dataclasses.replace(SMALL, clients=1)

    result = simulate(scenario, "random", max_in_flight=1)

    assert result.reasons.keys() == {"no backend available"}


def test_request_waits_between_attempts_when_all_backends_were_tried() -> None:
    scenario = Scenario(
        servers=[Server()],
        rate=8.0,
        arrivals="constant",
        service=Deterministic(0.0625),
        seconds=4.0,
        warmup=0.0,
        faults=[Fail(0, 0.95, 1.05)],
    )
    policy = RetryPolicy(attempts=3, min_wait=1.0)

    result = simulate(scenario, "random", retry=policy)

    assert not result.errors
    assert 0.0625 < result.latencies[-1] < 3.0
    assert result.attempts > result.requests


def test_tenacity_object_of_ones_own_may_have_the_last_word() -> None:
    scenario = dataclasses.replace(SMALL, faults=[Fail(server) for server in range(4)])
    own = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(2),
        retry=tenacity.retry_always,
        retry_error_callback=lambda state: Outcome.success(),
    )

    result = simulate(scenario, "random", retry=own)

    assert not result.errors
    assert result.attempts == 2 * result.requests


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "round_robbin"}, "'round_robbin' is no strategy"),
        ({"seed": -1}, "seed=-1"),
        ({"window": 0}, "window=0"),
        ({"max_in_flight": 0}, "max_in_flight=0"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        simulate(SMALL, **{"strategy": "random", **arguments})


def test_simulated_time_is_a_clock() -> None:
    clock: Clock = Timeline()

    assert clock.monotonic() == clock.wall() == 0.0


def test_hedging_is_not_simulated() -> None:
    plain, hedged = (
        simulate(SMALL, "power_of_two", seed=3, retry=policy)
        for policy in (RetryPolicy(), RetryPolicy(hedge_percentile=0.95))
    )

    assert hedged == plain
