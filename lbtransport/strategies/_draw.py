"""A weighted draw: which candidate, if chance decides in proportion to the weights."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from lbtransport.strategies._contract import Candidates

if TYPE_CHECKING:
    from random import Random


class WeightedDraw:
    """Draws an index in proportion to the candidates' weights.

    Constant time while the weights are equal, else logarithmic.
    The running sums are kept for the last candidates seen and rebuilt for others.
    """

    def __init__(self) -> None:
        """Know no candidates yet."""
        self._version = 0
        self._sums: list[float] | None = None

    def index(self, candidates: Candidates, rng: Random) -> int:
        """Return an index into `candidates`."""
        if candidates.version != self._version:
            self._learn(candidates)
        if self._sums is None:
            return int(rng.random() * len(candidates))
        # Rounding may give the total itself, which lies behind the last sum.
        drawn = bisect_right(self._sums, rng.random() * self._sums[-1])
        return min(drawn, len(candidates) - 1)

    def _learn(self, candidates: Candidates) -> None:
        self._version = candidates.version
        weights = [candidate.backend.weight for candidate in candidates]
        is_uniform = min(weights) == max(weights)
        self._sums = None if is_uniform else list(accumulate(weights))
