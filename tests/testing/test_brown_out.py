"""A fleet recovers from a brown-out, retries and ejection or not."""

from __future__ import annotations

import pytest

from lbtransport import RetryPolicy
from lbtransport.testing import simulate
from lbtransport.testing.scenarios import brown_out

ENDS_AT = 20.0


@pytest.mark.parametrize(
    ("strategy", "timeout", "longest"),
    [("adaptive", 0.5, 10), ("adaptive", 2.0, 10), ("round_robin", 2.0, 15)],
)
def test_fleet_recovers_from_a_brown_out_in_time(
    strategy: str, timeout: float, longest: float
) -> None:
    result = simulate(brown_out(timeout=timeout), strategy, seed=2, retry=RetryPolicy())

    assert result.clean_since(15.0) > ENDS_AT  # it was one
    assert result.clean_since(ENDS_AT) < ENDS_AT + longest
