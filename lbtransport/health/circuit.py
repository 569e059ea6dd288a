"""One backend's circuit: closed, ejected (open), half-open with one trial.

    closed ────── evidence ─────▶ ejected ──its time is over──▶ half-open
      ▲                              ▲                             │
      │                              └─────── trial failed ────────┤
      └────────────────────────────────────── trial passed ────────┘

A trial without a verdict (cancelled, a local error) leaves the circuit half-open and
its one slot free again; a slot that stayed taken would banish the backend for ever.

Failures of requests that were sent before the ejection belong to the episode that led
to it: however many come in late, the backend was ejected once.

References:
    linkerd2-proxy, `consecutive_failures.rs`; Finagle, `FailureAccrualFactory`.
    finagle#524, on the probe that was ignorable.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lbtransport.health.policy import HealthPolicy

if TYPE_CHECKING:
    from random import Random

_JITTER = 0.2
_MEMORY = 2.0  # seconds; how long an outcome counts as recent
_GRAIN = 0.05  # seconds within which outcomes count as simultaneous
_CLEAN_SECONDS_PER_EJECTION = 10.0  # Envoy lowers its multiplier once per interval


class Fading:
    """A count that forgets: each unit fades exponentially, over about two seconds.

    Attributes:
        count: The units, as they were worth when they faded last.
        fades_at: When `fade` is due; until then, adding is adding to `count`.
    """

    __slots__ = ("count", "fades_at")

    def __init__(self) -> None:
        """Start at zero."""
        self.count = 0.0
        self.fades_at = -math.inf

    def fade(self, now: float) -> None:
        """Bring the count up to `now`; once in a while is as good as always."""
        self.count = self.at(now)
        self.fades_at = now + _GRAIN

    def add(self, now: float) -> None:
        """Count one more."""
        if now > self.fades_at:
            self.fade(now)
        self.count += 1

    def at(self, now: float) -> float:
        """Return what is left of the count."""
        return self.count * math.exp((self.fades_at - _GRAIN - now) / _MEMORY)


class Circuit:
    """The state of one backend's circuit; changed by `Detector` alone."""

    __slots__ = (
        "counted_from",
        "ejected_at",
        "ejected_until",
        "failed",
        "failures_in_a_row",
        "last_failed_at",
        "local_failures_in_a_row",
        "reason",
        "returned_at",
        "shows_shared_fault",
        "timeouts",
        "times_ejected",
        "trial",
        "trials",
    )

    def __init__(self) -> None:
        """Start closed, with nothing on record."""
        self.failures_in_a_row = 0
        self.local_failures_in_a_row = 0  # if they are counted apart
        self.failed: dict[int, int] = {}  # failures by bucket of the window
        self.counted_from = 0  # the backend's successes when its counts began
        self.reason = ""  # of the last ejection
        self.ejected_at = -math.inf  # likewise, kept after the return
        self.ejected_until: float | None = None  # None: closed
        self.returned_at = -math.inf
        self.times_ejected = 0
        self.trial = 0  # the number of the trial that is on; 0: none
        self.trials = 0
        self.last_failed_at = -math.inf
        self.shows_shared_fault = False
        self.timeouts = Fading()

    @property
    def is_closed(self) -> bool:
        """Whether the backend is in rotation."""
        return self.ejected_until is None

    def is_half_open(self, now: float) -> bool:
        """Tell whether the ejection is over and only the trial is missing."""
        return self.ejected_until is not None and now >= self.ejected_until

    def was_closed_by(self, trial: int, now: float) -> bool:
        """Tell whether a trial's headers closed it just now: its body may reopen it.

        Not after a while: a stream that is cut in the end has proved enough.
        """
        is_last = 0 != trial == self.trials
        is_fresh = now - self.returned_at < _CLEAN_SECONDS_PER_EJECTION
        return is_last and is_fresh and self.is_closed

    def open(
        self, now: float, policy: HealthPolicy, rng: Random, reason: str = ""
    ) -> float:
        """Eject for `reason`; return for how many seconds."""
        if self.is_closed and self.times_ejected:
            forgiven = int((now - self.returned_at) / _CLEAN_SECONDS_PER_EJECTION)
            self.times_ejected = max(0, self.times_ejected - forgiven)
        self.times_ejected += 1
        seconds = ejection_time(self.times_ejected, policy=policy, rng=rng)
        self.ejected_at = now
        self.ejected_until = now + seconds
        self.reason = reason
        self.trial = 0
        self._reset()
        self.shows_shared_fault = False  # it is judged anew, and is no example
        return seconds

    def close(self, now: float) -> None:
        """Take the backend back into rotation, its counters at zero."""
        self.ejected_until = None
        self.returned_at = now
        self.trial = 0
        self._reset()

    def _reset(self) -> None:
        # What led to one ejection must not lead to the next (envoy#18950).
        self.failures_in_a_row = self.local_failures_in_a_row = 0
        self.failed.clear()


def ejection_time(times_ejected: int, *, policy: HealthPolicy, rng: Random) -> float:
    """Return how long a backend stays out of rotation.

    Doubles with each ejection, so a backend that keeps failing is tried less and less
    often, and is spread by a fifth to either side, so that the clients of a fleet do
    not all try it at the same instant.

    Args:
        times_ejected: Ejections so far, this one included; at least 1.
        policy: Gives the first and the longest time.
        rng: Gives the jitter.

    Returns:
        Seconds, above 0 and at most ``policy.max_ejection_time``.
    """
    # 2**64 seconds exceed any maximum; the bound keeps the power from overflowing.
    doubled = policy.base_ejection_time * 2.0 ** min(times_ejected - 1, 64)
    jitter = 1 + _JITTER * (2 * rng.random() - 1)
    return min(
        min(doubled, policy.max_ejection_time) * jitter, policy.max_ejection_time
    )
