"""Rendezvous hashing: each key ranks all backends, and the highest wins.

No table to tune, shares as even as chance allows, exact weights, and a change moves the
keys of the backend that changed and no others; the second in rank stands in, so the
keys of a lost backend scatter over all others.
What it costs is that each key met for the first time looks at every backend: linear,
and for that done for all of them in one multiplication.

References:
    See `_rank`, where the ranks are defined.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from itertools import groupby
from struct import Struct
from typing import ClassVar

from lbtransport.strategies._keyed import Keyed
from lbtransport.strategies._rank import multiplier, score

_LANE = 16  # bytes, room for the product of two numbers of 8
_STEP = 500  # backends hashed in some tenths of a millisecond


class Lanes:
    """All backends' multipliers, side by side in one long integer.

    Times a position it is all their lucks at once, at the speed of C.
    """

    patience: ClassVar[int] = 4

    def __init__(self, weights: Mapping[str, float]) -> None:
        """Order the backends by weight and URL; weight 0 counts where all have it."""
        positive = [url for url in sorted(weights) if weights[url]]
        self._urls = sorted(positive or weights, key=weights.__getitem__)
        numbers = [multiplier(url).to_bytes(_LANE, "little") for url in self._urls]
        self._multipliers = int.from_bytes(b"".join(numbers), "little")
        # The lower half of each lane: the product modulo 2**64.
        self._lower = Struct("<" + "Q8x" * len(self._urls))
        # The backends of one weight are neighbours, and among them luck decides.
        self._weights: list[tuple[float, int, int]] = []
        start = 0
        for weight, group in groupby(self._urls, key=weights.__getitem__):
            end = start + len(list(group))
            self._weights.append((weight, start, end))
            start = end

    def home(self, position: int) -> str | None:
        """Return the backend that stands highest with `position`."""
        return next(self.successors(position), None)

    def successors(self, position: int) -> Iterator[str]:
        """Return all backends in order of their ranks."""
        product = self._multipliers * position
        lucks = list(self._lower.unpack(product.to_bytes(self._lower.size, "little")))
        for _ in self._urls:
            number = self._highest(lucks)
            yield self._urls[number]
            lucks[number] = -1

    scattered = successors

    def _highest(self, lucks: list[int]) -> int:
        """Return the number of the highest in rank; -1 has had its turn."""
        if len(self._weights) == 1:
            return lucks.index(max(lucks))
        best = max(
            (score(luck, weight), luck, start, end)
            for weight, start, end in self._weights
            if (luck := max(lucks[start:end])) >= 0
        )
        _, luck, start, end = best
        return lucks.index(luck, start, end)


class Rendezvous(Keyed[Lanes]):
    """Ranks all backends by each key.

    Args:
        load_factor: How many times its fair share of the requests in flight a backend
            may hold, at least 1; 1.25 is a good one.
            0, the default, sets no bound.

    Raises:
        ConfigurationError: If it is out of range.
    """

    def __init__(self, *, load_factor: float = 0.0) -> None:
        """Have no members yet."""
        super().__init__(load_factor=load_factor)

    def _place(
        self, weights: Mapping[str, float], old: Lanes | None
    ) -> Generator[None, None, Lanes]:
        for done, url in enumerate(weights):
            multiplier(url)  # which is remembered
            if done % _STEP == 0:
                yield
        yield
        return Lanes(weights)
