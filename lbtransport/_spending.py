"""What exchanges of a service may spend beyond one attempt each: retries and hedges.

Hedges have a budget of their own, and count in that of the retries as well, so what the
backends get beyond the requests has one limit, whichever it is made of.
When to hedge at all follows from what is usual here, which is looked at now and then,
for it takes longer than a request does.

Thread-safe, under the lock of the accounts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from lbtransport._accounts import Accounts
from lbtransport._announcer import Announcer
from lbtransport._budget import Budget
from lbtransport._latencies import percentile_at_most
from lbtransport._roster import Roster
from lbtransport.events import RetryBudgetExhausted
from lbtransport.retry import RetryPolicy

_FEWEST = 100  # latencies, of which five are above the 95th percentile
_FRESH = 1.0  # seconds
_MOST_MEMBERS = 64  # of more, some tell as much
# Of hedges: so that a program that makes few requests hedges some.
_PER_SECOND = 0.1
_WINDOW = 10.0  # seconds


class Spending:
    """The budgets of one service, and what is usual in it."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        roster: Roster,
        accounts: Accounts,
        announcer: Announcer,
        now: Callable[[], float],
    ) -> None:
        """Have spent nothing.

        Args:
            policy: How much may be spent.
            roster: Whose members' latencies are looked at.
            accounts: Counts selections.
            announcer: Hears when the budget of retries is exhausted.
            now: Reads the clock.
        """
        self._roster = roster
        self._accounts = accounts
        self._announcer = announcer
        self._now = now
        self._retries = Budget(
            ratio=policy.budget_ratio or 0.0,
            per_second=policy.budget_per_second,
            window=policy.budget_window,
            now=now(),
        )
        self._hedges = Budget(
            ratio=policy.hedge_ratio, per_second=_PER_SECOND, window=_WINDOW, now=now()
        )
        self._is_limited = policy.budget_ratio is not None
        self._counts: Counter[int] = Counter()  # of latencies, by bucket
        self._known: dict[float, float | None] = {}  # latencies by rank
        self._stale_at = -math.inf

    def charge_retry(self) -> bool:
        """Pay for a retry; False if there is nothing left to pay with."""
        with self._accounts.lock:
            now = self._now()
            if self._retries.can_pay(self._accounts.selections, now):
                self._retries.pay()
                self._hedges.exclude()
                return True
            if self._retries.is_news(now):
                self._announcer.note(RetryBudgetExhausted)
        self._announcer.announce()
        return False

    def charge_hedge(self) -> bool:
        """Pay for a second attempt; False if there is nothing left to pay with."""
        with self._accounts.lock:
            now, selections = self._now(), self._accounts.selections
            if not self._hedges.can_pay(selections, now):
                return False
            if not self._is_limited:
                self._retries.exclude()
            elif self._retries.can_pay(selections, now):
                self._retries.pay()
            else:
                return False
            self._hedges.pay()
        return True

    def usual_latency(self, rank: float) -> float | None:
        """Return seconds within which a part of the answers come.

        Args:
            rank: That part, 0 to 1.

        Returns:
            Seconds, at most a ninth too many; None while too little is known.
        """
        with self._accounts.lock:
            now = self._now()
            if now >= self._stale_at:
                self._stale_at = now + _FRESH
                self._look(now)
            if rank not in self._known:
                enough = self._counts.total() >= _FEWEST
                found = percentile_at_most(self._counts, rank) if enough else None
                self._known[rank] = found
            return self._known[rank]

    def _look(self, now: float) -> None:
        """Count the latencies of the members anew."""
        self._accounts.take_samples()
        self._known.clear()
        self._counts.clear()
        for member in self._roster.members[:_MOST_MEMBERS]:
            self._counts.update(member.latencies.counts(now))
