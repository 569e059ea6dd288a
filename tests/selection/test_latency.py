"""The latency that a selection measures, and what is no sample of it."""

from __future__ import annotations

import pytest

from lbtransport import Outcome
from tests.core_kit import CUT, STATUS_500, A, advance, make_service, stats_of


def test_latency_is_from_select_to_headers() -> None:
    service = make_service([A])
    selection = service.select()

    advance(service, 0.5)
    selection.responded()
    advance(service, 9.0)
    selection.release()

    assert stats_of(service, A).latency == 0.5


def test_release_alone_takes_the_latency_too() -> None:
    service = make_service([A])
    selection = service.select()

    advance(service, 0.5)
    selection.release()

    assert stats_of(service, A).latency == 0.5


def test_measured_latency_wins_over_the_clock() -> None:
    service = make_service([A])
    selection = service.select()

    advance(service, 0.5)
    selection.release(latency=0.25)

    assert stats_of(service, A).latency == 0.25


def test_latency_is_a_moving_average() -> None:
    service = make_service([A])

    for latency in (1.0, 2.0):
        service.select().release(latency=latency)

    assert stats_of(service, A).latency == pytest.approx(1.2)


@pytest.mark.parametrize(
    "outcome", [CUT, STATUS_500, Outcome.neutral(), Outcome.throttled(1001.0)]
)
def test_what_says_nothing_of_the_speed_is_no_sample(outcome: Outcome) -> None:
    service = make_service([A])

    service.select().release(outcome=outcome)
    selection = service.select()
    selection.responded(outcome=outcome)
    selection.release()

    assert stats_of(service, A).latency is None


def test_cancelled_selection_is_no_sample() -> None:
    service = make_service([A])

    service.select().cancel()

    assert stats_of(service, A).latency is None
