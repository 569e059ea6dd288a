"""Random: each candidate with a probability in proportion to its weight.

It needs no state to agree on, so it is the yardstick for all others; but chance alone
leaves the busiest of many backends well above the mean.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from lbtransport.strategies._contract import Candidates, Member
from lbtransport.strategies._draw import draw_index

if TYPE_CHECKING:
    from random import Random


class RandomChoice:
    """Draws by weight, with the generator that it is given."""

    def members_changed(self, members: Sequence[Member]) -> None:
        """Keep nothing: weights are read from the candidates."""

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return a candidate drawn by weight."""
        return candidates[draw_index(candidates, rng)]
