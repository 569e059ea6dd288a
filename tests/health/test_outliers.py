"""Who does worse than its peers, in one snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from lbtransport import HealthPolicy
from lbtransport.health.circuit import Circuit
from lbtransport.health.outliers import Record, find_outliers
from lbtransport.health.window import Count


@dataclass(eq=False)
class Backend:
    circuit: Circuit = field(default_factory=Circuit)
    latency: float | None = None
    successes: int = 0


def records(*rows: tuple[int, int, float | None]) -> list[Record]:
    """Return backends with these successes, failures and latencies."""
    return [
        Record(Backend(latency=latency), Count(successes, failures))
        for successes, failures, latency in rows
    ]


def found(made: list[Record], **policy: float) -> list[int]:
    peers = [record.peer for record in made]
    outliers = find_outliers(made, HealthPolicy(**policy))  # type: ignore[arg-type]  # an int where one is asked for
    return [peers.index(peer) for peer in outliers]


GOOD = (1000, 0, 0.01)


def test_nobody_is_compared_by_default() -> None:
    assert found(records(*[GOOD] * 9, (0, 1000, 9.0))) == []


# By success rate


@pytest.mark.parametrize(
    ("backends", "expected"),
    # One at 0 and the others at 1: it lies the root of n - 1 deviations below.
    [(4, []), (5, [4]), (10, [9])],
)
def test_one_of_few_cannot_deviate_far_enough(
    backends: int, expected: list[int]
) -> None:
    made = records(*[GOOD] * (backends - 1), (0, 1000, 0.01))

    assert (
        found(made, success_rate_deviations=1.9, comparison_min_backends=2) == expected
    )


@pytest.mark.parametrize(("deviations", "expected"), [(1.99, [4]), (2.0, [])])
def test_deviations_are_the_policys(deviations: float, expected: list[int]) -> None:
    # The mean is 0.8 and the deviation 0.4, so the last one lies two of them below.
    made = records(*[GOOD] * 4, (0, 1000, 0.01))

    assert found(made, success_rate_deviations=deviations) == expected


def test_equal_rates_are_no_deviation() -> None:
    assert found(records(*[(700, 300, 0.01)] * 8), success_rate_deviations=0.1) == []


@pytest.mark.parametrize(("backends", "expected"), [(4, []), (5, [4])])
def test_it_takes_five_backends_with_enough_requests(
    backends: int, expected: list[int]
) -> None:
    idle = [(99, 0, 0.01)] * 20
    made = records(*[GOOD] * (backends - 1), (0, 100, 0.01), *idle)

    assert found(made, success_rate_deviations=1.5) == expected


def test_idle_backends_do_not_tighten_the_threshold() -> None:
    # The idle ones would make the mean 0.98, and the last one an outlier.
    busy = [(900, 100, 0.01), (1000, 0, 0.01)] * 3
    made = records(*busy, *[(99, 0, 0.01)] * 50)

    assert found(made, success_rate_deviations=1.9) == []


@pytest.mark.parametrize(("requests", "expected"), [(99, []), (100, [5])])
def test_who_has_few_requests_is_not_compared(
    requests: int, expected: list[int]
) -> None:
    made = records(*[GOOD] * 5, (0, requests, 0.01))

    assert found(made, success_rate_deviations=1.9) == expected


def test_worst_rate_comes_first() -> None:
    made = records((300, 700, None), *[GOOD] * 12, (100, 900, None), (200, 800, None))

    assert found(made, success_rate_deviations=1.0) == [13, 14, 0]


# By latency


@pytest.mark.parametrize(("latency", "expected"), [(0.03, []), (0.0301, [4])])
def test_latency_is_compared_with_the_median(
    latency: float, expected: list[int]
) -> None:
    made = records(*[GOOD] * 4, (1000, 0, latency))

    assert found(made, latency_factor=3) == expected


def test_highest_latency_comes_first_and_unknown_ones_do_not_count() -> None:
    made = records((1000, 0, None), (1000, 0, 1.0), *[GOOD] * 5, (1000, 0, 2.0))

    assert found(made, latency_factor=3) == [7, 1]
    assert found(records(*[(1000, 0, None)] * 5), latency_factor=3) == []


# By both


def test_backend_that_is_bad_in_both_is_found_once() -> None:
    made = records(*[GOOD] * 9, (0, 1000, 0.02), (0, 1000, 9.0))

    assert found(made, success_rate_deviations=1.9, latency_factor=3) == [9, 10]
