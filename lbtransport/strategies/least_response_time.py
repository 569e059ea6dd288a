"""Least response time: the candidate with the least average latency for its load.

The cost of each is a latency average that jumps to peaks and decays while idle, times
the requests that it would have in flight; see `_ewma`.
Looks at every candidate: the cost grows with their number.
A fleet of many clients does better with `peak_ewma`, where not all run to the same
minimum, or with `adaptive`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from lbtransport.strategies._contract import Candidates, Member
from lbtransport.strategies._draw import least
from lbtransport.strategies._ewma import PeakEwma

if TYPE_CHECKING:
    from random import Random


class LeastResponseTime(PeakEwma):
    """Breaks ties at random."""

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return a candidate of the least cost."""
        costs = [
            self.cost(candidate, weight, now, rng)
            for candidate, weight in zip(candidates, candidates.weights, strict=True)
        ]
        return least(candidates, costs, rng)
