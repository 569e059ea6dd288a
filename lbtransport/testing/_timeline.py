"""The order of simulated events, and the clock that jumps from one to the next."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

Event: TypeAlias = tuple[float, int, Callable[[Any], None], Any]


class Timeline:
    """What happens when; also a `Clock`, of the instant that things are at.

    Attributes:
        now: Seconds since the beginning.
        events: A heap of what lies ahead; never empty.
    """

    __slots__ = ("_number", "events", "now")

    def __init__(self) -> None:
        """Begin at 0, with nothing ahead but the end of time."""
        self.now = 0.0
        self._number = itertools.count(
            1
        )  # so that what is at the same time has an order
        self.events: list[Event] = [(math.inf, 0, _nothing, None)]

    def at(self, instant: float, act: Callable[[Any], None], what: Any) -> None:
        """Have `act` called with `what` at an instant that is not in the past."""
        heapq.heappush(self.events, (instant, next(self._number), act, what))

    def monotonic(self) -> float:
        """Return seconds since the beginning."""
        return self.now

    def wall(self) -> float:
        """Return the same: nothing in a simulation has a date."""
        return self.now


def _nothing(what: object) -> None:
    """Stand at the end of time, which is never reached."""
