"""Bounded load: no backend holds more than its bound of what is in flight."""

from __future__ import annotations

import random
from collections import Counter
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbtransport import Backend, LoadBalancer, Selection
from lbtransport.strategies import Candidates, make_strategy
from lbtransport.strategies._keyed import Keyed
from tests.core_kit import make_service
from tests.strategies.hashing_kit import SMALL, members_of, ready
from tests.strategies.kit import choose, make_members

each = pytest.mark.parametrize("spec", SMALL)

URLS = [f"http://10.0.0.{number}" for number in range(1, 6)]


def bound(factor: float, weight: float, weights: float, in_flight: int) -> int:
    """Return what the paper and Envoy allow, of `in_flight` with the new one."""
    return max(1, ceil(ceil(in_flight * factor) * weight / weights))


def counted(service: LoadBalancer) -> int:
    """Return what the strategy believes to be in flight."""
    strategy = service.core._strategy
    assert isinstance(strategy, Keyed)
    assert strategy._bounds is not None
    return strategy._bounds._total


@each
@settings(max_examples=30)
@given(
    weights=st.lists(st.sampled_from([0.5, 1, 1, 4]), min_size=1, max_size=5),
    factor=st.sampled_from([1, 1.1, 1.25, 2]),
    keys=st.lists(st.none() | st.integers(0, 3), max_size=60),
    seed=st.integers(),
)
def test_no_backend_is_above_its_bound(
    spec: str, weights: list[float], factor: float, keys: list[int | None], seed: int
) -> None:
    backends = [
        Backend(url, weight=weight) for url, weight in zip(URLS, weights, strict=False)
    ]
    service = make_service(backends, strategy=f"{spec};load_factor={factor}")
    rng = random.Random(seed)
    open_ones: list[Selection] = []

    for key in keys:
        selection = service.select(key=key)
        open_ones.append(selection)
        in_flight = Counter(one.backend for one in open_ones)
        limit = bound(factor, selection.backend.weight, sum(weights), len(open_ones))
        assert in_flight[selection.backend] <= limit
        if rng.random() < 0.3:
            open_ones.pop(rng.randrange(len(open_ones))).release()
        assert counted(service) == len(open_ones)


@each
def test_key_is_at_home_while_there_is_room(spec: str) -> None:
    service = make_service(URLS, strategy=f"{spec};load_factor=1.25")

    used = set()
    for _ in range(20):
        with service.select(key="user-1") as selection:
            used.add(selection.backend)

    assert len(used) == 1


@each
def test_hot_key_spreads_as_its_load_grows(spec: str) -> None:
    service = make_service(URLS, strategy=f"{spec};load_factor=1.25")

    open_ones = [service.select(key="user-1") for _ in range(100)]

    found = Counter(one.backend for one in open_ones)
    assert len(found) >= 4
    assert max(found.values()) <= 25


@each
def test_overflow_of_one_backend_goes_to_all_others(spec: str) -> None:
    members = make_members(*[(0, 1)] * 5)
    strategy = ready(f"{spec};load_factor=1.25", members)
    candidates, rng = Candidates(members), random.Random(7)
    own = [
        key
        for key in range(2000)
        if choose(strategy, candidates, rng, key) is members[0]
    ]
    members[0].in_flight = 100

    found = Counter(id(choose(strategy, candidates, rng, key)) for key in own)

    assert id(members[0]) not in found
    assert all(found[id(one)] > len(own) * 0.15 for one in members[1:])


@each
def test_where_all_are_full_the_least_loaded_is_taken(spec: str) -> None:
    # Their own requests are unknown to the strategy, which was told of others.
    members = make_members((9, 1), (8, 2), (5, 1), (9, 0))
    strategy = ready(f"{spec};load_factor=1", [])

    chosen = choose(strategy, Candidates(members), random.Random(7), "user-1")

    assert chosen is members[1]


@each
def test_where_all_are_full_and_of_weight_0_the_least_loaded_is_taken(
    spec: str,
) -> None:
    members = make_members((9, 0), (5, 0))
    strategy = make_strategy(f"{spec};load_factor=1")

    chosen = choose(strategy, Candidates(members), random.Random(7), "user-1")

    assert chosen is members[1]


@each
def test_candidate_with_room_is_found_among_many_that_are_full(spec: str) -> None:
    members = members_of([1] * 300)
    strategy = ready(f"{spec};load_factor=1", members)
    for member in members[:-1]:
        member.in_flight = 1

    for key in range(20):
        candidates = Candidates(members)
        assert choose(strategy, candidates, random.Random(7), key) is members[-1]


@each
def test_choice_without_a_key_keeps_to_the_bounds(spec: str) -> None:
    service = make_service(URLS, strategy=f"{spec};load_factor=1")

    open_ones = [service.select() for _ in range(50)]

    found = Counter(one.backend for one in open_ones)
    assert set(found.values()) == {10}


@each
def test_requests_of_a_removed_backend_count_no_longer(spec: str) -> None:
    service = make_service(URLS, strategy=f"{spec};load_factor=1.25")
    open_ones = [service.select(key=number) for number in range(40)]
    removed = open_ones[0].backend

    service.remove_backend(removed.url)
    service.select(key="user-1").release()

    left = [one for one in open_ones if one.backend != removed]
    assert counted(service) == len(left)
    for one in open_ones:
        one.release()
    assert counted(service) == 0


@each
def test_request_of_a_backend_that_is_not_in_the_table_yet_is_not_counted(
    spec: str,
) -> None:
    service = make_service(URLS[:2], strategy=f"{spec};load_factor=1.25")
    strategy = service.core._strategy
    assert isinstance(strategy, Keyed)
    service.select(key="user-1").release()
    (stranger,) = make_members((0, 1))

    strategy.selected(stranger, now=1000.0)
    strategy.released(stranger, now=1001.0)

    assert counted(service) == 0


@each
def test_child_of_a_fork_begins_with_nothing_in_flight(spec: str) -> None:
    service = make_service(URLS, strategy=f"{spec};load_factor=1.25")
    of_the_parent = [service.select(key=number) for number in range(40)]

    service.core.reset_after_fork()
    with service.select(key="user-1"):
        for one in of_the_parent:
            one.release()
        assert counted(service) == 1

    assert counted(service) == 0
