"""Weighted round robin: to each by its weight, and no one twice in a row needlessly.

Up to 32 candidates it is nginx's smooth form, which interleaves as evenly as can be
(weights 5, 1, 1 give ``a a b a c a a`` and not ``a a a a a b c``) and looks at each
candidate.
Credits are kept in a list while the candidates stay the same, where that look takes
half as long, and go through the members' slots when they change.

For more it places the candidates side by side on a circle, each with an arc as long as
its weight, and goes around in steps of the golden ratio.
No steps spread more evenly: at any time each candidate was taken as often as is its
due, but for a few turns, and the gaps between its turns have at most three lengths.

Weights are read whenever the candidates are others, and a weight that changes makes
others of them, so it may do so at any time.

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
from operator import add
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
        self._smooth = _Smooth()
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
            return self._smooth.choose(candidates, rng)
        if candidates.version != self._version:
            self._ends = list(accumulate(candidates.weights))
            self._version = candidates.version
        place = rng.random() if self._place is None else self._place + _GOLDEN
        self._place = place = place % 1.0
        # Rounding may give the total itself, which lies behind the last arc.
        index = bisect_right(self._ends, place * self._ends[-1])
        return candidates[min(index, len(candidates) - 1)]


class _Smooth:
    """The turns of a few, by what each has to its credit."""

    def __init__(self) -> None:
        """Know no candidates yet."""
        self._version = 0
        self._takers: list[Member] = []  # the candidates of a weight above 0
        self._weights: list[float] = []  # of each of them
        self._credits: list[float] = []
        self._total = 0.0

    def choose(self, candidates: Candidates, rng: Random) -> Member:
        """Credit each candidate with its weight; the richest pays for all."""
        if candidates.version != self._version:
            self._adopt(candidates, rng)
        self._credits = grown = list(map(add, self._credits, self._weights))
        richest = grown.index(max(grown))
        grown[richest] -= self._total
        return self._takers[richest]

    def _adopt(self, candidates: Candidates, rng: Random) -> None:
        """Go on with other candidates; newcomers begin anywhere in their round."""
        for member, credit in zip(self._takers, self._credits, strict=True):
            member.strategy_state = credit
        weighted = zip(candidates, candidates.weights, strict=True)
        pairs = [(member, weight) for member, weight in weighted if weight]
        takers = [member for member, _ in pairs]
        weights = [weight for _, weight in pairs]
        brought = [
            weight * rng.random()
            if member.strategy_state is None
            else member.strategy_state
            for member, weight in pairs
        ]
        total = candidates.total_weight
        # No calls from here on: an interrupt finds all of it changed, or nothing.
        self._takers, self._weights, self._credits = takers, weights, brought
        self._total = total
        self._version = candidates.version
