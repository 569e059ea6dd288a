"""Round robin: each candidate in turn.

The balancer shuffles its backends whenever the list of them changes, so the clients of
a fleet do not march in step, and the counter goes on through changes of health, so a
restart of the turn never favours the head of the list.

References:
    grpc-java#4462: rebuilt pickers that restarted at 0 gave the first entries of the
    list three to four times their share.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from lbtransport.strategies._contract import Candidates, Member

if TYPE_CHECKING:
    from random import Random


class RoundRobin:
    """One counter for all threads and tasks, over whatever the candidates are."""

    def __init__(self) -> None:
        """Start with the first of the (shuffled) candidates."""
        self._turn = 0

    def members_changed(self, members: Sequence[Member]) -> None:
        """Go on counting."""

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return the candidate whose turn it is."""
        if len(candidates) == 1:
            # No turn of anybody's: requests that come in pairs, the second of them
            # bound to one backend, would else skip every other one.
            return candidates[0]
        turn = self._turn
        self._turn = turn + 1
        return candidates[turn % len(candidates)]
