"""Least connections: the candidate with the fewest requests in flight.

In flight counts from the selection on, before there is a connection, so a backend that
is slow to accept does not look idle.
Looks at every candidate: the cost grows with their number.

References:
    envoy#44989, on counting requests that still wait for a connection.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from lbtransport.strategies._contract import Candidates, Member

if TYPE_CHECKING:
    from random import Random


class LeastConnections:
    """Breaks ties at random.

    The first of equals would be a trap: a client with few requests in flight sees
    nothing but ties, and would send most of its traffic to the head of the list.
    """

    def members_changed(self, members: Sequence[Member]) -> None:
        """Keep nothing: the counters are the balancer's."""

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return one of the least loaded candidates."""
        fewest = min([candidate.in_flight for candidate in candidates])
        tied = [candidate for candidate in candidates if candidate.in_flight == fewest]
        return tied[int(rng.random() * len(tied))]
