"""Weighted round robin: to each by its weight, and no one twice in a row needlessly.

Up to 32 candidates it is nginx's smooth form, which interleaves as evenly as can be
(weights 5, 1, 1 give ``a a b a c a a`` and not ``a a a a a b c``) and looks at each
candidate.

For more it places the candidates side by side on a circle, each with an arc as long as
its weight, and goes around in steps of the golden ratio.
No steps spread more evenly: at any time each candidate was taken as often as is its
due, but for a few turns, and the gaps between its turns have at most three lengths.

Weights are read at each choice, so they may change at any time.

References:
    nginx, "Upstream: smooth weighted round-robin balancing", commit 52327e0, 2012.
    Sós, "On the distribution mod 1 of the sequence n alpha", 1958 (three distances).
    envoy#10064, on clients that all begin with the heaviest.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Hashable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from lbtransport.strategies._contract import Candidates, Member

if TYPE_CHECKING:
    from random import Random

_MOST_SMOOTH = 32
_GOLDEN = (math.sqrt(5) - 1) / 2


class WeightedRoundRobin:
    """Starts at a random place, so that the clients of a fleet do not march in step."""

    def __init__(self) -> None:
        """Have taken nobody yet."""
        self._place: float | None = None  # on the circle, 0 to 1
        self._version = 0
        self._ends: list[float] = []  # of the arcs

    def members_changed(self, members: Sequence[Member]) -> None:
        """Keep nothing: weights are read from the candidates."""

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return the candidate whose turn it is."""
        if len(candidates) <= _MOST_SMOOTH:
            return _smooth(candidates, rng)
        if candidates.version != self._version:
            self._ends = list(accumulate(candidates.weights))
            self._version = candidates.version
        place = rng.random() if self._place is None else self._place + _GOLDEN
        self._place = place = place % 1.0
        # Rounding may give the total itself, which lies behind the last arc.
        index = bisect_right(self._ends, place * self._ends[-1])
        return candidates[min(index, len(candidates) - 1)]


def _smooth(candidates: Candidates, rng: Random) -> Member:
    """Credit each candidate with its weight; the richest pays for all."""
    richest, most, total = candidates[0], -math.inf, 0.0
    for candidate, weight in zip(candidates, candidates.weights, strict=True):
        credit = candidate.strategy_state
        if credit is None:
            credit = weight * rng.random()
        candidate.strategy_state = credit = credit + weight
        total += weight
        if weight and credit > most:
            richest, most = candidate, credit
    richest.strategy_state -= total
    return richest
