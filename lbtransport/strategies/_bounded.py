"""Bounded load: how much of the traffic in flight one backend may hold.

A hot key, or many that fall to one backend, may not give it more than `load_factor`
times its share; what is above goes elsewhere.
The traffic in flight is counted as it comes and goes, not summed up at each request.

Not here: where the rest goes, which is the strategies'.

References:
    Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016.
    Envoy, hash_balance_factor, for the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf
from typing import Any

from lbtransport.strategies._contract import Candidates, Member


class Bounds:
    """The traffic in flight, and the part of it that each member may hold."""

    def __init__(self, load_factor: float) -> None:
        """Allow `load_factor` times a fair share, at least one request."""
        self._load_factor = load_factor
        self._total = 0
        self._members: Sequence[Member] = ()
        # Marks who was counted, so that what was removed meanwhile, or is the parent's
        # after a fork, does not count when it is released.
        self._mark = object()

    def count(self, members: Sequence[Member]) -> None:
        """Count what `members` have in flight, if they are others than before.

        From then on it is told of what comes and goes; to be called under the lock.
        """
        if members is self._members:
            return
        self._members = members
        self._mark = object()
        self._total = 0
        for member in members:
            self._total += member.in_flight
            member.strategy_state = self._mark

    def selected(self, member: Member, *, now: float) -> None:
        """Count a request."""
        if member.strategy_state is self._mark:
            self._total += 1

    def released(self, member: Member, **_: Any) -> None:
        """Count a request no longer."""
        if member.strategy_state is self._mark:
            self._total -= 1

    def has_room(self, member: Member, candidates: Candidates) -> bool:
        """Tell whether one more request keeps a candidate within its bound.

        The bounds of all candidates add up to more than what is in flight, so one of
        them always has room, but for those that were not counted yet.
        """
        slots = ceil((self._total + 1) * self._load_factor)
        share = 1 / len(candidates)
        if not candidates.is_uniform:
            share = member.backend.weight / candidates.total_weight
        return member.in_flight < max(1, ceil(slots * share))


def least_loaded(candidates: Candidates) -> Member:
    """Return the candidate with the fewest requests in flight per weight."""

    def load(member: Member) -> float:
        weight = 1 if candidates.is_uniform else member.backend.weight
        return member.in_flight / weight if weight else inf

    return min(candidates, key=load)
