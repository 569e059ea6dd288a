"""Draws: by weight, of two, and of the best."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport.strategies import Candidates
from lbtransport.strategies._alias import alias_table
from lbtransport.strategies._draw import draw_index, draw_other, least
from tests.strategies.kit import make_members

weights = st.lists(st.floats(0, 1e6), min_size=1).filter(lambda found: sum(found) > 0)


@given(weights=weights)
def test_columns_hold_each_weight_whole(weights: list[float]) -> None:
    held = [0.0] * len(weights)

    for index, (own, alias) in enumerate(alias_table(weights)):
        held[index] += own
        held[alias] += 1 - own

    mean = sum(weights) / len(weights)
    assert held == pytest.approx([weight / mean for weight in weights], abs=1e-6)


@given(weights=weights)
def test_weight_0_holds_nothing(weights: list[float]) -> None:
    for index, (own, alias) in enumerate(alias_table(weights)):
        assert weights[alias] > 0
        assert own == 0 or weights[index] > 0


@pytest.mark.parametrize("given_weights", [(1, 1, 1), (1, 2, 5), (0, 0, 0), (1, 0, 3)])
def test_draw_is_by_weight(given_weights: tuple[float, ...]) -> None:
    candidates = Candidates(make_members(*[(0, weight) for weight in given_weights]))
    rng, total = random.Random(7), sum(candidates.weights)

    drawn = Counter(draw_index(candidates, rng) for _ in range(6000))

    shares = [weight / total for weight in candidates.weights]
    found = [drawn[index] / 6000 for index in range(3)]
    assert found == pytest.approx(shares, abs=0.025)


@pytest.mark.parametrize("given_weights", [(1, 1, 1), (1, 2, 5), (1, 0, 0)])
def test_other_is_never_the_first(given_weights: tuple[float, ...]) -> None:
    candidates = Candidates(make_members(*[(0, weight) for weight in given_weights]))
    rng = random.Random(7)

    for first in range(3):
        drawn = {draw_other(first, candidates, rng) for _ in range(200)}
        assert first not in drawn
        assert drawn


def test_least_is_one_of_the_equals_at_random() -> None:
    members, rng = make_members(*[(0, 1)] * 4), random.Random(7)

    drawn = Counter(id(least(members, [2, 1, 1, 3], rng)) for _ in range(1000))

    assert set(drawn) == {id(members[1]), id(members[2])}
    assert min(drawn.values()) > 400


def test_only_least_is_taken() -> None:
    members = make_members(*[(0, 1)] * 3)

    assert least(members, [2, 3, 1], random.Random(7)) is members[2]
