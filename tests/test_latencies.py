"""Percentiles: within five percent, of what came lately, and merged by adding."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport._latencies import _ENDS, Latencies, percentiles
from tests.core_kit import A, B, advance, make_service, stats_of

seconds = st.floats(2e-5, 3600.0)


def exact(values: list[float], rank: float) -> float:
    return sorted(values)[math.ceil(rank * len(values)) - 1]


@given(values=st.lists(seconds, min_size=1, max_size=200))
def test_percentiles_are_within_five_percent(values: list[float]) -> None:
    latencies, ranks = Latencies(), (0.5, 0.9, 0.99)
    for value in values:
        latencies.record(value, 1000.0)

    found = percentiles(latencies.counts(1000.0), ranks)

    assert found == pytest.approx([exact(values, rank) for rank in ranks], rel=0.0501)


@given(one=st.lists(seconds, min_size=1), other=st.lists(seconds))
def test_merged_percentiles_are_those_of_all_together(
    one: list[float], other: list[float]
) -> None:
    parts, whole = (Latencies(), Latencies()), Latencies()
    for latencies, values in zip(parts, (one, other), strict=True):
        for value in values:
            latencies.record(value, 1.0)
            whole.record(value, 1.0)

    merged = parts[0].counts(1.0) + parts[1].counts(1.0)

    assert merged == whole.counts(1.0)


def test_nothing_recorded_has_no_percentiles() -> None:
    assert percentiles(Latencies().counts(0.0), (0.5, 0.99)) == [None, None]


@pytest.mark.parametrize(("value", "found"), [(0.0, 1e-5), (1e9, 3600.0)])
def test_what_is_out_of_range_counts_at_its_end(value: float, found: float) -> None:
    latencies = Latencies()
    latencies.record(value, 0.0)

    assert percentiles(latencies.counts(0.0), [0.5]) == pytest.approx([found], rel=0.11)


def test_memory_is_bounded() -> None:
    latencies = Latencies()
    for number in range(10_000):
        latencies.record(1.01 ** (number % 3000) * 1e-6, 0.0)

    assert len(latencies.counts(0.0)) <= len(_ENDS) + 1 <= 200


@pytest.mark.parametrize(
    ("after", "counted"), [(59.0, 1), (61.0, 1), (119.0, 1), (121.0, 0), (1e6, 0)]
)
def test_what_is_older_than_two_minutes_is_forgotten(
    after: float, counted: int
) -> None:
    latencies = Latencies()
    latencies.record(1.0, 1000.0)

    assert latencies.counts(1000.0 + after).total() == counted


def test_stats_give_percentiles_of_each_backend_and_of_all() -> None:
    service = make_service([A, B])
    for url, latency in ((A, 0.01), (B, 0.1)):
        for _ in range(10):
            service.select(exclude=[A if url == B else B]).release(latency=latency)

    of_a, of_b, of_all = stats_of(service, A), stats_of(service, B), service.stats()

    assert (of_a.p50, of_a.p99) == pytest.approx((0.01, 0.01), rel=0.05)
    assert (of_b.p50, of_b.p90) == pytest.approx((0.1, 0.1), rel=0.05)
    assert (of_all.p50, of_all.p99) == pytest.approx((0.01, 0.1), rel=0.05)


def test_failures_that_are_no_measure_of_speed_do_not_count() -> None:
    service = make_service([A])
    service.select().release(error=ConnectionRefusedError())
    advance(service, 1.0)

    assert service.stats().p50 is None


def test_many_samples_are_taken_in_batches_and_none_is_lost() -> None:
    service = make_service([A])

    for number in range(1000):
        service.select().release(latency=0.1 if number < 600 else 0.2)

    state = service.core._roster.table.find(A)
    assert 0 < state.latencies.counts(1000.0).total() < 1000
    assert stats_of(service, A).latency == pytest.approx(0.2)
    assert state.latencies.counts(1000.0).total() == 1000
