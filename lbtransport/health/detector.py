"""The outlier detector of one service: turns outcomes into ejections and returns.

It judges one backend among its peers, for two reasons that a single backend's record
cannot show:

- A *poison request* makes every backend answer 500, and a missing authority makes every
  certificate look wrong.  Such faults count only while fewer than half of the others
  show the same.
- In a *brown-out* the whole fleet is slow.  Ejecting what times out, and repeating what
  timed out, keeps it down for ever, so response timeouts do not count while at least a
  quarter of the other backends' recent outcomes are timeouts.  (Of the others: one
  hanging backend of three makes a third of all outcomes timeouts, and is no brown-out.)
  It begins with a few, so they are ejected one at a time, with a pause to see whether
  the others follow; or half the fleet is gone before the share is reached, and the
  other half drowns in what it gets instead.

Not here: who may be selected.  That is the balancer's to say; this room only knows
what the evidence is.

References:
    gRFC A50 and Envoy's outlier detection, on ejecting at most a share.
    envoy#26877, on checking that share after the ejection, not before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from lbtransport._types import Fault, Outcome, Verdict
from lbtransport.health.circuit import Circuit, Fading
from lbtransport.health.outliers import Record, find_outliers
from lbtransport.health.policy import HealthPolicy
from lbtransport.health.window import Peer, Window

if TYPE_CHECKING:
    from random import Random

_WIDESPREAD = 0.25
_MOST_PEERS = 64  # of more, a sample tells as much
# Seconds in which a brown-out shows, if the first one that timed out was its herald.
_BETWEEN_TIMEOUT_EJECTIONS = 2.0
_FEWEST_TIMEOUTS = 2.0  # one or two alone are no brown-out, whatever their share
# What Envoy calls of local origin: there was no answer that could be wrong.
_LOCAL_ORIGIN = frozenset(
    {
        Fault.CONNECT,
        Fault.CONNECT_TIMEOUT,
        Fault.TLS,
        Fault.CERTIFICATE,
        Fault.RESPONSE_TIMEOUT,
        Fault.DISCONNECT,
        Fault.WRITE,
    }
)


class Change(Enum):
    """What an outcome changed in a circuit."""

    NOTHING = "nothing"
    EJECTED = "ejected"
    RETURNED = "returned"
    REOPENED = "reopened"  # the trial's slot is free again
    DISTRUSTED = "distrusted"  # nobody's certificate is trusted, as of now


@dataclass(slots=True)
class Fleet:
    """The backends at the moment of a decision.

    Attributes:
        members: Number of backends.
        in_rotation: Number of those that may be selected and await no trial.
        ejected: Number of those whose circuit is not closed.
        peers: Those that requests are sent to now.
    """

    members: int
    in_rotation: int
    ejected: int
    peers: Sequence[Peer]


class Detector:
    """Judges outcomes; not thread-safe, the balancer's lock guards it."""

    def __init__(
        self, policy: HealthPolicy, rng: Random, members: Iterable[Peer]
    ) -> None:
        """Judge `members`, whoever they are by then, with the jitter of `rng`."""
        self._policy = policy
        self._rng = rng
        self._members = members
        # Where nothing is on record against a backend, its success need only be
        # counted, and that is on the path of each request: so this is public.
        self.outcomes = Fading()
        self._timeouts = Fading()
        self._ejected_for_timeouts_at = -math.inf
        self._distrusts = False  # nobody's certificate is trusted, and that was told
        self._window = Window(policy.failure_window)
        if not (policy.failure_ratio or policy.compares):
            self._window.turns_at = math.inf

    @property
    def turns_at(self) -> float:
        """When the window must be told of the time, at the latest."""
        return self._window.turns_at

    def pass_time(self, now: float, fleet: Callable[[], Fleet]) -> list[Peer]:
        """Do what is due, before the next outcome is counted; return whom it ejected.

        Due when `outcomes` is to fade, and before a verdict when `turns_at` has come.

        Args:
            now: Current instant.
            fleet: Tells of the peers; asked only to compare them.
        """
        self.outcomes.fade(now)
        if now < self._window.turns_at:
            return []
        ejected = self._compare(now, fleet()) if self._policy.compares else []
        self._window.turn(now, self._members)
        return ejected

    def record(
        self,
        peer: Peer,
        outcome: Outcome,
        *,
        started_at: float,
        is_trial: bool,
        now: float,
        fleet: Callable[[], Fleet],
    ) -> Change:
        """Take an outcome on record and return what it changed.

        Args:
            peer: The backend.
            outcome: What the attempt came to.
            started_at: When the backend was selected for it.
            is_trial: Whether it was the trial of the half-open circuit, or the one that
                has just closed it.
            now: Current instant.
            fleet: Tells of the peers; asked only when a failure counts.
        """
        circuit = peer.circuit
        if outcome.health is Verdict.NEUTRAL:
            return Change.REOPENED if is_trial else Change.NOTHING
        if outcome.health is Verdict.SUCCESS:
            return self._succeeded(peer, started_at, is_trial, now)
        self.outcomes.add(now)
        if outcome.fault is Fault.RESPONSE_TIMEOUT:
            self._timeouts.add(now)
            circuit.timeouts.add(now)
        circuit.last_failed_at = now
        if is_trial and not circuit.is_closed:
            if self._is_of_a_brown_out(circuit, outcome, now, fleet):
                return Change.REOPENED
            circuit.open(now, self._policy, self._rng, outcome.reason)
            return Change.EJECTED
        if started_at <= circuit.ejected_at or not circuit.is_closed:
            return Change.NOTHING  # the same episode, or a request of a panic
        peers = fleet()
        if not self._counts(circuit, outcome, peers, now):
            return self._excused(outcome)
        reason = self._convict(peer, outcome, now)
        if is_trial:  # its headers let the backend return, and then its body failed
            reason = outcome.reason
        if not reason or self._comes_too_soon(outcome, now):
            return Change.NOTHING
        if not self._may_eject(peers, hard=outcome.hard):
            return Change.NOTHING
        if outcome.fault is Fault.RESPONSE_TIMEOUT:
            self._ejected_for_timeouts_at = now
        circuit.open(now, self._policy, self._rng, reason)
        return Change.EJECTED

    def restart(self, now: float) -> None:
        """Count anew, because the backends were replaced by their copies."""
        if self._window.turns_at < math.inf:
            self._window.restart(now, self._members)

    def timeouts_are_widespread(
        self, circuit: Circuit, now: float, *, members: int
    ) -> bool:
        """Tell whether the other backends time out too, so that asking them is futile.

        Args:
            circuit: That of the backend which timed out; its own timeouts do not count,
                unless it is the only one.
            now: Current instant.
            members: Number of backends.
        """
        outcomes, timeouts = self.outcomes.at(now), self._timeouts.at(now)
        if members > 1:
            own = circuit.timeouts.at(now)
            outcomes, timeouts = outcomes - own, timeouts - own
        return timeouts > _FEWEST_TIMEOUTS and timeouts >= _WIDESPREAD * outcomes

    def _succeeded(
        self, peer: Peer, started_at: float, is_trial: bool, now: float
    ) -> Change:
        circuit = peer.circuit
        if circuit.is_closed:
            self.outcomes.add(now)
            circuit.failures_in_a_row = circuit.local_failures_in_a_row = 0
            if circuit.shows_shared_fault:
                circuit.shows_shared_fault = self._distrusts = False
            return Change.NOTHING
        # In a panic an ejected backend is used without a trial, and a success is a
        # success; but an answer to what was sent before the ejection proves nothing.
        if is_trial or started_at > circuit.ejected_at:
            self.outcomes.add(now)
            circuit.close(now)
            circuit.counted_from = peer.successes
            return Change.RETURNED
        return Change.NOTHING

    def _counts(
        self, circuit: Circuit, outcome: Outcome, fleet: Fleet, now: float
    ) -> bool:
        """Tell whether a failure speaks against this backend alone."""
        if self._is_of_a_brown_out(circuit, outcome, now, lambda: fleet):
            return False
        if not outcome.shared:
            return True
        circuit.shows_shared_fault = True
        return not self._is_shown_by_half(circuit, fleet.peers)

    def _is_of_a_brown_out(
        self, circuit: Circuit, outcome: Outcome, now: float, fleet: Callable[[], Fleet]
    ) -> bool:
        """Tell whether a failure is a timeout, and the others time out as well."""
        if outcome.fault is not Fault.RESPONSE_TIMEOUT:
            return False
        return self.timeouts_are_widespread(circuit, now, members=fleet().members)

    def _is_shown_by_half(self, circuit: Circuit, peers: Sequence[Peer]) -> bool:
        """Tell whether at least half of the others showed such a fault last."""
        if len(peers) > _MOST_PEERS:
            peers = self._rng.sample(peers, _MOST_PEERS)
        others = [peer.circuit for peer in peers if peer.circuit is not circuit]
        showing = sum(other.shows_shared_fault for other in others)
        return bool(others) and showing >= len(others) / 2

    def _excused(self, outcome: Outcome) -> Change:
        """Tell, once, of certificates that nobody's fault but our own explains."""
        if outcome.fault is not Fault.CERTIFICATE or self._distrusts:
            return Change.NOTHING
        self._distrusts = True
        return Change.DISTRUSTED

    def _convict(self, peer: Peer, outcome: Outcome, now: float) -> str:
        """Count a failure; return why it ejects, empty if it does not."""
        policy, circuit, window = self._policy, peer.circuit, self._window
        most = policy.consecutive_local_failures
        if most is not None and outcome.fault in _LOCAL_ORIGIN:
            circuit.local_failures_in_a_row += 1
            return outcome.reason if 0 < most <= circuit.local_failures_in_a_row else ""
        circuit.local_failures_in_a_row = 0  # whatever it was, something answered
        circuit.failures_in_a_row += 1
        window.add_failure(peer, now)
        if 0 < policy.consecutive_failures <= circuit.failures_in_a_row:
            return outcome.reason
        count = window.count(peer, now)
        if (
            policy.failure_ratio
            and count.requests >= policy.failure_min_requests
            and count.failures / count.requests >= policy.failure_ratio
        ):
            return (
                f"{count.failures} of {count.requests} failed, the last: "
                f"{outcome.reason}"
            )
        return ""

    def _comes_too_soon(self, outcome: Outcome, now: float) -> bool:
        """Tell whether to wait if what times out is the beginning of a brown-out."""
        if outcome.fault is not Fault.RESPONSE_TIMEOUT:
            return False
        return now - self._ejected_for_timeouts_at < _BETWEEN_TIMEOUT_EJECTIONS

    def _may_eject(self, fleet: Fleet, *, hard: bool = False) -> bool:
        if fleet.in_rotation <= 1:
            return False
        part = self._policy.max_ejected
        # Of two or three, half is one; but none is what somebody asked for.
        most = max(1, math.floor(fleet.members * part)) if part else 0
        return hard or fleet.ejected + 1 <= most

    def _compare(self, now: float, fleet: Fleet) -> list[Peer]:
        """Eject who does worse than its peers, as many as may be; return them."""
        records = [
            Record(peer, self._window.count(peer, now))
            for peer in fleet.peers
            if peer.circuit.is_closed
        ]
        ejected = []
        for peer, reason in find_outliers(records, self._policy).items():
            if not self._may_eject(fleet):
                break
            peer.circuit.open(now, self._policy, self._rng, reason)
            fleet.ejected += 1
            fleet.in_rotation -= 1
            ejected.append(peer)
        return ejected
