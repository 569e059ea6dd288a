from __future__ import annotations

import random
import statistics
from collections.abc import Callable

import pytest

from lbtransport import ConfigurationError
from lbtransport.testing import (
    Deterministic,
    Exponential,
    Hyperexponential,
    Lognormal,
    Pareto,
)
from lbtransport.testing.distributions import Service, mean_of


@pytest.mark.parametrize(
    ("service", "variation"),
    [
        (Deterministic(0.05), 0.0),
        (Exponential(0.05), 1.0),
        (Lognormal(0.05), 1.0),
        (Lognormal(0.05, variation=0.3), 0.3),
        (Hyperexponential(0.05, variation=1.0), 1.0),
        (Hyperexponential(0.05), 2.0),
        (Pareto(0.05, shape=6.0), 24**-0.5),  # 1 / sqrt(shape * (shape - 2))
    ],
    ids=repr,
)
def test_distribution_has_the_mean_and_the_variation_that_it_says(
    service: Service, variation: float
) -> None:
    rng = random.Random(7)

    drawn = [service(rng) for _ in range(100_000)]

    assert min(drawn) > 0
    assert statistics.fmean(drawn) == pytest.approx(0.05, rel=0.02)
    assert statistics.pstdev(drawn) / 0.05 == pytest.approx(variation, rel=0.05)


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (Deterministic, (0,)),
        (Exponential, (-1,)),
        (Lognormal, (0,)),
        (Lognormal, (1, 0)),
        (Hyperexponential, (0,)),
        (Hyperexponential, (1, 0.5)),
        (Pareto, (0,)),
        (Pareto, (1, 1)),
    ],
)
def test_what_is_no_distribution_is_refused(
    make: Callable[..., Service], arguments: tuple[float, ...]
) -> None:
    with pytest.raises(ConfigurationError, match="give"):
        make(*arguments)


def test_mean_of_a_users_own_is_estimated() -> None:
    assert mean_of(lambda rng: 0.1 + 0.2 * rng.random()) == pytest.approx(0.2, rel=0.02)
    assert mean_of(Exponential(3.0)) == 3.0
