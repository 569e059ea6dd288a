"""Peak EWMA: a latency average that jumps to peaks and decays while nothing is heard.

A backend that has become slow is known at once to be slow; that it is fast again is
learned in the course of ten seconds.
Reading it changes nothing: an average that decayed on each look would forget at the
rate at which it is looked at.

What is added to Finagle's form:

- A new backend starts from the median of its peers.  At zero all would run to it; at
  a second, where they take 20 ms, it would starve.
- A failure multiplies the cost by ten, for about two seconds.  Without that, a backend
  that fails in a millisecond is the fastest of all.  It is kept apart from the average,
  which would otherwise take half a minute to recover.  Nor does that fade while a
  backend fails: fading is for who is not heard of.
- What waits for its headers counts with the time that it has waited, so a backend that
  hangs is known before the first timeout.

References:
    Finagle, `PeakEwma.scala`; tower, `load/peak_ewma.rs`, with tower#134 on starts.
    linkerd2-proxy#4537, on failures and on reading without decay.
    ServiceTalk, `DefaultRequestTracker`, on the age of what is in flight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lbtransport._types import Outcome, Verdict
from lbtransport._types.outcome import CANCELLED
from lbtransport._validation import check_number
from lbtransport.strategies._contract import Member

if TYPE_CHECKING:
    from random import Random

_PENALTY = 9.0  # what a failure adds, in multiples of the cost
_PENALTY_MEMORY = 2.0  # seconds
_MOST_PEERS = 32  # of more, a sample's median is as good


class Average:
    """What is known of one backend's latency."""

    __slots__ = ("at", "failed_at", "is_guess", "starts", "value")

    def __init__(self) -> None:
        """Know nothing."""
        self.value: float | None = None  # seconds
        self.is_guess = True  # until the first latency
        self.at = 0.0
        self.failed_at = -math.inf
        self.starts = 0.0  # the sum of when what waits was sent

    def read(self, now: float, memory: float) -> float:
        """Return the average at `now`, which must have been started."""
        assert self.value is not None
        return self.value * math.exp((self.at - now) / memory)

    def failed(self, now: float) -> None:
        """Take note of a failure, and let the average fade from now on only.

        It fades so that who is not heard of is tried again; who fails is heard of, and
        would have become the fastest of all.
        """
        self.failed_at = self.at = now

    def add(self, latency: float, now: float, memory: float, *, may_fall: bool) -> None:
        """Take a latency in.

        Args:
            latency: Seconds.
            now: Current instant.
            memory: Seconds after which a sample's part has shrunk to 1/e.
            may_fall: Whether a latency below the average says something.
        """
        if self.is_guess:
            is_slow = self.value is not None and latency > self.value
            if may_fall or is_slow:
                self.value, self.at, self.is_guess = latency, now, False
            return
        assert self.value is not None
        kept = math.exp((self.at - now) / memory)
        if latency > self.value * kept:
            self.value = latency
        elif may_fall:
            self.value = self.value * kept + latency * (1 - kept)
        else:
            return
        self.at = now


class PeakEwma:
    """The cost of each member: its average, times what it would have in flight.

    Of a member with twice the weight twice as much is in flight at the same cost.

    Args:
        decay_time: Seconds after which a sample's part has shrunk to 1/e.

    Raises:
        ConfigurationError: If `decay_time` is not above 0.
    """

    def __init__(self, decay_time: float = 10.0) -> None:
        """Have heard of nobody yet."""
        check_number("decay_time", decay_time, above=True, unit="seconds")
        self._memory = float(decay_time)
        self._known: list[Average] = []  # of the members that were heard of
        self._start = 0.0  # where new members start from
        self._start_at = -math.inf  # the instant for which that holds

    def members_changed(self, members: Sequence[Member]) -> None:
        """Know who the peers of a new member are."""
        # Published first and then filled: who is heard of meanwhile is not lost, and
        # may be in it twice, which no median minds.
        self._known = known = []
        for member in members:
            average: Average | None = member.strategy_state
            if average is not None and not average.is_guess:
                known.append(average)

    # -- what comes in ------------------------------------------------------------

    def selected(self, member: Member, *, now: float) -> None:
        """Count the time from here on as waiting."""
        average = average_of(member)
        # Alone, it starts the sum anew: so no error is carried along for ever.
        average.starts = now + (average.starts if member.waiting > 1 else 0.0)

    def responded(
        self,
        member: Member,
        *,
        started_at: float,
        now: float,
        latency: float,
        outcome: Outcome,
    ) -> None:
        """Take the latency in; what failed quickly is not fast."""
        average = average_of(member)
        average.starts -= started_at
        self._learn(average, latency, now, outcome)

    def released(
        self,
        member: Member,
        *,
        started_at: float,
        now: float,
        outcome: Outcome,
        was_waiting: bool,
    ) -> None:
        """Take in the time that was waited for nothing."""
        if was_waiting:
            average = average_of(member)
            average.starts -= started_at
            self._learn(average, now - started_at, now, outcome)

    def returned(self, member: Member) -> None:
        """Price no failure any more of a backend that was ejected, and is back."""
        average_of(member).failed_at = -math.inf

    def _learn(
        self, average: Average, latency: float, now: float, outcome: Outcome
    ) -> None:
        failed = outcome.health is Verdict.FAILURE
        if failed:
            average.failed(now)
        elif outcome.health is Verdict.NEUTRAL and outcome is not CANCELLED:
            return  # the backend had no part in it
        # A status above 399 may have cost less than what was asked for.
        may_fall = outcome.sample and outcome.status is None and not failed
        was_guess = average.is_guess
        average.add(latency, now, self._memory, may_fall=may_fall)
        if was_guess and not average.is_guess:
            self._known.append(average)

    # -- what goes out ------------------------------------------------------------

    def cost(self, member: Member, weight: float, now: float, rng: Random) -> float:
        """Return the cost of sending a request to `member`.

        Args:
            member: The candidate.
            weight: Its weight; 0 costs more than anything.
            now: Current instant.
            rng: Draws the peers that a new member is compared with.

        Returns:
            About the seconds that it would take.
        """
        if not weight:
            return math.inf
        average = average_of(member)
        if average.value is None:
            average.value, average.at = self._median(now, rng), now
        # Where nobody is known, all are alike but for what they have in flight.
        latency = 1.0 if average.value is None else average.read(now, self._memory)
        if member.waiting:
            latency = max(latency, now - average.starts / member.waiting)
        failed = math.exp((average.failed_at - now) / _PENALTY_MEMORY)
        return latency * (1 + member.in_flight / weight) * (1 + _PENALTY * failed)

    def _median(self, now: float, rng: Random) -> float | None:
        """Return the median of what is known of the peers; None if nothing is.

        It is the same for all that are new at `now`: where thousands are, a sample for
        each of them would take a third of a second.
        """
        known = self._known
        if known and now != self._start_at:
            if len(known) > _MOST_PEERS:
                known = rng.sample(known, _MOST_PEERS)
            latencies = sorted(average.read(now, self._memory) for average in known)
            self._start, self._start_at = latencies[len(latencies) // 2], now
        return self._start if known else None


def average_of(member: Member) -> Average:
    """Return what the member's slot holds, a new one if it is empty."""
    average: Average | None = member.strategy_state
    if average is None:
        average = member.strategy_state = Average()
    return average
