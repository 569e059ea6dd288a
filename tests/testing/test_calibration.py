"""The scenarios give what another simulator of the same fleets measured.

The figures are those that the default strategy was chosen by; they were measured with
reimplementations of the strategies, and these runs with the strategies that are
shipped.
Ejection is off, as it was there.
"""

from __future__ import annotations

import pytest

from lbtransport.testing import Scenario, simulate
from lbtransport.testing.scenarios import black_hole, two_slow

TWO_SLOW = two_slow(utilisation=0.7)
BLACK_HOLE = black_hole(10)


@pytest.mark.parametrize(
    ("scenario", "strategy", "expected"),
    [
        (TWO_SLOW, "round_robin", (0.037, 0.235, 0.2, 0.1)),
        (TWO_SLOW, "random", (0.044, 0.249, 0.2, 0.1)),
        (TWO_SLOW, "least_connections", (0.037, 0.337, 0.0, 0.042)),
        (TWO_SLOW, "power_of_two", (0.041, 0.376, 0.0, 0.049)),
        (TWO_SLOW, "sed_oracle", (0.036, 0.232, 0.0, 0.0)),
        (BLACK_HOLE, "round_robin", (0.039, 0.234, 0.1, 0.1)),
        (BLACK_HOLE, "random", (0.043, 0.245, 0.1, 0.1)),
        (BLACK_HOLE, "least_connections", (0.037, 0.232, 0.133, 0.133)),
        (BLACK_HOLE, "power_of_two", (0.039, 0.233, 0.125, 0.125)),
        (BLACK_HOLE, "sed_oracle", (0.035, 0.228, 0.0, 0.0)),
    ],
)
def test_strategy_does_as_was_measured_elsewhere(
    scenario: Scenario, strategy: str, expected: tuple[float, float, float, float]
) -> None:
    p50, p99, errors, share = expected

    result = simulate(scenario, strategy, seed=1, health=False)

    assert result.p50 == pytest.approx(p50, rel=0.05)
    assert result.p99 == pytest.approx(p99, rel=0.06)
    assert result.error_ratio == pytest.approx(errors, abs=0.01)
    assert result.shares[0] == pytest.approx(share, abs=0.01)
