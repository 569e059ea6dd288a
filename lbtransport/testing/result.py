"""What a simulation came to, as a value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lbtransport.testing.scenario import Scenario

_ERROR_PRICE = 0.2  # of one percent of errors, in the score


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the time that was measured.

    Attributes:
        begins_at: Instant in seconds.
        sent: Attempts that each server was sent.
        latencies: Seconds that successes took which arrived in the window; ascending.
        errors: Requests that arrived in the window and failed.
    """

    begins_at: float
    sent: tuple[int, ...]
    latencies: Sequence[float]
    errors: int

    def percentile(self, part: float) -> float:
        """Return the latency that a part of the successes, 0 to 1, do not exceed."""
        return percentile(self.latencies, part)


@dataclass(frozen=True, slots=True)
class Result:
    """What the clients of a simulation saw, after its warm-up.

    Attributes:
        scenario: What was simulated.
        strategy: The name of the strategy.
        seed: What chance began with.
        latencies: Seconds that each success took, its retries included; ascending.
        reasons: Why requests failed, and how many of each.
        windows: The same, in the order of time.
    """

    scenario: Scenario
    strategy: str
    seed: int
    latencies: Sequence[float]
    reasons: Mapping[str, int]
    windows: Sequence[Window]

    @property
    def requests(self) -> int:
        """Requests of the callers."""
        return len(self.latencies) + self.errors

    @property
    def errors(self) -> int:
        """Requests whose callers saw an error."""
        return sum(self.reasons.values())

    @property
    def error_ratio(self) -> float:
        """The part of the requests whose callers saw an error, 0 to 1."""
        return self.errors / max(1, self.requests)

    @property
    def attempts(self) -> int:
        """Attempts, retries included."""
        return sum(sum(window.sent) for window in self.windows)

    @property
    def mean(self) -> float:
        """The mean latency of the successes in seconds; nan if there is none."""
        if not self.latencies:
            return math.nan
        return math.fsum(self.latencies) / len(self.latencies)

    @property
    def p50(self) -> float:
        """The median latency of the successes in seconds; nan if there is none."""
        return self.percentile(0.5)

    @property
    def p99(self) -> float:
        """The 99th percentile of it."""
        return self.percentile(0.99)

    @property
    def p999(self) -> float:
        """The 99.9th percentile of it."""
        return self.percentile(0.999)

    def percentile(self, part: float) -> float:
        """Return the latency that a part of the successes, 0 to 1, do not exceed."""
        return percentile(self.latencies, part)

    @property
    def shares(self) -> tuple[float, ...]:
        """The part of the attempts that each server got, 0 to 1."""
        return self.shares_between(0.0, math.inf)

    def shares_between(self, since: float, until: float) -> tuple[float, ...]:
        """Return the same of the windows that begin in [since, until)."""
        columns = zip(
            *(w.sent for w in self.windows if since <= w.begins_at < until),
            strict=True,
        )
        sent = [sum(column) for column in columns]
        return tuple(number / max(1, sum(sent)) for number in sent)

    def clean_since(self, instant: float) -> float:
        """Return when the first window without an error begins, from `instant` on.

        Infinity if there is none.
        """
        clean = (w.begins_at for w in self.windows if w.latencies and not w.errors)
        return next((at for at in clean if at >= instant), math.inf)

    def score(self, oracle: Result) -> float:
        """Return how much worse it is than the best: 1 is as good.

        Half of it is the mean, half the 99th percentile, each divided by the oracle's;
        each percent of errors adds 0.2.

        Args:
            oracle: The result of ``"sed_oracle"`` in the same scenario.
        """
        return (
            0.5 * self.mean / oracle.mean
            + 0.5 * self.p99 / oracle.p99
            + _ERROR_PRICE * 100 * self.error_ratio
        )


def percentile(ascending: Sequence[float], part: float) -> float:
    """Return what a part of the values, 0 to 1, do not exceed; nan if there is none."""
    if not ascending:
        return math.nan
    return ascending[max(0, math.ceil(part * len(ascending)) - 1)]
