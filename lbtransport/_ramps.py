"""Slow start: a new or returning backend gets a small share first, and grows into it.

Caches are cold, connections are missing, and nothing is known of its speed, so each
strategy in its own way would send it too much (envoy#11050, #4132).

The strategy chooses as ever; a choice that is ramping up is accepted with a probability
that grows with time, and else made again among the backends that are not.
That gives every strategy the same ramp; as a part of the cost it would be another one
for each, and both together starve the newcomer.

Not for strategies that hash: there a key that moves is a cache that is cold twice.

References:
    Envoy's slow start, linear with a floor of 10 %; Armeria's ramping up.
    armeria#4221, #5688: ramps that each update of the list began anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

from lbtransport._backends import BackendState
from lbtransport.strategies import Candidates

_LEAST = 0.1
_ASKED_AGAIN = 3


class Ramps:
    """Who is ramping up in one service.  Not thread-safe: the lock guards it.

    Attributes:
        end_at: When the last one is at its full share; until then, each choice is to
            be put to `settle`.
    """

    def __init__(self, seconds: float) -> None:
        """Let each take so many seconds; 0 switches slow start off."""
        self._seconds = seconds
        self.end_at = -math.inf
        self._settled = Candidates(())
        self._version = 0  # of the candidates that these are a part of
        self._settled_until = -math.inf

    def begin(self, state: BackendState, now: float) -> None:
        """Let a backend begin with a small share."""
        if self._seconds:
            state.ramps_from = now
            self.end_at = now + self._seconds
            self._settled_until = -math.inf

    def share(self, state: BackendState, now: float) -> float:
        """Return how much of its share a backend may have, from a tenth to 1."""
        if now >= state.ramps_from + self._seconds:
            return 1.0
        return max(_LEAST, (now - state.ramps_from) / self._seconds)

    def settle(
        self,
        state: BackendState,
        candidates: Candidates,
        now: float,
        draw: Callable[[], float],
        choose: Callable[[Candidates], BackendState],
    ) -> BackendState:
        """Return what the strategy chose, or another if that has had enough for now.

        Args:
            state: Its choice.
            candidates: What it chose from.
            now: Current instant.
            draw: Draws from 0 to 1.
            choose: Asks the strategy again.
        """
        # A trial is one request, which the circuit allowed already.
        share = self.share(state, now)
        if share == 1.0 or not state.circuit.is_closed or draw() < share:
            return state
        settled = self._settled_of(candidates, now)
        if not settled:
            return state
        # Asked again, one that takes turns goes on to the next; among others than
        # before it would lose its place, and always skip the same one.
        for _ in range(_ASKED_AGAIN):
            state = choose(candidates)
            if state in settled:
                return state
        return choose(settled)

    def _settled_of(self, candidates: Candidates, now: float) -> Candidates:
        """Return the candidates that are not ramping up; perhaps none."""
        if candidates.version != self._version or now >= self._settled_until:
            states = cast(Sequence[BackendState], candidates)
            ends = [state.ramps_from + self._seconds for state in states]
            left = [one for one, end in zip(states, ends, strict=True) if end <= now]
            self._settled = Candidates(left, candidates.members)
            self._version = candidates.version
            self._settled_until = min(filter(now.__lt__, ends), default=math.inf)
        return self._settled
