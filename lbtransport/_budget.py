"""The retry budget: how many retries a service can bear.

Each backend that fails turns its requests into more requests, and where all fail, three
attempts are three times the load, just when there is least to spare.
So retries stay within a share of the requests, here 20 %, and within a few more for
each second, without which a program that makes few requests could never repeat one.

Both sums, of requests and of retries, fade alike.  At no instant do retries exceed
their share, so in the long run they do not either.

The few for each second are saved for three seconds and are there from the start on,
as an advance: what is given then is not given again.

Not thread-safe: the balancer's lock guards it.

References:
    Finagle, `RetryBudget`: 20 %, ten seconds, and 10 for each second; fewer here, for
    each process has a budget of its own.
    envoy#30205, tower#857: charge when it is decided, not when it is over.
"""

from __future__ import annotations

import math

_SAVED = 3.0  # seconds


class Budget:
    """What retries of one service may cost."""

    def __init__(
        self, *, ratio: float, per_second: float, window: float, now: float
    ) -> None:
        """Have heard of no request.

        Args:
            ratio: Retries for each request.
            per_second: Further retries for each second.
            window: Seconds after which a request, or a retry, counts for 1/e.
            now: Current instant.
        """
        self._ratio = ratio
        self._per_second = per_second
        self._window = window
        self._counted = 0
        self._recent = 0.0  # requests, faded
        self._retries = 0.0  # paid out of the ratio, faded
        self._at = self._saved_at = now
        self._refused_at = -math.inf
        self._savings = self._most = 0.0
        if per_second:
            self._savings = self._most = max(1.0, per_second * _SAVED)
            self._saved_at += self._most / per_second  # the advance is paid back

    def can_pay(self, selections: int, now: float) -> bool:
        """Tell whether there is enough for one retry.

        Args:
            selections: How many there were so far; counted elsewhere, for that is on
                the path of each request.
            now: Current instant.
        """
        self._bring_up_to_date(selections, now)
        return self._is_covered or self._savings >= 1

    def pay(self) -> None:
        """Pay for one retry, of which `can_pay` has just said that it can be paid."""
        if self._is_covered:
            self._retries += 1
        else:
            self._savings -= 1
        self.exclude()

    def exclude(self) -> None:
        """Do not take the next selection for that of a request."""
        self._counted += 1

    def is_news(self, now: float) -> bool:
        """Take note of a refusal; True if there was none for a whole window."""
        refused_at, self._refused_at = self._refused_at, now
        return now - refused_at > self._window

    @property
    def _is_covered(self) -> bool:
        """Whether the share of the requests covers one more."""
        return self._retries + 1 <= self._ratio * self._recent

    def _bring_up_to_date(self, selections: int, now: float) -> None:
        seconds, self._at = now - self._at, now
        arrived, self._counted = selections - self._counted, selections
        kept = math.exp(-seconds / self._window)
        # When they arrived is not known: evenly, as far as anybody can say.
        worth = (1 - kept) * self._window / seconds if seconds > 0 else 1.0
        self._recent = self._recent * kept + arrived * worth
        self._retries *= kept
        if now > self._saved_at:
            saved = (now - self._saved_at) * self._per_second
            self._savings = min(self._most, self._savings + saved)
            self._saved_at = now
