"""The ring: points in proportion to the weights, and few of them change."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport.strategies.consistent_hash import (
    ConsistentHash,
    Ring,
    count_points,
)
from tests.strategies.hashing_kit import REMAPPED, homes, members_of, surprise
from tests.strategies.kit import tell


def ring_of(strategy: ConsistentHash, weights: list[float]) -> Ring:
    tell(strategy, members_of(weights))
    ring = strategy._table.placement
    assert ring is not None
    return ring


def points_of(ring: Ring) -> list[tuple[int, str]]:
    return [
        pair
        for points, owners in ring.buckets
        for pair in zip(points, owners, strict=True)
    ]


def arcs_of(ring: Ring) -> Counter[str]:
    """Return the part of the ring that belongs to each backend."""
    points = points_of(ring)
    arcs: Counter[str] = Counter()
    for (before, _), (point, owner) in pairwise([points[-1], *points]):
        arcs[owner] += (point - before) % 2**64
    return arcs


def test_mapping_of_the_ring_never_changes() -> None:
    assert homes("consistent_hash", [1, 1, 1, 1, 1]) == [
        *(4, 5, 3, 3, 1, 3, 1, 2, 3, 4, 2, 4)
    ], REMAPPED
    assert homes("consistent_hash", [1, 3, 0.5, 2, 0]) == [
        *(4, 1, 4, 3, 4, 4, 1, 2, 3, 4, 2, 4)
    ], REMAPPED


@pytest.mark.parametrize(
    ("virtual_nodes", "deviation", "busiest"),
    [(10, 0.314, 1.97), (100, 0.099, 1.26), (160, 0.078, 1.21), (1000, 0.031, 1.08)],
)
def test_shares_of_the_ring_deviate_as_published(
    virtual_nodes: int, deviation: float, busiest: float
) -> None:
    ring = ring_of(ConsistentHash(virtual_nodes=virtual_nodes), [1] * 100)

    shares = [arc * 100 / 2**64 for arc in arcs_of(ring).values()]

    # A deviation of 100 samples is itself uncertain by 7 %, their largest by more.
    assert abs(statistics.pstdev(shares) - deviation) < 0.25 * deviation
    assert abs(max(shares) - busiest) < 0.5 * (busiest - 1)


def test_shares_of_the_ring_approach_the_weights() -> None:
    weights = [1.0, 2, 4, 1, 8]
    ring = ring_of(ConsistentHash(virtual_nodes=4000), weights)

    arcs = arcs_of(ring)

    for number, weight in enumerate(weights, 1):
        share = arcs[f"http://10.0.0.{number}:8080"] / 2**64
        wanted = weight / sum(weights)
        assert abs(share - wanted) < 4 * wanted / math.sqrt(4000 * weight)


@pytest.mark.parametrize(
    ("weights", "counts"),
    [
        ([1, 1, 1], [160, 160, 160]),
        ([1, 3, 0.5], [160, 480, 80]),
        ([1, 0, 1], [160, 0, 160]),
        ([1, 0.001], [160, 1]),
        ([100, 200], [125, 250]),  # in units of 128
        ([0.01, 0.02], [205, 410]),  # in units of 1/128
        ([1e308, 1e308], [178, 178]),
        ([5e-324], [160]),
        ([0, 0], [0, 0]),
        ([], []),
    ],
)
def test_points_are_in_proportion_to_the_weights(
    weights: list[float], counts: list[int]
) -> None:
    by_url = {str(number): weight for number, weight in enumerate(weights)}

    found = count_points(by_url, 160)

    assert [found.get(url, 0) for url in by_url] == counts


@given(
    updates=st.lists(
        st.lists(st.sampled_from([0, 0.5, 1, 1, 3]), max_size=12), max_size=5
    )
)
def test_ring_that_was_changed_is_the_ring_built_anew(
    updates: list[list[float]],
) -> None:
    strategy = ConsistentHash(virtual_nodes=20)
    for weights in updates:
        changed = ring_of(strategy, weights)
        anew = ring_of(ConsistentHash(virtual_nodes=20), weights)

        assert points_of(changed) == points_of(anew)
        assert points_of(changed) == sorted(points_of(changed))


def test_change_of_one_backend_touches_few_buckets() -> None:
    strategy = ConsistentHash()
    before = ring_of(strategy, [1] * 100).buckets

    after = ring_of(strategy, [1] * 99).buckets

    changed = sum(one is not other for one, other in zip(before, after, strict=True))
    assert 0 < changed <= 160


def test_positions_after_the_last_point_belong_to_the_first() -> None:
    ring = ring_of(ConsistentHash(virtual_nodes=1), [1, 1])
    first, last = points_of(ring)

    assert ring.home(first[0]) == ring.home(last[0] + 1) == first[1]
    assert ring.home(first[0] + 1) == ring.home(last[0]) == last[1]


def test_overflow_of_one_backend_scatters_by_key() -> None:
    ring = ring_of(ConsistentHash(), [1] * 5)
    found = Counter(
        next(owner for owner in ring.scattered(position) if owner != "home")
        for position in range(3000)
    )

    wanted = {url: 3000 * arc / 2**64 for url, arc in arcs_of(ring).items()}
    assert surprise(found, wanted) < 4
