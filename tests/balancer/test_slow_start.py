"""New and returning backends begin with a small share, whatever the strategy."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from lbtransport import Backend, HealthPolicy, LoadBalancer
from lbtransport.strategies import STRATEGIES, make_strategy
from tests.balancer.kit import wait_for_return
from tests.core_kit import (
    URLS,
    A,
    B,
    C,
    D,
    advance,
    eject,
    make_service,
    select_only,
    stats_of,
)

KEYED = {name for name in STRATEGIES if getattr(make_strategy(name), "is_keyed", False)}


def shares(service: LoadBalancer, times: int = 2000) -> dict[str, float]:
    """Return the part that each backend gets of so many requests at one instant."""
    chosen = Counter[str]()
    for number in range(times):
        with service.select(key=number) as selection:
            chosen[selection.backend.url] += 1
    return {url: taken / times for url, taken in chosen.items()}


def share_of(service: LoadBalancer, url: str) -> float:
    return shares(service).get(url, 0.0)


def started(service: LoadBalancer) -> dict[str, float]:
    return {one.backend.url: one.slow_start for one in service.stats().backends}


def test_strategies_that_hash_are_known() -> None:
    assert {"consistent_hash", "rendezvous", "maglev"} == KEYED


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - KEYED))
def test_new_backend_begins_with_a_tenth_of_its_share(strategy: str) -> None:
    service = make_service([A, B, C], strategy=strategy)
    shares(service, 300)

    service.add_backend(D)

    assert started(service) == {A: 1.0, B: 1.0, C: 1.0, D: 0.1}
    assert 0 < share_of(service, D) < 0.06
    advance(service, 10.0)
    assert share_of(service, D) > 0.15


@pytest.mark.parametrize("strategy", sorted(KEYED))
def test_keys_do_not_wait_for_a_new_backend(strategy: str) -> None:
    service = make_service([A, B, C], strategy=strategy)

    service.add_backend(D)

    assert started(service)[D] == 1.0
    assert share_of(service, D) > 0.15


def test_share_grows_with_time() -> None:
    service = make_service([A, B, C], strategy="round_robin")
    service.add_backend(D)

    found = []
    for _ in range(4):
        found.append(share_of(service, D))
        advance(service, 2.5)

    assert found == pytest.approx(
        [0.1 / 3.1, 0.25 / 3.25, 0.5 / 3.5, 0.75 / 3.75], abs=0.015
    )


@pytest.mark.parametrize(
    "strategy", ["random", "round_robin", "weighted_round_robin", "power_of_two"]
)
def test_what_it_does_not_get_is_spread_over_the_others(strategy: str) -> None:
    service = make_service([A, B, C], strategy=strategy)
    service.add_backend(D)

    found = shares(service)

    assert all(abs(found[url] - 0.325) < 0.04 for url in (A, B, C))


@pytest.mark.parametrize("strategy", ["round_robin", "weighted_round_robin"])
def test_turns_stay_even_while_many_ramp_up(strategy: str) -> None:
    old = [f"http://10.0.1.{number}" for number in range(6)]
    new = [f"http://10.0.2.{number}" for number in range(6)]
    service = make_service(old, strategy=strategy)
    service.update_backends([*old, *new])

    found = shares(service, 6000)

    assert all(0.12 < found[url] < 0.18 for url in old)


def test_returning_backend_begins_with_a_tenth_of_its_share() -> None:
    service = make_service(URLS, strategy="round_robin")
    eject(service, A)
    wait_for_return(service, A)
    select_only(service, A).release()

    assert started(service)[A] == 0.1
    assert 0 < share_of(service, A) < 0.06
    advance(service, 10.0)
    assert share_of(service, A) == 0.25


def test_trial_does_not_wait() -> None:
    service = make_service([A, B], strategy="round_robin")
    service.add_backend(C)
    eject(service, C)
    wait_for_return(service, C)

    urls = [service.select().backend.url for _ in range(3)]

    assert C in urls


def test_backends_of_a_first_set_do_not_ramp_up() -> None:
    service = make_service([])
    service.update_backends([A, B])

    assert started(service) == {A: 1.0, B: 1.0}


def test_backends_that_replace_all_others_share_as_ever() -> None:
    service = make_service([A, B], strategy="round_robin")

    service.update_backends([C, D])

    assert shares(service) == {C: 0.5, D: 0.5}


def test_lone_backend_gets_everything() -> None:
    service = make_service([A, B])
    service.add_backend(C)
    service.update_backends([C])

    assert share_of(service, C) == 1.0


def test_update_that_changes_nothing_begins_nothing_anew() -> None:
    service = make_service([A, B])
    service.add_backend(C)
    advance(service, 5.0)

    service.update_backends([A, B, C])
    service.add_backend(Backend(C, weight=3))

    assert started(service) == {A: 1.0, B: 1.0, C: 0.5}


def test_retry_goes_to_a_ramping_backend_if_no_other_is_left() -> None:
    service = make_service([A, B])
    service.add_backend(C)

    urls = {service.select(exclude=[A, B]).backend.url for _ in range(50)}

    assert urls == {C}


@pytest.mark.parametrize(("seconds", "share"), [(0, 1.0), (100.0, 0.1), (20.0, 0.25)])
def test_seconds_are_the_policys(seconds: float, share: float) -> None:
    service = make_service([A, B], health=HealthPolicy(slow_start=seconds))
    service.add_backend(C)
    advance(service, 5.0)

    assert stats_of(service, C).slow_start == share


def test_strategy_of_a_users_own_may_say_that_it_is_keyed() -> None:
    strategy: Any = make_strategy("random")
    strategy.is_keyed = True
    service = make_service([A, B], strategy=strategy)

    service.add_backend(C)

    assert stats_of(service, C).slow_start == 1.0
