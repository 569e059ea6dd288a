"""Maglev: even shares, and the disruption that was published."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from lbtransport import ConfigurationError
from lbtransport.strategies._keys import positions
from lbtransport.strategies.maglev import Maglev, Places, take_turns
from tests.strategies.hashing_kit import REMAPPED, homes, members_of
from tests.strategies.kit import tell


def places_of(strategy: Maglev, weights: list[float]) -> Places:
    tell(strategy, members_of(weights))
    places = strategy._table.placement
    assert places is not None
    return places


def test_mapping_of_the_table_never_changes() -> None:
    assert homes("maglev", [1, 1, 1, 1, 1]) == [
        *(5, 4, 2, 5, 1, 3, 5, 4, 2, 2, 5, 2)
    ], REMAPPED
    assert homes("maglev", [1, 3, 0.5, 2, 0]) == [
        *(2, 4, 2, 1, 2, 2, 1, 4, 2, 2, 4, 2)
    ], REMAPPED


@pytest.mark.parametrize(
    ("size", "places", "needless"),
    [
        (10, {6553, 6554}, 0.0024),
        (100, {655, 656}, 0.0059),
        (1000, {65, 66}, 0.0054),
    ],
)
def test_shares_and_disruption_are_those_published(
    size: int, places: set[int], needless: float
) -> None:
    strategy = Maglev()
    before = places_of(strategy, [1] * size)
    after = places_of(strategy, [1] * (size - 1))
    lost = before.urls.index(f"http://10.0.0.{size}:8080")

    moved = [
        was != lost and before.urls[was] != after.urls[now]
        for was, now in zip(before.numbers, after.numbers, strict=True)
    ]

    assert set(Counter(before.numbers).values()) == places
    assert abs(sum(moved) / 65_537 - needless) < 0.0015


def plain_fill(places: Places) -> list[int]:
    """Fill a table as the paper does, place by place."""
    size = len(places.numbers)
    filled: list[int | None] = [None] * size
    orders = []
    for url in places.urls:
        offset, skip = islice(positions(url.encode()), 2)
        skip = 1 + skip % (size - 1)
        orders.append(iter([(offset + n * skip) % size for n in range(size)]))
    for done in range(size):
        index = done % len(orders)
        place = next(place for place in orders[index] if filled[place] is None)
        filled[place] = index
    return [index for index in filled if index is not None]


@pytest.mark.parametrize("size", [3, 5, 251, 1009])
@pytest.mark.parametrize("backends", [1, 2, 3])
def test_table_is_the_papers(size: int, backends: int) -> None:
    places = places_of(Maglev(table_size=size), [1] * backends)

    assert list(places.numbers) == plain_fill(places)


@pytest.mark.parametrize(
    ("weights", "turns"),
    [
        ([1, 1, 1], [0, 1, 2, 0, 1, 2, 0, 1]),
        ([2, 1], [0, 1, 0, 1, 0, 0, 1, 0]),
        ([1, 3], [0, 1, 1, 0, 1, 1, 1, 0]),
        ([1e-300, 1e300], [0, 1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_turns_are_in_proportion_to_the_weights(
    weights: list[float], turns: list[int]
) -> None:
    assert list(islice(take_turns(weights), 8)) == turns


def test_more_backends_than_places_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="table_size=3 has no place for 4"):
        places_of(Maglev(table_size=3), [1] * 4)


def test_successors_are_all_places_in_an_order_of_the_keys_own() -> None:
    places = places_of(Maglev(table_size=251), [1] * 5)

    one, other = list(places.successors(7)), list(places.successors(7 + 251))

    assert Counter(one) == Counter(places.urls[index] for index in places.numbers)
    assert one[0] == other[0] == places.home(7)
    assert one != other
