"""Service times: how long a server works on one request, drawn at random.

A distribution is any callable that takes a ``random.Random`` and returns seconds; these
are the usual ones, each given by its mean.
A distribution that knows its `mean` lets a load be given as a utilisation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from lbtransport._validation import check_number

Service: TypeAlias = Callable[[Random], float]

_SAMPLES = 10_000  # estimate the mean of a user's own within a few percent


@dataclass(frozen=True, slots=True)
class Deterministic:
    """Always the same.

    Args:
        mean: Seconds, above 0.
    """

    mean: float

    def __post_init__(self) -> None:
        """Refuse what is no time."""
        check_number("mean", self.mean, above=True, unit="seconds")

    def __call__(self, rng: Random) -> float:
        """Return the mean."""
        return self.mean


@dataclass(frozen=True, slots=True)
class Exponential:
    """Memoryless: many short ones, a few long ones (coefficient of variation 1).

    Args:
        mean: Seconds, above 0.
    """

    mean: float

    def __post_init__(self) -> None:
        """Refuse what is no time."""
        check_number("mean", self.mean, above=True, unit="seconds")

    def __call__(self, rng: Random) -> float:
        """Draw a time in seconds."""
        return -math.log(1.0 - rng.random()) * self.mean


@dataclass(frozen=True, slots=True)
class Lognormal:
    """What most measured latencies look like: a hump and a long tail.

    Args:
        mean: Seconds, above 0.
        variation: Coefficient of variation, the standard deviation divided by the
            mean; above 0.
    """

    mean: float
    variation: float = 1.0
    _mu: float = field(init=False, repr=False, compare=False)
    _sigma: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find the parameters of the normal distribution below."""
        check_number("mean", self.mean, above=True, unit="seconds")
        check_number("variation", self.variation, above=True)
        variance = math.log1p(self.variation**2)
        object.__setattr__(self, "_sigma", math.sqrt(variance))
        object.__setattr__(self, "_mu", math.log(self.mean) - variance / 2)

    def __call__(self, rng: Random) -> float:
        """Draw a time in seconds."""
        return rng.lognormvariate(self._mu, self._sigma)


@dataclass(frozen=True, slots=True)
class Hyperexponential:
    """Two kinds of requests, short and long, that share the work evenly.

    Args:
        mean: Seconds, above 0.
        variation: Coefficient of variation, at least 1.
    """

    mean: float
    variation: float = 2.0
    _short: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find how many of the requests are short."""
        check_number("mean", self.mean, above=True, unit="seconds")
        check_number("variation", self.variation, least=1)
        square = self.variation**2
        short = (1 + math.sqrt((square - 1) / (square + 1))) / 2
        object.__setattr__(self, "_short", short)

    def __call__(self, rng: Random) -> float:
        """Draw a time in seconds."""
        part = self._short if rng.random() < self._short else 1 - self._short
        return -math.log(1.0 - rng.random()) * self.mean / (2 * part)


@dataclass(frozen=True, slots=True)
class Pareto:
    """Heavy-tailed: the rare long ones carry much of the work.

    Args:
        mean: Seconds, above 0.
        shape: Above 1; the smaller, the heavier the tail; up to 2 the variance is
            infinite.
    """

    mean: float
    shape: float = 2.2

    def __post_init__(self) -> None:
        """Refuse what has no mean."""
        check_number("mean", self.mean, above=True, unit="seconds")
        check_number("shape", self.shape, least=1, above=True)

    def __call__(self, rng: Random) -> float:
        """Draw a time in seconds."""
        return rng.paretovariate(self.shape) * self.mean * (1 - 1 / self.shape)


def mean_of(service: Service) -> float:
    """Return the mean of a distribution in seconds: what it says, or an estimate."""
    known = getattr(service, "mean", None)
    if known is not None:
        return float(known)
    rng = Random(0)
    return math.fsum(service(rng) for _ in range(_SAMPLES)) / _SAMPLES
