"""What `adaptive` knows of one backend, and of the pool, as sums that fade.

A sum that fades exponentially need not be touched to fade.  It is kept in units that
grow instead (forward decay), and one factor for all of them brings it up to date.

References:
    Cormode et al., "Forward Decay: A Practical Time Decay Model for Streaming Systems",
    2009.
"""

from __future__ import annotations

PRIOR = 2.0  # successes that the pool's mean is worth
STALE = -1  # no tick
_MANY = 100.0  # requests; of fewer, failures do not say what is usual


class Record:
    """What is known of one backend, in units that grow; see `Adaptive`."""

    __slots__ = (
        "bad",
        "count",
        "failed",
        "good",
        "idle_cost",
        "in_a_row",
        "latency",
        "spent",
        "starts",
        "successes",
        "surcharge",
        "tick",
    )

    def __init__(self) -> None:
        """Know nothing."""
        self.starts = 0.0  # the sum of when what waits was sent
        self.forget()
        # What is computed from it, at the tick named.
        self.latency = 0.0
        self.count = PRIOR
        self.surcharge = 0.0  # for failures in excess of the others'
        self.idle_cost = 0.0  # with nothing in flight

    def forget(self) -> None:
        """Know nothing again, but of what still waits."""
        self.spent = 0.0  # seconds in all attempts
        self.successes = 0.0
        self.good = 0.0  # the same, forgotten sooner, to weigh failures against
        self.bad = 0.0  # fast failures, those in a row weighing more
        self.failed = 0.0  # all failures, each weighing the same
        self.in_a_row = 0  # fast failures since the last success
        self.tick = STALE

    def shrink(self, factor: float) -> None:
        """Keep the sums in units that are so much larger."""
        self.spent *= factor
        self.successes *= factor
        for_failures = factor * factor  # which are forgotten in half the time
        self.good *= for_failures
        self.bad *= for_failures
        self.failed *= for_failures

    def failures_elsewhere(self, pool: Record, unit: float) -> float:
        """Return what part of the other backends' requests fails, 0 to 1.

        Args:
            pool: What is known of all of them.
            unit: What one failure is worth now.
        """
        # Of what is forgotten here, or was capped, the pool may not know.
        failed = max(0.0, pool.failed - self.failed)
        good = max(0.0, pool.good - self.good)
        return failed / (failed + good + _MANY * unit)
