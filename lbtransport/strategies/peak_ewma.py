"""Peak EWMA over two choices: draw two at random, keep the one of less expected delay.

The cost of each is a latency average that jumps to peaks and decays while idle, times
the requests that it would have in flight; see `_ewma`.
Two drawn at random keep the clients of a fleet from running to the same minimum.

References:
    Finagle, `P2CPeakEwma`, on the combination.
    linkerd, "Beyond Round Robin", 2016, on what it gains.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from lbtransport.strategies._contract import Candidates, Member
from lbtransport.strategies._draw import draw_index, draw_other
from lbtransport.strategies._ewma import PeakEwma

if TYPE_CHECKING:
    from random import Random


class PeakEwmaOfTwo(PeakEwma):
    """The first drawn wins a tie."""

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return the cheaper of two distinct candidates."""
        first = draw_index(candidates, rng)
        if len(candidates) == 1:
            return candidates[first]
        second = draw_other(first, candidates, rng)
        one, other = candidates[first], candidates[second]
        weights = candidates.weights
        cost_of_one = self.cost(one, weights[first], now, rng)
        cost_of_other = self.cost(other, weights[second], now, rng)
        return other if cost_of_other < cost_of_one else one
