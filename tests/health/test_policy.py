"""What the rules of health may be."""

from __future__ import annotations

from typing import Any

import pytest

from lbtransport import ConfigurationError, HealthPolicy


@pytest.mark.parametrize(
    "values",
    [
        {"consecutive_failures": -1},
        {"consecutive_failures": 2.5},
        {"consecutive_failures": True},
        {"consecutive_local_failures": -1},
        {"failure_ratio": 1.1},
        {"failure_ratio": None},
        {"failure_min_requests": 0},
        {"failure_window": 0},
        {"success_rate_deviations": -0.1},
        {"latency_factor": 1},
        {"latency_factor": -3},
        {"comparison_min_requests": 0},
        {"comparison_min_backends": 1},
        {"failure_statuses": [200]},
        {"failure_statuses": [600]},
        {"failure_statuses": ["500"]},
        {"is_failure": "yes"},
        {"base_ejection_time": 0},
        {"base_ejection_time": -1},
        {"base_ejection_time": float("nan")},
        {"max_ejection_time": 0.5},
        {"max_ejection_time": float("inf")},
        {"max_ejected": 1.1},
        {"max_ejected": -0.1},
        {"max_ejected": "half"},
        {"panic_threshold": 1.5},
        {"panic_threshold": 0.5, "fail_open": False},
        {"slow_start": -1},
    ],
)
def test_policy_out_of_range_is_refused(values: dict[str, Any]) -> None:
    name = next(iter(values))

    with pytest.raises(ConfigurationError, match=f"{name}="):
        HealthPolicy(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"consecutive_failures": 0, "consecutive_local_failures": 0},
        {"failure_ratio": 0, "failure_min_requests": 1},
        {"failure_ratio": 1, "max_ejected": 1, "panic_threshold": 1},
        {"latency_factor": 1.01, "comparison_min_backends": 2},
        {"failure_statuses": [400, 599]},
        {"failure_statuses": []},
        {"max_ejected": 0, "slow_start": 0, "fail_open": False},
    ],
)
def test_policy_at_the_edge_of_its_range_is_taken(values: dict[str, Any]) -> None:
    policy = HealthPolicy(**values)

    assert policy == HealthPolicy(**values)


def test_refusal_names_the_limits() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        HealthPolicy(max_ejected=2)

    assert str(refusal.value) == (
        "max_ejected=2: give a part of the backends of at least 0 and at most 1"
    )


def test_failures_are_the_server_errors_but_those_about_the_request() -> None:
    statuses = set(HealthPolicy().failure_statuses)

    assert {500, 502, 503, 504, 599} <= statuses
    assert not statuses & {400, 404, 422, 429, 499, 501, 505}
