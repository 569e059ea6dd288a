"""What hedging must know of a service: what is usual, and what it may cost.

Not thread-safe: the balancer's lock guards it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from lbtransport._backends import BackendState
from lbtransport._budget import Budget
from lbtransport._latencies import percentile_at_most
from lbtransport.retry import RetryPolicy

_FEWEST = 100  # latencies, of which five are above the 95th percentile
_FRESH = 1.0  # seconds
_MOST_MEMBERS = 64  # of more, some tell as much
_PER_SECOND = 0.1  # so that a program that makes few requests hedges some
_WINDOW = 10.0  # seconds


class Hedging:
    """The usual latencies of a service, and the budget of second attempts.

    Attributes:
        budget: What they may cost.
    """

    def __init__(self, policy: RetryPolicy, now: float) -> None:
        """Know of no latency."""
        self.budget = Budget(
            ratio=policy.hedge_ratio, per_second=_PER_SECOND, window=_WINDOW, now=now
        )
        self._counts: Counter[int] = Counter()
        self._known: dict[float, float | None] = {}  # by rank
        self._stale_at = -math.inf

    def is_stale(self, now: float) -> bool:
        """Tell whether the next `latency` looks at the members anew."""
        return now >= self._stale_at

    def latency(
        self, rank: float, members: Sequence[BackendState], now: float
    ) -> float | None:
        """Return seconds within which a part of the answers come.

        Args:
            rank: That part, 0 to 1.
            members: Whose answers.
            now: Current instant.

        Returns:
            Seconds, at most a ninth too many; None while too little is known.
        """
        if now >= self._stale_at:
            self._stale_at = now + _FRESH
            self._known.clear()
            self._counts.clear()
            for member in members[:_MOST_MEMBERS]:
                self._counts.update(member.latencies.counts(now))
        if rank not in self._known:
            enough = self._counts.total() >= _FEWEST
            found = percentile_at_most(self._counts, rank) if enough else None
            self._known[rank] = found
        return self._known[rank]
