"""Rendezvous ranks: how high each backend stands with a key, from its URL alone.

A backend's luck with a key is the product of two hashes, that of the key and an odd
one of the URL, modulo 2**64 (multiply-shift): as random as a hash of both, and cheap
enough to ask for all backends.
With weights, the rank is the logarithmic score, by which each backend stands highest
for its share of the keys, and does so whoever else is there.

References:
    Thaler, Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998.
    Dietzfelbinger et al., "A Reliable Randomized Algorithm for the Closest-Pair
    Problem", 1997, on multiply-shift.
    Schindelhauer, Schomaker, "Weighted Distributed Hash Tables", 2005.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

from lbtransport.strategies._contract import Member
from lbtransport.strategies._keys import BITS, SPACE, hash_key

_PRECISION = 52  # of a float, so that a luck is never rounded to 0 or 1


@lru_cache(maxsize=16_384)
def multiplier(url: str) -> int:
    """Return what the hash of a key is multiplied by; odd, below 2**64."""
    return hash_key(url) | 1


def score(luck: int, weight: float) -> float:
    """Return the rank of a luck in [0, 2**64) at a weight; the highest wins."""
    fraction = ((luck >> BITS - _PRECISION) + 0.5) / (1 << _PRECISION)
    return -weight / math.log(fraction)


def highest(members: Iterable[Member], position: int) -> Member:
    """Return the member that stands highest with the key at `position`.

    Linear, and needs no table; weight 0 stands below every other.
    """

    def rank(member: Member) -> tuple[float, int]:
        luck = multiplier(member.backend.url) * position % SPACE
        weight = member.backend.weight
        return (score(luck, weight) if weight else 0.0), luck

    return max(members, key=rank)
