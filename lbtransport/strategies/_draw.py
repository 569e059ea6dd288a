"""A weighted draw: which candidate, if chance decides in proportion to the weights."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from lbtransport.strategies._contract import Candidates

if TYPE_CHECKING:
    from random import Random


def draw_index(candidates: Candidates, rng: Random) -> int:
    """Return an index into `candidates`, drawn in proportion to their weights.

    Constant time where the weights are equal, else logarithmic.
    """
    sums = candidates.weight_sums
    if not sums:
        # Twice as fast as a float made an int, and as even: of a million candidates,
        # one is 0.02 % more likely than another.
        return rng.getrandbits(32) % len(candidates)
    # Rounding may give the total itself, which lies behind the last sum.
    drawn = bisect_right(sums, rng.random() * sums[-1])
    return min(drawn, len(candidates) - 1)
