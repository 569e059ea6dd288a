"""Maglev hashing: a table of a prime size that the backends fill in turn.

Each backend has an order of its own in which it takes free places, so the shares are as
even as whole places allow, and a key is found at one look, however many backends there
are.
The price is a change: beside the keys of the backend that changed, about 0.5 % of all
others move too.

References:
    Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", 2016.
    Envoy's maglev_lb, on weights.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from math import ceil, isqrt
from typing import ClassVar

from lbtransport._errors import ConfigurationError
from lbtransport._validation import check_integer
from lbtransport.strategies._keyed import Keyed
from lbtransport.strategies._keys import positions

_LARGEST = 5_000_011  # a prime, and Envoy's limit
_STEP = 200  # backends hashed in some tenths of a millisecond
_LOOKS = 6_000  # at places, in the same time; giving a place takes as long as five


@dataclass(frozen=True, slots=True)
class Places:
    """The table.

    Attributes:
        urls: The backends that have places, in order.
        numbers: Who has which place, as indexes into `urls`.
    """

    urls: Sequence[str]
    numbers: array[int]
    patience: ClassVar[int] = 64

    def home(self, position: int) -> str | None:
        """Return who has the place that a position falls on."""
        if not self.urls:
            return None
        return self.urls[self.numbers[position % len(self.numbers)]]

    def successors(self, position: int) -> Iterator[str]:
        """Return who has each place, in an order that the position decides."""
        size = len(self.numbers)
        place, step = position % size, 1 + position // size % (size - 1)
        for _ in range(size if self.urls else 0):
            yield self.urls[self.numbers[place]]
            place = (place + step) % size

    scattered = successors


class Maglev(Keyed[Places]):
    """Looks keys up in a table.

    Args:
        table_size: Places, a prime; a hundred times the number of backends keeps their
            shares within 1 % of each other.
            65537, the default, is the paper's.
        load_factor: How many times its fair share of the requests in flight a backend
            may hold, at least 1; 1.25 is a good one.
            0, the default, sets no bound.

    Raises:
        ConfigurationError: If a number is out of range, or the size is no prime.
    """

    def __init__(self, *, table_size: int = 65_537, load_factor: float = 0.0) -> None:
        """Have no members yet."""
        super().__init__(load_factor=load_factor)
        check_integer("table_size", table_size, least=3, most=_LARGEST)
        if not _is_prime(table_size):
            primes = filter(_is_prime, count(table_size))
            raise ConfigurationError(
                f"table_size={table_size}: give a prime; the next is {next(primes)}"
            )
        self._size = table_size

    def _place(
        self, weights: Mapping[str, float], old: Places | None
    ) -> Generator[None, None, Places]:
        # Sorted, so that all processes fill the same table.
        urls = sorted(url for url, weight in weights.items() if weight)
        if len(urls) > self._size:
            raise ConfigurationError(
                f"table_size={self._size} has no place for {len(urls)} backends; give "
                f"a prime of about {100 * len(urls)}"
            )
        numbers = array("I", [0]) * self._size
        if urls:
            turns = take_turns([weights[url] for url in urls])
            yield from _fill(numbers, urls, turns)
        return Places(urls, numbers)


def take_turns(weights: Sequence[float]) -> Iterator[int]:
    """Return without end whose turn it is, as indexes, in proportion to the weights.

    The heaviest have a turn in each round, and one of half the weight in every second.
    """
    heaviest = max(weights)
    always = [index for index, weight in enumerate(weights) if weight == heaviest]
    turns = [0] * len(weights)
    # By round; in the first one everybody has a turn.
    due = {1: [index for index, weight in enumerate(weights) if weight < heaviest]}
    number = 0
    while True:
        number += 1
        others = due.pop(number, ())
        yield from sorted([*always, *others]) if others else always
        for index in others:
            turns[index] += 1
            next_at = turns[index] * heaviest / weights[index]
            if next_at <= _LARGEST:  # else the table is full before
                due.setdefault(max(number + 1, ceil(next_at)), []).append(index)


def _fill(
    numbers: array[int], urls: Sequence[str], turns: Iterator[int]
) -> Iterator[None]:
    """Give each place to the first who comes to it; yields now and then."""
    size = len(numbers)
    places, skips = [], []
    for done, url in enumerate(urls):
        offset, skip = islice(positions(url.encode()), 2)
        places.append(offset % size)
        skips.append(1 + skip % (size - 1))
        if done % _STEP == 0:
            yield
    taken = bytearray(size)
    left = size
    # The fewer places are free, the longer the way to one.  From here on it is shorter
    # to ask of each free place how far away it is.
    few = isqrt(size)
    while left > few:
        turns_now = min(left - few, ceil(_LOOKS / (5 + size / left)))
        for index in islice(turns, turns_now):
            place, skip = places[index], skips[index]
            while taken[place]:
                place = (place + skip) % size
            taken[place] = 1
            numbers[place] = index
            places[index] = place  # taken now, so the way goes on behind it
        left -= turns_now
        yield
    free = []
    place = taken.find(0)
    while place >= 0:
        free.append(place)
        place = taken.find(0, place + 1)
    while free:
        for index in islice(turns, min(len(free), ceil(_LOOKS / 2 / len(free)))):
            start, inverse = places[index], pow(skips[index], -1, size)
            ways = [(place - start) * inverse % size for place in free]
            places[index] = free.pop(ways.index(min(ways)))
            numbers[places[index]] = index
        yield


def _is_prime(number: int) -> bool:
    return all(number % factor for factor in range(2, isqrt(number) + 1))
