"""What the backends came to in the last seconds: exact counts, in ten buckets.

Failures are rare, and counted one by one.
Successes are what nearly every request comes to, so they cost nothing here: a running
total, which is there anyway, is noted of each backend when a bucket begins, and the
difference between two notes is what succeeded in between.
Notes are taken with the first outcome after a bucket's beginning that anybody looks
at, which may be 50 ms late; a failure is always looked at.

Not an average that fades: "a tight burst gives each sample almost no weight and can
hide a total outage" (linkerd's `success_rate.rs`, which had one).

References:
    linkerd2-proxy#4561, on exact counts; gRFC A50 and Envoy, on buckets.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from lbtransport.health.circuit import Circuit

BUCKETS = 10


class Peer(Protocol):
    """A backend, as far as its health goes."""

    circuit: Circuit

    @property
    def latency(self) -> float | None:
        """Recent average, in seconds; None before the first."""
        ...

    @property
    def successes(self) -> int:
        """Requests that succeeded, since ever."""
        ...


class Count(NamedTuple):
    """What one backend's requests came to in the window."""

    successes: int
    failures: int

    @property
    def requests(self) -> int:
        """Those that say something."""
        return self.successes + self.failures


class Window:
    """The last seconds of a service.  Not thread-safe: the balancer's lock guards it.

    Attributes:
        turns_at: When `turn` is due, before anything is counted.
    """

    __slots__ = ("_notes", "_width", "turns_at")

    def __init__(self, seconds: float) -> None:
        """Look back so far."""
        self._width = seconds / BUCKETS
        # Of each bucket its number, and the totals at its beginning.
        self._notes: deque[tuple[int, dict[Peer, int]]] = deque()
        self.turns_at = -math.inf

    def turn(self, now: float, members: Iterable[Peer]) -> None:
        """Begin a bucket; in a time that is proportional to the number of backends."""
        bucket = self._bucket(now)
        while self._notes and self._notes[0][0] <= bucket - BUCKETS:
            self._notes.popleft()
        self._notes.append((bucket, {peer: peer.successes for peer in members}))
        self.turns_at = (bucket + 1) * self._width

    def add_failure(self, peer: Peer, now: float) -> None:
        """Count a failure."""
        failed, bucket = peer.circuit.failed, self._bucket(now)
        for old in [other for other in failed if other <= bucket - BUCKETS]:
            del failed[old]
        failed[bucket] = failed.get(bucket, 0) + 1

    def count(self, peer: Peer, now: float) -> Count:
        """Return what the requests of a backend came to."""
        circuit, since = peer.circuit, self._bucket(now) - BUCKETS
        # Of whom no note was taken was not there then, and had done nothing.
        before = self._notes[0][1].get(peer, 0) if self._notes else 0
        return Count(
            peer.successes - max(before, circuit.counted_from),
            sum(times for bucket, times in circuit.failed.items() if bucket > since),
        )

    def restart(self, now: float, members: Iterable[Peer]) -> None:
        """Forget all notes, because backends were replaced by their copies."""
        self._notes.clear()
        self.turn(now, members)

    def _bucket(self, now: float) -> int:
        return math.floor(now / self._width)
