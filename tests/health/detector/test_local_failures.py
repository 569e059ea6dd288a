"""Failures without an answer, counted apart from wrong answers."""

from __future__ import annotations

import pytest

from lbtransport import Outcome
from lbtransport._types import Fault
from lbtransport._types.outcome import FAULTS, SUCCESS
from lbtransport.health.detector import Change
from tests.core_kit import CUT, REFUSED, STATUS_500, TIMEOUT
from tests.health.detector.kit import WRONG_CERTIFICATE, Room

LOCAL = [REFUSED, TIMEOUT, CUT, WRONG_CERTIFICATE, FAULTS[Fault.TLS]]
ANSWERED = [STATUS_500, FAULTS[Fault.BODY], FAULTS[Fault.MALFORMED]]


@pytest.mark.parametrize("outcome", LOCAL)
def test_local_failures_have_a_threshold_of_their_own(outcome: Outcome) -> None:
    room = Room(consecutive_failures=3, consecutive_local_failures=7)

    room.fail(0, 6, outcome)
    assert room.ejected() == []
    assert room.fail(0, 1, outcome) is Change.EJECTED


@pytest.mark.parametrize("outcome", ANSWERED)
def test_answers_keep_theirs(outcome: Outcome) -> None:
    room = Room(consecutive_failures=3, consecutive_local_failures=7)

    room.fail(0, 2, outcome)
    assert room.ejected() == []
    assert room.fail(0, 1, outcome) is Change.EJECTED


def test_together_they_eject_at_one_threshold_by_default() -> None:
    room = Room(consecutive_failures=3)
    room.fail(0, 2, REFUSED)

    assert room.fail(0, 1, STATUS_500) is Change.EJECTED


def test_apart_neither_counts_for_the_other() -> None:
    room = Room(consecutive_failures=3, consecutive_local_failures=3)
    room.fail(0, 2, STATUS_500)

    room.fail(0, 2, REFUSED)
    assert room.ejected() == []
    assert room.fail(0, 1, STATUS_500) is Change.EJECTED


def test_answer_of_any_kind_begins_the_local_row_anew() -> None:
    room = Room(consecutive_failures=9, consecutive_local_failures=3)
    for answer in (STATUS_500, SUCCESS):
        room.fail(0, 2, REFUSED)
        room.record(0, answer)

    room.fail(0, 2, REFUSED)
    assert room.ejected() == []
    assert room.fail(0, 1, REFUSED) is Change.EJECTED


def test_local_failures_are_no_part_of_the_ratio() -> None:
    room = Room(consecutive_local_failures=0)

    room.fail(0, 100, REFUSED)
    assert room.ejected() == []


def test_returned_backend_begins_its_local_row_anew() -> None:
    room = Room(consecutive_local_failures=3)
    room.fail(0, 3, REFUSED)
    room.wait_for_trial(0)
    room.record(0, SUCCESS, is_trial=True)

    room.fail(0, 2, REFUSED)
    assert room.ejected() == []
