"""Weighted round robin: exact shares, evenly spread, for few and for many."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import Backend
from lbtransport.strategies import Candidates
from lbtransport.strategies.weighted_round_robin import WeightedRoundRobin
from tests.strategies.kit import choose, make_members


def turns(weights: list[float], times: int, seed: int = 7) -> list[int]:
    members = make_members(*[(0, weight) for weight in weights])
    candidates, strategy = Candidates(members), WeightedRoundRobin()
    rng = random.Random(seed)
    return [members.index(choose(strategy, candidates, rng)) for _ in range(times)]


def test_heavy_candidate_is_interleaved_with_the_light_ones() -> None:
    # nginx's own example, which begins anywhere in its round.
    rounds = {"".join("abc"[n] for n in turns([5, 1, 1], 7, seed)) for seed in range(9)}

    assert all("bb" not in found and "cc" not in found for found in rounds)
    assert all(found.count("a") == 5 for found in rounds)
    assert any(found in "aabacaaaabacaa" for found in rounds)


@given(weights=st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_shares_of_few_are_exact_in_each_round(weights: list[int]) -> None:
    taken = Counter(turns([float(weight) for weight in weights], 3 * sum(weights)))

    assert all(
        abs(taken[n] - 3 * weight) <= len(weights) for n, weight in enumerate(weights)
    )


def test_turn_goes_on_when_the_candidates_change() -> None:
    weights = [5.0, 1.0, 0.0, 2.0]
    members = make_members(*[(0, weight) for weight in weights])
    strategy, rng = WeightedRoundRobin(), random.Random(7)

    found = [
        members.index(choose(strategy, Candidates(members), rng)) for _ in range(24)
    ]

    assert found == turns(weights, 24)


def test_shares_of_many_are_exact_but_for_a_few_turns() -> None:
    weights = [float(1 + n % 5) for n in range(300)]

    taken = Counter(turns(weights, 10 * int(sum(weights))))

    assert all(abs(taken[n] - 10 * weight) <= 4 for n, weight in enumerate(weights))


def test_turns_of_many_are_evenly_spaced() -> None:
    found = turns([1.0] * 99 + [51.0], 1500)

    heavy = [turn for turn, taken in enumerate(found) if taken == 99]
    gaps = {after - before for before, after in itertools.pairwise(heavy)}
    assert len(gaps) <= 3
    assert max(gaps) <= 6


@pytest.mark.parametrize("size", [3, 100])
def test_clients_begin_at_different_places(size: int) -> None:
    firsts = {turns([1.0] * size, 1, seed)[0] for seed in range(50)}

    assert len(firsts) > min(size, 30) / 2


@pytest.mark.parametrize("size", [4, 50])
def test_weight_that_changes_is_followed(size: int) -> None:
    members = make_members(*[(0, 1)] * size)
    strategy, rng = WeightedRoundRobin(), random.Random(7)
    before = Candidates(members)
    for _ in range(3 * size):
        choose(strategy, before, rng)

    members[0].backend = Backend(members[0].backend.url, weight=size)
    after = Candidates(members)
    taken = Counter(id(choose(strategy, after, rng)) for _ in range(20 * size))

    assert taken[id(members[0])] == pytest.approx(
        20 * size * size / (2 * size - 1), 0.1
    )


@pytest.mark.parametrize("size", [4, 50])
def test_weight_0_gets_nothing_while_others_have_some(size: int) -> None:
    taken = Counter(turns([0.0] + [1.0] * (size - 1), 10 * size))

    assert taken[0] == 0
