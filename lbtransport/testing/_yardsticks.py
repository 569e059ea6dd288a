"""Strategies that know the truth: what a client that learns is measured against."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from random import Random

from lbtransport.strategies import Candidates, Member
from lbtransport.testing._servers import SimulatedServer


class ShortestExpectedDelay:
    """Takes the server where a request is expected to be done first; ties at random.

    It sees all queues, how slow each server is now, and who would fail: no client that
    must send a request at once does better on average.
    """

    def __init__(self, servers: Mapping[str, SimulatedServer]) -> None:
        """Look at `servers`, by the URLs of their backends."""
        self._servers = servers

    def members_changed(self, members: Sequence[Member]) -> None:
        """Keep nothing."""

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return a candidate of the shortest expected delay."""
        servers = self._servers
        delays = [expected_delay(servers[one.backend.url]) for one in candidates]
        shortest = min(delays)
        tied = [
            candidate
            for candidate, delay in zip(candidates, delays, strict=True)
            if delay == shortest
        ]
        return tied[int(rng.random() * len(tied))]


def expected_delay(server: SimulatedServer) -> float:
    """Return when a request sent now is expected to be done, in mean service times.

    Exact for exponential service; infinity if the request would not be served.
    """
    if not server.is_usable:
        return math.inf
    waiting = len(server.busy) + len(server.queue) + 1 - server.slots
    return server.slowness() * (1.0 + max(0, waiting) / server.slots)
