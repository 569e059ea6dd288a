"""Power of two choices: draw two candidates at random, keep the less loaded.

Nearly as even as looking at all of them, at a constant cost, and without the herd that
runs to the one minimum which every client sees.

References:
    Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001.
    Finagle's and ServiceTalk's P2C, on drawing the second without replacement.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from lbtransport.strategies._contract import Candidates, Member
from lbtransport.strategies._draw import draw_index, draw_other

if TYPE_CHECKING:
    from random import Random


class PowerOfTwo:
    """Compares requests in flight per weight; the first drawn wins a tie."""

    def members_changed(self, members: Sequence[Member]) -> None:
        """Keep nothing: weights and counters are read from the candidates."""

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return the less loaded of two distinct candidates."""
        if candidates.is_uniform:  # the usual case, without a call
            first = rng.getrandbits(32) % len(candidates)
        else:
            first = draw_index(candidates, rng)
        one = candidates[first]
        # The first was drawn by weight, so an idle service is shared by weight too.
        if one.in_flight == 0 or len(candidates) == 1:
            return one
        other = candidates[draw_other(first, candidates, rng)]
        # Where all weights are 0, all are equal.
        load_of_one = one.in_flight * (other.backend.weight or 1)
        load_of_other = other.in_flight * (one.backend.weight or 1)
        return other if load_of_other < load_of_one else one
