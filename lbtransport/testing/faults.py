"""What goes wrong with a simulated server, when and until when.

Instants are seconds since the beginning of the simulation; `server` is an index into
the servers of the scenario.
Faults may overlap: a server that is slow twice is slow by the product of both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from lbtransport._errors import ConfigurationError
from lbtransport._validation import check_integer, check_number


@dataclass(frozen=True, slots=True)
class Period:
    """What all faults share: which server, from when, until when.

    Args:
        server: Index of the server.
        begins_at: Instant in seconds.
        ends_at: Instant in seconds; by default it never ends.
    """

    server: int
    begins_at: float = 0.0
    ends_at: float = math.inf

    def __post_init__(self) -> None:
        """Refuse what never happens."""
        check_integer("server", self.server, least=0)
        check_number("begins_at", self.begins_at, unit="an instant in seconds")
        if not self.ends_at > self.begins_at:
            raise ConfigurationError(
                f"ends_at={self.ends_at!r}: give an instant after "
                f"begins_at={self.begins_at!r}"
            )


@dataclass(frozen=True, slots=True)
class Slow(Period):
    """What begins to be served takes longer.

    Args:
        slowness: How many times as long it takes, above 0.
    """

    slowness: float = 3.0

    def __post_init__(self) -> None:
        """Refuse what is no factor."""
        Period.__post_init__(self)
        check_number("slowness", self.slowness, above=True)

    def slowness_at(self, now: float) -> float:
        """Return how many times as long a request takes that begins `now`."""
        return self.slowness


@dataclass(frozen=True, slots=True)
class WarmUp(Slow):
    """Slow at first, and less and less so: `slowness` falls to 1, in a straight line.

    It needs an end.
    """

    def __post_init__(self) -> None:
        """Refuse what has no end: it has no slope."""
        Slow.__post_init__(self)
        check_number("ends_at", self.ends_at, unit="an instant in seconds")

    def slowness_at(self, now: float) -> float:
        """Return how many times as long a request takes that begins `now`."""
        passed = (now - self.begins_at) / (self.ends_at - self.begins_at)
        return self.slowness + (1.0 - self.slowness) * passed


@dataclass(frozen=True, slots=True)
class Fail(Period):
    """Answers 503 quickly, without doing any work: a black hole.

    Args:
        share: The part of the requests that this happens to, 0 to 1.
        after: Seconds that such an answer takes.
    """

    share: float = 1.0
    after: float = 0.001

    def __post_init__(self) -> None:
        """Refuse what is no share or no time."""
        Period.__post_init__(self)
        check_number("share", self.share, most=1, above=True, unit="a part of them")
        check_number("after", self.after, unit="seconds")


@dataclass(frozen=True, slots=True)
class Kill(Period):
    """The process ends: what it holds is lost, and connections are refused.

    Args:
        after: Seconds that a refusal takes.
    """

    after: float = 0.001

    def __post_init__(self) -> None:
        """Refuse what is no time."""
        Period.__post_init__(self)
        check_number("after", self.after, unit="seconds")


@dataclass(frozen=True, slots=True)
class Hang(Period):
    """Takes requests and answers none; afterwards it goes on where it stopped."""


@dataclass(frozen=True, slots=True)
class Absent(Period):
    """Is on no client's list: before it joins the fleet, or after it left.

    A server that is absent from the beginning joins at `ends_at`.
    What it was sent before is served.
    """


Fault: TypeAlias = Slow | WarmUp | Fail | Kill | Hang | Absent
