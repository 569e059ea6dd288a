"""What the tests of the detector share: backends whose outcomes it records."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from lbtransport import HealthPolicy, Outcome
from lbtransport._types import Fault, Verdict
from lbtransport._types.outcome import FAULTS
from lbtransport.health.circuit import Circuit
from lbtransport.health.detector import Change, Detector, Fleet
from tests.core_kit import CUT

WRONG_CERTIFICATE = FAULTS[Fault.CERTIFICATE]


@dataclass(eq=False)
class Peer:
    """A backend that is nothing but its health."""

    circuit: Circuit = field(default_factory=Circuit)
    latency: float | None = None
    successes: int = 0


class Room:
    """A detector, backends for it to judge, and a clock."""

    def __init__(self, members: int = 3, **policy: float) -> None:
        self.peers = [Peer() for _ in range(members)]
        self.detector = Detector(
            HealthPolicy(**policy),  # type: ignore[arg-type]  # an int where one is asked for
            random.Random(7),
            self.peers,
        )
        self.now = 100.0

    @property
    def circuits(self) -> list[Circuit]:
        return [peer.circuit for peer in self.peers]

    def fleet(self) -> Fleet:
        closed = [peer for peer in self.peers if peer.circuit.is_closed]
        members = len(self.peers)
        return Fleet(
            members,
            in_rotation=len(closed),
            ejected=members - len(closed),
            peers=closed,
        )

    def record(
        self,
        number: int,
        outcome: Outcome,
        *,
        started_at: float | None = None,
        is_trial: bool = False,
        step: float = 0.001,
    ) -> Change:
        """Record what a request came to that took `step` seconds."""
        started = self.now if started_at is None else started_at
        self.now += step
        peer = self.peers[number]
        if self.now >= self.detector.turns_at:
            self.detector.pass_time(self.now, self.fleet)
        if outcome.health is Verdict.SUCCESS:
            peer.successes += 1
        return self.detector.record(
            peer,
            outcome,
            started_at=started,
            is_trial=is_trial,
            now=self.now,
            fleet=self.fleet,
        )

    def fail(self, number: int, times: int, outcome: Outcome = CUT) -> Change:
        return [self.record(number, outcome) for _ in range(times)][-1]

    def wait_for_trial(self, number: int) -> None:
        circuit = self.circuits[number]
        assert circuit.ejected_until is not None
        self.now = circuit.ejected_until

    def ejected(self) -> list[int]:
        return [n for n, circuit in enumerate(self.circuits) if not circuit.is_closed]
