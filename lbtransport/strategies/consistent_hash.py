"""Consistent hashing: a ring of points, and a key belongs to the next point.

Each backend has many points, in proportion to its weight, so a change of the list
moves the keys of the backend that changed and no others.
Finding the point takes one step into a bucket of the ring and a search of that bucket,
and a change touches only the buckets that hold points of the backend that changed.

References:
    Karger et al., "Consistent Hashing and Random Trees", 1997.
    libketama, 160 points a server.  Envoy and gRPC (gRFC A42), on weights.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from math import frexp, fsum, ldexp
from typing import ClassVar, TypeAlias

from lbtransport._validation import check_integer
from lbtransport.strategies._keyed import Keyed
from lbtransport.strategies._keys import BITS, positions

# Points in order, and beside them the URLs that they belong to.
_Bucket: TypeAlias = tuple[tuple[int, ...], tuple[str, ...]]
_NO_POINTS: _Bucket = ((), ())

_FEWEST, _USUAL, _MOST = 4, 10, 32  # points in a bucket, on average
_STEP = 500  # points hashed, or put in their places, in some tenths of a millisecond


@dataclass(frozen=True, slots=True)
class Ring:
    """The points of all backends.

    Attributes:
        buckets: Parts of the ring of equal length, a power of two of them.
        counts: The number of points of each backend that has some.
        shift: How many bits of a position lie below those that number its bucket.
    """

    buckets: list[_Bucket]
    counts: Mapping[str, int]
    shift: int = field(init=False)
    patience: ClassVar[int] = 64

    def __post_init__(self) -> None:
        """Find the shift."""
        shift = BITS + 1 - len(self.buckets).bit_length()
        object.__setattr__(self, "shift", shift)  # frozen: written here alone

    def home(self, position: int) -> str | None:
        """Return the owner of the first point from `position` on."""
        points, owners = self.buckets[position >> self.shift]
        index = bisect_left(points, position)
        if index < len(points):
            return owners[index]
        return next(self.successors(position), None)

    def successors(self, position: int) -> Iterator[str]:
        """Return the owners of the points from `position` on, without end."""
        if not self.counts:
            return
        number = position >> self.shift
        points, owners = self.buckets[number]
        yield from owners[bisect_left(points, position) :]
        while True:
            number = (number + 1) % len(self.buckets)
            yield from self.buckets[number][1]

    def scattered(self, position: int) -> Iterator[str]:
        """Return the owners of some places all over the ring."""
        places = islice(positions(b"%d" % position), self.patience)
        return filter(None, map(self.home, places))


class ConsistentHash(Keyed[Ring]):
    """Hashes keys to a ring.

    Args:
        virtual_nodes: Points of a backend of weight 1.
            With V points the shares deviate by about 1 / sqrt(V): 8 % with 160, as in
            ketama.
        load_factor: How many times its fair share of the requests in flight a backend
            may hold, at least 1; 1.25 is a good one.
            0, the default, sets no bound.

    Raises:
        ConfigurationError: If a number is out of range.
    """

    def __init__(self, *, virtual_nodes: int = 160, load_factor: float = 0.0) -> None:
        """Have no members yet."""
        super().__init__(load_factor=load_factor)
        check_integer("virtual_nodes", virtual_nodes, least=1, most=10_000)
        self._virtual_nodes = virtual_nodes

    def _place(
        self, weights: Mapping[str, float], old: Ring | None
    ) -> Generator[None, None, Ring]:
        counts = count_points(weights, self._virtual_nodes)
        yield
        total = sum(counts.values())
        if old is not None and _FEWEST <= total / len(old.buckets) <= _MOST:
            ring, before = Ring(old.buckets.copy(), counts), old.counts
        else:
            size = 1 << (total // _USUAL).bit_length()
            ring, before = Ring([_NO_POINTS] * size, counts), {}
        dropped = {url: before[url] for url in before if before[url] != counts.get(url)}
        arrived = {url: counts[url] for url in counts if counts[url] != before.get(url)}
        shift = ring.shift
        added: dict[int, list[tuple[int, str]]] = {}  # by bucket
        for batch in _points_of(dropped):
            for point, _ in batch:
                added.setdefault(point >> shift, [])
            yield
        for batch in _points_of(arrived):
            for pair in batch:
                added.setdefault(pair[0] >> shift, []).append(pair)
            yield
        while added:  # emptied on the way, for a million small things take long to free
            number, pairs = added.popitem()
            there = zip(*ring.buckets[number], strict=True)
            pairs.extend(pair for pair in there if pair[1] not in dropped)
            # By point; where two are the same, by URL, so that history does not matter.
            pairs.sort()
            places, owners = zip(*pairs, strict=True) if pairs else _NO_POINTS
            ring.buckets[number] = (places, owners)
            if len(added) % (_STEP // _USUAL) == 0:
                yield
        return ring


def count_points(weights: Mapping[str, float], virtual_nodes: int) -> dict[str, int]:
    """Return how many points each backend has; of weight 0 none, of others at least 1.

    A backend of weight 1 has `virtual_nodes`, whoever else is there, so that no other
    backend's weight moves its points.
    Only where the weights are of another order (their mean is not from 1/2 to 8) the
    unit is another one, the power of two below the mean.
    """
    positive = {url: weight for url, weight in weights.items() if weight}
    mean = fsum(weight / len(positive) for weight in positive.values())
    unit = 1.0 if 0.5 <= mean <= 8 else ldexp(1.0, frexp(mean)[1] - 1)
    return {
        url: max(1, round(virtual_nodes * (weight / unit)))
        for url, weight in positive.items()
    }


def _points_of(counts: Mapping[str, int]) -> Iterator[list[tuple[int, str]]]:
    """Return the points of backends, with the URLs, a step's worth at a time."""
    pairs = chain.from_iterable(
        zip(islice(positions(url.encode()), count), repeat(url))
        for url, count in counts.items()
    )
    while batch := list(islice(pairs, _STEP)):
        yield batch
