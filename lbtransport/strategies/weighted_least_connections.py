"""Weighted least connections: the candidate with the fewest in flight for its weight.

The measure is (in flight + 1) / weight: what it would be if this request went there.
So of idle candidates the heaviest is taken; where requests are few and weights are
meant as shares, `power_of_two` and `adaptive` come closer to them.
Looks at every candidate: the cost grows with their number.

References:
    Linux Virtual Server, "Weighted Least-Connection Scheduling".
    Envoy, least request with a full scan, on ties drawn at random.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from lbtransport.strategies._contract import Candidates, Member
from lbtransport.strategies._draw import least

if TYPE_CHECKING:
    from random import Random


class WeightedLeastConnections:
    """Breaks ties at random, as `LeastConnections` does and for its reasons."""

    def members_changed(self, members: Sequence[Member]) -> None:
        """Keep nothing: counters and weights are at hand."""

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return one of the least loaded candidates."""
        loads = [
            (candidate.in_flight + 1) / weight if weight else math.inf
            for candidate, weight in zip(candidates, candidates.weights, strict=True)
        ]
        return least(candidates, loads, rng)
