"""Percentiles of latencies: a histogram whose buckets grow by a tenth.

The ends of the buckets grow by the same factor, so any percentile from 10 µs to an hour
is known to within five percent, with 199 counters at most.
The buckets are the same for all, so histograms are merged by adding.

Only the last one to two minutes count: two histograms take turns, a minute each.

Not a library: those for this (ddsketch, hdrhistogram, tdigest) are larger than the
dozen lines that do the work here, and the core has one dependency.

References:
    Masson, Rim, Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
    Relative-Error Guarantees", VLDB 2019.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

_ERROR = 0.05  # relative
_GROWTH = (1 + _ERROR) / (1 - _ERROR)
_LEAST, _MOST = 1e-5, 3600.0  # seconds
_ENDS = [_LEAST]
while _ENDS[-1] < _MOST:
    _ENDS.append(_ENDS[-1] * _GROWTH)
_PERIOD = 60.0  # seconds


class Latencies:
    """The latencies of one backend, of the last one to two minutes.

    Not thread-safe: the balancer's lock guards it.
    """

    __slots__ = ("_before", "_now", "_turns_at")

    def __init__(self) -> None:
        """Have recorded nothing."""
        self._now: dict[int, int] = {}
        self._before: dict[int, int] = {}
        self._turns_at = -math.inf

    def record(self, latency: float, now: float) -> None:
        """Take a latency in seconds on record."""
        if now >= self._turns_at:
            self._turn(now)
        bucket = bisect_left(_ENDS, latency)
        counts = self._now
        counts[bucket] = counts.get(bucket, 0) + 1

    def counts(self, now: float) -> Counter[int]:
        """Return the counts by bucket; those of several backends can be added."""
        if now >= self._turns_at:
            self._turn(now)
        return Counter(self._before) + Counter(self._now)

    def _turn(self, now: float) -> None:
        is_recent = now < self._turns_at + _PERIOD
        self._before = self._now if is_recent else {}
        self._now = {}
        self._turns_at = now + _PERIOD


def percentile_at_most(counts: Counter[int], rank: float) -> float | None:
    """Return the upper end of the bucket of the latency at `rank`.

    Where all latencies are nearly the same, the middle of their bucket is below half of
    them; few are ever above its end.
    """
    (middle,) = percentiles(counts, (rank,))
    return None if middle is None else middle / (1 - _ERROR)


def percentiles(counts: Counter[int], ranks: Sequence[float]) -> list[float | None]:
    """Return the latency at each rank.

    Args:
        counts: By bucket, of one backend or of several, added.
        ranks: Rising, above 0 and at most 1; 0.99 is the 99th percentile.

    Returns:
        Seconds, each within five percent; None for each if nothing was recorded.
    """
    total, passed = counts.total(), 0
    found: list[float | None] = []
    for bucket in sorted(counts):
        passed += counts[bucket]
        while len(found) < len(ranks) and passed >= ranks[len(found)] * total:
            # The point of the bucket that is as far, relatively, from both its ends.
            end = _ENDS[min(bucket, len(_ENDS) - 1)]
            found.append(end * (1 - _ERROR))
    return found or [None] * len(ranks)
