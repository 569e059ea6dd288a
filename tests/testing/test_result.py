from __future__ import annotations

import math

import pytest

from lbtransport.testing import Result, Scenario, Server, Window

SCENARIO = Scenario(servers=[Server()] * 2, rate=1.0)


def make_result(latencies: list[float], errors: int = 0) -> Result:
    windows = [
        Window(10.0, (3, 1), (0.1, 0.2), 1),
        Window(11.0, (1, 3), (), 0),
    ]
    return Result(SCENARIO, "random", 1, latencies, {"connect": errors}, windows)


def test_percentile_is_what_so_many_do_not_exceed() -> None:
    result = make_result([number / 1000 for number in range(1, 1001)])

    assert (result.p50, result.p99, result.p999) == (0.5, 0.99, 0.999)
    assert (result.percentile(0.0), result.percentile(1.0)) == (0.001, 1.0)


def test_without_successes_there_is_no_latency() -> None:
    result = make_result([], errors=2)

    assert math.isnan(result.mean)
    assert math.isnan(result.p50)
    assert result.error_ratio == 1.0


def test_without_requests_there_are_no_errors() -> None:
    assert make_result([]).error_ratio == 0.0


def test_shares_are_of_attempts_in_all_windows_or_in_some() -> None:
    result = make_result([0.1])

    assert result.shares == (0.5, 0.5)
    assert result.shares_between(10.0, 11.0) == (0.75, 0.25)
    assert result.attempts == 8


def test_windows_have_percentiles_of_their_own() -> None:
    first, second = make_result([0.1]).windows

    assert first.percentile(0.99) == 0.2
    assert math.isnan(second.percentile(0.99))


def test_score_is_half_mean_half_p99_and_a_fifth_for_each_percent_of_errors() -> None:
    oracle = make_result([0.1] * 50 + [0.3] * 50)
    result = make_result([0.2] * 97 + [0.6] * 2, errors=1)

    assert oracle.score(oracle) == 1.0
    mean = (97 * 0.2 + 2 * 0.6) / 99
    expected = 0.5 * mean / 0.2 + 0.5 * 0.6 / 0.3 + 0.2
    assert result.score(oracle) == pytest.approx(expected)


def test_clean_window_is_one_with_successes_alone() -> None:
    windows = [
        Window(10.0, (1, 1), (0.1,), 0),
        Window(11.0, (1, 1), (0.1,), 1),
        Window(12.0, (0, 0), (), 0),
        Window(13.0, (1, 1), (0.1,), 0),
    ]
    result = Result(SCENARIO, "random", 1, [0.1] * 3, {"connect": 1}, windows)

    assert result.clean_since(0.0) == 10.0
    assert result.clean_since(10.5) == 13.0
    assert math.isinf(result.clean_since(14.0))
