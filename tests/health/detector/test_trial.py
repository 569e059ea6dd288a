"""What the trial of a half-open backend leads to."""

from __future__ import annotations

import pytest

from lbtransport import Outcome
from lbtransport._types.outcome import CANCELLED, SUCCESS
from lbtransport.health.detector import Change
from tests.core_kit import CUT
from tests.health.detector.kit import Room


def test_trial_that_passes_returns_the_backend_with_a_clean_row() -> None:
    room = Room()
    room.fail(0, 5)
    room.wait_for_trial(0)

    assert room.record(0, SUCCESS, is_trial=True) is Change.RETURNED
    assert room.ejected() == []
    assert room.fail(0, 4) is Change.NOTHING
    assert room.fail(0, 1) is Change.EJECTED


def test_trial_that_fails_doubles_the_time() -> None:
    room = Room()
    room.fail(0, 5)
    times = []

    for _ in range(5):
        room.wait_for_trial(0)
        assert room.record(0, CUT, is_trial=True) is Change.EJECTED
        times.append((room.circuits[0].ejected_until or 0) - room.now)

    assert all(
        abs(t / e - 1) <= 0.2 for t, e in zip(times, (2, 4, 8, 15, 15), strict=True)
    )


@pytest.mark.parametrize("outcome", [Outcome.neutral(), CANCELLED])
def test_trial_without_a_verdict_leaves_the_circuit_half_open(outcome: Outcome) -> None:
    room = Room()
    room.fail(0, 5)
    room.wait_for_trial(0)

    assert room.record(0, outcome, is_trial=True) is Change.REOPENED
    assert room.circuits[0].is_half_open(room.now)
