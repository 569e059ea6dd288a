"""Failures in a row: what counts, and what a backend is ejected for."""

from __future__ import annotations

import pytest

from lbtransport import Outcome
from lbtransport._types import Fault
from lbtransport._types.outcome import CANCELLED, FAULTS, SUCCESS
from lbtransport.health.detector import Change
from tests.core_kit import CUT, REFUSED, STATUS_500, TIMEOUT
from tests.health.detector.kit import WRONG_CERTIFICATE, Room

SOFT = [CUT, STATUS_500, FAULTS[Fault.TLS], Outcome.failure("too slow")]


@pytest.mark.parametrize("outcome", [*SOFT, REFUSED, TIMEOUT, WRONG_CERTIFICATE])
def test_failures_in_a_row_eject(outcome: Outcome) -> None:
    room = Room()

    assert room.fail(0, 4, outcome) is Change.NOTHING
    assert room.ejected() == []
    assert room.fail(0, 1, outcome) is Change.EJECTED
    assert room.ejected() == [0]


@pytest.mark.parametrize("threshold", [1, 2, 7])
def test_threshold_of_failures_is_the_policys(threshold: int) -> None:
    room = Room(consecutive_failures=threshold)

    changes = [room.record(0, CUT) for _ in range(threshold)]

    assert changes == [Change.NOTHING] * (threshold - 1) + [Change.EJECTED]


def test_success_between_failures_begins_the_row_anew() -> None:
    room = Room()
    room.fail(0, 4)

    room.record(0, SUCCESS)

    assert room.fail(0, 4) is Change.NOTHING


@pytest.mark.parametrize("outcome", [Outcome.neutral(), CANCELLED, FAULTS[Fault.LOCAL]])
def test_neutral_outcome_neither_counts_nor_breaks_the_row(outcome: Outcome) -> None:
    room = Room()
    room.fail(0, 4)

    for _ in range(10):
        assert room.record(0, outcome) is Change.NOTHING

    assert room.fail(0, 1) is Change.EJECTED
