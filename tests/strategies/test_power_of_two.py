"""Power of two choices: the less loaded of two drawn candidates is taken."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport.strategies import Candidates
from lbtransport.strategies.power_of_two import PowerOfTwo
from tests.strategies.kit import choose, make_members, shares


class Recorder(Candidates):
    """Notes which candidates are looked at."""

    looked_at: set[int]

    def __getitem__(self, index: Any) -> Any:
        self.looked_at.add(index)
        return super().__getitem__(index)


@given(
    weights=st.lists(st.sampled_from([1e-6, 1, 1e6]), min_size=2, max_size=6),
    seed=st.integers(),
)
def test_power_of_two_compares_two_distinct_candidates(
    weights: list[float], seed: int
) -> None:
    candidates = Recorder(make_members(*[(1, weight) for weight in weights]))
    candidates.looked_at = set()

    choose(PowerOfTwo(), candidates, random.Random(seed))

    assert len(candidates.looked_at) == 2


@given(loads=st.lists(st.integers(1, 3), min_size=2, max_size=2), seed=st.integers())
def test_power_of_two_of_two_takes_the_less_loaded(loads: list[int], seed: int) -> None:
    members = make_members(*[(load, 1) for load in loads])

    chosen = choose(PowerOfTwo(), Candidates(members), random.Random(seed))

    assert chosen.in_flight == min(loads)


@pytest.mark.parametrize(
    ("heavy", "light"), [(2, 1), (4, 1), (8, 2)], ids=["2:1", "4:1", "8:2"]
)
def test_power_of_two_compares_load_per_weight(heavy: int, light: int) -> None:
    members = make_members((heavy, 5), (light, 1))

    chosen = {
        choose(PowerOfTwo(), Candidates(members), random.Random(seed))
        for seed in range(50)
    }

    assert chosen == {members[0]}


def test_power_of_two_leaves_the_first_drawn_a_tie() -> None:
    members = make_members((1, 1), (1, 1), (1, 1))

    found = shares(PowerOfTwo(), Candidates(members), 3000)

    assert all(abs(share - 1 / 3) < 0.05 for share in found)


def test_power_of_two_never_takes_the_busiest() -> None:
    members = make_members((3, 1), (1, 1), (2, 1), (1, 1))

    found = shares(PowerOfTwo(), Candidates(members), 500)

    assert found[0] == 0


def test_power_of_two_compares_spares_of_weight_0_too() -> None:
    members = make_members((5, 0), (1, 0))

    found = shares(PowerOfTwo(), Candidates(members), 100)

    assert found == [0, 1]
