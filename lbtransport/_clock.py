"""Time, as something that is handed in.

Everything that decides asks a clock that it was given, so a test moves time by hand
and a simulator lives in its own.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings of time, in seconds."""

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Return seconds since the epoch, for people and for HTTP dates."""
        ...


class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


class ManualClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, now: float = 1000.0) -> None:
        """Start at `now` seconds, on the monotonic and on the wall clock."""
        self._now = now

    def monotonic(self) -> float:
        """Return the instant that `advance` led to."""
        return self._now

    def wall(self) -> float:
        """Return the same instant: nothing distinguishes the two in a test."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move both readings forward by `seconds`, which must not be negative."""
        if seconds < 0:
            raise ValueError(f"a clock never goes back: seconds={seconds!r}")
        self._now += seconds
