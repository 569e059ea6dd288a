"""Chance: a draw by weight, and a draw among the best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lbtransport.strategies._contract import Candidates, Member

if TYPE_CHECKING:
    from random import Random

_MOST_DRAWS = 4  # for the second of two; then any other candidate will do


def draw_index(candidates: Candidates, rng: Random) -> int:
    """Return an index into `candidates`, drawn in proportion to their weights.

    In constant time; where all weights are equal, each is as likely as any other.
    """
    if candidates.is_uniform:
        # Twice as fast as a float made an int, and as even: of a million candidates,
        # one is 0.02 % more likely than another.
        return rng.getrandbits(32) % len(candidates)
    columns = candidates.alias_table
    drawn = rng.random() * len(columns)
    index = int(drawn)
    own, alias = columns[index]
    return index if drawn - index < own else alias


def draw_other(first: int, candidates: Candidates, rng: Random) -> int:
    """Return an index drawn in the same way, other than `first`, of two or more."""
    for _ in range(0 if candidates.is_uniform else _MOST_DRAWS):
        second = draw_index(candidates, rng)
        if second != first:
            return second
    # All weights are equal, or one candidate holds nearly all of it.
    second = rng.getrandbits(32) % (len(candidates) - 1)
    return second + (second >= first)


def least(candidates: Sequence[Member], costs: Sequence[float], rng: Random) -> Member:
    """Return the candidate of the least cost; one of them at random if there are more.

    The first of equals would be a trap: a client with few requests in flight sees
    nothing but ties, and would send most of its traffic to the head of the list.
    """
    lowest = min(costs)
    if costs.count(lowest) == 1:
        return candidates[costs.index(lowest)]
    tied = [number for number, cost in enumerate(costs) if cost == lowest]
    return candidates[tied[rng.getrandbits(32) % len(tied)]]
