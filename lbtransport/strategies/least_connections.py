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
from lbtransport.strategies._draw import least

if TYPE_CHECKING:
    from random import Random


class LeastConnections:
    """Breaks ties at random, for a client with few requests in flight sees many."""

    def members_changed(self, members: Sequence[Member]) -> None:
        """Keep nothing: the counters are the balancer's."""

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return one of the least loaded candidates."""
        loads = [candidate.in_flight for candidate in candidates]
        return least(candidates, loads, rng)
