"""Rendezvous: ranks that are as even as chance allows."""

from __future__ import annotations

from collections import Counter
from itertools import islice, permutations

import pytest

from lbtransport.strategies._keys import positions
from lbtransport.strategies.rendezvous import Lanes
from tests.strategies.hashing_kit import REMAPPED, homes, surprise


def test_mapping_of_the_ranks_never_changes() -> None:
    assert homes("rendezvous", [1, 1, 1, 1, 1]) == [
        *(4, 2, 5, 5, 2, 3, 2, 1, 4, 3, 1, 3)
    ], REMAPPED
    assert homes("rendezvous", [1, 3, 0.5, 2, 0]) == [
        *(4, 2, 2, 2, 2, 4, 2, 1, 4, 4, 1, 2)
    ], REMAPPED


@pytest.mark.parametrize(("size", "keys"), [(3, 20_000), (10, 20_000), (300, 20_000)])
def test_first_and_second_are_even(size: int, keys: int) -> None:
    urls = [f"http://10.0.{number}.1" for number in range(size)]
    lanes = Lanes(dict.fromkeys(urls, 1))
    ranks = [
        tuple(islice(lanes.successors(position), 2))
        for position in islice(positions(b"keys"), keys)
    ]

    for place in (0, 1):
        found = Counter(rank[place] for rank in ranks)
        assert surprise(found, dict.fromkeys(urls, keys / size)) < 4


def test_every_order_of_a_few_is_equally_likely() -> None:
    urls = [f"http://10.0.0.{number}" for number in range(4)]
    lanes = Lanes(dict.fromkeys(urls, 1))

    found = Counter(
        tuple(lanes.successors(position))
        for position in islice(positions(b"keys"), 12_000)
    )

    assert surprise(found, dict.fromkeys(permutations(urls), 500)) < 4


def test_second_of_a_weighted_few_is_in_proportion_to_what_is_left() -> None:
    weights = {"http://a": 1.0, "http://b": 2.0, "http://c": 5.0}
    lanes = Lanes(weights)

    found = Counter(
        tuple(islice(lanes.successors(position), 2))
        for position in islice(positions(b"keys"), 20_000)
    )

    wanted = {
        (one, other): 20_000 * weights[one] / 8 * weights[other] / (8 - weights[one])
        for one, other in permutations(weights, 2)
    }
    assert surprise(found, wanted) < 4
