"""What the tests of the strategies that hash share."""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from lbtransport import Backend
from lbtransport._backends import BackendState
from lbtransport.strategies import Candidates, Strategy, make_strategy
from tests.strategies.kit import choose, tell

# Small tables where the size does not matter, for a large one takes long to fill.
SMALL = ["consistent_hash", "rendezvous", "maglev;table_size=1009"]

KEYS: Sequence[Hashable] = [
    "user-1",
    "user-2",
    "user-3",
    "Łódź",
    "",
    b"\xff\x00",
    17,
    -(2**70),
    ("eu", 17),
    ("eu", ("user-1", b"x")),
    "/v1/items?id=4",
    "0123456789abcdef",
]

REMAPPED = (
    "keys have moved to other backends: every cache and session of every user of this "
    "strategy is lost at the upgrade.  If a test of the mapping fails, the mapping is "
    "wrong and not the test"
)


def members_of(weights: Iterable[float]) -> list[BackendState]:
    return [
        BackendState(Backend(f"http://10.0.0.{number}:8080", weight=weight))
        for number, weight in enumerate(weights, 1)
    ]


def ready(spec: str, members: Sequence[BackendState]) -> Strategy:
    strategy = make_strategy(spec)
    tell(strategy, members)
    return strategy


def find(
    strategy: Strategy, members: Sequence[BackendState], key: Hashable
) -> BackendState:
    """Return the choice among `members`, none of which is a retry's."""
    chosen: BackendState = choose(strategy, Candidates(members), random.Random(7), key)
    return chosen


def homes(spec: str, weights: Iterable[float]) -> list[int]:
    """Return the numbers of the backends that `KEYS` belong to, from 1 on."""
    members = members_of(weights)
    strategy = ready(spec, members)
    return [members.index(find(strategy, members, key)) + 1 for key in KEYS]


def surprise(found: Mapping[Any, int], wanted: Mapping[Any, float]) -> float:
    """Return by how many standard deviations counts are off, by chi-square.

    Args:
        found: How often each came.
        wanted: How often each should have come.
    """
    chi_square = sum(
        (found.get(key, 0) - mean) ** 2 / mean for key, mean in wanted.items()
    )
    freedom = len(wanted) - 1
    return (chi_square - freedom) / math.sqrt(2 * freedom)
